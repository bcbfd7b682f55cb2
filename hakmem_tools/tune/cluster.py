"""A sweep over the hosts of a dask.distributed cluster: whole blocks to a host, one at a time.

`--scheduler` leads here. A block's pairs never cross hosts, so a host's speed cancels in them. A
host that dies loses the block that it was running; another host runs that block again from its
beginning. Runs are written when their block is whole, in one transaction, so nothing is lost that
was finished and nothing is counted twice. Needs the extra [cluster], here and on the workers.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from urllib.parse import urlsplit

import msgspec

from hakmem_tools.model.trial import Arm, Phase, Trial, TrialKey
from hakmem_tools.tune import cluster_worker
from hakmem_tools.tune.experiment import Experiment, ExperimentError, Observer
from hakmem_tools.tune.machine import MachineState
from hakmem_tools.tune.plan import Plan, PlanError, block_order, check
from hakmem_tools.tune.result import SweepResult
from hakmem_tools.tune.session import open_store
from hakmem_tools.tune.store import Block, Store, StoreError

CONNECT_S = 10.0
_WAIT_S = 0.25  # between looks at who is still there
_NOBODY_S = 60.0  # without any worker, after which the sweep gives up


class Host(NamedTuple):
    """A host of the cluster: one of its workers, and the name that its runs carry."""

    address: str
    name: str


class _Task(NamedTuple):
    future: Any
    block: Block
    host: Host


def run(
    plan: Plan,
    path: Path | None,
    scheduler: str,
    *,
    force: bool = False,
    observe: Observer = lambda progress: None,
    stopping: Callable[[], bool] = lambda: False,
    opened: Callable[[Store], None] = lambda store: None,
) -> tuple[SweepResult, Path]:
    """Conduct a plan on a cluster, as `session.run` does here; raises the same errors."""
    plan = placed(check(plan))
    client = connect(scheduler)
    try:
        with open_store(plan, path, force=force) as store:
            if store.trials() and not store.get("cluster", bool):
                raise StoreError(f"{store.path}: was begun on one host; go on without --scheduler")
            store.put("cluster", True)
            opened(store)
            result = ClusterExperiment(
                store, Hosts(client, store.plan), observe=observe, stopping=stopping
            ).conduct()
            return result, store.path
    finally:
        client.close()


def placed(plan: Plan) -> Plan:
    """The plan with its directory by its full name, which is the same on every host."""
    if plan.cwd != ".":
        return plan
    return msgspec.structs.replace(plan, cwd=str(Path.cwd()))


def connect(scheduler: str) -> Any:
    """A client of the scheduler; PlanError when it does not answer or Dask is not installed."""
    try:
        import distributed
    except ImportError:
        raise PlanError(
            "--scheduler needs dask.distributed: pip install 'hakmem[cluster]'"
        ) from None
    _check_address(scheduler)
    try:
        client: Callable[..., Any] = distributed.Client  # it has no types of its own
        return client(scheduler, timeout=CONNECT_S, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        why = str(error).splitlines()[0] if str(error) else "no answer"
        raise PlanError(f"--scheduler {scheduler}: {why}") from None


def _check_address(scheduler: str) -> None:
    """PlanError unless something listens there; a client that fails to connect is hard to end."""
    try:
        place = urlsplit(scheduler)
        host, port = place.hostname, place.port
    except ValueError:
        host = port = None
    if not host or not port:
        raise PlanError(f"--scheduler {scheduler}: write its address, tcp://HOST:8786")
    try:
        socket.create_connection((host, port), CONNECT_S).close()
    except OSError as error:
        raise PlanError(f"--scheduler {scheduler}: {error.strerror or error}") from None


class Hosts:
    """Who is there, who is ready, and what each is running."""

    def __init__(self, client: Any, plan: Plan) -> None:
        self._client = client
        self._plan_text = msgspec.json.encode(plan)
        self._ready: dict[str, Host] = {}  # by the worker's address
        self._asked: dict[str, Any] = {}
        self.unfit: dict[str, str] = {}
        self.states: dict[str, cluster_worker.Readiness] = {}
        self.tasks: dict[str, _Task] = {}  # by the host's name

    def refresh(self) -> list[Block]:
        """Welcome new workers, drop lost ones; returns the blocks that were lost with them."""
        present = set(self._client.scheduler_info(n_workers=-1)["workers"])
        for address in present - set(self._asked):
            self._asked[address] = self._submit(cluster_worker.get_ready, address)
        for address in set(self._asked) - present:
            self._asked.pop(address)
            self._ready.pop(address, None)
        for address, future in self._asked.items():
            if address not in self._ready and address not in self.unfit and future.done():
                self._welcome(address, future)
        return [
            self._forget(name).block
            for name, task in list(self.tasks.items())
            if task.host.address not in present
        ]

    def _welcome(self, address: str, future: Any) -> None:
        machine = urlsplit(address).hostname or address
        if future.status != "finished":
            self.unfit[address] = f"{machine}: {_reason(future)}"
            return
        answer = msgspec.json.decode(future.result(), type=cluster_worker.Readiness)
        name = f"{answer.hostname}/{machine}"
        if answer.problem:
            self.unfit[address] = f"{name}: {answer.problem}"
            return
        self.states[name] = answer
        self._ready[address] = Host(address, name)

    @property
    def idle(self) -> list[Host]:
        """One worker of each host that is ready and runs nothing."""
        by_name = {host.name: host for host in self._ready.values()}
        return [host for name, host in sorted(by_name.items()) if name not in self.tasks]

    @property
    def count(self) -> int:
        """Hosts that can measure."""
        return len({host.name for host in self._ready.values()})

    @property
    def pending(self) -> bool:
        """Whether some worker is still getting ready."""
        return any(a not in self._ready and a not in self.unfit for a in self._asked)

    def start(self, block: Block, host: Host) -> None:
        """Have a host run a block."""
        text = msgspec.json.encode(block)
        future = self._submit(cluster_worker.run_block, host.address, text, host.name)
        self.tasks[host.name] = _Task(future, block, host)

    def finished(self) -> list[tuple[_Task, list[Trial]]]:
        """Blocks that have come back; ExperimentError if one failed as a whole."""
        done = []
        for name, task in list(self.tasks.items()):
            if task.future.done():
                self.tasks.pop(name)
                if task.future.status != "finished":
                    raise ExperimentError(f"{name}: {_reason(task.future)}")
                done.append((task, msgspec.json.decode(task.future.result(), type=list[Trial])))
        return done

    def wait(self) -> None:
        """Until something may have happened."""
        import distributed

        futures = [task.future for task in self.tasks.values()]
        futures += [f for a, f in self._asked.items() if a not in self._ready and not f.done()]
        if not futures:
            time.sleep(_WAIT_S)
            return
        try:
            wait: Callable[..., Any] = distributed.wait
            with self._client.as_current():
                wait(futures, timeout=_WAIT_S, return_when="FIRST_COMPLETED")
        except (TimeoutError, distributed.TimeoutError):
            return

    def cancel(self) -> None:
        """Take back everything that is not done."""
        for name in list(self.tasks):
            self._forget(name)

    def _forget(self, name: str) -> _Task:
        task = self.tasks.pop(name)
        task.future.cancel(force=True)
        return task

    def _submit(self, function: Callable[..., bytes], address: str, *arguments: Any) -> Any:
        return self._client.submit(
            function, self._plan_text, *arguments, workers=[address], allow_other_workers=False,
            pure=False, retries=0,
        )  # fmt: skip


def _reason(future: Any) -> str:
    if future.status == "cancelled":
        return "its worker took the task back"
    error = future.exception()
    return f"{type(error).__name__}: {error}".splitlines()[0]


class _NoRunner:
    def run(self, arm: Arm, key: TrialKey) -> NoReturn:
        raise AssertionError("a cluster's runs are made by its workers")


class ClusterExperiment(Experiment):
    """An experiment whose blocks run on many hosts at a time; all else is as on one."""

    def __init__(
        self, store: Store, hosts: Hosts, *, observe: Observer, stopping: Callable[[], bool]
    ) -> None:
        super().__init__(store, _NoRunner(), observe=observe, stopping=stopping)
        self._hosts = hosts
        self._last = 0.0

    def conduct(self) -> SweepResult:
        """Run what is left, on whoever is there."""
        try:
            return super().conduct()
        finally:
            self._hosts.cancel()

    def _prepare(self) -> None:
        """Wait for a first host; what it says of machine and knobs is written as it comes."""
        self._last = self._clock()
        self._gather()
        self._check_arms()

    def _gather(self) -> list[Block]:
        """Refresh the hosts, waiting while there is none; returns blocks that were lost."""
        lost = self._hosts.refresh()
        deadline = self._clock() + _NOBODY_S
        while not self._hosts.count and not self._stopping():
            if not self._hosts.pending and self._hosts.unfit:
                raise ExperimentError(
                    f"no host can measure; {next(iter(self._hosts.unfit.values()))}"
                )
            if self._clock() >= deadline:
                raise ExperimentError(f"no worker for {_NOBODY_S:.0f} s; runs so far are kept")
            self._hosts.wait()
            lost += self._hosts.refresh()
        self._write_hosts()
        return lost

    def _write_hosts(self) -> None:
        states = self._hosts.states
        known = self.store.get("hosts_known", list[str]) or []
        if set(states) <= set(known) and not self._hosts.unfit:
            return
        facts: dict[str, str] = {}
        warnings = [f"not used: {reason}" for reason in self._hosts.unfit.values()]
        refused = self._refused
        for name, one in states.items():
            facts.update({f"{name}: {key}": value for key, value in one.machine.facts.items()})
            warnings += [f"{name}: {text}" for text in one.machine.warnings]
            refused.update({arm: f"{name}: {reason}" for arm, reason in one.refused.items()})
        self.store.put("machine", MachineState(facts, tuple(warnings)))
        self.store.put("refused", refused)
        self.store.put("notes", sorted({note for one in states.values() for note in one.notes}))
        self.store.put("hosts_known", sorted({*known, *states}))

    def _calibrate(self) -> None:
        """A/A blocks on every host; at least three each."""
        wanted = max(self.plan.limits.calibration, 3 * self._hosts.count)
        ended = self._run_blocks(Phase.CALIBRATE, wanted, lambda: (), self._calibrating_too_long)
        if ended and self.store.get("horizon", int) is None:
            self._check_reference()
            self.store.put("calibrated_at", self.store.seconds)
            self.store.put("horizon", self._planned_horizon())

    def _measure(self) -> None:
        horizon = self.store.get("horizon", int)
        if horizon is None or self.store.get("complete", bool):
            return

        def over() -> bool:
            self._look_when_due(horizon)
            return not self._active() or self._spent(self._blocks_done(), horizon) >= 1.0

        if self._run_blocks(Phase.MEASURE, horizon, self._active, over):
            self._look_when_due(horizon)
            self.store.put("complete", True)

    def _run_blocks(
        self, phase: Phase, count: int, active: Callable[[], Sequence[str]],
        over: Callable[[], bool],
    ) -> bool:  # fmt: skip
        """Keep every host busy until `count` blocks are there or it is over; False if stopped."""
        planned = {block.number: block for block in self.store.blocks(phase)}
        whole = {
            n for n, b in planned.items() if len(self.store.done_positions(phase, n)) == len(b.arms)
        }
        waiting = sorted(set(planned) - whole)
        while len(whole) < count and not (whole and over()):
            if self._stopping():
                return False
            waiting = sorted({*waiting, *(b.number for b in self._gather() if b.phase == phase)})
            for host in self._hosts.idle:
                if not waiting and len(planned) < count:
                    number = len(planned)
                    order = tuple(block_order(self.plan, phase, number, active()))
                    planned[number] = Block(phase, number, "", order)
                    self.store.add_block(planned[number])
                    waiting.append(number)
                if waiting:
                    self._hosts.start(planned[waiting.pop(0)], host)
            self._hosts.wait()
            for task, trials in self._hosts.finished():
                if task.block.phase == phase:
                    self._take(task.block, trials)
                    whole.add(task.block.number)
            self._check_reference()
        return True

    def _take(self, block: Block, trials: list[Trial]) -> None:
        """Write a whole block; a second coming of it changes nothing."""
        now = self._clock()
        if self.store.add_block_trials(block, trials, now - self._last):
            self._trials.extend(trials)
        self._last = now
        for trial in trials:
            self._tell(block.phase, trial)
