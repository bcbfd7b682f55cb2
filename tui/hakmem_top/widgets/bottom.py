"""The rows at the bottom: what is missing or was just done, the keys, and the prompt."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input, Label

from hakmem_top import edges, keys
from hakmem_top.lines import Line, Span, fit
from hakmem_top.moment import Moment
from hakmem_top.widgets.line_view import LineView

#: How long the outcome of a key stands in the status line, in seconds.
SAID_FOR_S = 4.0


class StatusLine(LineView):
    """What is missing, or for a while the outcome of the last key."""

    def __init__(self) -> None:
        super().__init__(self._present, id="status")
        self._said = ""
        self._silence: Timer | None = None

    def say(self, text: str) -> None:
        """Shows a text instead, for a while."""
        if self._silence is not None:
            self._silence.stop()
        self._silence = self.set_timer(SAID_FOR_S, self._fall_silent)
        self._set(text)

    def _fall_silent(self) -> None:
        self._set("")

    def _set(self, text: str) -> None:
        self._said = text
        self._drawn_for = None
        self.refresh()

    def _present(self, moment: Moment, width: int, height: int) -> list[Line]:
        if self._said:
            return [fit([Span(f" {self._said}", "value")], width)]
        return [edges.status(moment, width)]


class KeyBar(LineView):
    """The keys that work here, as many as fit."""

    def __init__(self, with_rows: bool, screen: str) -> None:
        super().__init__(lambda m, width, _: [keys.bar(width, with_rows, screen)], id="key-bar")


class Prompt(Horizontal):
    """A row that asks for words, in place of the keys."""

    class Answered(Message):
        """Enter was pressed."""

        def __init__(self, purpose: str, text: str) -> None:
            super().__init__()
            self.purpose = purpose
            self.text = text

    class Changed(Message):
        """The text changed."""

        def __init__(self, purpose: str, text: str) -> None:
            super().__init__()
            self.purpose = purpose
            self.text = text

    class Left(Message):
        """Escape was pressed."""

        def __init__(self, purpose: str) -> None:
            super().__init__()
            self.purpose = purpose

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", show=False, priority=True)]

    def __init__(self) -> None:
        super().__init__(id="prompt")
        self.display = False
        self._purpose = ""

    def compose(self) -> ComposeResult:
        """A word that says what is asked, and the field."""
        yield Label("", id="prompt-label")
        yield Input(id="prompt-input", compact=True, select_on_focus=False, disabled=True)

    def ask(self, purpose: str, text: str) -> None:
        """Opens the field with what was entered before."""
        self._purpose = purpose
        self.query_one(Label).update(f" {purpose}: ")
        self.display = True
        field = self.query_one(Input)
        field.disabled = False
        field.value = text
        field.cursor_position = len(text)
        field.focus()

    def close(self) -> None:
        """Hides the field; disabled, it cannot take the keys."""
        self.query_one(Input).disabled = True
        self.display = False

    def on_input_changed(self, event: Input.Changed) -> None:
        """Passes the text on as it grows."""
        event.stop()
        if self.display:
            self.post_message(self.Changed(self._purpose, event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Passes the answer on."""
        event.stop()
        self.post_message(self.Answered(self._purpose, event.value))

    def action_leave(self) -> None:
        """Gives up."""
        self.post_message(self.Left(self._purpose))
