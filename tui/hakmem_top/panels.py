"""The overview's panels: figures as lines of a given size.

Each panel is a function (moment, width, height) -> lines, drawn by widgets/panel.py. Pure. A
new panel is a new function here, named in a screen's compose.
"""

from __future__ import annotations

from collections.abc import Callable

from hakmem_top import chart, units
from hakmem_top.lines import Line, Span, beside, fit, left, right
from hakmem_top.moment import Moment
from hakmem_top.present import (
    ALLOCATIONS,
    FREES,
    Alarm,
    Measured,
    alarms,
    class_rows,
    front_hit_rate,
    growth,
    rate,
    rss,
    stage_rows,
    total,
    used,
)

Presenter = Callable[[Moment, int, int], list[Line]]

LEVELS = {
    "ok": ("✓ ok", "good"),
    "past": ("△ was", "warn"),
    "now": ("▲ NOW", "alarm"),
    "unknown": ("? n/a", "dim"),
}


def memory(moment: Moment, width: int, height: int) -> list[Line]:
    """Live against mapped bytes, RSS and growth, beside their history."""
    snapshot = moment.snapshot
    live = Measured(float(snapshot.live_bytes)) if snapshot else Measured(None)
    live_growth = growth(moment, lambda s: s.live_bytes)
    mapped_growth = growth(moment, lambda s: s.scalars.get("mapped_bytes"))
    rows = [
        _memory_row("live", units.size(live.value), "strong", units.growth(live_growth.value)),
        _memory_row(
            "mapped",
            units.size(total(snapshot, "mapped_bytes").value),
            "value",
            units.growth(mapped_growth.value),
        ),
        _memory_row(
            "RSS",
            units.size(rss(moment).value),
            "value",
            units.growth(growth(moment, lambda s: s.rss_bytes).value),
        ),
        _memory_row("used", units.share(used(snapshot).value), "strong", "live/mapped"),
        _memory_row("", "growth", "label", f"since {_growth_since(moment)}"),
    ]
    if height > 5:
        rows[3:3] = [_big_row(moment)]
    chart_width = max(0, width - _FIGURES - 2)
    drawn = _history(moment, chart_width, height)
    return _side_by_side(rows[:height], drawn, chart_width, width)


def _side_by_side(rows: list[Line], drawn: list[Line], chart_width: int, width: int) -> list[Line]:
    """Figures and their chart; where there is no room for a chart, the figures alone."""
    if chart_width == 0:
        return [fit(row, width) for row in rows]
    return beside([(rows, _FIGURES), (drawn, chart_width)])


_FIGURES = 31


def _memory_row(name: str, value: str, tone: str, note: str) -> Line:
    return [
        Span(left(name, 7), "label"),
        Span(right(value, 10), tone),
        Span(right(note, 14), "label"),
    ]


def _big_row(moment: Moment) -> Line:
    big = growth(moment, lambda s: s.scalars.get("big_live_bytes"))
    value = units.size(total(moment.snapshot, "big_live_bytes").value)
    return _memory_row("big", value, "value", units.growth(big.value))


def _growth_since(moment: Moment) -> str:
    return units.span(moment.since_s) if moment.was_reset else "attach"


def _history(moment: Moment, width: int, height: int) -> list[Line]:
    """The filled chart; its scale stands in the title."""
    shown = moment.history[-width:] if width > 0 else ()
    rows = chart.area(
        [sample.live_bytes for sample in shown],
        [sample.mapped_bytes for sample in shown],
        width,
        height,
    )
    return _toned(rows)


def _toned(rows: list[list[tuple[str, str]]]) -> list[Line]:
    tones = {"lower": "live", "upper": "mapped", "": "dim"}
    return [[Span(text, tones[kind]) for text, kind in row] for row in rows]


def memory_title(moment: Moment, width: int) -> Line:
    """The panel's title: what the chart shows, its scale, and how far back it goes."""
    if len(moment.history) < 2:
        return [Span("Memory", "head")]
    columns = max(1, width - _FIGURES - 2)
    shown = moment.history[-columns:]
    back = units.span((shown[-1].time_ns - shown[0].time_ns) / 1e9)
    top = max(max(s.live_bytes, s.mapped_bytes or 0) for s in shown)
    return [
        Span("Memory  ", "head"),
        Span("█", "live"),
        Span(" live  ", "head"),
        Span("░", "mapped"),
        Span(f" mapped  0 to {units.size(top)}, last {back}", "head"),
    ]


def traffic(moment: Moment, width: int, height: int) -> list[Line]:
    """Rates a second with their history, and the front's hit rate."""
    hit = front_hit_rate(moment.delta)
    rows = [
        _rate_row(moment, "allocs", ALLOCATIONS, width, "strong"),
        _rate_row(moment, "frees", FREES, width),
        _hit_row(moment, hit, width),
        _rate_row(moment, "refills", ("refills",), width),
        _rate_row(moment, "drains", ("drains",), width),
        _rate_row(moment, "remote", ("remote_frees",), width),
        _rate_row(moment, "locks", ("lock_waits",), width),
        _rate_row(moment, "bigcache", ("bigcache_hits",), width),
        _rate_row(moment, "big maps", ("big_maps",), width),
        _rate_row(moment, "SS maps", ("superslab_maps",), width),
        _rate_row(moment, "adopts", ("adopts",), width),
        _rate_row(moment, "empties", ("slab_empties",), width),
        _rate_row(moment, "flushes", ("batch_flushes",), width),
    ]
    return [fit(row, width) for row in rows[:height]]


_NAME, _VALUE = 8, 7

#: The hit rate leaves the same head room as the rates beside it.
_HIT_CEILING = 1.25


def _rate_row(
    moment: Moment, name: str, counters: tuple[str, ...], width: int, tone: str = "value"
) -> Line:
    now = rate(moment, *counters)
    series = [
        sum(s.rates[c] for c in counters) if all(c in s.rates for c in counters) else None
        for s in moment.history
    ]
    return [
        Span(left(name, _NAME), "label"),
        Span(right(units.rate(now.value), _VALUE), tone if now.value else "dim"),
        Span("/s ", "label" if now.value else "dim"),
        Span(chart.spark(series, width - _NAME - _VALUE - 3), "live" if now.value else "dim"),
    ]


def _hit_row(moment: Moment, hit: Measured, width: int) -> Line:
    series = [_sample_hit_rate(sample.rates) for sample in moment.history]
    return [
        Span(left("hit rate", _NAME), "label"),
        Span(right(units.share(hit.value), _VALUE), "strong" if hit.value is not None else "dim"),
        Span("   "),
        Span(chart.spark(series, width - _NAME - _VALUE - 3, ceiling=_HIT_CEILING), "live"),
    ]


def _sample_hit_rate(rates: dict[str, float]) -> float | None:
    pops = rates.get("front_pops", 0.0)
    if pops <= 0 or "refills" not in rates:
        return None
    return max(0.0, (pops - rates["refills"]) / pops)


def traffic_title(moment: Moment, width: int) -> Line:
    """The panel's title."""
    return [Span("Traffic", "head")]


def pool_title(moment: Moment, width: int) -> Line:
    """The panel's title with the span that its counts and shares cover."""
    return [Span(f"Shared pool since {counted_since(moment)}", "head")]


def counted_since(moment: Moment) -> str:
    """What stages and fails are counted from."""
    return f"reset {units.span(moment.since_s)}" if moment.was_reset else "start"


def pool(moment: Moment, width: int, height: int) -> list[Line]:
    """Which stage served the acquires of slabs: rates, counts and shares."""
    name_width = 17
    rate_width = 6 if width >= 30 else 0
    count_width = 9 if width >= 56 else 0
    bar_width = max(0, width - name_width - rate_width - count_width - 8)
    heading = left("stage", name_width) + right("/s", rate_width)
    heading += right("slabs", count_width) + right("share", 7)
    rows: list[Line] = [[Span(heading, "head")]]
    for row in stage_rows(moment):
        now, share = row.rate.value, row.share.value
        count = units.count(row.count.value)
        rows.append(
            [
                Span(left(row.stage, 4), "strong"),
                Span(left(row.name, name_width - 4), "label"),
                Span(right(units.rate(now), rate_width), "value" if now else "dim"),
                Span(right(count, count_width)),
                Span(right(units.share(share), 7), "value" if share else "dim"),
                Span(" " + chart.bar(share, bar_width), "live"),
            ]
        )
    return [fit(row, width) for row in [*rows, *_pool_totals(moment, width)][:height]]


def _pool_totals(moment: Moment, width: int) -> list[Line]:
    """What the stages add up to, and what the pool holds now."""
    acquires = rate(moment, "stage_0_5", "stage_1", "stage_2", "stage_3")
    served = total(moment.since, "stage_0_5", "stage_1", "stage_2", "stage_3")
    active, empty = total(moment.snapshot, "active_slots"), total(moment.snapshot, "empty_slots")
    slabs = total(moment.snapshot, "superslabs")
    return [
        [
            Span(units.count(served.value)),
            Span(" acquires, ", "label"),
            Span(units.rate(acquires.value)),
            Span("/s now", "label"),
        ],
        [
            Span(units.count(active.value)),
            Span(" active, ", "label"),
            Span(units.count(empty.value)),
            Span(" EMPTY slots", "label"),
        ],
        [Span(units.count(slabs.value)), Span(" SuperSlabs", "label")],
    ]


def alarm_rows(moment: Moment, width: int, height: int) -> list[Line]:
    """The things that should be zero: level, count, rate, and what they mean."""
    return [fit(_alarm_row(alarm), width) for alarm in alarms(moment)[:height]]


def _alarm_row(alarm: Alarm) -> Line:
    text, tone = LEVELS[alarm.level]
    quiet = alarm.level in ("ok", "unknown")
    figures = "label" if quiet else tone
    return [
        Span(left(text, 6), tone),
        Span(left(alarm.name, 14), "value" if quiet else tone),
        Span(right(units.count(alarm.count.value), 8), figures),
        Span(right(units.rate(alarm.rate.value), 7), figures),
        Span("/s  " if alarm.rate.value is not None else "    ", figures),
        Span(alarm.note, "dim" if quiet else "value"),
    ]


def alarm_title(moment: Moment, width: int) -> Line:
    """The panel's title."""
    return [Span(f"Alarms since {counted_since(moment)}", "head")]


def class_title(moment: Moment, index: int) -> Line:
    """The title of one class's panel."""
    for row in class_rows(moment):
        if row.index == index:
            size = units.block_size(row.size_bytes)
            return [Span(f"Class {row.label}, {size}, {row.tier}  (Esc goes back)", "head")]
    return [Span(f"Class C{index}  (Esc goes back)", "head")]


def class_memory(moment: Moment, index: int, width: int, height: int) -> list[Line]:
    """One class's live and mapped bytes beside their history, and its rates."""
    row = next((row for row in class_rows(moment) if row.index == index), None)
    if row is None:
        return [[Span("This process has no such class.", "label")]]
    rows = [
        _memory_row("live", units.size(row.live_bytes), "strong", units.growth(row.growth_bytes)),
        _memory_row("mapped", units.size(row.mapped_bytes), "value", ""),
        _memory_row("used", units.share(row.used), "strong", "live/mapped"),
        _memory_row("hits", units.rate(row.hits), "value", f"hit {units.share(row.hit_rate)}"),
        _memory_row("fails", units.count(row.fails), "alarm" if row.failing_now else "value", ""),
    ]
    chart_width = max(0, width - _FIGURES - 2)
    shown = moment.history[-chart_width:] if chart_width else ()
    filled = chart.area(
        [sample.class_live.get(index) for sample in shown],
        [sample.class_mapped.get(index) for sample in shown],
        chart_width,
        height,
    )
    return _side_by_side(rows[:height], _toned(filled), chart_width, width)
