"""A widget that draws what a pure presenter gives it: lines of toned spans.

Used for every panel, header and status line. It knows no figures: a presenter is a function
(moment, width, height) -> lines. It asks the presenter again only when the moment or the
size has changed.
"""

from __future__ import annotations

from collections.abc import Callable

from rich.segment import Segment
from textual.content import Content
from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

from hakmem_top.lines import Line, Span, fit, printable
from hakmem_top.moment import Moment
from hakmem_top.themes import tone_styles

Presenter = Callable[[Moment, int, int], list[Line]]
Title = Callable[[Moment, int], Line]


class LineView(Widget):
    """Lines of a presenter, with an optional title in the border."""

    def __init__(
        self, presenter: Presenter, *, title: Title | None = None, id: str, classes: str = ""
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._presenter = presenter
        self._title = title
        self._moment: Moment | None = None
        self._drawn_for: Size | None = None
        self._lines: list[Line] = []

    def show(self, moment: Moment) -> None:
        """Draws this moment from now on."""
        self._moment = moment
        self._drawn_for = None
        self._set_title()
        self.refresh()

    def on_resize(self) -> None:
        """The title may depend on the width."""
        self._set_title()

    def _set_title(self) -> None:
        if self._title is not None and self._moment is not None:
            title = self._title(self._moment, self.size.width)
            self.border_title = Content.assemble(
                *((printable(span.text), f"$tone-{span.tone}") for span in title)
            )

    def render_line(self, y: int) -> Strip:
        """One row as a strip (Textual's line API)."""
        size = self.size
        if self._moment is None:
            return Strip.blank(size.width, self.rich_style)
        if self._drawn_for != size:
            self._lines = self._presenter(self._moment, size.width, size.height)
            self._drawn_for = size
        line = self._lines[y] if y < len(self._lines) else []
        return toned_strip(self, line, size.width)


def toned_strip(widget: Widget, line: Line, width: int) -> Strip:
    """A line as a strip of exactly `width` columns, on the widget's ground.

    The one way to the terminal: control characters end here.
    """
    ground, tones = widget.rich_style, tone_styles(widget.app.current_theme)
    segments = [
        Segment(span.text, ground + tones[span.tone])
        for span in fit([Span(printable(span.text), span.tone) for span in line], width)
    ]
    return Strip(segments, width)
