"""The learning screen: what is tried, what is in force, and where each knob's value is from."""

from __future__ import annotations

from collections.abc import Hashable

from textual.app import ComposeResult
from textual.message import Message

from hakmem_tools.observe.page import KnobSetting
from hakmem_top.learning import panels
from hakmem_top.learning.present import NO_KNOBS
from hakmem_top.learning.table import knob_table
from hakmem_top.lines import Line, Span, spread
from hakmem_top.moment import Moment
from hakmem_top.screens.base import TableScreen
from hakmem_top.tables import Table
from hakmem_top.widgets.line_view import LineView
from hakmem_top.widgets.row_table import RowTable


class LearningScreen(TableScreen):
    """State and arms above, pools and the log where there is room, the knobs below."""

    NAME = "learn"
    TITLE = "Learn"
    SORT_KEYS = (("", False), ("from", False), ("knob", False))

    class KnobsRead(Message):
        """The knobs' values, or why there are none."""

        def __init__(self, knobs: tuple[KnobSetting, ...], why: str) -> None:
            super().__init__()
            self.knobs = knobs
            self.why = why

    def __init__(self) -> None:
        super().__init__()
        self._read_for: tuple[int, int, int] | None = None
        self.knobs: tuple[KnobSetting, ...] = ()
        self.why_no_knobs = NO_KNOBS

    def body(self) -> ComposeResult:
        """Four panels and the table."""
        yield LineView(self._state, title=panels.state_title, id="learn-state")
        yield LineView(panels.arm_rows, title=panels.arm_title, id="learn-arms")
        yield LineView(self._caps, title=panels.caps_title, id="learn-caps")
        yield LineView(panels.log, title=panels.log_title, id="learn-log")
        yield LineView(self._caption, id="caption")
        yield RowTable(id="rows")

    def _state(self, moment: Moment, width: int, height: int) -> list[Line]:
        return panels.state_rows(moment, self.knobs, width, height)

    def _caps(self, moment: Moment, width: int, height: int) -> list[Line]:
        return panels.caps(moment, self.knobs, width, height)

    def draw(self, moment: Moment) -> None:
        """Asks for the knobs' values when the policy is another one."""
        now = moment.snapshot
        if now is not None and self._read_for != (now.pid, now.start_ns, now.policy_version):
            self._read_for = (now.pid, now.start_ns, now.policy_version)
            self.run_worker(lambda: self._read(now.pid), thread=True, exit_on_error=False)
        super().draw(moment)

    def _read(self, pid: int) -> None:
        """In a thread: the values, or why there are none."""
        try:
            found, why = tuple(self.top.read_knobs(pid)), ""
        except Exception as error:  # shown in the table's place
            found, why = (), str(error) or type(error).__name__
        self.post_message(self.KnobsRead(found, why))

    def on_learning_screen_knobs_read(self, message: KnobsRead) -> None:
        """Shows the values."""
        self.knobs, self.why_no_knobs = message.knobs, message.why or NO_KNOBS
        self.show(self.top.moment)

    def table(self, moment: Moment, width: int) -> Table:
        """The knobs."""
        return knob_table(
            self.knobs, width, self.sort_key, self.descending, self.filter_text, self.why_no_knobs
        )

    def caption(self, moment: Moment, width: int) -> Line:
        """Which knobs are shown."""
        start: Line = [Span(" Knobs ", "strong"), Span(self.rows.position(), "label")]
        start.append(
            Span(f", by {self.sort_key}" if self.sort_key else ", those set first", "label")
        )
        if self.filter_text:
            start.append(Span(f", filter '{self.filter_text}'", "warn"))
        return spread(start, [Span("from: default, mode, env, live ", "label")], width)

    def open_row(self, key: Hashable) -> None:
        """What a knob does, in full."""
        for setting in self.knobs:
            if setting.knob.env_name(setting.index) == key:
                knob = setting.knob
                self.say(f"{knob.env}: {knob.doc} ({knob.allowed}, default {knob.default:g})")
                return
