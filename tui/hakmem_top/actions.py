"""What the keys do that work on every screen. The app is one of these; tables have their own.

Apart from app.py so that the app reads as the way from message to screen. Keys for rows are
actions of screens/base.py's TableScreen.
"""

from __future__ import annotations

from pathlib import Path

from textual.app import App

from hakmem_top.moment import Watch
from hakmem_top.profile.desk import ProfileDesk
from hakmem_top.screens.base import TableScreen, TopScreen
from hakmem_top.screens.help import HelpScreen
from hakmem_top.themes import DARK, LIGHT
from hakmem_top.worker import Poller

#: The intervals that + and - step through, in seconds.
INTERVALS_S = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)

#: Exit code after Ctrl-C, as a shell gives it.
INTERRUPTED = 130


class KeyActions(App[None]):
    """The actions named in keys.py. Subclasses fill the attributes and give the views."""

    watch_state: Watch
    poller: Poller
    profile_desk: ProfileDesk
    interval_s: float
    export_directory: Path | None

    def view_titles(self) -> tuple[tuple[str, str], ...]:
        """(name, title) of every screen with a key, in order."""
        raise NotImplementedError

    def draw(self) -> None:
        """Hands the newest moment to the screens that can be seen."""
        raise NotImplementedError

    def action_view(self, name: str) -> None:
        """Goes to a screen; from a drill-down, back to the screen itself first."""
        while len(self.screen_stack) > 1:
            self.pop_screen()
        self.switch_mode(name)

    def action_next_view(self) -> None:
        """Goes to the screen after this one."""
        self._step_view(1)

    def action_previous_view(self) -> None:
        """Goes to the screen before this one."""
        self._step_view(-1)

    def _step_view(self, step: int) -> None:
        names = [name for name, _ in self.view_titles()]
        self.action_view(names[(names.index(self.current_mode) + step) % len(names)])

    def action_pause(self) -> None:
        """Freezes the figures, or lets them go on."""
        self.watch_state.toggle_pause()
        self.profile_desk.hold(self.watch_state.paused)
        self.draw()

    def action_reset(self) -> None:
        """Counts growth, stages and fails from now on."""
        self.watch_state.reset()
        self.profile_desk.hold(False)
        self.profile_desk.reset()
        self.draw()
        self.say("growth, stages and fails count from now on")

    def action_slower(self) -> None:
        """Reads less often."""
        self._set_interval(min((s for s in INTERVALS_S if s > self.interval_s), default=None))

    def action_faster(self) -> None:
        """Reads more often."""
        self._set_interval(max((s for s in INTERVALS_S if s < self.interval_s), default=None))

    def _set_interval(self, interval_s: float | None) -> None:
        if interval_s is None:
            low, high = INTERVALS_S[0], INTERVALS_S[-1]
            self.say(f"the interval stays between {low} and {high:.0f} seconds")
            return
        self.interval_s = interval_s
        self.poller.set_interval(interval_s)
        self.watch_state.set_interval(interval_s)
        self.draw()

    def action_export(self) -> None:
        """Writes what is shown to a file in the current directory."""
        directory, screen = self.export_directory, self.screen
        try:
            directory = directory or Path.cwd()  # which may have been removed
            if isinstance(screen, TopScreen):
                self.say(screen.export(directory))
        except OSError as error:
            where = directory or "the current directory"
            self.say(f"cannot write to {where}: {error.strerror or error}")

    def action_theme(self) -> None:
        """Changes between dark and light."""
        self.theme = LIGHT.name if self.theme == DARK.name else DARK.name

    def action_help(self) -> None:
        """Shows the keys and what is missing."""
        self.push_screen(HelpScreen(self.watch_state.moment(), self.view_titles()))

    def action_leave(self) -> None:
        """Leaves a drill-down; on a table, takes the filter away."""
        if len(self.screen_stack) > 1:
            self.pop_screen()
        elif isinstance(self.screen, TableScreen):
            self.screen.clear()

    def action_interrupt(self) -> None:
        """Ctrl-C."""
        self.leave_with(INTERRUPTED)

    def leave_with(self, code: int) -> None:
        """Ends the app with an exit code; the poller closes its source meanwhile."""
        self.poller.stop()
        self.exit(return_code=code)

    def say(self, text: str) -> None:
        """Shows a text in the status line for a while."""
        if isinstance(self.screen, TopScreen):
            self.screen.say(text)
