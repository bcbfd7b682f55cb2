"""A sweep on a running process: its live knobs are switched in random slices.

One slice is one trial, so order, calibration, looks, verdicts, file and reports are those of any
sweep; only the analysis differs, for neighbouring slices are not independent (`switchback`). What
is switched and read is a `LiveTarget`: `ProcessTarget` for a process under libhakmem, a simulation
in tests. The values that the process had are put back at the end, whatever happens.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Protocol

from hakmem_tools.model.settings import SettingError, parse_setting
from hakmem_tools.model.trial import Arm, RssSample, Status, Trial, TrialKey
from hakmem_tools.observe.counters import CountersSource
from hakmem_tools.observe.live_knobs import CannotWrite, reset_knobs, set_knob
from hakmem_tools.observe.source import TargetError, TargetGone
from hakmem_tools.tune.catalogues import Verification
from hakmem_tools.tune.experiment import Experiment, ExperimentError, Observer
from hakmem_tools.tune.libhakmem import flat
from hakmem_tools.tune.plan import Metric, Plan, check
from hakmem_tools.tune.result import SweepResult
from hakmem_tools.tune.runner import take_asked
from hakmem_tools.tune.session import open_store
from hakmem_tools.tune.store import Store

SAMPLES = 8  # readings of memory in a slice
#: CPU seconds for each allocation that the TLS front served: steady under a changing load.
DEFAULT_METRIC = Metric(
    name="cpu_per_allocation", ratio=("cpu", "counters.front_pops"), better="lower", unit="s"
)


class Reading(NamedTuple):
    """A process at one moment: totals since its start, and levels as they are now."""

    seconds: float
    user: float
    system: float
    rss: int
    totals: Mapping[str, float]
    levels: Mapping[str, float]


class NotEffective(Exception):
    """A knob did not take the value: one line."""


class LiveTarget(Protocol):
    """What a live sweep switches and reads. `TargetGone` from any method ends the sweep."""

    def refusal(self, knobs: Mapping[str, str]) -> str:
        """Why these knobs cannot be switched, in one line, or ''."""

    def put(self, knob: str, value: str | None) -> None:
        """Give a knob a value, None for the one it had before; raises NotEffective."""

    def read(self) -> Reading:
        """The process now."""


class LiveRunner:
    """Runs slices of one plan; puts the knobs back when it is left."""

    def __init__(
        self,
        plan: Plan,
        target: LiveTarget,
        *,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
        host: str | None = None,
    ) -> None:
        assert plan.live is not None
        self.plan = plan
        self.live = plan.live
        self.host = host if host is not None else socket.gethostname()
        self._target = target
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
                self._target.put(knob, None)

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
            self._target.put(knob, None)
            del self._now[knob]
        for knob, value in arm.env.items():
            if self._now.get(knob) != value:
                self._touched.add(knob)  # before the attempt: what may have changed is put back
                self._now.pop(knob, None)
                self._target.put(knob, value)
                self._now[knob] = value

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


class ProcessTarget:
    """A process under libhakmem: knobs through its counters page, CPU time from its clock."""

    def __init__(self, source: CountersSource) -> None:
        self._source = source
        self._tick = 1.0 / os.sysconf("SC_CLK_TCK")
        self._before = {row.knob.env_name(row.index): row for row in source.knobs()}
        kinds = {counter.name: counter.kind for counter in source.descriptors.counters}
        self._gauges = {name for name, kind in kinds.items() if kind == "gauge"}

    @property
    def started_ns(self) -> int:
        """When the process began to count."""
        return self._source.layout.start_ns

    def refusal(self, knobs: Mapping[str, str]) -> str:
        """Unknown, out of range, or read at the start only."""
        for name, value in knobs.items():
            try:
                setting = parse_setting(self._source.descriptors, f"{name}={value}")
            except SettingError as error:
                return str(error)
            if setting.knob.scope != "live":
                return f"{name}: is read at the start only; use a sweep that starts the program"
        return ""

    def put(self, knob: str, value: str | None) -> None:
        """Through the page's control record; verified by what the page says afterwards."""
        before = self._before.get(knob)
        if value is None and before is not None and before.source == "live":
            value = str(before.value)
        try:
            if value is None:
                applied = reset_knobs(self._source, knob)
            else:
                applied = set_knob(self._source, f"{knob}={value}")
        except (SettingError, CannotWrite) as error:
            raise NotEffective(str(error)) from None
        if not applied.answered:
            raise NotEffective(f"{knob}: the process did not answer; it may be idle")

    def read(self) -> Reading:
        """Counters, CPU time to the nanosecond (its system part in ticks), resident memory."""
        snapshot = self._source.snapshot()
        fields = self._source.process.read_text("stat").rpartition(")")[2].split()
        try:
            cpu = time.clock_gettime(_cpu_clock(self._source.pid))
        except OSError:
            raise TargetGone(f"process {self._source.pid} has ended") from None
        system = int(fields[12]) * self._tick
        counters = flat(snapshot)
        totals: dict[str, float] = {}
        levels: dict[str, float] = {}
        for name, value in counters.items():
            side = levels if name.partition("[")[0] in self._gauges else totals
            side[name] = value
        return Reading(
            seconds=time.monotonic(), user=max(0.0, cpu - system), system=system,
            rss=self._source.process.usage().rss_bytes, totals=totals, levels=levels,
        )  # fmt: skip


def _cpu_clock(pid: int) -> int:
    """The clock of a process's CPU time (clock_getcpuclockid(3): CPUCLOCK_SCHED of its number)."""
    return (~pid << 3) | 2


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
    runner: Callable[[Plan, LiveTarget], LiveRunner] = LiveRunner,
) -> tuple[SweepResult, Path]:
    """Conduct a live plan; as `session.run` does, with the process instead of a command."""
    with open_store(check(plan), path, force=force) as store:
        opened(store)
        with runner(store.plan, target) as slices:
            result = Experiment(
                store,
                slices,
                verify=lambda plan: verify(plan, target),
                observe=observe,
                stopping=stopping,
            ).conduct()
        return result, store.path
