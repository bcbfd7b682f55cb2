"""The first screen: memory, traffic, the shared pool, alarms; with room, classes and events."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from hakmem_top import panels
from hakmem_top.class_table import class_table
from hakmem_top.event_table import event_table
from hakmem_top.moment import Moment
from hakmem_top.screens.base import TopScreen
from hakmem_top.widgets.line_view import LineView
from hakmem_top.widgets.row_table import RowTable


class OverviewScreen(TopScreen):
    """Is it healthy, is it growing, who serves: at one glance."""

    NAME = "overview"
    TITLE = "Overview"

    def body(self) -> ComposeResult:
        """Three rows of panels; the stylesheet shows the last one where there is room."""
        yield LineView(panels.memory, title=panels.memory_title, id="memory")
        with Horizontal(id="flow"):
            yield LineView(panels.traffic, title=lambda m, w: "Traffic", id="traffic")
            yield LineView(panels.pool, title=panels.pool_title, id="pool")
        yield LineView(panels.alarm_rows, title=panels.alarm_title, id="alarms")
        with Horizontal(id="lists"):
            with Vertical(id="top-classes"):
                yield RowTable(id="overview-classes", passive=True)
            with Vertical(id="latest-events"):
                yield RowTable(id="overview-events", passive=True)

    def draw(self, moment: Moment) -> None:
        """Draws the panels and the two lists."""
        super().draw(moment)
        self.query_one("#top-classes").border_title = "Classes by live bytes · 2"
        self.query_one("#latest-events").border_title = "Latest events · 3"
        self.query_one("#overview-classes", RowTable).show(
            lambda width: class_table(moment, width)
        )
        self.query_one("#overview-events", RowTable).show(
            lambda width: event_table(moment, width, describe=self.top.describe_address)
        )
