"""What a watch says beside its events: how often each probe was hit, what was lost, what it cost.

Plain records and one estimate; used by the watch, the source and the commands. Pure.
"""

from __future__ import annotations

import msgspec

#: What a hit costs its thread beside the program's own time: the trap, in and out. Measured on
#: a small x86-64 virtual machine, idle (530) and overloaded (800).
TRAP_NS = 650
TRAP_ERROR = 0.3
#: A program's own time a hit, where the kernel does not measure it.
PROGRAM_NS = 100


class Lost(msgspec.Struct, frozen=True):
    """What the kernel had no room for. Hits by probe are exact all the same, save `tasks`."""

    events: dict[str, int] = {}  # by probe: events that found the ring full
    class_hits: int = 0  # hits without a place in the table by class
    tasks: int = 0  # forked tasks without a place: their hits are not seen at all
    runs: int = 0  # hits that the kernel skipped, inside another program's run

    @property
    def total(self) -> int:
        """Everything that was lost, for the one number that a view shows."""
        return sum(self.events.values()) + self.class_hits + self.tasks + self.runs


class ClassHits(msgspec.Struct, frozen=True):
    """How often a probe was hit for a size class and a code; None for what the probe has not."""

    event: str
    size_class: int | None
    code: int | None
    code_text: str | None
    hits: int


class Cost(msgspec.Struct, frozen=True):
    """What watching took from the target so far.

    `program_ns` is the programs' own time, None where the kernel does not measure it.
    `overhead_ns` is an estimate and lies within `overhead_range_ns`.
    """

    hits: int
    program_ns: int | None
    overhead_ns: int
    overhead_range_ns: tuple[int, int]


class Accounts(msgspec.Struct, frozen=True):
    """All of a watch's numbers at one moment, since it was attached."""

    counts: dict[str, int]
    classes: tuple[ClassHits, ...]
    lost: Lost
    cost: Cost


def estimate_cost(hits: int, program_ns: int | None) -> Cost:
    """Hits x trap, plus the programs' own time (measured, or PROGRAM_NS a hit)."""
    own_ns = hits * PROGRAM_NS if program_ns is None else program_ns
    trap_ns = hits * TRAP_NS
    error_ns = int(trap_ns * TRAP_ERROR)
    return Cost(
        hits=hits,
        program_ns=program_ns,
        overhead_ns=trap_ns + own_ns,
        overhead_range_ns=(trap_ns - error_ns + own_ns, trap_ns + error_ns + own_ns),
    )
