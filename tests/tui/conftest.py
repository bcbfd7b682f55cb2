"""Nothing of the developer's terminal may reach the tests."""

from __future__ import annotations

import asyncio

import pytest
import textual._context
import textual.app
import textual.pilot

#: Rounds of the loop without anything to do, before the app counts as idle.
_QUIET_ROUNDS = 4


def pytest_configure(config: pytest.Config) -> None:
    """The report of pictures that differ goes where everything built goes."""
    if hasattr(config.option, "snapshot_report"):
        config.option.snapshot_report = "build/tui-snapshots.html"


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "COLORFGBG", "TEXTUAL", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")


async def _until_idle(min_sleep: float = 0, max_sleep: float = 1) -> None:
    """Returns when the loop has nothing to do; Textual's own guesses it from the CPU time."""
    loop = asyncio.get_running_loop()
    quiet = 0
    while quiet < _QUIET_ROUNDS:
        await asyncio.sleep(0)
        busy = await _frames_were_held() or loop._ready or _draws_later()  # type: ignore[attr-defined]
        quiet = 0 if busy else quiet + 1


async def _frames_were_held() -> bool:
    """Whether a change of screens held the frames back; returns when they may be drawn.

    Textual hides such a change for a span of time, in which an idle loop has drawn nothing yet.
    Closing the app cancels the timer, so this wait ends in any case.
    """
    app = textual._context.active_app.get(None)
    if app is None:
        return False
    tasks = [timer._task for timer in app._timers if timer.name == "delay_update"]
    held = [task for task in tasks if task is not None and not task.done()]
    if held:
        await asyncio.wait(held)
    return bool(held)


def _draws_later() -> bool:
    """Whether a frame was due, which a timer would have drawn a moment later; draws it now."""
    app = textual._context.active_app.get(None)
    if app is None or not app.is_running or not app.screen_stack:
        return False
    screen = app.screen
    due = screen._layout_required or screen._scroll_required or screen._repaint_required
    due = due or bool(screen._dirty_widgets or screen._callbacks)
    if due and screen.is_running and screen.is_current and not app._batch_count:
        screen._on_timer_update()
        return True
    return False


@pytest.fixture(autouse=True)
def _idle_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause ends with the work and not with a span of time, on a busy machine too."""
    monkeypatch.setattr(textual.pilot, "wait_for_idle", _until_idle)
    monkeypatch.setattr(textual.app, "wait_for_idle", _until_idle)
