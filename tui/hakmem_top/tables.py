"""Tables that choose their columns by the width there is, sort, and filter.

Used by the class, event and counter screens through widgets/row_table.py. Pure. A table gives
up whole columns, least important first, rather than cut one: a number without its last
digits is a wrong number.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Generic, NamedTuple, TypeVar

from hakmem_top.lines import Line, Span, left, right

Row = TypeVar("Row")


class Cell(NamedTuple):
    """A cell's text in its short and its roomy form, its tone, and what it sorts by."""

    short: str
    roomy: str
    tone: str = "value"
    order: float | str | None = None


class Column(NamedTuple, Generic[Row]):
    """One column. `rank` 0 always stays; of the others the highest goes first.

    `short` and `roomy` are widths; `short` 0 means that it is in roomy tables only. `grow`
    takes the room that is left. Neighbours with one `group` share a heading above.
    """

    key: str
    heading: str
    cell: Callable[[Row], Cell]
    short: int
    roomy: int
    group: str = ""
    rank: int = 0
    text: bool = False
    grow: bool = False


class Placed(NamedTuple):
    """A column's place in a fitted table: where it starts and how wide it is."""

    key: str
    start: int
    width: int


class Fitted(NamedTuple, Generic[Row]):
    """The columns that fit a width, with their widths, and whether cells are roomy."""

    columns: tuple[tuple[Column[Row], int], ...]
    roomy: bool
    gap: int


class Table(NamedTuple):
    """A table as lines: headings, the rows' keys, and the columns' places.

    `line` gives the row at a position: only rows on the screen are ever made into text.
    """

    headings: list[Line]
    keys: Sequence[Hashable]
    line: Callable[[int], Line]
    places: tuple[Placed, ...] = ()
    empty: str = ""


def text_table(lines: Sequence[Line]) -> Table:
    """Lines as a table without headings, for a text that scrolls."""
    return Table([], range(len(lines)), lambda row: lines[row])


def fit_columns(columns: Sequence[Column[Row]], width: int) -> Fitted[Row]:
    """The most columns that fit: roomy with all of them, else short with as many as go."""
    return fit_roomy(columns, width) or fit_short(columns, width)


def fit_roomy(columns: Sequence[Column[Row]], width: int) -> Fitted[Row] | None:
    """All columns in their roomy form, or None when they do not fit."""
    roomy = [(column, column.roomy) for column in columns]
    return _grown(roomy, width, True, 2) if _taken(roomy, 2) <= width else None


def fit_short(columns: Sequence[Column[Row]], width: int) -> Fitted[Row]:
    """As many columns in their short form as fit; those of rank 0 in any case."""
    short = [(column, column.short) for column in columns if column.short]
    while _taken(short, 1) > width:
        spare = [pair for pair in short if pair[0].rank > 0]
        if not spare:
            break
        short.remove(max(spare, key=lambda pair: pair[0].rank))
    gap = next((gap for gap in (3, 2) if _taken(short, gap) <= width), 1)
    return _grown(short, width, False, gap)


def _taken(columns: Sequence[tuple[Column[Row], int]], gap: int) -> int:
    return sum(width for _, width in columns) + gap * max(0, len(columns) - 1)


def _grown(
    columns: list[tuple[Column[Row], int]], width: int, roomy: bool, gap: int
) -> Fitted[Row]:
    """Gives what room is left to the growing column, if there is one."""
    spare = max(0, width - _taken(columns, gap))
    out = []
    for column, taken in columns:
        if column.grow:
            taken, spare = taken + spare, 0
        out.append((column, taken))
    return Fitted(tuple(out), roomy, gap)


def build(
    keys: Sequence[Hashable],
    row_at: Callable[[int], Row],
    fitted: Fitted[Row],
    *,
    sort_key: str = "",
    descending: bool = False,
    faded: Callable[[Row], bool] = lambda row: False,
    empty: str = "",
) -> Table:
    """The table as lines; `row_at` gives the row at a position. `faded` rows are drawn dim."""

    def line(position: int) -> Line:
        row = row_at(position)
        return _row_line(row, fitted, faded(row))

    return Table(
        headings=_headings(fitted, sort_key, descending),
        keys=keys,
        line=line,
        places=places(fitted),
        empty=empty,
    )


def places(fitted: Fitted[Row]) -> tuple[Placed, ...]:
    """Where each column stands."""
    out, start = [], 0
    for column, width in fitted.columns:
        out.append(Placed(column.key, start, width))
        start += width + fitted.gap
    return tuple(out)


def _row_line(row: Row, fitted: Fitted[Row], faded: bool) -> Line:
    line: Line = []
    for position, (column, width) in enumerate(fitted.columns):
        if position:
            line.append(Span(" " * fitted.gap))
        cell = column.cell(row)
        text = cell.roomy if fitted.roomy else cell.short
        tone = "dim" if faded and cell.tone in ("value", "strong", "live", "label") else cell.tone
        line.append(Span(left(text, width) if column.text else right(text, width), tone))
    return line


def _headings(fitted: Fitted[Row], sort_key: str, descending: bool) -> list[Line]:
    """Group names above (when there are any), column names below; the sort key is marked."""
    names: Line = []
    for position, (column, width) in enumerate(fitted.columns):
        if position:
            names.append(Span(" " * fitted.gap))
        chosen = column.key == sort_key
        mark = ("▾" if descending else "▴") if chosen else ""
        text = column.heading + mark
        if len(text) > width:
            text = column.heading  # the caption says the order in words
        names.append(
            Span(
                left(text, width) if column.text else right(text, width),
                "strong" if chosen else "head",
            )
        )
    groups = _groups(fitted)
    return [groups, names] if groups else [names]


def _groups(fitted: Fitted[Row]) -> Line:
    """Each group's name centred over a rule that spans its columns."""
    if not any(column.group for column, _ in fitted.columns):
        return []
    line: Line = []
    run_name, run_width = "", 0
    for position, (column, width) in enumerate(fitted.columns):
        gap = fitted.gap if position else 0
        if position and column.group == run_name:
            run_width += gap + width
            continue
        if position:
            line.extend([Span(_ruled(run_name, run_width), "dim"), Span(" " * gap)])
        run_name, run_width = column.group, width
    line.append(Span(_ruled(run_name, run_width), "dim"))
    return line


def _ruled(name: str, width: int) -> str:
    """A group's name within a rule, or blanks for columns without a group."""
    if not name:
        return " " * width
    label = f" {name} "
    return left(name, width) if len(label) > width - 2 else label.center(width, "─")


def sort_rows(rows: Sequence[Row], column: Column[Row], descending: bool) -> list[Row]:
    """Rows by one column; unknown values come last in either direction; ties keep order."""
    known = [row for row in rows if column.cell(row).order is not None]
    unknown = [row for row in rows if column.cell(row).order is None]
    known.sort(key=lambda row: _order(column.cell(row)), reverse=descending)
    return [*known, *unknown]


def _order(cell: Cell) -> tuple[float, str]:
    return (0.0, cell.order) if isinstance(cell.order, str) else (float(cell.order or 0), "")


def filter_rows(rows: Sequence[Row], columns: Sequence[Column[Row]], query: str) -> list[Row]:
    """Rows that hold every word of the query in some column, shown or not; case is ignored."""
    words = query.lower().split()
    if not words:
        return list(rows)
    return [row for row in rows if _holds(row, columns, words)]


def _holds(row: Row, columns: Sequence[Column[Row]], words: Sequence[str]) -> bool:
    text = " ".join(column.cell(row).roomy for column in columns).lower()
    return all(word in text for word in words)
