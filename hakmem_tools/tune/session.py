"""From a plan to a result: finds or makes the sweep file, and conducts the experiment.

`run` conducts a plan in the calling thread; the commands use it. A `Session` conducts it in a
thread of its own, for whoever has a screen to draw meanwhile:

    session = Session(plan, path=None, library=libhakmem.installed())
    session.subscribe(print)     # every message is a frozen struct; called in the session's thread
    session.start()              # returns at once
    session.pause()              # after the run that is going on; session.resume() goes on
    session.stop()               # after the run that is going on; stop(now=True) ends that run too
    session.join()               # waits for the thread

The messages, in order: `Opened` (where the sweep's file is), any number of `Advanced` (a run or a
look is done: states of all arms with their intervals, blocks, most time left) and `Changed` (the
session's state), and last exactly one of `Finished` (the result; `complete` tells whether it was
stopped) or `Failed` (one line and an exit code).

A stopped session is taken up by a new one with the same plan: the file remembers. While it runs,
`Session.look` and `runs_of` read the file through a connection of their own, from any thread.

It knows where sweep files live and when one is taken up again; what is run and what that means is
for others.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path

import msgspec

from hakmem_tools.model.trial import Arm, Trial
from hakmem_tools.tune import catalogues
from hakmem_tools.tune.experiment import (
    Experiment,
    ExperimentError,
    Observer,
    Progress,
    result_of,
)
from hakmem_tools.tune.libhakmem import LibHakmem, with_library
from hakmem_tools.tune.perf import check_events
from hakmem_tools.tune.plan import Plan, PlanError, check
from hakmem_tools.tune.process import Interrupted
from hakmem_tools.tune.result import SweepResult
from hakmem_tools.tune.runner import Runner
from hakmem_tools.tune.store import Store, StoreError, holds_data


class CommandError(RuntimeError):
    """The command cannot be started; `exit_code` is what a shell would return."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def default_path(plan: Plan, folder: Path | None = None) -> Path:
    """Where a sweep without a file name is kept: named by what it measures."""
    if folder is None:
        from platformdirs import user_state_path

        folder = user_state_path("hakmem") / "sweeps"
    return folder / f"{plan.fingerprint}.sweep"


def open_store(plan: Plan, path: Path | None, *, force: bool = False) -> Store:
    """The sweep's file: taken up again if it is not complete, else a new one.

    A complete file under the default name is moved aside; one that the caller named is replaced
    only by `force`. StoreError if the file belongs to another experiment.
    """
    named = path is not None
    path = path if path is not None else default_path(plan)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from None
    if holds_data(path):
        store = Store.open(path)
        same = store.plan.fingerprint == plan.fingerprint
        if same and not force and not store.get("complete", bool):
            return store
        store.close()
        if named and not force:
            why = "is complete" if same else "holds another experiment"
            raise StoreError(f"{path}: {why}; give another name, or --force to replace it")
        if named:
            path.unlink()
        else:
            path.replace(_aside(path))
    return Store.create(path, plan)


def is_complete(plan: Plan, path: Path) -> bool:
    """Whether the file holds this experiment, to its end; StoreError if it is no sweep file.

    The plan is one that was prepared: what is preloaded belongs to an experiment.
    """
    if not holds_data(path):
        return False
    with Store.open(path) as store:
        return store.plan.fingerprint == plan.fingerprint and bool(store.get("complete", bool))


def _aside(path: Path) -> Path:
    number = 1
    while (moved := path.with_suffix(f".{number}.sweep")).exists():
        number += 1
    return moved


def check_command(plan: Plan, base: Mapping[str, str]) -> None:
    """CommandError unless what the plan starts can be started."""
    programs = [plan.command[0], *((plan.server.command[0],) if plan.server else ())]
    for program in programs:
        where = str(Path(plan.cwd) / program) if "/" in program else program
        if shutil.which(where, path=base.get("PATH")):
            continue
        if Path(where).exists():
            raise CommandError(f"{program}: not executable", 126)
        raise CommandError(f"{program}: command not found", 127)


def prepare(plan: Plan, base: Mapping[str, str], library: LibHakmem | None) -> Plan:
    """The plan, checked, and with libhakmem preloaded where its knobs are set."""
    plan = with_library(check(plan), base, library)
    try:
        check_events(plan.perf_events)
    except ValueError as error:
        raise PlanError(str(error)) from None
    if library is not None:
        library.probes_of(plan)
    return plan


def runner_of(
    plan: Plan, base: Mapping[str, str], library: LibHakmem | None, host: str | None = None
) -> Runner:
    """A runner of a prepared plan, with what libhakmem itself can tell where an arm runs under it.

    Use it as a context manager.
    """
    used = library if uses_libhakmem(plan, base) else None
    probes = used.probe_counter(plan) if used is not None else None
    return Runner(plan, base=base, counters=used, probes=probes, host=host)


def run(
    plan: Plan,
    path: Path | None,
    *,
    library: LibHakmem | None,
    force: bool = False,
    observe: Observer = lambda progress: None,
    stopping: Callable[[], bool] = lambda: False,
    opened: Callable[[Store], None] = lambda store: None,
    running: Callable[[Runner], None] = lambda runner: None,
    base: Mapping[str, str] | None = None,
) -> tuple[SweepResult, Path]:
    """Conduct a plan to its end, or until `stopping`; the result and the file that holds it.

    `running` is given the runner before the first run, to interrupt it from another thread.
    Raises PlanError, CommandError, StoreError and ExperimentError, each one line.
    """
    base = dict(os.environ if base is None else base)
    plan = prepare(plan, base, library)
    check_command(plan, base)
    with open_store(plan, path, force=force) as store:
        opened(store)
        # The file's own plan counts: a sweep that is taken up again keeps its limits and seed.
        plan = store.plan
        with runner_of(plan, base, library) as runner:
            running(runner)
            experiment = Experiment(
                store,
                runner,
                verify=lambda plan: catalogues.verify(plan, base, library),
                observe=observe,
                stopping=stopping,
            )
            try:
                result = experiment.conduct()
            except Interrupted:
                result = experiment.result()
        return result, store.path


def uses_libhakmem(plan: Plan, base: Mapping[str, str]) -> bool:
    """Whether some arm runs under libhakmem, so that its counters are worth looking for."""
    arms = (*plan.arms, Arm("", {}))
    preloads = [{**base, **plan.env, **arm.env}.get("LD_PRELOAD", "") for arm in arms]
    return any("libhakmem" in preload for preload in preloads)


class State(StrEnum):
    """Where a session stands."""

    NEW = "new"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    OVER = "over"


class Opened(msgspec.Struct, frozen=True):
    """The sweep's file is open; `plan` is the one that counts, `resumed` says it had runs."""

    path: Path
    plan: Plan
    resumed: bool


class Advanced(msgspec.Struct, frozen=True):
    """A run or a look is done."""

    progress: Progress


class Changed(msgspec.Struct, frozen=True):
    """The session's state is another one."""

    state: State


class Finished(msgspec.Struct, frozen=True):
    """The session is over; `result.complete` is false when it was stopped."""

    result: SweepResult
    path: Path


class Failed(msgspec.Struct, frozen=True):
    """The session could not go on: one line, and the exit code a command would end with."""

    message: str
    exit_code: int


Message = Opened | Advanced | Changed | Finished | Failed


class Session:
    """One conduct of a plan in a thread of its own. Methods may be called from any thread."""

    def __init__(
        self,
        plan: Plan,
        path: Path | None = None,
        *,
        library: LibHakmem | None,
        force: bool = False,
        base: Mapping[str, str] | None = None,
    ) -> None:
        self.plan = plan
        self.path = path
        self._library = library
        self._force = force
        self._base = dict(os.environ if base is None else base)
        self._listeners: list[Callable[[Message], None]] = []
        self._condition = threading.Condition()
        self._state = State.NEW
        self._runner: Runner | None = None
        # A daemon: a run of an hour must not keep a screen that was closed from ending. The
        # watchdog then ends the measured program.
        self._thread = threading.Thread(target=self._conduct, name="sweep", daemon=True)

    @property
    def state(self) -> State:
        """Where the session stands now."""
        return self._state

    def subscribe(self, listener: Callable[[Message], None]) -> Callable[[], None]:
        """Have every later message told to `listener`, in the session's thread; returns an undo."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def start(self) -> None:
        """Begin; RuntimeError if it has begun before."""
        if self._state is not State.NEW:
            raise RuntimeError("a session starts only once; make a new one to go on")
        self._change(State.RUNNING)
        self._thread.start()

    def pause(self) -> None:
        """Stand still after the run that is going on; nothing if it is not running."""
        if self._state is State.RUNNING:
            self._change(State.PAUSED)

    def resume(self) -> None:
        """Go on after a pause."""
        if self._state is State.PAUSED:
            self._change(State.RUNNING)

    def stop(self, *, now: bool = False) -> None:
        """End after the run that is going on; `now` ends that run too, and it leaves no trace."""
        if self._state in (State.RUNNING, State.PAUSED):
            self._change(State.STOPPING)
        with self._condition:
            if now and self._runner is not None:
                self._runner.interrupt()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end; whether it has come."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def look(self) -> SweepResult:
        """The result as far as it has come, read from the file; StoreError before `Opened`."""
        if self.path is None:
            raise StoreError("the sweep has no file yet")
        with Store.open(self.path) as store:
            return result_of(store)

    def runs_of(self, arm: str) -> list[Trial]:
        """Every finished run of an arm, failed ones too; StoreError before `Opened`."""
        if self.path is None:
            raise StoreError("the sweep has no file yet")
        with Store.open(self.path) as store:
            return [trial for trial in store.trials() if trial.arm == arm]

    def _conduct(self) -> None:
        try:
            result, path = run(
                self.plan, self.path, library=self._library, force=self._force, base=self._base,
                observe=lambda progress: self._tell(Advanced(progress)),
                stopping=self._stopping, opened=self._opened, running=self._running,
            )  # fmt: skip
            last: Message = Finished(result, path)
        except (PlanError, StoreError) as error:
            last = Failed(str(error), 2)
        except CommandError as error:
            last = Failed(str(error), error.exit_code)
        except ExperimentError as error:
            last = Failed(str(error), 3)
        except Exception as error:  # whoever listens must learn of the end, whatever it was
            last = Failed(f"defect: {type(error).__name__}: {error}", 3)
        finally:
            self._running(None)
        self._change(State.OVER)
        self._tell(last)

    def _opened(self, store: Store) -> None:
        self.path = store.path
        self._tell(Opened(store.path, store.plan, resumed=bool(store.trials())))

    def _running(self, runner: Runner | None) -> None:
        with self._condition:
            self._runner = runner

    def _stopping(self) -> bool:
        """Asked before every run: waits while paused."""
        with self._condition:
            self._condition.wait_for(lambda: self._state is not State.PAUSED)
            return self._state is State.STOPPING

    def _change(self, state: State) -> None:
        with self._condition:
            self._state = state
            self._condition.notify_all()
        self._tell(Changed(state))

    def _tell(self, message: Message) -> None:
        for listener in tuple(self._listeners):
            listener(message)
