"""One event in full: every argument, the thread, and the whole stack."""

from __future__ import annotations

from textual.app import ComposeResult

from hakmem_tools.model.snapshot import Event
from hakmem_top.event_table import event_lines
from hakmem_top.moment import Moment
from hakmem_top.screens.base import TopScreen
from hakmem_top.tables import text_table
from hakmem_top.widgets.row_table import RowTable


class EventDetailScreen(TopScreen):
    """The drill-down of the events screen; Esc goes back."""

    NAME = "events"

    def __init__(self, event: Event) -> None:
        super().__init__()
        self._event = event

    def body(self) -> ComposeResult:
        """The event's lines, which scroll."""
        yield RowTable(id="event-lines", use="text")

    def on_mount(self) -> None:
        """The lines have the keyboard."""
        super().on_mount()
        self.query_one(RowTable).focus()

    def draw(self, moment: Moment) -> None:
        """An event does not change; only the frame does."""
        super().draw(moment)
        start_ns = moment.history[0].time_ns if moment.history else 0
        lines = event_lines(self._event, start_ns, self.top.describe_address)
        self.query_one(RowTable).show(lambda width: text_table(lines))
