"""The sweep screen: the form, the intervals, and every key, on a session that plays a script."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from hakmem_top.app import HakmemTop
from hakmem_top.screens.arm_runs import ArmRunsScreen
from tests.tui.driving import drive, make_app, screen_text, settled, table_rows, until
from tests.tui.fake_source import FakeSource
from tests.tui.fake_sweep import FakeSweeps, filled
from tests.tui.test_screens import SIZES, Compare, by_size

KEY = "5"


def sweep_app(sweeps: FakeSweeps, **more: Any) -> HakmemTop:
    return make_app(FakeSource(3), make_sweep_desk=sweeps, **more)


async def shown(app: HakmemTop, pilot: Pilot[None]) -> None:
    await settled(pilot, 3)
    await pilot.press(KEY)
    await pilot.pause()


def playing(sweeps: FakeSweeps, blocks: int, *keys: str, finish: bool = False) -> Any:
    """Fills the form, starts, and plays so many blocks; then the keys."""

    async def prepare(pilot: Pilot[None]) -> None:
        app = pilot.app
        assert isinstance(app, HakmemTop)
        await shown(app, pilot)
        filled(app.sweep_desk)
        if blocks:
            await pilot.press("x")
            sweeps.session.calibrate()
            sweeps.session.measure(blocks)
        if finish:
            sweeps.session.finish()
        await pilot.pause()
        for key in keys:
            await pilot.press(key)
            await pilot.pause()
        app.screen.query_one("#status")._fall_silent()  # type: ignore[attr-defined]
        app.draw()
        await pilot.pause()

    return prepare


@pytest.mark.parametrize("size", SIZES, ids=by_size)
@pytest.mark.parametrize(
    ("blocks", "keys", "finish"),
    [
        pytest.param(0, [], False, id="form"),
        pytest.param(7, [], False, id="early"),
        pytest.param(20, ["down", "down"], False, id="late"),
        pytest.param(25, ["s", "s"], True, id="over"),
        pytest.param(7, ["end", "enter"], False, id="runs"),
    ],
)
def test_a_sweep_looks_the_same_as_before(
    snap_compare: Compare, blocks: int, keys: list[str], finish: bool, size: tuple[int, int]
) -> None:
    sweeps = FakeSweeps()
    prepare = playing(sweeps, blocks, *keys, finish=finish)
    assert snap_compare(sweep_app(sweeps), terminal_size=size, run_before=prepare)


def test_an_interval_narrows_while_the_sweep_goes_on() -> None:
    sweeps = FakeSweeps()

    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await playing(sweeps, 5)(pilot)
        early = table_rows(app)[2]
        sweeps.session.measure(20)
        await pilot.pause()
        late = table_rows(app)[2]
        assert late.strip().count("─") < early.count("─")
        assert "INCONCLUSIVE" not in late
        assert "GO✓" in late
        assert "block 20 of ≤ 32, ≤ 1m39s left, 4/5 settled" in screen_text(app)

    drive(sweep_app(sweeps), body, size=(120, 40))


def test_the_form_takes_a_command_and_values_by_the_keyboard() -> None:
    sweeps = FakeSweeps()

    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await shown(app, pilot)
        assert "no command yet" in screen_text(app)
        await pilot.press("enter", *"true", "enter")
        await pilot.pause()
        assert "nothing to compare yet" in screen_text(app)
        await pilot.press("slash", *"REUSE", "enter", "enter", "0", "comma", "1", "enter")
        await pilot.pause()
        assert "2 arms, 2 runs a block" in screen_text(app)
        await pilot.press("x")
        await pilot.pause()
        assert sweeps.session.asked == ["start"]
        assert [arm.name for arm in sweeps.session.plan.arms] == [
            "HAKMEM_SS_EMPTY_REUSE=0",
            "HAKMEM_SS_EMPTY_REUSE=1",
        ]

    drive(sweep_app(sweeps), body)


def test_a_value_that_the_knob_does_not_take_is_one_line() -> None:
    sweeps = FakeSweeps()

    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await shown(app, pilot)
        await pilot.press("slash", *"REUSE", "enter", "enter", "0", "comma", "7", "enter")
        await pilot.pause()
        assert "HAKMEM_SS_EMPTY_REUSE=7: not understood; allowed is 0 or 1" in screen_text(app)
        assert app.sweep_desk.moment().form.values == {}

    drive(sweep_app(sweeps), body)


def test_p_pauses_the_sweep_and_lets_it_go_on() -> None:
    sweeps = FakeSweeps()

    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await playing(sweeps, 5)(pilot)
        await pilot.press("p")
        await pilot.pause()
        assert "‖ paused" in screen_text(app)
        assert app.moment.state == "live"
        await pilot.press("p")
        await pilot.pause()
        assert sweeps.session.asked == ["start", "pause", "resume"]
        assert "● measuring" in screen_text(app)

    drive(sweep_app(sweeps), body)


def test_x_stops_after_the_run_then_at_once_then_gives_the_form_back() -> None:
    sweeps = FakeSweeps()

    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await playing(sweeps, 5)(pilot)
        for _ in range(2):
            await pilot.press("x")
            await pilot.pause()
        assert sweeps.session.asked == ["start", "stop", "stop now"]
        sweeps.session.finish(complete=False)
        await pilot.pause()
        assert "■ stopped" in screen_text(app)
        await pilot.press("x")
        await pilot.pause()
        assert "6 arms" in screen_text(app)

    drive(sweep_app(sweeps), body)


def test_enter_opens_the_runs_of_an_arm_with_the_failed_ones() -> None:
    sweeps = FakeSweeps()

    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await playing(sweeps, 5, "end", "enter")(pilot)
        assert isinstance(app.screen, ArmRunsScreen)
        rows = table_rows(app)
        assert len(rows) == 5
        assert "timeout" in rows[3]
        assert "5 runs, 1 failed" in screen_text(app)
        sweeps.session.measure(6)
        await until(pilot, lambda: len(table_rows(app)) == 6)

    drive(sweep_app(sweeps), body)


def test_e_writes_the_report_beside_no_other(tmp_path: Path) -> None:
    sweeps = FakeSweeps()

    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await playing(sweeps, 10)(pilot)
        await pilot.press("e", "e")
        await pilot.pause()
        assert "wrote hakmem-sweep-2.html and .json" in screen_text(app)

    drive(sweep_app(sweeps, export_directory=tmp_path), body)
    lines = (tmp_path / "hakmem-sweep-1.json").read_text().splitlines()
    assert json.loads(lines[0])["verdict"] == "GO"
    assert "<html" in (tmp_path / "hakmem-sweep-1.html").read_text()


def test_a_sweep_that_cannot_go_on_says_why() -> None:
    sweeps = FakeSweeps()

    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await playing(sweeps, 1)(pilot)
        sweeps.session.fail("reference: 3 runs of c7 failed: exit status 1")
        await pilot.pause()
        text = screen_text(app)
        assert "■ failed" in text
        assert "reference: 3 runs of c7 failed: exit status 1" in text

    drive(sweep_app(sweeps), body)


def test_a_quit_ends_the_running_sweep() -> None:
    sweeps = FakeSweeps()

    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await playing(sweeps, 1)(pilot)
        await pilot.press("q")

    drive(sweep_app(sweeps), body)
    assert sweeps.session.asked[-1] == "stop now"
