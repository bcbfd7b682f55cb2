"""From a Moment to what the learner does: its state, the arms with ratings, caps, knobs.

Used by the learning screen's panels and tables. Pure. All of it comes from the counters page's
scalars and classes, the rare events, and the knob values that the page gives.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hakmem_tools.model.snapshot import ClassCounts, Event
from hakmem_tools.observe.page import KnobSetting
from hakmem_top.moment import Moment
from hakmem_top.present import Measured, counter, rate, total

#: The codes of `learn_state`, by value (group LEARNING of the codes).
STATES = ("learn", "frozen", "canary", "off")
MEANINGS = {
    "learn": "every arm is tried and rated",
    "frozen": "one arm is in force; only sizes are watched",
    "canary": "a candidate serves a small share, to be confirmed or rolled back",
    "off": "nothing is learnt; the knobs stand",
}
RATING_START = 1500
NOT_KEPT = "this library keeps no counters of learning"
NO_STATE = "nothing was read yet"
NO_KNOBS = "the knobs' values were not read"

#: Events of the learner, newest first on the screen.
EVENTS = ("lifecycle", "elo_select", "policy_publish")

#: Knobs that say how it learns; they come first.
LEARN_KNOBS = ("learn", "mmap_threshold", "freeze", "canary", "target_hit", "w_max", "wmax", "ace",
               "elo", "ucb")  # fmt: skip


class ArmRow(msgspec.Struct, frozen=True):
    """One arm: a threshold for what is Big. `p99_ns` is None while it was never measured."""

    index: int
    name: str
    rating: float
    p99_ns: int | None
    incumbent: bool
    candidate: bool


class CapRow(msgspec.Struct, frozen=True):
    """The pool of one Mid or Large class; what was asked is of the last interval.

    `cap` is the knob's, from which the learner moves; None: there is none.
    """

    index: int
    tier: str
    size_bytes: int
    cap: int | None
    active: int | None
    peak: int | None
    hits: int
    misses: int
    hit_rate: float | None
    target: float | None


class KnobRow(msgspec.Struct, frozen=True):
    """One knob's value in the process, and where it came from."""

    name: str
    value: str
    default: str
    source: str
    scope: str
    refused: bool
    doc: str


class Learning(msgspec.Struct, frozen=True):
    """All that is known of the learner; `state` None stands with `why`."""

    state: str | None
    why: str
    policy: int | None
    arms: tuple[ArmRow, ...]
    windows: Measured
    samples: Measured
    sample_rate: Measured
    lost: Measured
    confirmed: Measured
    rolled_back: Measured
    cap_moves: Measured


def learning(moment: Moment) -> Learning:
    """The learner at a moment."""
    snapshot = moment.snapshot
    code = counter(snapshot, "learn_state")
    state = STATES[code] if code is not None and 0 <= code < len(STATES) else None
    why = "" if state else NO_STATE if snapshot is None else NOT_KEPT
    return Learning(
        state=state,
        why=why,
        policy=snapshot.policy_version if snapshot is not None else None,
        arms=tuple(_arms(moment, state)),
        windows=total(snapshot, "learn_windows"),
        samples=total(snapshot, "learn_samples"),
        sample_rate=rate(moment, "learn_samples"),
        lost=total(snapshot, "learn_lost"),
        confirmed=total(snapshot, "learn_confirmed"),
        rolled_back=total(snapshot, "learn_rolled_back"),
        cap_moves=total(snapshot, "cap_moves"),
    )


def _arms(moment: Moment, state: str | None) -> list[ArmRow]:
    """As many arms as there are ratings; none where the library keeps none."""
    snapshot = moment.snapshot
    incumbent, candidate = counter(snapshot, "learn_arm"), counter(snapshot, "learn_candidate")
    found: list[ArmRow] = []
    while (rating := counter(snapshot, f"elo_rating_{len(found)}")) is not None:
        index = len(found)
        p99 = counter(snapshot, f"arm_p99_{index}")
        in_force = state not in (None, "off")
        found.append(
            ArmRow(
                index, arm_name(index), float(rating), p99 or None, in_force and index == incumbent,
                state == "canary" and index == candidate,
            )
        )  # fmt: skip
    return found


def arm_name(index: int) -> str:
    """The mmap threshold of an arm: 64 KiB times 2 to its power."""
    kib = 64 << index
    return f"{kib} KiB" if kib < 1024 else f"{kib >> 10} MiB"


def cap_rows(moment: Moment, knobs: Sequence[KnobSetting]) -> list[CapRow]:
    """The Mid and Large classes whose pools were ever asked; those asked most now come first."""
    if moment.snapshot is None:
        return []
    deltas = {row.index: row for row in moment.delta.classes} if moment.delta is not None else {}
    rows = []
    for row in moment.snapshot.classes:
        if row.tier == "tiny" or not (row.get("pool_hits") or row.get("pool_misses")):
            continue
        rows.append(_cap_row(row, deltas.get(row.index), knobs))
    return sorted(rows, key=lambda row: (-(row.hits + row.misses), row.index))


def _cap_row(row: ClassCounts, delta: ClassCounts | None, knobs: Sequence[KnobSetting]) -> CapRow:
    recent = delta or row
    hits, misses = recent.get("pool_hits"), recent.get("pool_misses")
    target = _number(knobs, f"target_hit_{row.tier}")
    cap = _number(knobs, f"cap_{row.tier}")
    return CapRow(
        index=row.index, tier=row.tier, size_bytes=row.size_bytes,
        cap=int(cap) if cap else None, active=row.counts.get("active_slots"),
        peak=row.counts.get("peak_slots"), hits=hits, misses=misses,
        hit_rate=hits / (hits + misses) if hits + misses else None, target=target,
    )  # fmt: skip


def tier_rows(rows: Sequence[CapRow]) -> list[tuple[str, float, float | None]]:
    """Tier, hit rate of all its pools together, and the target."""
    found = []
    for tier in dict.fromkeys(row.tier for row in rows):
        mine = [row for row in rows if row.tier == tier]
        hits, misses = sum(row.hits for row in mine), sum(row.misses for row in mine)
        if hits + misses:
            found.append((tier, hits / (hits + misses), mine[0].target))
    return found


def _number(knobs: Sequence[KnobSetting], name: str) -> float | None:
    for setting in knobs:
        if setting.knob.name == name and isinstance(setting.value, int | float):
            return float(setting.value)
    return None


def knob_rows(knobs: Sequence[KnobSetting]) -> list[KnobRow]:
    """What was set comes first, then what learning looks at, then all others.

    Of an indexed knob only the values that are not the default are rows.
    """
    rows = [
        KnobRow(
            setting.knob.env_name(setting.index), str(setting.value),
            str(setting.knob.present(setting.knob.default)), setting.source, setting.knob.scope,
            setting.refused, setting.knob.doc,
        )
        for setting in knobs
        if setting.index is None or setting.source != "default"
    ]  # fmt: skip
    return sorted(rows, key=lambda row: (_weight(row), row.name))


def _weight(row: KnobRow) -> int:
    if row.source == "live":
        return 0
    if row.source != "default":
        return 1
    name = row.name.lower()
    return 2 if any(word in name for word in LEARN_KNOBS) else 3


def learner_events(moment: Moment, most: int) -> list[Event]:
    """The learner's own events, newest first."""
    found = [event for event in reversed(moment.events) if event.event in EVENTS]
    return found[:most]
