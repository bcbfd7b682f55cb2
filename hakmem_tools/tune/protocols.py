"""Where libhakmem's own tables and counters plug into the tuning way.

`libhakmem` implements these for the library of this installation; catalogues, runner and search
take them from outside, and tests put stand-ins there. Without them everything works except what
only the library can tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from hakmem_tools.model.descriptors import Knob


class KnobSpace(Protocol):
    """The library's knobs, and whether an environment's settings are in force."""

    def knobs(self) -> Sequence[Knob]:
        """Every knob of the library."""

    def refusal(self, asked: Mapping[str, str], env: Mapping[str, str]) -> str:
        """Why a setting of `asked` would not be in force under `env`, in one line, or ''."""


class CountersHandle(Protocol):
    """The counters page of one process, held open beyond the process's end."""

    def final(self) -> Mapping[str, float]:
        """All counters by name after the process has ended; empty if they are gone."""

    def close(self) -> None:
        """Let go of the page."""


class ProbeCounter(Protocol):
    """Counts hits on probes, a run at a time."""

    def begin(self) -> None:
        """A run is about to start."""

    def end(self) -> Mapping[str, float | str]:
        """Hits since `begin` as `probes.NAME` and `probes.NAME[CLASS]`, or why there are none."""

    def close(self) -> None:
        """Take the probes off."""


class CountersReader(Protocol):
    """Finds the counters pages of running processes."""

    def open(self, pid: int) -> CountersHandle | None:
        """The page of a process, or None while it has none."""
