"""The columns of the event log, and one event in full.

Used by screens/events.py and the overview. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hakmem_tools.model.snapshot import Event
from hakmem_top import units
from hakmem_top.lines import Line, Span
from hakmem_top.moment import Moment
from hakmem_top.present_events import EventRow, EventRows, argument
from hakmem_top.tables import (
    Cell,
    Column,
    Fitted,
    Table,
    build,
    filter_rows,
    fit_roomy,
    fit_short,
    sort_rows,
)


def _text(text: str, tone: str = "value") -> Cell:
    return Cell(text, text, tone, text or None)


def _when(row: EventRow) -> Cell:
    sign, at_s = ("-", -row.at_s) if row.at_s < 0 else ("", row.at_s)
    short, roomy = units.moment_short(at_s), units.moment(at_s)
    return Cell(sign + short, sign + roomy, "label", row.key)


def _event(row: EventRow) -> Cell:
    sign = "! " if row.alarming else "  "
    return _text(sign + row.event, "alarm" if row.alarming else "value")


def _what(row: EventRow) -> Cell:
    """The reason and the other arguments in one cell, for narrow tables."""
    return _text(row.brief)


def _thread(row: EventRow) -> Cell:
    return Cell(str(row.tid), f"{row.tid} {row.comm}".strip(), "label", row.tid)


_TIME: Column[EventRow] = Column("time", "time", _when, 8, 12)
_EVENT: Column[EventRow] = Column("event", "  event", _event, 17, 18, text=True)
_CLASS: Column[EventRow] = Column(
    "class", "class", lambda r: _text(r.class_label, "strong"), 5, 5, text=True
)
_WHAT: Column[EventRow] = Column("what", "reason, arguments", _what, 18, 18, text=True, grow=True)
_REASON: Column[EventRow] = Column(
    "reason", "reason", lambda r: _text(r.reason, "strong"), 14, 14, text=True
)
_DETAIL: Column[EventRow] = Column(
    "detail", "arguments", lambda r: _text(r.detail), 40, 40, text=True
)
_THREAD: Column[EventRow] = Column("thread", "thread", _thread, 7, 23, text=True)
_STACK: Column[EventRow] = Column(
    "stack", "stack top", lambda r: _text(r.stack_top, "label"), 14, 40, text=True, rank=1
)

#: The log's columns where there is room, and where there is not.
ROOMY: tuple[Column[EventRow], ...] = (
    _TIME, _EVENT, _CLASS, _REASON, _DETAIL, _THREAD, _STACK._replace(grow=True),
)  # fmt: skip
SHORT: tuple[Column[EventRow], ...] = (_TIME, _EVENT, _CLASS, _WHAT, _THREAD, _STACK)


def event_table(
    moment: Moment,
    width: int,
    *,
    sort_key: str = "time",
    descending: bool = True,
    query: str = "",
    describe: Callable[[int], str] = hex,
) -> Table:
    """The events that match the query, in the columns that fit the width."""
    rows = EventRows(moment, describe)
    keys: Sequence[int] = rows.keys
    row_at: Callable[[int], EventRow] = rows.at
    if query or (sort_key, descending) != ("time", True):
        chosen = next((column for column in ROOMY if column.key == sort_key), _TIME)
        every = [rows.at(position) for position in range(len(rows.keys))]
        kept = sort_rows(filter_rows(every, ROOMY, query), chosen, descending)
        keys, row_at = [row.key for row in kept], kept.__getitem__
    return build(
        keys,
        row_at,
        _fitted(moment, width),
        sort_key=sort_key,
        descending=descending,
        empty=_empty(moment, bool(rows.keys), query),
    )


def _fitted(moment: Moment, width: int) -> Fitted[EventRow]:
    """The columns that fit; that of stacks only where an event has one."""
    stacks = any(event.stack for event in moment.events)
    roomy, short = (
        [c for c in columns if stacks or c.key != "stack"] for columns in (ROOMY, SHORT)
    )
    if not stacks:
        roomy = [c._replace(grow=c.key == "detail") for c in roomy]
    return fit_roomy(roomy, width) or fit_short(short, width)


def _empty(moment: Moment, any_row: bool, query: str) -> str:
    """Why the log has no rows."""
    if any_row and query:
        return f"No event matches '{query}'. Press f to change the filter."
    if moment.snapshot is not None and moment.snapshot.source == "counters":
        return "The counters page carries no events; they need BPF (? says more)."
    return "No event so far. Events are rare: fallbacks, maps, integrity errors."


def event_lines(
    event: Event, start_ns: int = 0, describe: Callable[[int], str] = hex
) -> list[Line]:
    """One event in full: every argument, the thread, and the whole stack."""
    at = units.moment(max(0, event.time_ns - start_ns) / 1e9)
    lines: list[Line] = [
        [
            Span(f"{'event':<12}", "label"),
            Span(event.event, "strong"),
            Span("  (Esc goes back)", "label"),
        ],
        [Span(f"{'time':<12}", "label"), Span(f"{at} s after the first snapshot")],
        [Span(f"{'thread':<12}", "label"), Span(f"{event.tid} {event.comm}".strip())],
    ]
    for name in event.args:
        lines.append([Span(f"{name:<12}", "label"), Span(argument(event, name))])
    if not event.stack:
        return [*lines, [], [Span("This event carries no stack.", "dim")]]
    lines.extend([[], [Span("stack, innermost first", "head")]])
    lines.extend(
        [Span(f"{number:>3}  ", "label"), Span(describe(address))]
        for number, address in enumerate(event.stack)
    )
    if event.truncated:
        lines.append([Span("     the walk broke off here (no frame pointer)", "warn")])
    return lines
