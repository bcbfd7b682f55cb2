"""A scrolling table with a cursor, drawn from a pure Table.

Used by every screen with rows. Textual's DataTable keeps its own copy of the cells and loses
cursor and scroll when they are replaced; here all rows are replaced at each snapshot, the
cursor stays on its row's key, and groups of columns have a heading of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import ClassVar, Literal

from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from hakmem_top.lines import Line, Span
from hakmem_top.tables import Table, text_table
from hakmem_top.widgets.line_view import toned_strip

Fill = Callable[[int], Table]
Use = Literal["rows", "text", "still"]

#: Columns before the rows: the cursor's sign and a blank.
_MARGIN = 1


class RowTable(ScrollView, can_focus=True):
    """Rows with a cursor; `fill` gives the table for a width."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"row-table--cursor"}

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home,g", "edge(-1)", show=False),
        Binding("end,G", "edge(1)", show=False),
    ]

    class HeadingClicked(Message):
        """A column's heading was clicked."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    class RowOpened(Message):
        """A row was clicked while the cursor was on it."""

        def __init__(self, key: Hashable) -> None:
            super().__init__()
            self.key = key

    class CursorMoved(Message):
        """A key or a click moved the cursor to another row."""

    def __init__(self, *, id: str, use: Use = "rows") -> None:
        """`use`: rows have a cursor, a text scrolls, a still list takes no keys."""
        super().__init__(id=id)
        self.can_focus = use != "still"
        self._use = use
        self._fill: Fill | None = None
        self._table = text_table(())
        self._cursor_key: Hashable | None = None
        self._cursor = 0

    @property
    def cursor_key(self) -> Hashable | None:
        """The key of the row under the cursor; None when there are no rows."""
        return self._cursor_key

    @property
    def row_keys(self) -> Sequence[Hashable]:
        """The keys of all rows, in order."""
        return self._table.keys

    @property
    def table(self) -> Table:
        """What is drawn now."""
        return self._table

    def show(self, fill: Fill) -> None:
        """Draws the rows that `fill` gives; the cursor stays on its row if it is still there.

        A cursor on the first row stays on the first row: in a log that grows at the top it
        follows the newest, until the user moves it.
        """
        self._fill = fill
        if self.size.width == 0:
            return
        self._table = fill(self.size.width - 2 * _MARGIN)
        self._keep_cursor()
        self.virtual_size = Size(self.size.width, len(self._table.keys) + self._heading_height)
        self._reveal()
        self.refresh()

    def on_resize(self) -> None:
        """The columns depend on the width."""
        if self._fill is not None:
            self.show(self._fill)

    def move_to(self, key: Hashable) -> None:
        """Puts the cursor on a row, if it is there."""
        keys = self.row_keys
        if key in keys:
            self._set_cursor(keys.index(key))

    def _keep_cursor(self) -> None:
        keys = self.row_keys
        if self._cursor > 0 and self._cursor_key in keys:
            self._cursor = keys.index(self._cursor_key)
        self._cursor = max(0, min(self._cursor, len(keys) - 1))
        self._cursor_key = keys[self._cursor] if keys else None

    @property
    def _heading_height(self) -> int:
        return len(self._table.headings)

    @property
    def _rows_shown(self) -> int:
        return max(1, self.size.height - self._heading_height)

    def action_move(self, step: int) -> None:
        """Moves the cursor by rows."""
        self._set_cursor(self._cursor + step)

    def action_page(self, step: int) -> None:
        """Moves the cursor by screens."""
        self._set_cursor(self._cursor + step * max(1, self._rows_shown - 1))

    def action_edge(self, step: int) -> None:
        """Moves the cursor to the first or the last row."""
        self._set_cursor(0 if step < 0 else len(self._table.keys) - 1)

    def _set_cursor(self, row: int) -> None:
        keys = self.row_keys
        last = len(keys) - (self._rows_shown if self._use == "text" else 1)
        self._cursor = max(0, min(row, last))
        self._cursor_key = keys[self._cursor] if keys else None
        self._reveal()
        self.refresh()
        self.post_message(self.CursorMoved())

    def _reveal(self) -> None:
        """Scrolls so that the cursor's row is on the screen; in a text, to its top."""
        if self._use == "still":
            return
        top = round(self.scroll_target_y)
        if self._cursor < top or self._use == "text":
            top = self._cursor
        elif self._cursor >= top + self._rows_shown:
            top = self._cursor - self._rows_shown + 1
        top = max(0, min(top, len(self._table.keys) - self._rows_shown))
        self.scroll_to(y=top, animate=False, force=True, immediate=True)

    def position(self) -> str:
        """Which rows are on the screen, such as `1-17 of 32`."""
        rows = len(self._table.keys)
        if rows == 0:
            return "no rows"
        top = round(self.scroll_target_y)
        return f"{top + 1}-{min(rows, top + self._rows_shown)} of {rows}"

    def on_click(self, event: events.Click) -> None:
        """A heading sorts; a row takes the cursor, and opens when it has it already."""
        if self._use != "rows":
            return
        if event.y < self._heading_height:
            for place in self._table.places:
                if place.start <= event.x - _MARGIN < place.start + place.width:
                    self.post_message(self.HeadingClicked(place.key))
            return
        row = event.y - self._heading_height + round(self.scroll_y)
        if row >= len(self._table.keys):
            return
        if row == self._cursor:
            self.post_message(self.RowOpened(self._table.keys[row]))
        else:
            self._set_cursor(row)

    def render_line(self, y: int) -> Strip:
        """One row as a strip (Textual's line API): headings stay, rows scroll under them."""
        width = self.size.width
        if y < self._heading_height:
            return self._strip(self._table.headings[y], width, " ")
        row = y - self._heading_height + round(self.scroll_y)
        if row < len(self._table.keys):
            at_cursor = row == self._cursor and self._use == "rows"
            strip = self._strip(self._table.line(row), width, "›" if at_cursor else " ")
            if at_cursor:
                cursor = self.get_component_rich_style("row-table--cursor", partial=True)
                return Strip(Segment.apply_style(strip, post_style=cursor), width)
            return strip
        if not self._table.keys and y == self._heading_height + 1:
            return self._strip([Span(self._table.empty, "label")], width, " ")
        return self._strip([], width, " ")

    def _strip(self, line: Line, width: int, sign: str) -> Strip:
        return toned_strip(self, [Span(sign, "key"), *line], width)
