"""Drives the app in tests: conditions are awaited, nothing sleeps for a fixed time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from hakmem_top.app import HakmemTop
from hakmem_top.lines import text_of
from hakmem_top.widgets.line_view import LineView
from hakmem_top.widgets.row_table import RowTable
from tests.tui.fake_profile import FakeProfiles
from tests.tui.fake_source import FakeSource, FastPace
from tests.tui.fake_sweep import FakeSweeps

#: A condition that never comes true fails the test after so many seconds; none waits so long.
HANG_S = 60

Body = Callable[[HakmemTop, Pilot[None]], Awaitable[None]]


def make_app(
    source: FakeSource,
    *,
    title: str = "redis-server *:6379",
    export_directory: Path | None = None,
    **more: Any,
) -> HakmemTop:
    """The app on a scripted source, with time that jumps and a silent terminal."""
    given: dict[str, Any] = {
        "make_source": lambda: source,
        "pace": FastPace(source),
        "make_profile_desk": FakeProfiles(),
        "make_sweep_desk": FakeSweeps(),
        **more,
    }
    return HakmemTop(
        interval_s=1.0, title=title, environ={}, export_directory=export_directory, **given
    )


async def until(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    """Lets the app run until the condition is true."""
    async with asyncio.timeout(HANG_S):
        while not condition():
            await pilot.pause()
            await asyncio.sleep(0)
    await pilot.pause()


async def settled(pilot: Pilot[None], snapshots: int, state: str = "live") -> None:
    """Lets the script play to its end."""
    app = pilot.app
    assert isinstance(app, HakmemTop)
    await until(pilot, lambda: len(app.moment.history) >= snapshots and app.moment.state == state)


def drive(app: HakmemTop, body: Body, size: tuple[int, int] = (80, 24)) -> None:
    """Runs the app without a terminal and the body beside it."""

    async def go() -> None:
        async with app.run_test(size=size) as pilot:
            await body(app, pilot)

    asyncio.run(go())


def screen_text(app: HakmemTop) -> str:
    """What the screen shows, as rows of text."""
    compositor = app.screen._compositor
    strips = compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in strips)


def table_rows(app: HakmemTop) -> list[str]:
    """The rows of the table in front, as text."""
    table = app.screen.query_one(RowTable).table
    return [text_of(table.line(position)) for position in range(len(table.keys))]


def line_of(app: HakmemTop, selector: str) -> str:
    """The first row of a LineView."""
    view = app.screen.query_one(selector, LineView)
    return view.render_line(0).text
