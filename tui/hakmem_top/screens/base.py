"""What every screen has: the title bar, the banner, a body, the status line and the keys.

A screen of the app is a TopScreen; one with rows is a TableScreen. To add a screen, write one in
its own file and name it in `VIEWS` of app.py: the key, the tab and Tab's order follow.
"""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.screen import Screen

from hakmem_top import export
from hakmem_top.keys import KEYS
from hakmem_top.lines import Line, text_of
from hakmem_top.moment import Moment
from hakmem_top.tables import Table
from hakmem_top.widgets.bottom import KeyBar, Prompt, StatusLine
from hakmem_top.widgets.line_view import LineView
from hakmem_top.widgets.row_table import RowTable
from hakmem_top.widgets.title_bar import Banner, TitleBar

if TYPE_CHECKING:
    from hakmem_top.app import HakmemTop


class TopScreen(Screen[None]):
    """One screen. Subclasses give NAME, TITLE, `body` and, for more than LineViews, `draw`."""

    NAME: ClassVar[str] = ""
    TITLE: ClassVar[str] = ""
    WITH_ROWS: ClassVar[bool] = False
    DRILL_DOWN: ClassVar[bool] = False
    AUTO_FOCUS = ""  # the prompt's hidden field would take the keys
    _ready = False

    @property
    def top(self) -> HakmemTop:
        """The app, by its own type."""
        return cast("HakmemTop", self.app)

    def compose(self) -> ComposeResult:
        """The frame around the body."""
        yield TitleBar(self.top.view_titles(), self.NAME)
        yield Banner()
        with Container(id="body"):
            yield from self.body()
        yield StatusLine()
        yield KeyBar(self.WITH_ROWS, "" if self.DRILL_DOWN else self.NAME)
        yield Prompt()

    def body(self) -> ComposeResult:
        """The widgets of this screen."""
        raise NotImplementedError

    def on_mount(self) -> None:
        """The widgets are there from now on: draws what there is."""
        self._ready = True
        self.show(self.top.moment)

    def on_screen_resume(self) -> None:
        """Catches up with what happened while another screen was in front."""
        self.show(self.top.moment)

    def show(self, moment: Moment) -> None:
        """Draws a moment, while there are widgets to draw it (not so when the app closes)."""
        if self._ready and self.is_running and self.query("#status"):
            self.draw(moment)

    def draw(self, moment: Moment) -> None:
        """Hands the moment to the widgets."""
        for view in self.query(LineView):
            view.show(moment)

    def export(self, directory: Path) -> str:
        """Writes what is shown; gives one line that says what. Raises OSError."""
        path = export.write(self.top.moment, directory)
        return f"wrote {path.name}" if path else "nothing was read yet, so nothing to write"

    def say(self, text: str) -> None:
        """Shows the outcome of a key in the status line."""
        self.query_one(StatusLine).say(text)


class TableScreen(TopScreen):
    """A screen with one table in front: sort, search, filter, open.

    Subclasses give `SORT_KEYS` (each with whether its natural order is descending), `table`
    and `open_row`.
    """

    WITH_ROWS = True
    SORT_KEYS: ClassVar[tuple[tuple[str, bool], ...]] = ()
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key.keys, key.action, key.hint) for key in KEYS if key.tables
    ]

    def __init__(self) -> None:
        super().__init__()
        self.sort_key, self.descending = self.SORT_KEYS[0]
        self.filter_text = ""
        self.search_text = ""
        self._filter_before = ""

    def body(self) -> ComposeResult:
        """A caption and the table."""
        yield LineView(self._caption, id="caption")
        yield RowTable(id="rows")

    def caption(self, moment: Moment, width: int) -> Line:
        """The line above the table."""
        raise NotImplementedError

    def table(self, moment: Moment, width: int) -> Table:
        """The table of a moment, sorted and filtered."""
        raise NotImplementedError

    def open_row(self, key: Hashable) -> None:
        """Shows one row in full."""
        raise NotImplementedError

    def _caption(self, moment: Moment, width: int, height: int) -> list[Line]:
        return [self.caption(moment, width)]

    @property
    def rows(self) -> RowTable:
        """The table's widget."""
        return self.query_one(RowTable)

    def on_mount(self) -> None:
        """The table has the keyboard."""
        super().on_mount()
        self.rows.focus()

    def draw(self, moment: Moment) -> None:
        """Draws the rows first, because the caption counts them."""
        self.rows.show(lambda width: self.table(moment, width))
        super().draw(moment)

    def refresh_rows(self) -> None:
        """Draws the same moment again, after a change of order or filter."""
        self.show(self.top.moment)

    def action_sort(self) -> None:
        """Sorts by the next column."""
        names = [key for key, _ in self.SORT_KEYS]
        position = names.index(self.sort_key) if self.sort_key in names else -1
        self.sort_key, self.descending = self.SORT_KEYS[(position + 1) % len(names)]
        self.refresh_rows()
        self.say(f"sorted by {self.sort_key}")

    def sort_by(self, key: str) -> None:
        """Sorts by a column, or turns the order when it is sorted by it."""
        natural = dict(self.SORT_KEYS)
        if key == self.sort_key:
            self.action_sort_reverse()
        elif key in natural:
            self.sort_key, self.descending = key, natural[key]
            self.refresh_rows()

    def action_sort_reverse(self) -> None:
        """Turns the order."""
        self.descending = not self.descending
        self.refresh_rows()

    def action_search(self) -> None:
        """Asks for words and moves the cursor to a row that has them."""
        self._ask("find", self.search_text)

    def action_filter(self) -> None:
        """Asks for words and shows only rows that have them."""
        self._ask("filter", self.filter_text)

    def action_open_row(self) -> None:
        """Shows the row under the cursor in full."""
        if self.rows.cursor_key is not None:
            self.open_row(self.rows.cursor_key)

    def _ask(self, purpose: str, before: str) -> None:
        """Opens the prompt for `find` or `filter` with the words of last time."""
        self._filter_before = self.filter_text
        self.query_one(KeyBar).display = False
        self.query_one(Prompt).ask(purpose, before)

    def on_prompt_changed(self, event: Prompt.Changed) -> None:
        """A filter works while it is typed."""
        if event.purpose == "filter":
            self.filter_text = event.text.strip()
            self.refresh_rows()

    def on_prompt_answered(self, event: Prompt.Answered) -> None:
        """A search starts with Enter."""
        self._close_prompt()
        if event.purpose == "filter":
            self.filter_text = event.text.strip()
            self.refresh_rows()
            return
        self.search_text = event.text.strip()
        if self.search_text:
            self._find(from_cursor=True)

    def on_prompt_left(self, event: Prompt.Left) -> None:
        """A filter that was given up is as before."""
        self._close_prompt()
        if event.purpose == "filter":
            self.filter_text = self._filter_before
            self.refresh_rows()

    def on_screen_suspend(self) -> None:
        """A prompt does not outlive the screen's turn."""
        if self.query_one(Prompt).display:
            self._close_prompt()

    def _close_prompt(self) -> None:
        self.query_one(Prompt).close()
        self.query_one(KeyBar).display = True
        self.rows.focus()

    def found(self) -> list[Hashable]:
        """The keys of the rows that hold every word of the search, in order."""
        words = self.search_text.lower().split()
        if not words:
            return []
        table = self.rows.table
        texts = (text_of(table.line(row)).lower() for row in range(len(table.keys)))
        pairs = zip(table.keys, texts, strict=True)
        return [key for key, text in pairs if all(word in text for word in words)]

    def action_search_next(self) -> None:
        """Moves the cursor to the next row found, beginning again at the end."""
        self._find(from_cursor=False)

    def _find(self, from_cursor: bool) -> None:
        """Moves the cursor to the next row found, beginning again at the end."""
        keys, found = self.rows.row_keys, self.found()
        if not self.search_text:
            self.say("nothing to find yet: / asks for words")
        elif not found:
            self.say(f"no row has '{self.search_text}'")
        else:
            at = keys.index(self.rows.cursor_key) + (0 if from_cursor else 1)
            ahead = [key for key in found if keys.index(key) >= at]
            key = (ahead or found)[0]
            self.rows.move_to(key)
            self.say(f"'{self.search_text}': {found.index(key) + 1} of {len(found)}, n is next")

    def clear(self) -> None:
        """Takes the filter away."""
        if self.filter_text:
            self.filter_text = ""
            self.refresh_rows()
            self.say("filter cleared")

    def on_row_table_heading_clicked(self, event: RowTable.HeadingClicked) -> None:
        """Sorts by the column."""
        self.sort_by(event.key)

    def on_row_table_row_opened(self, event: RowTable.RowOpened) -> None:
        """Shows the row in full."""
        self.open_row(event.key)
