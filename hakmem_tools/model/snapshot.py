"""What was seen of one process at one moment, and how two moments differ.

Used by every view (TUI rows, JSON lines, HTML). Pure: sources build these records, views
read them; nothing here knows where the numbers came from.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

SCHEMA_VERSION = 1

#: The shared pool's stages, in the order in which they are tried, and their counters.
STAGES: Mapping[str, str] = {
    "0.5": "stage_0_5",
    "1": "stage_1",
    "2": "stage_2",
    "3": "stage_3",
}


class ClassCounts(msgspec.Struct, frozen=True):
    """Counters of one size class: `counts` maps counter name -> value (see counters.def)."""

    index: int
    size_bytes: int
    tier: str
    counts: dict[str, int]

    def get(self, name: str) -> int:
        """Value of a counter; 0 when this library has no such counter."""
        return self.counts.get(name, 0)

    @property
    def stages(self) -> dict[str, int]:
        """Acquires by the stage that served them."""
        return {stage: self.get(counter) for stage, counter in STAGES.items()}

    @property
    def live_blocks(self) -> int:
        """Blocks handed out and not yet freed (the formula stands in counters.def)."""
        taken = self.get("front_pops") + self.get("direct_allocs") + self.get("legacy_allocs")
        given = (
            self.get("front_pushes")
            + self.get("remote_frees")
            + self.get("direct_frees")
            + self.get("legacy_frees")
        )
        return taken - given

    @property
    def live_bytes(self) -> int:
        """Live blocks times the class's stride, in bytes (internal waste included)."""
        return max(0, self.live_blocks) * self.size_bytes

    @property
    def mapped_bytes(self) -> int:
        """Bytes of slabs, runs and legacy mappings that hold this class."""
        return self.get("mapped_class_bytes")


class Snapshot(msgspec.Struct, frozen=True):
    """All counters of one process at one moment.

    `time_ns` is CLOCK_MONOTONIC. `missing` holds one sentence for each thing that this source
    cannot tell, with the reason. `lost` counts events that were dropped on the way.
    `interval_ns` is None for absolute values and the length of the interval for a delta.
    `start_ns` is when the process began to count: it changes with an exec or a fork.
    """

    pid: int
    time_ns: int
    source: str
    version: str
    mode: str
    policy_version: int
    scalars: dict[str, int]
    classes: tuple[ClassCounts, ...]
    gauges: frozenset[str]
    missing: tuple[str, ...] = ()
    lost: int = 0
    threads: int | None = None
    rss_bytes: int | None = None
    interval_ns: int | None = None
    start_ns: int = 0

    def total(self, name: str) -> int:
        """A scalar's value, or a class counter's sum over all classes."""
        if name in self.scalars:
            return self.scalars[name]
        return sum(row.get(name) for row in self.classes)

    @property
    def live_bytes(self) -> int:
        """Bytes in live blocks of all tiers."""
        return sum(row.live_bytes for row in self.classes) + self.scalars.get("big_live_bytes", 0)

    @property
    def mapped_bytes(self) -> int:
        """Address space that the allocator holds, in bytes."""
        return self.scalars.get("mapped_bytes", 0)

    def delta(self, earlier: Snapshot) -> Snapshot:
        """What happened since `earlier`: counters are differences, gauges stay as they are.

        Raises ValueError when the two are not of the same process, or in the wrong order.
        """
        if self.pid != earlier.pid:
            raise ValueError(f"snapshots of two processes: {earlier.pid} and {self.pid}")
        if self.time_ns < earlier.time_ns:
            raise ValueError("the earlier snapshot is the later one")
        before = {row.index: row for row in earlier.classes}
        classes = tuple(
            msgspec.structs.replace(
                row,
                counts=self._difference(
                    row.counts, before[row.index].counts if row.index in before else {}
                ),
            )
            for row in self.classes
        )
        return msgspec.structs.replace(
            self,
            scalars=self._difference(self.scalars, earlier.scalars),
            classes=classes,
            lost=self.lost - earlier.lost,
            interval_ns=self.time_ns - earlier.time_ns,
        )

    def rate(self, name: str) -> float | None:
        """Events a second of a counter, for a delta; None for an absolute snapshot or gauge."""
        if not self.interval_ns or name in self.gauges:
            return None
        return self.total(name) * 1e9 / self.interval_ns

    def _difference(self, now: dict[str, int], before: dict[str, int]) -> dict[str, int]:
        return {
            name: value if name in self.gauges else value - before.get(name, 0)
            for name, value in now.items()
        }


class Event(msgspec.Struct, frozen=True):
    """One probe hit. `args` maps argument name -> number; `texts` -> its code's name, if any.

    `stack` holds return addresses, innermost first; `truncated` says that the walk broke off.
    """

    event: str
    pid: int
    tid: int
    time_ns: int
    args: dict[str, int]
    texts: dict[str, str] = {}
    stack: tuple[int, ...] = ()
    truncated: bool = False
    comm: str = ""
