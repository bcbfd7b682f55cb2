"""The learning screen: state, arms, pools, events and knobs, in every state of the learner."""

from __future__ import annotations

from typing import Any

import pytest
from textual.pilot import Pilot

from hakmem_tools.observe.source import NoPage
from hakmem_top.app import HakmemTop
from hakmem_top.learning.panels import rating_bar
from hakmem_top.learning.present import arm_name
from hakmem_top.screens.learning import LearningScreen
from tests.tui.driving import drive, make_app, screen_text, settled, table_rows, until
from tests.tui.fake_source import FakeSource
from tests.tui.test_screens import SIZES, Compare, by_size

KEY = "4"
SECONDS = 12


async def shown(app: HakmemTop, pilot: Pilot[None]) -> None:
    await settled(pilot, SECONDS)
    await pilot.press(KEY)
    await pilot.pause()
    screen = app.screen
    assert isinstance(screen, LearningScreen)
    await until(pilot, lambda: bool(screen.knobs) or screen.why_no_knobs != NO_KNOBS)


NO_KNOBS = "the knobs' values were not read"


def after() -> Any:
    async def prepare(pilot: Pilot[None]) -> None:
        app = pilot.app
        assert isinstance(app, HakmemTop)
        await shown(app, pilot)
        app.draw()
        await pilot.pause()

    return prepare


@pytest.mark.parametrize("size", SIZES, ids=by_size)
@pytest.mark.parametrize("state", ["learn", "frozen", "canary", ""])
def test_the_learner_looks_the_same_as_before(
    snap_compare: Compare, state: str, size: tuple[int, int]
) -> None:
    app = make_app(FakeSource(SECONDS, learning=state))
    assert snap_compare(app, terminal_size=size, run_before=after())


def test_a_canary_shows_the_candidate_beside_the_arm_in_force() -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await shown(app, pilot)
        rows = screen_text(app).splitlines()
        (candidate,) = [row for row in rows if "◐ canary" in row and "1561" in row]
        assert candidate.split()[:2] == ["256", "KiB"]
        (incumbent,) = [row for row in rows if "● in force" in row]
        assert incumbent.split()[:2] == ["512", "KiB"]
        assert any("[CANARY]" in row for row in rows)

    drive(make_app(FakeSource(SECONDS, learning="canary")), body)


def test_an_arm_that_was_never_measured_has_no_p99() -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await shown(app, pilot)
        (row,) = [row for row in screen_text(app).splitlines() if row.strip().startswith("2 MiB")]
        assert "—" in row

    drive(make_app(FakeSource(SECONDS, learning="learn")), body)


def test_a_library_without_a_learner_is_told_and_no_rating_is_made_up() -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await shown(app, pilot)
        assert "this library keeps no counters of learning" in screen_text(app)
        assert "1500" not in screen_text(app).replace("beside 1500", "")

    drive(make_app(FakeSource(SECONDS)), body)


def test_what_was_set_comes_first_and_a_refused_value_is_marked() -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await shown(app, pilot)
        rows = table_rows(app)
        assert rows[0].startswith("HAKMEM_SS_EMPTY_REUSE")
        assert "live" in rows[0]
        (refused,) = [row for row in rows if row.startswith("HAKMEM_SS_EMPTY_SCAN_LIMIT")]
        assert "16 !" in refused
        await pilot.press("f", *"mode", "enter")
        await pilot.pause()
        assert all("mode" in row.lower() for row in table_rows(app))

    drive(make_app(FakeSource(SECONDS, learning="frozen")), body)


def test_knobs_that_cannot_be_read_leave_the_reason_in_their_place() -> None:
    def refuse(pid: int) -> None:
        raise NoPage(f"process {pid} has no counters page")

    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await shown(app, pilot)
        assert "process 4242 has no counters page" in screen_text(app)

    drive(make_app(FakeSource(SECONDS, learning="frozen"), read_knobs=refuse), body)


def test_pools_and_the_log_are_there_on_a_wide_screen() -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await shown(app, pilot)
        text = screen_text(app)
        for part in ("Pools: hit rates", "C13   4096", "policy_publish", "from frozen, to canary"):
            assert part in text

    drive(make_app(FakeSource(SECONDS, learning="canary")), body, size=(200, 50))


def test_a_small_screen_has_the_pools_in_one_line() -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await shown(app, pilot)
        assert "pools mid 62.6%/65%" in screen_text(app)

    drive(make_app(FakeSource(SECONDS, learning="canary")), body)


@pytest.mark.parametrize(
    ("rating", "bar"),
    [(1500, "    │    "), (1900, "    │████"), (1300, "  ██│    "), (99, "████│    ")],
)
def test_a_rating_is_drawn_from_the_middle(rating: float, bar: str) -> None:
    assert rating_bar(rating, 9) == bar


def test_arms_are_named_by_their_thresholds() -> None:
    assert [arm_name(arm) for arm in (0, 3, 4, 5)] == ["64 KiB", "512 KiB", "1 MiB", "2 MiB"]
