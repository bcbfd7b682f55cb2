"""What a live sweep switches and reads: a process under libhakmem, or what stands in for one.

`live` measures through it, and `keeper` gives a process its knobs back through it. It reads totals
and levels and makes nothing of them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from hakmem_tools.model.settings import SettingError, parse_setting
from hakmem_tools.observe.counters import CountersSource
from hakmem_tools.observe.live_knobs import CannotWrite, reset_knobs, set_knob
from hakmem_tools.observe.source import TargetGone
from hakmem_tools.tune.libhakmem import flat


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

    def given(self, knob: str) -> str | None:
        """The value that a tool has given the knob; None while it is that of the start."""

    def put(self, knob: str, value: str | None) -> None:
        """Give a knob a value, None for that of the start; raises NotEffective."""

    def read(self) -> Reading:
        """The process now."""


class ProcessTarget:
    """A process under libhakmem: knobs through its counters page, CPU time from its clock."""

    def __init__(self, source: CountersSource) -> None:
        self._source = source
        self._tick = 1.0 / os.sysconf("SC_CLK_TCK")
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

    def given(self, knob: str) -> str | None:
        """From the page's own account of where each value came from."""
        for row in self._source.knobs():
            if row.knob.env_name(row.index) == knob and row.source == "live":
                return str(row.value)
        return None

    def put(self, knob: str, value: str | None) -> None:
        """Through the page's control record; the process has answered when it returns."""
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
