"""The sweep screen: fill in the form, start, and watch the intervals narrow."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from hakmem_tools.tune.plan import PlanError
from hakmem_tools.tune.session import State
from hakmem_top.keys import SCREEN_KEYS
from hakmem_top.lines import Line, Span, spread
from hakmem_top.moment import Moment
from hakmem_top.screens.arm_runs import ArmRunsScreen
from hakmem_top.screens.base import TableScreen
from hakmem_top.sweep import export, panels
from hakmem_top.sweep.desk import SweepMoment
from hakmem_top.sweep.form import rows
from hakmem_top.sweep.present import run_rows
from hakmem_top.sweep.table import arm_table, form_table, run_table
from hakmem_top.tables import Table
from hakmem_top.widgets.bottom import Prompt
from hakmem_top.widgets.line_view import LineView
from hakmem_top.widgets.row_table import RowTable


class SweepScreen(TableScreen):
    """A form before the sweep, its arms while it runs and after."""

    NAME = "sweep"
    TITLE = "Sweep"
    SORT_KEYS = (
        ("", False),
        ("effect", True),
        ("verdict", False),
        ("interval", True),
        ("runs", True),
        ("arm", False),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key.keys, key.action, key.hint) for key in SCREEN_KEYS["sweep"]
    ]

    def __init__(self) -> None:
        super().__init__()
        self._asked = ""

    @property
    def now(self) -> SweepMoment:
        """What the desk holds."""
        return self.top.sweep_desk.moment()

    def body(self) -> ComposeResult:
        """The panel, the caption and the table."""
        yield LineView(self._panel, title=self._title, id="sweep-panel")
        yield from super().body()
        yield RowTable(id="arm-side", use="still")

    def on_mount(self) -> None:
        """The knobs are read when the screen is first seen."""
        self.top.sweep_desk.open()

    def _panel(self, moment: Moment, width: int, height: int) -> list[Line]:
        selected = self.rows.cursor_key
        return panels.panel(self.now, str(selected), width, height)

    def _title(self, moment: Moment, width: int) -> Line:
        return panels.title(self.now)

    def table(self, moment: Moment, width: int) -> Table:
        """The form, or the arms."""
        if self.now.state is State.NEW:
            return form_table(self.now, width, self.filter_text)
        return arm_table(self.now, width, self.sort_key, self.descending, self.filter_text)

    def caption(self, moment: Moment, width: int) -> Line:
        """Which rows are shown."""
        form = self.now.state is State.NEW
        what = "Settings " if form else "Arms "
        start: Line = [
            Span(f" {what}", "strong"),
            Span(self.rows.position(), "label"),
        ]
        if self.sort_key and not form:
            order = "falling" if self.descending else "rising"
            start.append(Span(f", by {self.sort_key} {order}", "label"))
        if self.filter_text:
            start.append(Span(f", filter '{self.filter_text}'", "warn"))
        end = "Enter changes a row " if form else "better is to the right; ✓ is settled "
        return spread(start, [Span(end, "label")], width)

    def on_row_table_cursor_moved(self, event: RowTable.CursorMoved) -> None:
        """The panel tells why, and the list below the runs, of the arm under the cursor."""
        self.query_one("#sweep-panel", LineView).show(self.top.moment)
        self._show_runs()

    def draw(self, moment: Moment) -> None:
        """On a high screen, the newest runs of an arm stand below the arms."""
        super().draw(moment)
        self._show_runs()

    def _show_runs(self) -> None:
        plan, side = self.now.plan, self.query_one("#arm-side", RowTable)
        side.display = plan is not None and self.size.height >= 34
        most = min(len(self.rows.row_keys) + 3, self.size.height // 2)
        self.rows.styles.height = most if side.display else "1fr"
        if plan is None or not side.display:
            return
        arm = str(self.rows.cursor_key)
        runs = run_rows(self.top.sweep_desk.runs_of(arm), plan.metric.name)[::-1]
        side.border_title = f"Runs, newest first (Enter): {arm}".replace("[", "\\[")
        side.show(lambda width: run_table(runs, plan.metric.name, width))

    # ---- keys

    def action_go(self) -> None:
        """Starts, stops, stops now, or clears the desk."""
        said = self.top.sweep_desk.go()
        self.refresh_rows()
        self.say(said)

    def action_pause(self) -> None:
        """Pauses the sweep, or lets it go on; the figures of other screens do not matter here."""
        self.say(self.top.sweep_desk.pause())
        self.refresh_rows()

    def open_row(self, key: Hashable) -> None:
        """Asks for the row's value, or shows the runs of an arm."""
        if self.now.state is State.NEW:
            now = self.now
            row = next(row for row in rows(now.form, now.knobs) if row.key == key)
            self._asked = row.key
            self._ask(row.name, row.value)
        else:
            self.app.push_screen(ArmRunsScreen(str(key)))

    def on_prompt_answered(self, event: Prompt.Answered) -> None:
        """Takes a row's new value; find and filter are as on every table."""
        if event.purpose in ("find", "filter"):
            return
        event.prevent_default()  # or the table's own handler takes it for a search
        self._close_prompt()
        try:
            self.top.sweep_desk.enter(self._asked, event.text)
        except PlanError as error:
            self.say(str(error))
        except OSError as error:
            self.say(f"{event.text}: {error.strerror or error}")
        self.refresh_rows()

    def export(self, directory: Path) -> str:
        """Writes the result as HTML and JSON; gives what was done."""
        return export.write(self.now, self.top.sweep_desk.runs_of, directory)
