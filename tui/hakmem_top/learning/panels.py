"""The learning screen's panels: the state, the arms with their ratings, the caps, the log.

Pure: a Moment and knob values in, lines of a given size out.
"""

from __future__ import annotations

from collections.abc import Sequence

from hakmem_tools.observe.page import KnobSetting
from hakmem_top import chart, units
from hakmem_top.learning.present import (
    MEANINGS,
    RATING_START,
    ArmRow,
    CapRow,
    cap_rows,
    learner_events,
    learning,
    tier_rows,
)
from hakmem_top.lines import Line, Span, fit, left, right
from hakmem_top.moment import Moment
from hakmem_top.present import Measured
from hakmem_top.units import MISSING

SIGNS = {
    "learn": ("◌", "warn"),
    "frozen": ("●", "good"),
    "canary": ("◐", "warn"),
    "off": ("○", "dim"),
}

#: A rating's bar shows the distance from the start; this many points are a full one.
_FULL_POINTS = 400.0


def state_rows(moment: Moment, knobs: Sequence[KnobSetting], width: int, height: int) -> list[Line]:
    """The state, the policy, windows and canaries."""
    found = learning(moment)
    if found.state is None:
        return [fit([Span(" ? ", "dim"), Span(found.why, "label")], width)]
    sign, tone = SIGNS[found.state]
    flow: Line = []
    for number, name in enumerate(("learn", "frozen", "canary")):
        arrow = ("", "  →  ", "  ⇄  ")[number]
        chosen = name == found.state
        flow += [Span(arrow, "dim"), Span(f"[{name.upper()}]" if chosen else f" {name} ",
                                          tone if chosen else "dim")]  # fmt: skip
    if found.state == "off":
        flow.append(Span("   [OFF]", "strong"))
    lost = found.lost.value
    rows: list[Line] = [
        [Span(f"{sign} ", tone), *flow, Span(f"   {MEANINGS[found.state]}", "label")],
        [
            Span("policy ", "label"),
            Span(f"v{found.policy}", "strong"),
            Span("   windows ", "label"),
            Span(units.count(found.windows.value)),
            Span("   measured ", "label"),
            Span(units.count(found.samples.value)),
            Span(f" ({units.rate(found.sample_rate.value)}/s)", "label"),
            Span(f", lost {units.count(lost)}", "warn" if lost else "label"),
            Span("   caps moved ", "label"),
            Span(units.count(found.cap_moves.value)),
        ],
        [
            Span("canaries ", "label"),
            *_counted(found.confirmed, "confirmed", "good"),
            Span(", "),
            *_counted(found.rolled_back, "rolled back", "warn"),
            *_pools(moment, knobs),
        ],
    ]
    return [fit(row, width) for row in rows[:height]]


def _pools(moment: Moment, knobs: Sequence[KnobSetting]) -> Line:
    """The hit rates of the tiers in short, each with its target."""
    line: Line = []
    for tier, hit, target in tier_rows(cap_rows(moment, knobs)):
        tone = "warn" if target is not None and hit < target else "value"
        line += [
            Span(" " if line else "   pools ", "label"),
            Span(f"{tier} ", "label"),
            Span(units.share(hit), tone),
            Span(f"/{units.share_short(target)}", "label"),
        ]
    return line


def _counted(measured: Measured, word: str, tone: str) -> Line:
    return [
        Span(units.count(measured.value), tone if measured.value else "value"),
        Span(f" {word}", "label"),
    ]


def state_title(moment: Moment, width: int) -> Line:
    """The panel's title."""
    return [Span("Learning the mmap threshold", "head")]


# ---- arms


def arm_rows(moment: Moment, width: int, height: int) -> list[Line]:
    """One row for each arm: what it is, its rating beside the start, its p99, its part."""
    arms = learning(moment).arms
    if not arms:
        return [[Span("no ratings: ", "dim"), Span(learning(moment).why or "none kept", "dim")]]
    bar = max(4, width - 40)
    fastest = min((arm.p99_ns for arm in arms if arm.p99_ns is not None), default=None)
    heading = left("arm", 10) + right("rating", 7) + "  " + left("", bar) + right("p99", 9)
    rows: list[Line] = [[Span(heading, "head")]]
    rows += [_arm_row(arm, bar, fastest) for arm in arms]
    return [fit(row, width) for row in rows[:height]]


def _arm_row(arm: ArmRow, bar: int, fastest: int | None) -> Line:
    part, tone = "", "value"
    if arm.candidate:
        part, tone = "◐ canary", "warn"
    elif arm.incumbent:
        part, tone = "● in force", "good"
    best = arm.p99_ns is not None and arm.p99_ns == fastest
    return [
        Span(left(arm.name, 10), "strong" if part else "value"),
        Span(right(f"{arm.rating:.0f}", 7), "strong" if arm.incumbent else "value"),
        Span("  "),
        Span(rating_bar(arm.rating, bar), "live" if arm.rating >= RATING_START else "mapped"),
        Span(right(nanoseconds(arm.p99_ns), 9), "strong" if best else "value"),
        Span("  "),
        Span(part, tone),
    ]


def rating_bar(rating: float, width: int) -> str:
    """A rating as a bar from the middle: to the right is better than the start."""
    half = width // 2
    reach = round(min(1.0, abs(rating - RATING_START) / _FULL_POINTS) * half)
    if rating >= RATING_START:
        return " " * half + "│" + ("█" * reach).ljust(width - half - 1)
    return (" " * (half - reach) + "█" * reach) + "│" + " " * (width - half - 1)


def nanoseconds(value: int | None) -> str:
    """A short time, such as `4.21 µs`."""
    if value is None:
        return MISSING
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value} ns"


def arm_title(moment: Moment, width: int) -> Line:
    """The panel's title."""
    return [Span("Arms: ratings beside 1500, where all begin", "head")]


# ---- caps


def caps(moment: Moment, knobs: Sequence[KnobSetting], width: int, height: int) -> list[Line]:
    """Hit rates of the Mid and Large pools against their targets."""
    rows = cap_rows(moment, knobs)
    if not rows:
        return [[Span("no request has asked a pool of Mid or Large yet", "dim")]]
    bar = max(4, min(40, width - 58))
    heading = (
        left("class", 13)
        + right("active", 8)
        + right("peak", 7)
        + right("cap", 7)
        + right("asked", 8)
    )
    heading += right("hit", 7) + "  " + left("", bar) + right("target", 6)
    found: list[Line] = [[Span(heading, "head")]]
    found += [_cap_row(row, bar) for row in rows]
    return [fit(line, width) for line in found[:height]]


def _cap_row(row: CapRow, bar: int) -> Line:
    below = row.hit_rate is not None and row.target is not None and row.hit_rate < row.target
    name = f"C{row.index:<3}{units.block_size_short(row.size_bytes):>6}"
    return [
        Span(left(name, 13), "strong"),
        Span(right(units.count(row.active), 8)),
        Span(right(units.count(row.peak), 7), "label"),
        Span(right("none" if row.cap is None else units.count(row.cap), 7), "label"),
        Span(right(units.count_short(row.hits + row.misses), 8)),
        Span(right(units.share(row.hit_rate), 7), "warn" if below else "value"),
        Span("  "),
        Span(chart.bar(row.hit_rate, bar), "live"),
        Span(right(units.share_short(row.target), 6), "label"),
    ]


def caps_title(moment: Moment, width: int) -> Line:
    """The panel's title."""
    return [Span("Pools: hit rates in this interval", "head")]


# ---- the log


def log(moment: Moment, width: int, height: int) -> list[Line]:
    """The learner's last events: transitions, choices, policies."""
    events = learner_events(moment, height)
    if not events:
        kept = moment.snapshot is None or moment.snapshot.source == "counters"
        why = "events need the BPF source" if kept else "no event of the learner yet"
        return [[Span(why, "dim")]]
    start = moment.history[0].time_ns if moment.history else 0
    rows = []
    for event in events:
        told = ", ".join(
            f"{name} {event.texts.get(name, value)}" for name, value in event.args.items()
        )
        rows.append(
            [
                Span(right(units.moment((event.time_ns - start) / 1e9), 10), "label"),
                Span(f"  {left(event.event, 15)}", "strong"),
                Span(told),
            ]
        )
    return [fit(row, width) for row in rows]


def log_title(moment: Moment, width: int) -> Line:
    """The panel's title."""
    return [Span("The learner's events, newest first", "head")]
