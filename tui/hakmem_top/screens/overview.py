"""The first screen: memory, traffic, the shared pool, alarms; with room, classes and events."""

from __future__ import annotations

from textual.app import ComposeResult

from hakmem_top import panels
from hakmem_top.class_table import class_table
from hakmem_top.event_table import event_table
from hakmem_top.moment import Moment
from hakmem_top.screens.base import TopScreen
from hakmem_top.widgets.line_view import LineView
from hakmem_top.widgets.row_table import Fill, RowTable


class OverviewScreen(TopScreen):
    """Is it healthy, is it growing, who serves: at one glance."""

    NAME = "overview"
    TITLE = "Overview"

    def body(self) -> ComposeResult:
        """Six panels; the stylesheet places them, the lists only where there is room."""
        yield LineView(panels.memory, title=panels.memory_title, id="memory")
        yield LineView(panels.traffic, title=panels.traffic_title, id="traffic")
        yield LineView(panels.pool, title=panels.pool_title, id="pool")
        yield LineView(panels.alarm_rows, title=panels.alarm_title, id="alarms")
        yield RowTable(id="top-classes", use="still")
        yield RowTable(id="latest-events", use="still")

    def on_mount(self) -> None:
        """Names the lists."""
        self.query_one("#top-classes").border_title = "Classes by live bytes (key 2)"
        self.query_one("#latest-events").border_title = "Latest events (key 3)"
        super().on_mount()

    def draw(self, moment: Moment) -> None:
        """Draws the panels and the two lists."""
        super().draw(moment)
        describe = self.top.describe_address
        fills: dict[str, Fill] = {
            "#top-classes": lambda width: class_table(moment, width),
            "#latest-events": lambda width: event_table(moment, width, describe=describe),
        }
        for name, fill in fills.items():
            for rows in self.query(name).results(RowTable):
                rows.show(fill)
