"""The columns of the class table, and of one class's counters.

Used by screens/classes.py, screens/class_detail.py and the overview. Pure.
"""

from __future__ import annotations

from collections.abc import Callable

from hakmem_tools.model.snapshot import STAGES
from hakmem_top import chart, units
from hakmem_top.moment import Moment
from hakmem_top.present import ClassRow, Measured, class_rows, counter_rows
from hakmem_top.tables import Cell, Column, Table, build, filter_rows, fit_columns, sort_rows
from hakmem_top.units import MISSING

_BAR = 10


def _bytes(value: float | None, tone: str = "value") -> Cell:
    return Cell(units.size_short(value), units.size(value), tone, value)


def _rate(value: float | None) -> Cell:
    text = units.rate(value)
    return Cell(text, text, "value" if value else "dim", value)


def _count(value: float | None, tone: str = "value") -> Cell:
    tone = tone if value else "dim"
    return Cell(units.count_short(value), units.count(value), tone, value)


def _share(value: float | None) -> Cell:
    tone = "dim" if value is None else "value"
    return Cell(units.share_short(value), units.share(value), tone, value)


def _bar(row: ClassRow) -> Cell:
    text = chart.bar(row.used, _BAR)
    return Cell(text, text, "live", row.used)


def _name(row: ClassRow) -> Cell:
    """Short tables have no column of sizes: the size stands beside the name."""
    short = f"{row.label:<4}{units.block_size_short(row.size_bytes):>5}"
    return Cell(short, row.label, "strong", row.index)


def _size(row: ClassRow) -> Cell:
    return Cell("", units.block_size(row.size_bytes), "value", row.size_bytes)


def _fails(row: ClassRow) -> Cell:
    if not row.fails:
        return _count(row.fails)
    sign = "!" if row.failing_now else ""
    tone = "alarm" if row.failing_now else "warn"
    return Cell(units.count_short(row.fails) + sign, units.count(row.fails) + sign, tone, row.fails)


def _stage(position: int) -> Callable[[ClassRow], Cell]:
    return lambda row: _count(row.stages[position])


def _columns() -> tuple[Column[ClassRow], ...]:
    stages = tuple(
        Column(f"stage {stage}", stage, _stage(position), 5, 7, group="slabs by stage")
        for position, stage in enumerate(STAGES)
    )
    per_second, memory, slots = "per second", "bytes", "slots"
    return (
        Column("class", "class", _name, 9, 5, text=True),
        Column("tier", "tier", lambda r: Cell(r.tier, r.tier, "label", r.tier), 0, 6, text=True),
        Column("size", "size", _size, 0, 8),
        Column("live", "live", lambda r: _bytes(r.live_bytes, "strong"), 6, 9, group=memory),
        Column("mapped", "mapped", lambda r: _bytes(r.mapped_bytes), 6, 9, group=memory),
        Column("used", "used", lambda r: _share(r.used), 4, 6, group=memory),
        Column("bar", "", _bar, 0, _BAR, group=memory, text=True),
        Column("growth", "growth", _growth, 7, 10, group=memory, rank=3),
        Column("hit", "hit", lambda r: _share(r.hit_rate), 4, 6, rank=2),
        Column("hits", "hits", lambda r: _rate(r.hits), 5, 6, group=per_second),
        Column("refills", "refill", lambda r: _rate(r.refills), 6, 7, group=per_second),
        Column("drains", "drain", lambda r: _rate(r.drains), 5, 6, group=per_second, rank=1),
        Column("remote", "remote", lambda r: _rate(r.remote), 6, 7, group=per_second, rank=4),
        *stages,
        Column("fails", "fails", _fails, 6, 8),
        Column("active", "active", lambda r: _count(r.active_slots), 0, 7, group=slots),
        Column("empty", "empty", lambda r: _count(r.empty_slots), 0, 7, group=slots),
    )


def _growth(row: ClassRow) -> Cell:
    short, roomy = units.growth_short(row.growth_bytes), units.growth(row.growth_bytes)
    return Cell(short, roomy, "value" if row.growth_bytes else "dim", row.growth_bytes)


COLUMNS = _columns()


def class_table(
    moment: Moment, width: int, sort_key: str = "live", descending: bool = True, query: str = ""
) -> Table:
    """All classes that match the query, sorted, in the columns that fit the width."""
    rows = class_rows(moment)
    chosen = next((column for column in COLUMNS if column.key == sort_key), COLUMNS[0])
    kept = sort_rows(filter_rows(rows, COLUMNS, query), chosen, descending)
    return build(
        [row.index for row in kept],
        kept.__getitem__,
        fit_columns(COLUMNS, width),
        sort_key=chosen.key,
        descending=descending,
        faded=lambda row: row.idle,
        empty=_empty(moment, bool(rows), query),
    )


def _empty(moment: Moment, any_row: bool, query: str) -> str:
    """Why the table has no rows."""
    if moment.snapshot is None:
        return "Nothing was read yet."
    if any_row and query:
        return f"No class matches '{query}'. Press f to change the filter."
    return "This process has no size classes yet."


CounterRow = tuple[str, Measured, Measured, Measured]


def _measured(position: int, show: Callable[[float | None], str]) -> Callable[[CounterRow], Cell]:
    def cell(row: CounterRow) -> Cell:
        measured: Measured = row[position]  # type: ignore[assignment]
        text = show(measured.value)
        tone = "value" if measured.value else "dim"
        return Cell(text, text, tone, measured.value)

    return cell


COUNTER_COLUMNS: tuple[Column[CounterRow], ...] = (
    Column("counter", "counter", lambda r: Cell(r[0], r[0], "label", r[0]), 18, 22, text=True),
    Column("rate", "per second", _measured(1, units.rate), 10, 12),
    Column("since", "since", _measured(2, units.count), 12, 14),
    Column("now", "total", _measured(3, units.count), 12, 14),
)


def counter_table(moment: Moment, index: int, width: int) -> Table:
    """Every counter of one class; unknown ones as the placeholder."""
    since = "since reset" if moment.was_reset else "since start"
    columns = [c._replace(heading=since) if c.key == "since" else c for c in COUNTER_COLUMNS]
    rows = counter_rows(moment, index)
    keys = [row[0] for row in rows]
    return build(
        keys,
        rows.__getitem__,
        fit_columns(columns, width),
        empty=f"This process has no class C{index} {MISSING}",
    )
