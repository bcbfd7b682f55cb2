"""From a Moment to figures and rows: rates, shares, hit rate, fragmentation, alarms.

Used by the panels and tables, which turn these into text. Pure: no Textual, no widths, no
colours. A figure that cannot be told is a Measured without value and with the reason.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from hakmem_tools.model.snapshot import STAGES, ClassCounts, Snapshot
from hakmem_top import units
from hakmem_top.moment import ENDED, Moment

#: What each stage of the shared pool does, in few words (codes.def has the sentences).
STAGE_NAMES = {
    "0.5": "EMPTY scan",
    "1": "EMPTY list",
    "2": "UNUSED slot",
    "3": "new SuperSlab",
}

#: Counters that add up to all allocations, and to all frees, of the size classes
#: (counters.def gives the formula for live blocks; these are its two halves).
ALLOCATIONS = ("front_pops", "direct_allocs", "legacy_allocs")
FREES = ("front_pushes", "remote_frees", "direct_frees", "legacy_frees")

NO_SNAPSHOT = "nothing was read yet"
NO_INTERVAL = "rates need a second snapshot"
NOTHING_MAPPED = "nothing is mapped yet, so there is no used share"
NO_ALLOCATIONS = "nothing passed the front in this interval, so there is no hit rate"
NO_ACQUIRES = "the shared pool served nothing yet, so there are no shares"
NO_EVENTS = "the counters page carries no events"
NO_RSS = "this source does not read RSS"
NO_RSS_NOW = "RSS went with the process"


class Measured(msgspec.Struct, frozen=True):
    """A number, or None with the reason in one sentence."""

    value: float | None
    why: str = ""


class StageRow(msgspec.Struct, frozen=True):
    """One stage of the shared pool: acquires a second now, and since the baseline."""

    stage: str
    name: str
    rate: Measured
    count: Measured
    share: Measured


class Alarm(msgspec.Struct, frozen=True):
    """One thing that should be zero. `level` is ok, past (it happened), now or unknown."""

    name: str
    level: str
    count: Measured
    rate: Measured
    note: str


class ClassRow(msgspec.Struct, frozen=True):
    """One size class. Rates are per second; stages and fails count since the baseline."""

    index: int
    tier: str
    size_bytes: int
    live_bytes: int
    mapped_bytes: int | None
    growth_bytes: int | None
    used: float | None
    hit_rate: float | None
    hits: float | None
    refills: float | None
    drains: float | None
    remote: float | None
    stages: tuple[int | None, ...]
    fails: int | None
    active_slots: int | None
    empty_slots: int | None
    failing_now: bool

    @property
    def label(self) -> str:
        """The name of the class, such as C7."""
        return f"C{self.index}"

    @property
    def idle(self) -> bool:
        """Whether the class holds and does nothing."""
        return not (self.live_bytes or self.mapped_bytes or self.hits or any(self.stages))


def counter(source: Snapshot | ClassCounts | None, name: str) -> int | None:
    """A counter's value, summed over classes where it is per class; None if not kept."""
    if source is None:
        return None
    if isinstance(source, ClassCounts):
        return source.counts.get(name)
    if name in source.scalars:
        return source.scalars[name]
    values = [row.counts[name] for row in source.classes if name in row.counts]
    return sum(values) if values else None


def total(snapshot: Snapshot | None, *names: str) -> Measured:
    """The sum of counters; unknown when one of them is not kept by this library."""
    if snapshot is None:
        return Measured(None, NO_SNAPSHOT)
    values = [counter(snapshot, name) for name in names]
    for name, value in zip(names, values, strict=True):
        if value is None:
            return Measured(None, f"this library keeps no counter {name}")
    return Measured(sum(value for value in values if value is not None))


def rate(moment: Moment, *names: str) -> Measured:
    """Events a second of the sum of counters over the last interval, never below 0."""
    if moment.delta is None or not moment.delta.interval_ns:
        return Measured(None, NO_INTERVAL if moment.snapshot else NO_SNAPSHOT)
    change = total(moment.delta, *names)
    if change.value is None:
        return change
    return Measured(max(0.0, change.value) * 1e9 / moment.delta.interval_ns)


def used(snapshot: Snapshot | None) -> Measured:
    """Live bytes over mapped bytes: 1 is no fragmentation at all."""
    mapped = total(snapshot, "mapped_bytes")
    if snapshot is None or mapped.value is None:
        return mapped
    if mapped.value <= 0:
        return Measured(None, NOTHING_MAPPED)
    return Measured(snapshot.live_bytes / mapped.value)


def rss(moment: Moment) -> Measured:
    """Resident bytes of the process."""
    if moment.snapshot is None:
        return Measured(None, NO_SNAPSHOT)
    why = NO_RSS_NOW if moment.state == ENDED else NO_RSS
    return Measured(moment.snapshot.rss_bytes, why if moment.snapshot.rss_bytes is None else "")


def growth(moment: Moment, read: Callable[[Snapshot], float | None]) -> Measured:
    """The change of a reading since the baseline."""
    if moment.snapshot is None or moment.baseline is None:
        return Measured(None, NO_SNAPSHOT)
    now, then = read(moment.snapshot), read(moment.baseline)
    if now is None or then is None:
        return Measured(None, NO_RSS)
    return Measured(now - then)


def front_hit_rate(change: Snapshot | ClassCounts | None) -> Measured:
    """Allocations that the TLS front served without a refill, over those that asked it.

    A block that a refill brings leaves through the front too, hence pops less refills over
    pops. Classes without a front pop nothing and do not count.
    """
    if change is None:
        return Measured(None, NO_INTERVAL)
    pops, refills = counter(change, "front_pops"), counter(change, "refills")
    if pops is None or refills is None:
        return Measured(None, "this library keeps no counters of its front")
    if pops <= 0:
        return Measured(None, NO_ALLOCATIONS)
    return Measured(max(0.0, (pops - refills) / pops))


def stage_rows(moment: Moment) -> list[StageRow]:
    """The shared pool's stages in the order in which they are tried."""
    counts = {stage: total(moment.since, name) for stage, name in STAGES.items()}
    acquires = sum(count.value or 0 for count in counts.values())
    rows = []
    for stage, name in STAGES.items():
        count = counts[stage]
        share = Measured(None, NO_ACQUIRES)
        if count.value is None:
            share = count
        elif acquires > 0:
            share = Measured(count.value / acquires)
        rows.append(StageRow(stage, STAGE_NAMES.get(stage, ""), rate(moment, name), count, share))
    return rows


def alarms(moment: Moment) -> list[Alarm]:
    """The things that should be zero, always in the same order."""
    return [
        _alarm(moment, "shared_fail", "every acquire was served", _failing_classes(moment)),
        _alarm(moment, "integrity", "no bad link or address seen", "", "integrity_errors"),
        _alarm(moment, "foreign frees", "every free was of our blocks", "", "foreign_frees"),
        _lost(moment),
    ]


def _alarm(moment: Moment, name: str, calm: str, note: str, counter_name: str = "") -> Alarm:
    """One alarm from a counter that has the same name, or the one given."""
    counter_name = counter_name or name
    count, now = total(moment.since, counter_name), rate(moment, counter_name)
    if count.value is None:
        return Alarm(name, "unknown", count, now, count.why)
    if count.value == 0:
        return Alarm(name, "ok", count, now, calm)
    return Alarm(name, "now" if now.value else "past", count, now, note)


def _failing_classes(moment: Moment) -> str:
    """The classes that fell back to legacy, worst first, such as `C7 1,204  C5 12`."""
    if moment.since is None:
        return ""
    failing = [(row.get("shared_fail"), row.index) for row in moment.since.classes]
    worst = sorted((pair for pair in failing if pair[0] > 0), key=lambda p: (-p[0], p[1]))
    shown = "  ".join(f"C{index} {units.count(n)}" for n, index in worst[:3])
    more = f"  +{len(worst) - 3} classes" if len(worst) > 3 else ""
    return f"legacy served {shown}{more}" if worst else ""


def _lost(moment: Moment) -> Alarm:
    """Events that did not reach us; unknown when the source has no events at all."""
    if moment.snapshot is None:
        nothing = Measured(None, NO_SNAPSHOT)
        return Alarm("lost events", "unknown", nothing, nothing, NO_SNAPSHOT)
    if moment.snapshot.source == "counters":
        nothing = Measured(None, NO_EVENTS)
        return Alarm("lost events", "unknown", nothing, nothing, NO_EVENTS)
    lost = Measured(moment.snapshot.lost)
    now = Measured(None, NO_INTERVAL)
    if moment.delta is not None and moment.delta.interval_ns:
        now = Measured(max(0, moment.delta.lost) * 1e9 / moment.delta.interval_ns)
    if lost.value == 0:
        return Alarm("lost events", "ok", lost, now, "none was dropped on its way here")
    level = "now" if now.value else "past"
    return Alarm("lost events", level, lost, now, "the log and event counts are incomplete")


def class_rows(moment: Moment) -> list[ClassRow]:
    """One row per size class, by index."""
    if moment.snapshot is None:
        return []
    changes = {row.index: row for row in moment.delta.classes} if moment.delta else {}
    since = {row.index: row for row in moment.since.classes} if moment.since else {}
    before = {row.index: row for row in moment.baseline.classes} if moment.baseline else {}
    interval_ns = moment.delta.interval_ns if moment.delta else None
    return [
        _class_row(
            row, changes.get(row.index), since.get(row.index), before.get(row.index), interval_ns
        )
        for row in moment.snapshot.classes
    ]


def _class_row(
    row: ClassCounts,
    change: ClassCounts | None,
    since: ClassCounts | None,
    before: ClassCounts | None,
    interval_ns: int | None,
) -> ClassRow:
    def per_second(name: str) -> float | None:
        value = counter(change, name)
        return None if value is None or not interval_ns else max(0, value) * 1e9 / interval_ns

    pops, refills = per_second("front_pops"), per_second("refills")
    mapped = counter(row, "mapped_class_bytes")
    fails_now = counter(change, "shared_fail")
    return ClassRow(
        index=row.index,
        tier=row.tier,
        size_bytes=row.size_bytes,
        live_bytes=row.live_bytes,
        mapped_bytes=mapped,
        growth_bytes=None if before is None else row.live_bytes - before.live_bytes,
        used=row.live_bytes / mapped if mapped else None,
        hit_rate=front_hit_rate(change).value,
        hits=None if pops is None or refills is None else max(0.0, pops - refills),
        refills=refills,
        drains=per_second("drains"),
        remote=per_second("remote_frees"),
        stages=tuple(counter(since, name) for name in STAGES.values()),
        fails=counter(since, "shared_fail"),
        active_slots=counter(row, "active_slots"),
        empty_slots=counter(row, "empty_slots"),
        failing_now=bool(fails_now and fails_now > 0),
    )


def counter_rows(moment: Moment, index: int) -> list[tuple[str, Measured, Measured, Measured]]:
    """All counters of one class: name, rate, since the baseline, now."""
    if moment.snapshot is None:
        return []
    rows = []
    for name, value in _class(moment.snapshot, index).counts.items():
        gauge = name in moment.snapshot.gauges
        change = None if moment.delta is None else _class(moment.delta, index)
        since = None if moment.since is None else _class(moment.since, index)
        per_second = Measured(None, "a gauge has no rate" if gauge else NO_INTERVAL)
        if not gauge and change is not None and moment.delta and moment.delta.interval_ns:
            per_second = Measured(max(0, change.get(name)) * 1e9 / moment.delta.interval_ns)
        grown = (
            Measured(None, "a gauge does not add up") if gauge else Measured(counter(since, name))
        )
        rows.append((name, per_second, grown, Measured(value)))
    return rows


def _class(snapshot: Snapshot, index: int) -> ClassCounts:
    """The counts of one class; an empty one when the snapshot has none."""
    for row in snapshot.classes:
        if row.index == index:
            return row
    return ClassCounts(index=index, size_bytes=0, tier="", counts={})


def reasons(moment: Moment) -> list[str]:
    """One sentence for each thing that is missing: the source's own, then ours."""
    if moment.snapshot is None:
        return [*moment.missing, NO_SNAPSHOT]
    ours = [
        rss(moment).why,
        NO_INTERVAL if moment.delta is None else "",
        used(moment.snapshot).why,
        front_hit_rate(moment.delta).why if moment.delta is not None else "",
        *(row.share.why for row in stage_rows(moment)),
        *(alarm.note for alarm in alarms(moment) if alarm.level == "unknown"),
    ]
    told = " ".join(moment.missing).lower()
    covered = {NO_RSS: "rss" in told, NO_EVENTS: "events" in told}
    fresh = [why for why in ours if why and not covered.get(why, False)]
    return list(dict.fromkeys((*moment.missing, *fresh)))
