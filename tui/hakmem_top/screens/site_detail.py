"""One call site in full: its stack, every view, and how the allocator and the kernel served it."""

from __future__ import annotations

from collections.abc import Hashable

from textual.app import ComposeResult

from hakmem_top.lines import Line, Span, fit, spread
from hakmem_top.moment import Moment
from hakmem_top.profile.panels import trust
from hakmem_top.profile.present import detail
from hakmem_top.profile.table import detail_lines
from hakmem_top.screens.base import TopScreen
from hakmem_top.tables import text_table
from hakmem_top.widgets.line_view import LineView
from hakmem_top.widgets.row_table import RowTable


class SiteDetailScreen(TopScreen):
    """The drill-down of the profile screen; Esc goes back."""

    NAME = "profile"
    DRILL_DOWN = True

    def __init__(self, path: tuple[Hashable, ...], inverted: bool) -> None:
        super().__init__()
        self._path, self._inverted = path, inverted

    def body(self) -> ComposeResult:
        """A caption and the lines, which scroll."""
        yield LineView(lambda moment, width, height: [self._caption(width)], id="caption")
        yield LineView(lambda moment, width, height: self._trust(width), id="site-trust")
        yield RowTable(id="site-lines", use="text")

    def on_mount(self) -> None:
        """The lines have the keyboard."""
        self.query_one(RowTable).focus()

    def _caption(self, width: int) -> Line:
        order = "innermost first" if self._inverted else "outermost first"
        return spread([Span(" Call site", "strong"), Span(f", {order}", "label")],
                      [Span("Esc goes back ", "label")], width)  # fmt: skip

    def _trust(self, width: int) -> list[Line]:
        desk = self.top.profile_desk
        if desk.profile is None:
            return []
        return [fit([Span(" "), *trust(desk.profile, "cumulative", desk.during())], width)]

    def draw(self, moment: Moment) -> None:
        """The figures go on while it is read."""
        super().draw(moment)
        desk = self.top.profile_desk
        if desk.profile is not None:
            lines = detail_lines(detail(desk.profile, self._path, desk.during(), self._inverted))
            self.query_one(RowTable).show(lambda width: text_table(lines))
