"""The two rows on top: the screens to choose from, the state, and whom we watch."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.message import Message

from hakmem_top import edges, units
from hakmem_top.lines import Line, Span, fit, spread, width_of
from hakmem_top.moment import Moment
from hakmem_top.widgets.line_view import LineView


class TitleBar(LineView):
    """Names the screens with their keys; a click on a name goes there."""

    class ViewClicked(Message):
        """The name of a screen was clicked."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self, views: Sequence[tuple[str, str]], current: str) -> None:
        """`views` holds (name, title) of each screen; `current` is the name of this one."""
        super().__init__(self._present, id="title-bar")
        self._views = tuple(views)
        self._current = current

    def _present(self, moment: Moment, width: int, height: int) -> list[Line]:
        state = edges.state(moment)
        room = width - width_of(state)
        if width_of(self._tabs(room)) > room:
            # The word gives way to the names of the screens, the figure never.
            state = [state[0], Span(f" {units.span(moment.interval_s)} ", "label")]
        return [spread(self._tabs(room), state, width), edges.facts(moment, width)]

    def _tabs(self, room: int) -> Line:
        """The roomiest of three forms that fits; spans of names alternate with gaps."""
        for brand, gap in ((" hakmem-top", 3), (" hakmem-top ", 0), ("", 0)):
            line: Line = [Span(brand, "strong")]
            for number, (name, title) in enumerate(self._views, start=1):
                chosen = name == self._current
                text = f"[{number} {title}]" if chosen else f" {number} {title} "
                line += [Span(" " * gap), Span(text, "chosen" if chosen else "label")]
            if width_of(line) <= room:
                break
        return line

    def on_click(self, event: events.Click) -> None:
        """Goes to the screen whose name was clicked."""
        if event.y != 0:
            return
        column = 0
        state = width_of(edges.state(self._moment)) if self._moment is not None else 0
        tabs = self._tabs(self.size.width - state)
        for position, span in enumerate(tabs):
            column += width_of([span])
            if event.x < column:
                view = position // 2 - 1
                if position >= 2 and position % 2 == 0 and view < len(self._views):
                    self.post_message(self.ViewClicked(self._views[view][0]))
                return


class Banner(LineView):
    """One row that appears when the target has gone or the source has failed."""

    def __init__(self) -> None:
        super().__init__(lambda m, width, _: [fit(edges.banner(m, width), width)], id="banner")

    def show(self, moment: Moment) -> None:
        """Appears only when there is something to say."""
        self.display = bool(edges.banner(moment, 80))
        super().show(moment)
