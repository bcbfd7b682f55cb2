"""What the screens look like: one SVG each, at 80x24 and at 200x50.

`pytest --snapshot-update` accepts a new look; look at the pictures before you do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from hakmem_top.app import HakmemTop
from tests.tui.driving import HANG_S, make_app, settled, until
from tests.tui.fake_source import NO_PRIVILEGE, FakeSource

SECONDS = 58
SIZES = [(80, 24), (200, 50)]


def by_size(size: tuple[int, int]) -> str:
    """The name of a size."""
    return f"{size[0]}x{size[1]}"


Compare = Callable[..., bool]


def after(
    keys: Sequence[str] = (), *, seconds: int = SECONDS, state: str = "live", theme: str = ""
) -> Callable[[Pilot[None]], Any]:
    """Plays the script to its end, then presses keys."""

    async def prepare(pilot: Pilot[None]) -> None:
        app = pilot.app
        assert isinstance(app, HakmemTop)
        await settled(pilot, seconds, state)
        if state == "live" and app.moment.snapshot and app.moment.snapshot.source != "counters":
            await until(pilot, lambda: _all_events(app))
        if theme:
            app.theme = theme
        for key in keys:
            await pilot.press(key)
            await pilot.pause()
        for field in app.screen.query(Input):
            field.cursor_blink = False
        app.draw()
        await pilot.pause()

    return prepare


def _all_events(app: HakmemTop) -> bool:
    """Whether the events of the last second are there; they come after its snapshot."""
    now = app.moment
    idle = now.snapshot is not None and now.snapshot.mapped_bytes == 0
    if idle or not now.events or now.snapshot is None:
        return idle
    return now.events[-1].time_ns == now.snapshot.time_ns


@pytest.mark.parametrize(
    ("size", "theme"),
    [
        pytest.param((80, 24), "hakmem-dark", id="80x24"),
        pytest.param((200, 50), "hakmem-dark", id="200x50"),
        pytest.param((80, 24), "hakmem-light", id="80x24-light"),
    ],
)
@pytest.mark.parametrize(
    "keys",
    [
        pytest.param([], id="overview"),
        pytest.param(["2", "down", "down"], id="classes"),
        pytest.param(["3", "down"], id="events"),
        pytest.param(["2", "down", "down", "enter"], id="class"),
        pytest.param(["3", "down", "enter"], id="event"),
        pytest.param(["question_mark"], id="help"),
    ],
)
def test_a_busy_process_looks_the_same_as_before(
    snap_compare: Compare, keys: list[str], theme: str, size: tuple[int, int]
) -> None:
    app = make_app(FakeSource(SECONDS, failing=True))
    assert snap_compare(app, terminal_size=size, run_before=after(keys, theme=theme))


@pytest.mark.parametrize("size", SIZES, ids=by_size)
@pytest.mark.parametrize("key", ["1", "2", "3"])
def test_without_privilege_the_screens_say_what_is_missing(
    snap_compare: Compare, key: str, size: tuple[int, int]
) -> None:
    app = make_app(FakeSource(SECONDS, name="counters", missing=NO_PRIVILEGE))
    assert snap_compare(app, terminal_size=size, run_before=after([key]))


@pytest.mark.parametrize("size", SIZES, ids=by_size)
@pytest.mark.parametrize("key", ["1", "2", "3"])
def test_a_target_that_ended_leaves_a_banner_and_its_last_data(
    snap_compare: Compare, key: str, size: tuple[int, int]
) -> None:
    app = make_app(FakeSource(20, ends=True))
    prepare = after([key], seconds=20, state="ended")
    assert snap_compare(app, terminal_size=size, run_before=prepare)


def test_a_source_that_broke_leaves_a_banner_and_its_last_data(snap_compare: Compare) -> None:
    app = make_app(FakeSource(20, breaks=OSError("the counters page cannot be read any more")))
    prepare = after(seconds=20, state="failed")
    assert snap_compare(app, terminal_size=(80, 24), run_before=prepare)


@pytest.mark.parametrize("size", SIZES, ids=by_size)
@pytest.mark.parametrize("key", ["1", "2", "3"])
def test_an_empty_process_shows_zeros_that_are_known_and_dashes_that_are_not(
    snap_compare: Compare, key: str, size: tuple[int, int]
) -> None:
    app = make_app(FakeSource(3, busy=False))
    assert snap_compare(app, terminal_size=size, run_before=after([key], seconds=3))


def test_while_it_attaches_the_screen_says_so(snap_compare: Compare) -> None:
    gate = threading.Event()
    source = FakeSource(1)

    def slow() -> FakeSource:
        gate.wait(HANG_S)
        return source

    app = make_app(source, make_source=slow)
    stop = app.poller.stop

    def open_and_stop() -> None:
        gate.set()
        stop()

    app.poller.stop = open_and_stop  # type: ignore[method-assign]

    async def prepare(pilot: Pilot[None]) -> None:
        await pilot.pause()

    assert snap_compare(app, terminal_size=(80, 24), run_before=prepare)
    assert source.closed.is_set()


@pytest.mark.parametrize("size", SIZES, ids=by_size)
def test_a_pause_is_told_at_the_top(snap_compare: Compare, size: tuple[int, int]) -> None:
    app = make_app(FakeSource(SECONDS))
    assert snap_compare(app, terminal_size=size, run_before=after(["p"]))


def test_a_reset_is_told_where_it_counts(snap_compare: Compare) -> None:
    app = make_app(FakeSource(SECONDS))
    assert snap_compare(app, terminal_size=(80, 24), run_before=after(["r"]))


def test_lost_events_are_always_seen(snap_compare: Compare) -> None:
    app = make_app(FakeSource(SECONDS, lost=1203))
    assert snap_compare(app, terminal_size=(80, 24), run_before=after(["3"]))


def test_a_filter_and_its_prompt_leave_the_frame_in_place(snap_compare: Compare) -> None:
    app = make_app(FakeSource(SECONDS, failing=True))
    keys = ["3", "f", *"soft_cap"]
    keys = ["underscore" if key == "_" else key for key in keys]
    assert snap_compare(app, terminal_size=(80, 24), run_before=after(keys))


@pytest.mark.parametrize("size", [(100, 30), (120, 40), (60, 16)], ids=by_size)
def test_sizes_between_and_below_are_drawn_too(
    snap_compare: Compare, size: tuple[int, int]
) -> None:
    app = make_app(FakeSource(SECONDS, failing=True))
    assert snap_compare(app, terminal_size=size, run_before=after())
