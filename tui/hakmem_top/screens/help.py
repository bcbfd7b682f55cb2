"""The help: every key, what the signs mean, and every sentence of what is missing."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from hakmem_top.help_text import help_lines
from hakmem_top.moment import Moment
from hakmem_top.tables import Table, text_table
from hakmem_top.widgets.row_table import RowTable


class HelpScreen(ModalScreen[None]):
    """Lies over the screen that asked for it; ?, Esc and q close it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,f1,q,enter", "dismiss", show=False)
    ]

    def __init__(self, moment: Moment, views: tuple[tuple[str, str], ...]) -> None:
        super().__init__()
        self._moment = moment
        self._views = views

    def compose(self) -> ComposeResult:
        """One scrolling box."""
        yield RowTable(id="help", use="text")

    def on_mount(self) -> None:
        """Fills the box."""
        box = self.query_one(RowTable)
        box.border_title = "Help"
        box.border_subtitle = "↑ ↓ scroll · Esc closes"
        box.show(self._table)
        box.focus()

    def _table(self, width: int) -> Table:
        lines = help_lines(self._moment, self._views, width)
        return text_table(lines)
