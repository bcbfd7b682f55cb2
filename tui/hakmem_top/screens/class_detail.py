"""One size class in full: its memory over time, and every counter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult

from hakmem_top import panels
from hakmem_top.class_table import counter_table
from hakmem_top.moment import Moment
from hakmem_top.screens.base import TopScreen
from hakmem_top.widgets.line_view import LineView
from hakmem_top.widgets.row_table import RowTable

if TYPE_CHECKING:
    from hakmem_top.lines import Line


class ClassDetailScreen(TopScreen):
    """The drill-down of the classes screen; Esc goes back."""

    NAME = "classes"

    def __init__(self, index: int) -> None:
        super().__init__()
        self._index = index

    def body(self) -> ComposeResult:
        """The class's memory above, its counters below."""
        yield LineView(self._memory, title=self._title, id="class-memory")
        yield RowTable(id="counters")

    def on_mount(self) -> None:
        """The counters have the keyboard."""
        super().on_mount()
        self.query_one(RowTable).focus()

    def _memory(self, moment: Moment, width: int, height: int) -> list[Line]:
        return panels.class_memory(moment, self._index, width, height)

    def _title(self, moment: Moment, width: int) -> Line:
        return panels.class_title(moment, self._index)

    def draw(self, moment: Moment) -> None:
        """Draws both."""
        super().draw(moment)
        self.query_one(RowTable).show(lambda width: counter_table(moment, self._index, width))
