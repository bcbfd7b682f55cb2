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

from textual.binding import Binding, BindingType
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.screen import Screen

from hakmem_tools.observe.source import Source
from hakmem_top import messages
from hakmem_top.actions import KeyActions
from hakmem_top.driver import TopDriver
from hakmem_top.keys import KEYS
from hakmem_top.moment import Moment, Watch
from hakmem_top.profile.desk import ProfileDesk
from hakmem_top.profile.sampler import Sampled
from hakmem_top.screens.base import TopScreen
from hakmem_top.screens.classes import ClassesScreen
from hakmem_top.screens.events import EventsScreen
from hakmem_top.screens.overview import OverviewScreen
from hakmem_top.screens.profile import ProfileScreen
from hakmem_top.screens.sweep import SweepScreen
from hakmem_top.sweep.desk import SweepDesk, Told
from hakmem_top.themes import DARK, LIGHT, preferred
from hakmem_top.widgets.title_bar import TitleBar
from hakmem_top.worker import Pace, Poller

#: The screens in the order of their keys 1, 2, 3, ... A new screen is added here.
VIEWS: tuple[type[TopScreen], ...] = (
    OverviewScreen,
    ClassesScreen,
    EventsScreen,
    ProfileScreen,
    SweepScreen,
)

#: Keys that no field or table may keep to itself.
PRIORITY_KEYS = ("tab", "shift+tab", "ctrl+c")

#: Signals that end us; the probes are detached first.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class HakmemTop(KeyActions):
    """The terminal UI of one process."""

    CSS_PATH = "hakmem_top.tcss"
    ENABLE_COMMAND_PALETTE = False
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {
        view.NAME: view for view in VIEWS
    }
    DEFAULT_MODE = VIEWS[0].NAME
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (130, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (34, "-tall")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(number), f"view('{view.NAME}')", view.TITLE)
            for number, view in enumerate(VIEWS, start=1)
        ),
        *(
            Binding(key.keys, key.action, key.hint, priority=key.keys in PRIORITY_KEYS)
            for key in KEYS
            if not key.tables
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
        make_profile_desk: Callable[[Callable[[Sampled], object]], ProfileDesk] = ProfileDesk,
        make_sweep_desk: Callable[[Callable[[Told], object]], SweepDesk] = SweepDesk,
    ) -> None:
        super().__init__()
        self.title = title
        self.describe_address = describe_address
        self.start_error: Exception | None = None
        self.watch_state = Watch(title, interval_s)
        self.poller = Poller(make_source, interval_s, self.post_message, pace)
        self.profile_desk = make_profile_desk(
            lambda sampled: self.post_message(messages.SitesSampled(sampled))
        )
        self.sweep_desk = make_sweep_desk(lambda told: self.post_message(messages.SweepTold(told)))
        self.interval_s = interval_s
        self.export_directory = export_directory
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = preferred(environ)

    def get_driver_class(self) -> type[Driver]:
        """Textual's choice, but a terminal that goes away must not hold us."""
        chosen = super().get_driver_class()
        return TopDriver if chosen is LinuxDriver else chosen

    @property
    def moment(self) -> Moment:
        """What the screens show."""
        return self.watch_state.moment()

    def view_titles(self) -> tuple[tuple[str, str], ...]:
        """(name, title) of every screen with a key, in order."""
        return tuple((view.NAME, view.TITLE) for view in VIEWS)

    def on_mount(self) -> None:
        """Starts the poller; makes the signals that end us detach the probes first."""
        self.run_worker(self.poller.run, thread=True, exit_on_error=False)
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            try:
                loop.add_signal_handler(number, self.leave_with, 128 + number)
            except (ValueError, RuntimeError, NotImplementedError):
                return  # not in the main thread: whoever runs us there handles signals

    def on_unmount(self) -> None:
        """Lets the poller close the source; detaches the profile; ends what a sweep runs."""
        self.poller.stop()
        self.profile_desk.close()
        self.sweep_desk.close()

    # ---- what the poller says

    def on_source_opened(self, message: messages.SourceOpened) -> None:
        """The source is attached."""
        self.watch_state.attached(message.missing)
        self.draw()

    def on_snapshot_taken(self, message: messages.SnapshotTaken) -> None:
        """Counters were read."""
        if self.watch_state.receive(message.snapshot):
            self.draw()

    def on_events_seen(self, message: messages.EventsSeen) -> None:
        """Events came; they are drawn with the next snapshot, a moment later."""
        self.watch_state.receive_events(message.events)

    def on_target_ended(self, message: messages.TargetEnded) -> None:
        """The watched process has gone."""
        self.watch_state.ended(message.reason)
        self.draw()

    def on_source_failed(self, message: messages.SourceFailed) -> None:
        """The source broke. If it never came up, `run` hands the error to its caller."""
        if message.opening:
            self.start_error = message.error
            self.exit()
            return
        reason = str(message.error) or type(message.error).__name__
        self.watch_state.failed(reason.splitlines()[0])
        self.draw()

    def on_sites_sampled(self, message: messages.SitesSampled) -> None:
        """The profile's sampler said something."""
        self.profile_desk.receive(message.sampled)
        self.draw()

    def on_sweep_told(self, message: messages.SweepTold) -> None:
        """A sweep's session said something."""
        self.sweep_desk.receive(message.told)
        self.draw()

    def draw(self) -> None:
        """Hands the moment to every screen that can be seen."""
        moment = self.moment
        for screen in self.screen_stack:
            if isinstance(screen, TopScreen):
                screen.show(moment)

    def on_title_bar_view_clicked(self, event: TitleBar.ViewClicked) -> None:
        """A screen's name was clicked."""
        self.action_view(event.name)


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
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, f"__{name}__")
        if stream is None or not stream.isatty():
            advice = "use `hakmem top --headless` for scripts"
            print(f"hakmem-top: {name} is no terminal; {advice}", file=sys.stderr)
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
