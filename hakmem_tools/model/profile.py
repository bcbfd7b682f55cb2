"""A call-site profile in memory: records are added one by one, sums are asked for by view.

Used live (the terminal UI adds a tick a second) and for recordings. Pure; opens no file and
asks nobody for names. profile_views.py ranks, profile_tree.py makes trees of what it gives.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterable
from typing import TYPE_CHECKING, TypeVar

import msgspec

from hakmem_tools.model.profile_estimate import Amount, Estimate, difference
from hakmem_tools.model.profile_records import (
    MOST_BUCKETS,
    NO_STACK,
    CallFrame,
    Caused,
    End,
    Header,
    Key,
    Module,
    Record,
    Rows,
    Stack,
    Symbols,
    Thread,
    Tick,
)
from hakmem_tools.model.profile_sums import AGES, Prefixes, amounts

if TYPE_CHECKING:
    from hakmem_tools.model.profile_sums import Columns

#: Blocks that lived shorter than 2^20 ns, about a millisecond, are temporary.
TEMPORARY_AGE = 20
VIEWS = ("live", "cumulative", "freed", "temporary", "leaks", "growth")

_G = TypeVar("_G", bound=Hashable)


class NoSuchView(ValueError):
    """A view has nothing to show from this profile; the message says why, in one sentence."""


class Moment(msgspec.Struct, frozen=True):
    """The part of a profile between two moments, in CLOCK_MONOTONIC; None: from start, to end."""

    since_ns: int | None = None
    until_ns: int | None = None

    def holds(self, time_ns: int) -> bool:
        """Whether a tick at this time belongs to it."""
        after = self.since_ns is None or time_ns > self.since_ns
        return after and (self.until_ns is None or time_ns <= self.until_ns)

    @property
    def before(self) -> Moment:
        """All that came before it."""
        return Moment(None, self.since_ns if self.since_ns is not None else -1)

    @property
    def up_to_end(self) -> Moment:
        """All up to its end."""
        return Moment(None, self.until_ns)


WHOLE = Moment()


class Profile:
    """Everything that is known of one recording. Used by one thread at a time.

    `broken` says where and why a recording stopped being readable; None if it is whole.
    """

    def __init__(self, header: Header) -> None:
        self.header = header
        self.modules: dict[int, Module] = {}
        self.threads: dict[int, str] = {}
        self.stacks: dict[int, Stack] = {NO_STACK: Stack(NO_STACK, (), truncated=True)}
        self.keys: dict[int, Key] = {}
        self.frames: dict[tuple[int, int], tuple[CallFrame, ...]] = {}
        self.ticks: list[Tick] = []
        self.end: End | None = None
        self.broken: str | None = None
        self._times: list[int] = []  # of the ticks, never falling
        self._allocated = Prefixes(lambda number: self.ticks[number].allocated)
        self._freed = Prefixes(lambda number: self.ticks[number].freed)
        self._known: dict[tuple[str, Moment, int | None], dict[int, Amount]] = {}

    @staticmethod
    def of(records: Iterable[Record]) -> Profile:
        """From records, the first of which is a Header. Raises ValueError for anything else."""
        each = iter(records)
        first = next(each, None)
        if not isinstance(first, Header):
            raise ValueError("a profile begins with its header")
        profile = Profile(first)
        for record in each:
            profile.add(record)
        return profile

    def add(self, record: Record) -> None:
        """Takes in one record. Raises ValueError for a second header, or one that is damaged."""
        match record:
            case Tick():
                for rows in (record.allocated, record.freed, record.live or Rows()):
                    rows.check()
                self.ticks.append(record)
                self._times.append(max(record.time_ns, self._times[-1] if self._times else 0))
                self._known.clear()
            case Key():
                if not 0 <= record.bucket < MOST_BUCKETS:
                    raise ValueError(f"a size bucket {record.bucket}")
                self.keys[record.id] = record
            case Stack():
                self.stacks[record.id] = record
            case Symbols():
                self.frames[record.module, record.offset] = record.frames
            case Thread():
                self.threads[record.tid] = record.name
            case Module():
                self.modules[record.id] = record
            case End():
                self.end = record
            case Header():
                raise ValueError("a second header")

    # ---- what was recorded ------------------------------------------------------------------

    @property
    def start_ns(self) -> int:
        """CLOCK_MONOTONIC at the start."""
        return self.header.start_ns

    @property
    def end_ns(self) -> int:
        """CLOCK_MONOTONIC at the last thing that was recorded."""
        last = self.ticks[-1].time_ns if self.ticks else self.start_ns
        return max(last, self.end.time_ns if self.end else 0)

    @property
    def lost(self) -> dict[str, int]:
        """Samples that are in no row, by reason."""
        total: dict[str, int] = {}
        for tick in self.ticks:
            for reason, count in tick.lost.items():
                total[reason] = total.get(reason, 0) + count
        return total

    @property
    def missing(self) -> tuple[str, ...]:
        """One sentence for each thing that this profile cannot tell."""
        told = [*self.header.missing, *(self.end.missing if self.end else ())]
        if self.broken:
            told.append(self.broken)
        elif self.end is None and self.header.source != "live":
            told.append("the recorder did not end in order; what it wrote until then is here")
        return tuple(dict.fromkeys(told))

    def stack_frames(self, stack_id: int) -> tuple[CallFrame, ...]:
        """The frames of a stack, innermost first, inlined ones among them; unnamed, never less."""
        stack = self.stacks.get(stack_id)
        if stack is None:
            return ()
        frames: list[CallFrame] = []
        for place in stack.places():
            frames.extend(self.frames.get(place) or (self._bare(place),))
        return tuple(frames)

    def _bare(self, place: tuple[int, int]) -> CallFrame:
        module = self.modules.get(place[0])
        return CallFrame(module.path if module else "", place[1])

    # ---- sums -------------------------------------------------------------------------------

    def amounts(
        self, view: str, during: Moment = WHOLE, *, min_age: int | None = None
    ) -> dict[int, Amount]:
        """Key id -> Amount of a view; keys without samples are left out.

        live: at the end of the moment. cumulative, freed, temporary: within it. leaks: of the
        last live snapshot in it, blocks of age `min_age` (log2 ns; default old_age()) or more.
        Raises NoSuchView, also for growth, which is a difference: see growth().
        """
        asked = (view, during, min_age)
        if asked not in self._known:
            self._known[asked] = self._view(view, during, min_age)
        return self._known[asked]

    def _view(self, view: str, during: Moment, min_age: int | None) -> dict[int, Amount]:
        if view == "live":
            _, until = self._span(during)
            parts = [(1, self._allocated.up_to(until)), (-1, self._freed.up_to(until))]
            return _by_key(amounts(parts))
        if view == "cumulative":
            return _by_key(amounts(self._within(self._allocated, during)))
        if view == "freed":
            return _by_key(amounts(self._within(self._freed, during)))
        if view == "temporary":
            self._check_ages()
            limit = TEMPORARY_AGE if min_age is None else min_age
            return _by_key(amounts(self._within(self._freed, during), range(limit)))
        if view == "leaks":
            old = self.old_age(during) if min_age is None else min_age
            live = self._live_rows(during).arrays()
            return _by_key(amounts([(1, live)], range(old, AGES)))
        raise NoSuchView(f"no sums of a view {view!r}; there are {', '.join(VIEWS)}")

    def old_age(self, during: Moment = WHOLE) -> int:
        """log2 ns: a quarter of the recorded time, at least a second: what leaks() calls old."""
        until = self.end_ns if during.until_ns is None else min(during.until_ns, self.end_ns)
        return max(1_000_000_000, (until - self.start_ns) // 4).bit_length() - 1

    def group(self, view: str, by: Callable[[Key], _G], during: Moment = WHOLE) -> dict[_G, Amount]:
        """Amounts added up by what `by` says of a key. Raises NoSuchView."""
        return self.group_amounts(self.amounts(view, during), by)

    def group_amounts(
        self, amounts: dict[int, Amount], by: Callable[[Key], _G]
    ) -> dict[_G, Amount]:
        """Amounts by key id added up by what `by` says of each key."""
        grouped: dict[_G, Amount] = {}
        for key_id, amount in amounts.items():
            key = self.keys.get(key_id) or Key(key_id, NO_STACK, 0, None, None, 0)
            group = by(key)
            before = grouped.get(group)
            grouped[group] = amount if before is None else before + amount
        return grouped

    def growth(self, by: Callable[[Key], _G], during: Moment) -> dict[_G, Estimate]:
        """Live at the end of the moment less live at its start, group by group.

        Blocks that are live at both ends cancel, and so do those that lived in between: of the
        two ways to take the difference, the one with the narrower interval is given.
        """
        sides = [
            self.group("live", by, during.up_to_end),
            self.group("live", by, during.before),
            self.group("cumulative", by, during),
            self.group("freed", by, during),
        ]
        none = Amount()
        found: dict[_G, Estimate] = {}
        for group in dict.fromkeys(group for side in sides for group in side):
            after, before, allocated, freed = (side.get(group, none) for side in sides)
            ways = [difference(after, before), difference(allocated, freed)]
            found[group] = min(ways, key=lambda estimate: estimate.high - estimate.low)
        return found

    def lifetimes(self, during: Moment = WHOLE) -> dict[int, Amount]:
        """Of the blocks freed within the moment: log2 of their life in nanoseconds -> Amount.

        Raises NoSuchView where ages are not recorded.
        """
        self._check_ages()
        found: dict[int, Amount] = {}
        within = self._within(self._freed, during)
        for identity, amount in amounts(within, by_age=True).items():
            age = identity % AGES
            found[age] = found[age] + amount if age in found else amount
        return dict(sorted(found.items()))

    def caused(self, during: Moment = WHOLE) -> list[Caused]:
        """What stacks made the kernel do within the moment; equal ones added up."""
        total: dict[tuple[int, int, int, int | None], list[int]] = {}
        for tick in self.ticks:
            for row in tick.caused if during.holds(tick.time_ns) else ():
                sums = total.setdefault((row.stack, row.tid, row.cause, row.size_class), [0, 0, 0])
                sums[0] += row.count
                sums[1] += row.size_bytes
                sums[2] += row.duration_ns
        return [
            Caused(stack, tid, cause, count, size_bytes, size_class, duration_ns)
            for (stack, tid, cause, size_class), (count, size_bytes, duration_ns) in total.items()
        ]

    def _span(self, during: Moment) -> tuple[int, int]:
        """How many ticks lie before a moment, and up to its end."""
        first = 0 if during.since_ns is None else bisect_right(self._times, during.since_ns)
        if during.until_ns is None:
            return first, len(self.ticks)
        return first, bisect_right(self._times, during.until_ns)

    def _within(self, rows: Prefixes, during: Moment) -> list[tuple[int, Columns | None]]:
        """What happened within a moment: all up to its end, less all before it."""
        first, last = self._span(during)
        return [(1, rows.up_to(last)), (-1, rows.up_to(first))] if first < last else []

    def _check_ages(self) -> None:
        if self.header.source == "counters":
            raise NoSuchView("the counters page's table of sites keeps no ages of blocks")

    def _live_rows(self, during: Moment) -> Rows:
        for tick in reversed(self.ticks):
            if tick.live is not None and during.holds(tick.time_ns):
                return tick.live
        raise NoSuchView("no ages of live blocks were recorded in this time")


def _by_key(summed: dict[int, Amount]) -> dict[int, Amount]:
    return {identity // AGES: amount for identity, amount in summed.items()}
