"""The table of knobs: value, where it came from, and what it does. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from hakmem_tools.observe.page import KnobSetting
from hakmem_top.learning.present import KnobRow, knob_rows
from hakmem_top.tables import (
    Cell,
    Column,
    Table,
    build,
    filter_rows,
    fit_columns,
    sort_rows,
)

TONES = {"live": "key", "env": "warn", "mode": "good", "default": "label"}


def _text(text: str, tone: str = "value") -> Cell:
    return Cell(text, text, tone, text)


def _value(row: KnobRow) -> Cell:
    tone = "strong" if row.source != "default" else "value"
    text = f"{row.value} !" if row.refused else row.value
    return Cell(text, text, "alarm" if row.refused else tone, row.value)


COLUMNS: tuple[Column[KnobRow], ...] = (
    Column("knob", "knob", lambda r: _text(r.name, "strong" if r.source != "default" else "value"),
           28, 32, text=True),
    Column("value", "value", _value, 12, 14, text=True),
    Column("from", "from", lambda r: _text(r.source, TONES.get(r.source, "value")), 8, 9,
           text=True),
    Column("default", "default", lambda r: _text(r.default, "label"), 0, 12, text=True),
    Column("scope", "scope", lambda r: _text(r.scope, "label"), 5, 6, text=True, rank=1),
    Column("doc", "what it does", lambda r: _text(r.doc, "label"), 16, 60, text=True, rank=2,
           grow=True),
)  # fmt: skip


def knob_table(
    knobs: Sequence[KnobSetting],
    width: int,
    sort_key: str,
    descending: bool,
    query: str,
    empty: str,
) -> Table:
    """The knobs: what was set first, unless they are sorted by a column."""
    rows = filter_rows(knob_rows(knobs), COLUMNS, query)
    chosen = next((column for column in COLUMNS if column.key == sort_key), None)
    if chosen is not None:
        rows = sort_rows(rows, chosen, descending)
    if query and knobs:
        empty = f"No knob matches '{query}'. Press f to change the filter."
    return build(
        [row.name for row in rows],
        rows.__getitem__,
        fit_columns(COLUMNS, width),
        sort_key=sort_key,
        descending=descending,
        empty=empty,
    )
