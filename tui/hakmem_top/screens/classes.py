"""The second screen: every size class with its memory, its traffic and its stages."""

from __future__ import annotations

from collections.abc import Hashable

from hakmem_top import panels
from hakmem_top.class_table import class_table
from hakmem_top.lines import Line, Span, spread
from hakmem_top.moment import Moment
from hakmem_top.screens.base import TableScreen
from hakmem_top.screens.class_detail import ClassDetailScreen
from hakmem_top.tables import Table


class ClassesScreen(TableScreen):
    """The stage table; Enter shows one class in full."""

    NAME = "classes"
    TITLE = "Classes"
    SORT_KEYS = (
        ("live", True),
        ("mapped", True),
        ("used", False),
        ("hits", True),
        ("refills", True),
        ("drains", True),
        ("fails", True),
        ("class", False),
    )

    def table(self, moment: Moment, width: int) -> Table:
        """The classes, sorted and filtered."""
        return class_table(moment, width, self.sort_key, self.descending, self.filter_text)

    def caption(self, moment: Moment, width: int) -> Line:
        """Which rows are shown, by which order, and what the counts count from."""
        order = "falling" if self.descending else "rising"
        start: Line = [
            Span(" Classes ", "strong"),
            Span(f"{self.rows.position()}, by {self.sort_key} {order}", "label"),
        ]
        if self.filter_text:
            start.append(Span(f", filter '{self.filter_text}'", "warn"))
        counted = f"slabs and fails since {panels.counted_since(moment)} "
        return spread(start, [Span(counted, "label")], width)

    def open_row(self, key: Hashable) -> None:
        """Shows one class in full."""
        if isinstance(key, int):
            self.app.push_screen(ClassDetailScreen(key))
