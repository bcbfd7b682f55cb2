"""A sweep on a running process: its live knobs are switched in random slices.

One slice is one trial, so order, calibration, looks, verdicts, file and reports are those of any
sweep; only the analysis differs, for neighbouring slices are not independent (`switchback`). What
is switched and read is a `LiveTarget`: `ProcessTarget` for a process under libhakmem, a simulation
in tests. The values that the process had are put back at the end, whatever happens: by the runner,
or by its `keeper` when the runner was killed. The file remembers them too, so that a sweep which is
taken up again knows them, whatever the process has by then.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Protocol

from hakmem_tools.model.trial import Arm, RssSample, Status, Trial, TrialKey
from hakmem_tools.observe.source import TargetError, TargetGone
from hakmem_tools.tune.catalogues import Verification
from hakmem_tools.tune.experiment import Experiment, ExperimentError, Observer
from hakmem_tools.tune.live_target import LiveTarget, NotEffective, Reading
from hakmem_tools.tune.metric import Metric
from hakmem_tools.tune.plan import Plan, check
from hakmem_tools.tune.result import SweepResult
from hakmem_tools.tune.runner import take_asked
from hakmem_tools.tune.session import open_store
from hakmem_tools.tune.store import Store

SAMPLES = 8  # readings of memory in a slice
#: CPU seconds for each allocation that the TLS front served: steady under a changing load.
DEFAULT_METRIC = Metric(
    name="cpu_per_allocation", ratio=("cpu", "counters.front_pops"), better="lower", unit="s"
)


class Keeper(Protocol):
    """Who puts knobs back should the runner be killed: `watchdog.KnobKeeper`."""

    def watch(self, knob: str, value: str | None) -> None:
        """A knob is about to be switched; `value` is what it had."""

    def forget(self, knob: str) -> None:
        """A knob has been put back."""


class LiveRunner:
    """Runs slices of one plan; puts the knobs back when it is left."""

    def __init__(
        self,
        plan: Plan,
        target: LiveTarget,
        *,
        before: Mapping[str, str | None],
        keeper: Keeper | None = None,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
        host: str | None = None,
    ) -> None:
        assert plan.live is not None
        self.plan = plan
        self.live = plan.live
        self.host = host if host is not None else socket.gethostname()
        self._target = target
        self._before = before
        self._keeper = keeper
        self._clock = clock
        self._wait = wait
        self._now: dict[str, str] = {}
        self._touched: set[str] = set()

    def __enter__(self) -> LiveRunner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        for knob in self._touched:
            with contextlib.suppress(TargetGone, TargetError, NotEffective):
                self._put_back(knob)
                if self._keeper is not None:
                    self._keeper.forget(knob)

    def run(self, arm: Arm, key: TrialKey) -> Trial:
        """One slice under `arm`; raises ExperimentError when the process has ended."""
        started_ns = time.time_ns()
        metrics: dict[str, float] = {}
        missing: dict[str, str] = {}
        rss: list[RssSample] = []
        try:
            self._switch(arm)
            rss = self._measure(metrics)
            status, detail = take_asked(self.plan, metrics, missing)
        except NotEffective as error:
            status, detail = Status.NOT_EFFECTIVE, str(error)
        except (TargetGone, TargetError) as error:
            raise ExperimentError(f"{error}; the slices so far are kept") from None
        return Trial(
            key=key, arm=arm.name, host=self.host, status=status, started_ns=started_ns,
            detail=detail, metrics=metrics, missing=missing, rss=rss,
        )  # fmt: skip

    def _switch(self, arm: Arm) -> None:
        """Give every knob of the plan its value under this arm; only what differs is touched."""
        for knob in [knob for knob in self._now if knob not in arm.env]:
            self._put_back(knob)
            del self._now[knob]
        for knob, value in arm.env.items():
            if self._now.get(knob) != value:
                self._touch(knob)  # before the attempt: what may have changed is put back
                self._now.pop(knob, None)
                self._target.put(knob, value)
                self._now[knob] = value

    def _touch(self, knob: str) -> None:
        if knob not in self._touched:
            self._touched.add(knob)
            if self._keeper is not None:
                self._keeper.watch(knob, self._before.get(knob))

    def _put_back(self, knob: str) -> None:
        self._target.put(knob, self._before.get(knob))

    def _measure(self, metrics: dict[str, float]) -> list[RssSample]:
        """Wait for the carry-over to pass, then read both ends of what is left of the slice."""
        began = self._clock()
        self._until(began + self.live.slice_seconds * self.live.carry_over)
        first = last = self._target.read()
        rss = [RssSample(0.0, first.rss)]
        left = self.live.slice_seconds * (1 - self.live.carry_over)
        for number in range(1, SAMPLES + 1):
            self._until(began + self.live.slice_seconds - left * (1 - number / SAMPLES))
            last = self._target.read()
            rss.append(RssSample(last.seconds - first.seconds, last.rss))
        metrics.update(_rates(first, last))
        metrics["rss"] = sum(sample.bytes for sample in rss) / len(rss)
        return rss

    def _until(self, moment: float) -> None:
        while (left := moment - self._clock()) > 0:
            self._wait(left)


def _rates(first: Reading, last: Reading) -> dict[str, float]:
    """Flows per second between two readings; levels as the second has them."""
    seconds = max(last.seconds - first.seconds, 1e-9)
    user, system = last.user - first.user, last.system - first.system
    found = {"cpu": (user + system) / seconds}
    if user + system > 0:
        found["kernel_share"] = system / (user + system)
    for name, total in last.totals.items():
        found[f"counters.{name}"] = (total - first.totals.get(name, 0.0)) / seconds
    found.update({f"counters.{name}": level for name, level in last.levels.items()})
    return found


def verify(plan: Plan, target: LiveTarget) -> Verification:
    """Arms whose knobs this process would not take."""
    refused = {arm.name: target.refusal(arm.env) for arm in plan.arms}
    return Verification({arm: reason for arm, reason in refused.items() if reason})


def run(
    plan: Plan,
    path: Path | None,
    target: LiveTarget,
    *,
    force: bool = False,
    observe: Observer = lambda progress: None,
    stopping: Callable[[], bool] = lambda: False,
    opened: Callable[[Store], None] = lambda store: None,
    keeper: Keeper | None = None,
    clock: Callable[[], float] = time.monotonic,
    wait: Callable[[float], None] = time.sleep,
) -> tuple[SweepResult, Path]:
    """Conduct a live plan; as `session.run` does, with the process instead of a command."""
    with open_store(check(plan), path, force=force) as store:
        opened(store)
        before = _values_before(store, target)
        with LiveRunner(
            store.plan, target, before=before, keeper=keeper, clock=clock, wait=wait
        ) as slices:
            result = Experiment(
                store,
                slices,
                verify=lambda plan: verify(plan, target),
                observe=observe,
                stopping=stopping,
            ).conduct()
        return result, store.path


def _values_before(store: Store, target: LiveTarget) -> dict[str, str | None]:
    """What the plan's knobs had before the sweep first switched one; None for the start's value."""
    known = store.get("live_before", dict[str, str | None])
    if known is None:
        names = sorted({name for arm in store.plan.arms for name in arm.env})
        known = {name: target.given(name) for name in names}
        store.put("live_before", known)
    return known
