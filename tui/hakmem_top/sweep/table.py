"""The tables of the sweep screens: the form, the arms with their intervals, the runs of an arm.

Pure; used by screens/sweep.py and screens/arm_runs.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from hakmem_tools.tune.verdict import Kind
from hakmem_top import chart, units
from hakmem_top.sweep.desk import SweepMoment
from hakmem_top.sweep.form import FormRow, rows
from hakmem_top.sweep.present import ORDER, ArmLine, RunRow, arm_lines, reach_of
from hakmem_top.tables import (
    Cell,
    Column,
    Table,
    build,
    filter_rows,
    fit_columns,
    fit_roomy,
    fit_short,
    sort_rows,
)
from hakmem_top.units import MISSING

TONES = {Kind.GO: "good", Kind.NO_GO: "alarm", Kind.NEUTRAL: "value", Kind.INCONCLUSIVE: "warn"}


def _text(text: str, tone: str = "value") -> Cell:
    return Cell(text, text, tone, text or None)


# ---- the form


def form_table(moment: SweepMoment, width: int, query: str = "") -> Table:
    """The rows to fill in: command, metric, time, then knobs."""
    columns: tuple[Column[FormRow], ...] = (
        Column("name", "what", lambda r: _text(r.name, "strong"), 28, 34, text=True),
        Column("value", "value", _entered, 14, 24, text=True, grow=True),
        Column("default", "default", lambda r: _text(r.default, "label"), 9, 12, rank=2),
        Column(
            "allowed", "allowed", lambda r: _text(r.allowed, "label"), 18, 28, text=True, rank=1
        ),
        Column("doc", "what it does", lambda r: _text(r.doc, "label"), 0, 58, text=True),
    )
    kept = filter_rows(rows(moment.form, moment.knobs), columns, query)
    fitted = fit_roomy(columns, width) or fit_short(columns, width)
    empty = f"No row matches '{query}'. Press f to change the filter."
    return build([row.key for row in kept], kept.__getitem__, fitted, empty=empty)


def _entered(row: FormRow) -> Cell:
    if row.value:
        return _text(row.value, "key" if row.knob else "strong")
    return _text("·" if row.knob else "— Enter asks for it", "dim")


# ---- the arms


def arm_table(
    moment: SweepMoment, width: int, sort_key: str, descending: bool, query: str = ""
) -> Table:
    """The arms with effects, intervals on one axis, verdicts and runs."""
    lines = arm_lines(moment)
    columns = arm_columns(reach_of(lines), width)
    kept = filter_rows(lines, columns, query)
    chosen = next((column for column in columns if column.key == sort_key), None)
    if chosen is not None:
        kept = sort_rows(kept, chosen, descending)
    return build(
        [line.arm for line in kept],
        kept.__getitem__,
        fit_columns(columns, width),
        sort_key=sort_key,
        descending=descending,
        empty=f"No arm matches '{query}'. Press f to change the filter.",
    )


def arm_columns(reach: float, width: int) -> tuple[Column[ArmLine], ...]:
    """The columns for an axis that ends at +-reach."""
    short, roomy = max(17, min(61, width - 54) | 1), max(31, min(61, width - 120) | 1)
    return (
        Column("arm", "arm", _arm, 24, 36, text=True, grow=True),
        Column("verdict", "verdict", _verdict, 13, 13, text=True),
        Column("effect", "effect", lambda r: _percent(r.effect, "strong"), 7, 8),
        Column("interval", axis(reach, short), lambda r: _whisker(r, reach, short, roomy), short,
               roomy, text=True),
        Column("low", "low", lambda r: _percent(r.low), 0, 8, group="95% interval"),
        Column("high", "high", lambda r: _percent(r.high), 0, 8, group="95% interval"),
        Column("widths", "narrowing", _narrowing, 0, 12, text=True),
        Column("p", "p adj.", _p, 0, 7),
        Column("runs", "runs", _runs, 6, 7),
        Column("failed", "failed", lambda r: _count(r.failed, "warn"), 0, 6),
    )  # fmt: skip


def axis(reach: float, width: int) -> str:
    """The axis as a heading: its ends and zero in the middle."""
    end = f"{reach * 100:g}%"
    half = width // 2
    return f"-{end}".ljust(half) + "0" + f"+{end}".rjust(width - half - 1)


def _arm(row: ArmLine) -> Cell:
    return Cell(row.short, row.label, "label" if row.reference else "strong", row.label)


def _verdict(row: ArmLine) -> Cell:
    if row.verdict is None:
        refused = row.settled and not row.reference
        word = "refused" if refused else "reference" if row.reference else "…"
        return Cell(word, word, "alarm" if refused else "label", None)
    sign = "✓" if row.settled else " "
    word = f"{row.verdict}{sign}"
    return Cell(word, word, TONES[row.verdict], float(ORDER[row.verdict]))


def _percent(value: float | None, tone: str = "value") -> Cell:
    text = MISSING if value is None else f"{value * 100:+.1f}%"
    return Cell(text, text, "dim" if value is None else tone, value)


def _p(row: ArmLine) -> Cell:
    text = MISSING if row.p is None else "<.0001" if row.p < 1e-4 else f"{row.p:.3f}"
    return Cell(text, text, "label", row.p)


def _count(value: int, tone: str = "value") -> Cell:
    text = units.count(value)
    return Cell(text, text, tone if value else "dim", value)


def _runs(row: ArmLine) -> Cell:
    short = f"{row.runs}{'!' if row.failed else ''}"
    return Cell(short, str(row.runs), "warn" if row.failed else "value", row.runs)


def _narrowing(row: ArmLine) -> Cell:
    text = chart.spark(row.widths, 12).lstrip()
    return Cell(text, text, "live", row.widths[-1] if row.widths else None)


def _whisker(row: ArmLine, reach: float, short: int, roomy: int) -> Cell:
    tone = "dim" if row.verdict is None else TONES[row.verdict]
    width = None if row.low is None or row.high is None else row.high - row.low
    if row.reference:
        return Cell("│".center(short), "│".center(roomy), tone, None)
    given = (row.low, row.effect, row.high, reach)
    return Cell(chart.whisker(*given, short), chart.whisker(*given, roomy), tone, width)


# ---- the runs of one arm


def run_table(found: Sequence[RunRow], metric: str, width: int) -> Table:
    """Every run, failed ones too, the newest last, with its value drawn on one scale."""
    top = max((row.value for row in found if row.value is not None), default=0.0)
    bar = 20 if width < 100 else 60
    wall: Column[RunRow] = Column("wall", "wall", lambda r: _seconds(r.wall), 8, 9, rank=2)
    columns: tuple[Column[RunRow], ...] = (
        Column("number", "run", lambda r: _text(str(r.number), "label"), 4, 5),
        Column("phase", "phase", lambda r: _text(r.phase, "label"), 9, 10, text=True),
        Column("block", "block", lambda r: _text(str(r.block)), 5, 6),
        Column("value", metric[:12], _value, 10, 12),
        Column("bar", "", lambda r: _bar(r, top, bar), bar, bar, text=True, rank=1),
        *(() if metric == "wall" else (wall,)),
        Column("rss", "peak RSS", lambda r: _bytes(r.rss), 8, 10, rank=3),
        Column("status", "status", _status, 13, 14, text=True, grow=True),
        Column("why", "why", lambda r: _text(r.why, "warn"), 0, 40, text=True),
    )
    return build(
        [row.number for row in found],
        found.__getitem__,
        fit_columns(columns, width),
        empty="No run of this arm is done yet.",
    )


def _value(row: RunRow) -> Cell:
    text = MISSING if row.value is None else f"{row.value:.5g}"
    return Cell(text, text, "dim" if row.value is None else "strong", row.value)


def _bar(row: RunRow, top: float, width: int) -> Cell:
    share = row.value / top if row.value is not None and top > 0 else None
    text = chart.bar(share, width)
    return Cell(text, text, "live", share)


def _seconds(value: float | None) -> Cell:
    text = MISSING if value is None else f"{value:.3f}s"
    return Cell(text, text, "value", value)


def _bytes(value: float | None) -> Cell:
    return Cell(units.size_short(value), units.size(value), "value", value)


def _status(row: RunRow) -> Cell:
    return _text(row.status, "good" if row.status == "ok" else "warn")
