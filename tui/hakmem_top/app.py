"""hakmem-top: the app that ties the poller, the watch and the screens together.

`run` is the entry point that `hakmem top` finds. The app holds no figures and draws nothing:
messages go into the Watch, the Watch's Moment goes to the screen in front.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from textual.app import App
from textual.binding import Binding, BindingType
from textual.screen import Screen

from hakmem_tools.observe.source import Source
from hakmem_top import export, messages
from hakmem_top.keys import KEYS
from hakmem_top.moment import ENDED, FAILED, PAUSED, Moment, Watch
from hakmem_top.screens.base import TableScreen, TopScreen
from hakmem_top.screens.classes import ClassesScreen
from hakmem_top.screens.events import EventsScreen
from hakmem_top.screens.help import HelpScreen
from hakmem_top.screens.overview import OverviewScreen
from hakmem_top.themes import DARK, LIGHT, preferred
from hakmem_top.widgets.title_bar import TitleBar
from hakmem_top.worker import Pace, Poller

#: The screens in the order of their keys 1, 2, 3, ... A new screen is added here.
VIEWS: tuple[type[TopScreen], ...] = (OverviewScreen, ClassesScreen, EventsScreen)

#: The intervals that + and - step through, in seconds.
INTERVALS_S = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)

#: Keys that no field or table may keep to itself.
PRIORITY_KEYS = ("tab", "shift+tab", "ctrl+c")

#: Signals that end us; the probes are detached first.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

#: Exit code after Ctrl-C, as a shell gives it.
INTERRUPTED = 130


class HakmemTop(App[None]):
    """The terminal UI of one process."""

    CSS_PATH = "hakmem_top.tcss"
    ENABLE_COMMAND_PALETTE = False
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {
        view.NAME: view for view in VIEWS
    }
    DEFAULT_MODE = VIEWS[0].NAME
    HORIZONTAL_BREAKPOINTS: ClassVar[list[tuple[int, str]] | None] = [
        (0, "-narrow"),
        (130, "-wide"),
    ]
    VERTICAL_BREAKPOINTS: ClassVar[list[tuple[int, str]] | None] = [(0, "-short"), (34, "-tall")]
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(number), f"view('{view.NAME}')", view.TITLE)
            for number, view in enumerate(VIEWS, start=1)
        ),
        *(
            Binding(key.keys, key.action, key.hint, priority=key.keys in PRIORITY_KEYS)
            for key in KEYS
        ),
    ]

    def __init__(
        self,
        *,
        make_source: Callable[[], Source],
        interval_s: float,
        title: str,
        pace: Pace | None = None,
        describe_address: Callable[[int], str] = hex,
        environ: Mapping[str, str] = os.environ,
        export_directory: Path | None = None,
    ) -> None:
        super().__init__()
        self.title = title
        self.describe_address = describe_address
        self.start_error: Exception | None = None
        self.watch_state = Watch(title, interval_s)
        self.poller = Poller(make_source, interval_s, self.post_message, pace)
        self._interval_s = interval_s
        self._frozen: Moment | None = None
        self._moment = self.watch_state.moment()
        self._export_directory = export_directory
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = preferred(environ)

    @property
    def moment(self) -> Moment:
        """What the screens show: the newest, or what it was when `p` was pressed."""
        if self._frozen is None:
            return self._moment
        state = self._moment.state if self._moment.state in (ENDED, FAILED) else PAUSED
        return msgspec.structs.replace(
            self._frozen, state=state, state_reason=self._moment.state_reason
        )

    def view_titles(self) -> tuple[tuple[str, str], ...]:
        """(name, title) of every screen with a key, in order."""
        return tuple((view.NAME, view.TITLE) for view in VIEWS)

    def on_mount(self) -> None:
        """Starts the poller; makes the signals that end us detach the probes first."""
        self.run_worker(self.poller.run, thread=True, exit_on_error=False)
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            try:
                loop.add_signal_handler(number, self._quit, 128 + number)
            except (ValueError, RuntimeError, NotImplementedError):
                return  # not in the main thread: whoever runs us there handles signals

    def on_unmount(self) -> None:
        """Lets the poller close the source."""
        self.poller.stop()

    # ---- what the poller says

    def on_source_opened(self, message: messages.SourceOpened) -> None:
        """The source is attached."""
        self.watch_state.attached(message.missing)
        self._draw()

    def on_snapshot_taken(self, message: messages.SnapshotTaken) -> None:
        """Counters were read."""
        self.watch_state.receive(message.snapshot)
        self._draw()

    def on_events_seen(self, message: messages.EventsSeen) -> None:
        """Events came; they are drawn with the next snapshot, a moment later."""
        self.watch_state.receive_events(message.events)

    def on_target_ended(self, message: messages.TargetEnded) -> None:
        """The watched process has gone."""
        self.watch_state.ended(message.reason)
        self._draw()

    def on_source_failed(self, message: messages.SourceFailed) -> None:
        """The source broke. If it never came up, `run` hands the error to its caller."""
        if message.opening:
            self.start_error = message.error
            self.exit()
            return
        reason = str(message.error) or type(message.error).__name__
        self.watch_state.failed(reason.splitlines()[0])
        self._draw()

    def _draw(self) -> None:
        """Hands the moment to every screen that can be seen."""
        self._moment = self.watch_state.moment()
        for screen in self.screen_stack:
            if isinstance(screen, TopScreen):
                screen.show(self.moment)

    # ---- what the keys do

    def action_view(self, name: str) -> None:
        """Goes to a screen; from a drill-down of it, back to the screen itself."""
        self._leave_details()
        self.switch_mode(name)

    def action_next_view(self) -> None:
        """Goes to the screen after this one."""
        self._step_view(1)

    def action_previous_view(self) -> None:
        """Goes to the screen before this one."""
        self._step_view(-1)

    def _step_view(self, step: int) -> None:
        names = [view.NAME for view in VIEWS]
        position = names.index(self.current_mode) if self.current_mode in names else 0
        self.action_view(names[(position + step) % len(names)])

    def _leave_details(self) -> None:
        while len(self.screen_stack) > 1:
            self.pop_screen()

    def action_pause(self) -> None:
        """Freezes the figures, or lets them go on."""
        self._frozen = self._moment if self._frozen is None else None
        self._draw()

    def action_reset(self) -> None:
        """Counts growth, stages and fails from now on; a pause ends, so that it is seen."""
        self._frozen = None
        self.watch_state.reset()
        self._draw()
        self._say("growth, stages and fails count from now on")

    def action_slower(self) -> None:
        """Reads less often."""
        self._set_interval(min((s for s in INTERVALS_S if s > self._interval_s), default=None))

    def action_faster(self) -> None:
        """Reads more often."""
        self._set_interval(max((s for s in INTERVALS_S if s < self._interval_s), default=None))

    def _set_interval(self, interval_s: float | None) -> None:
        if interval_s is None:
            self._say(f"the interval stays within {INTERVALS_S[0]} and {INTERVALS_S[-1]:.0f} s")
            return
        self._interval_s = interval_s
        self.poller.set_interval(interval_s)
        self.watch_state.set_interval(interval_s)
        if self._frozen is not None:
            self._frozen = msgspec.structs.replace(self._frozen, interval_s=interval_s)
        self._draw()

    def action_export(self) -> None:
        """Writes what is shown to a JSON file in the current directory."""
        directory = self._export_directory or Path.cwd()
        try:
            path = export.write(self.moment, directory)
        except OSError as error:
            self._say(f"cannot write to {directory}: {error.strerror or error}")
            return
        self._say(f"wrote {path.name}" if path else "nothing was read yet, so nothing to write")

    def action_theme(self) -> None:
        """Changes between dark and light."""
        self.theme = LIGHT.name if self.theme == DARK.name else DARK.name

    def action_help(self) -> None:
        """Shows the keys and what is missing."""
        self.push_screen(HelpScreen(self.moment, self.view_titles()))

    def action_leave(self) -> None:
        """Leaves a drill-down; on a table, takes the filter away."""
        if len(self.screen_stack) > 1:
            self.pop_screen()
        elif isinstance(self.screen, TableScreen):
            self.screen.clear()

    def action_interrupt(self) -> None:
        """Ctrl-C."""
        self._quit(INTERRUPTED)

    def _quit(self, code: int) -> None:
        self.poller.stop()
        self.exit(return_code=code)

    # ---- keys of screens with rows

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys for rows do nothing where there are none."""
        tables = {key.action for key in KEYS if key.tables}
        return action not in tables or isinstance(self.screen, TableScreen)

    def _on_rows(self, act: Callable[[TableScreen], None]) -> None:
        if isinstance(self.screen, TableScreen):
            act(self.screen)

    def action_sort(self) -> None:
        """Sorts by the next column."""
        self._on_rows(lambda screen: screen.sort_next())

    def action_sort_reverse(self) -> None:
        """Reverses the order."""
        self._on_rows(lambda screen: screen.reverse())

    def action_search(self) -> None:
        """Asks for words and moves the cursor to a row that has them."""
        self._on_rows(lambda screen: screen.ask("find"))

    def action_search_next(self) -> None:
        """Moves the cursor to the next row found."""
        self._on_rows(lambda screen: screen.find_next())

    def action_filter(self) -> None:
        """Asks for words and shows only rows that have them."""
        self._on_rows(lambda screen: screen.ask("filter"))

    def action_open_row(self) -> None:
        """Shows the row under the cursor in full."""
        if isinstance(self.screen, TableScreen) and self.screen.rows.cursor_key is not None:
            self.screen.open_row(self.screen.rows.cursor_key)

    def on_title_bar_view_clicked(self, event: TitleBar.ViewClicked) -> None:
        """A screen's name was clicked."""
        self.action_view(event.name)

    def _say(self, text: str) -> None:
        """Shows a text in the status line for a while."""
        if isinstance(self.screen, TopScreen):
            self.screen.say(text)


@contextmanager
def _handlers_restored() -> Iterator[None]:
    """Gives the caller back the signal handlers that the app's loop replaces."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(
    *,
    make_source: Callable[[], Source],
    interval_s: float,
    title: str,
    describe_address: Callable[[int], str] = hex,
) -> int:
    """Shows one process until the user quits; gives the exit code.

    `make_source` is called in the polling thread; `title` is the watched command;
    `describe_address` names a return address. Returns 0, 2 without a terminal, 128 + n after
    signal n (130 for Ctrl-C). Whatever `make_source` raises is raised here, after the
    terminal is restored. The source is closed before this returns.
    """
    if not (sys.stdin.isatty() and sys.__stderr__ is not None and sys.__stderr__.isatty()):
        print(
            "hakmem-top: stdin or stderr is no terminal; use `hakmem top --headless` for scripts",
            file=sys.stderr,
        )
        return 2
    app = HakmemTop(
        make_source=make_source,
        interval_s=interval_s,
        title=title,
        describe_address=describe_address,
    )
    with _handlers_restored():
        app.run()
    if app.start_error is not None:
        raise app.start_error
    return app.return_code or 0
