"""Every key does what the key table says."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import msgspec
import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from hakmem_tools.model.snapshot import Event, Snapshot
from hakmem_top.app import VIEWS, HakmemTop
from hakmem_top.keys import KEYS, bar
from hakmem_top.lines import text_of
from hakmem_top.screens.class_detail import ClassDetailScreen
from hakmem_top.screens.event_detail import EventDetailScreen
from hakmem_top.screens.help import HelpScreen
from hakmem_top.widgets.row_table import RowTable
from tests.tui.driving import drive, line_of, make_app, screen_text, settled, table_rows, until
from tests.tui.fake_source import NO_PRIVILEGE, FakeSource

SECONDS = 12


def test_every_key_of_the_table_is_bound() -> None:
    app = make_app(FakeSource(1))

    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await pilot.press("3")
        await settled(pilot, 1)
        bound = set(app.screen.active_bindings)
        for key in KEYS:
            assert set(key.keys.split(",")) <= bound | {"slash", "question_mark"}, key

    drive(app, body)


def test_the_number_keys_go_to_the_screens() -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        for number, view in [*enumerate(VIEWS, start=1), (1, VIEWS[0])]:
            await pilot.press(str(number))
            await pilot.pause()
            assert isinstance(app.screen, view)
            assert f"[{number} {view.TITLE}]" in line_of(app, "#title-bar")

    drive(make_app(FakeSource(1)), body)


def test_tab_goes_round_the_screens_and_shift_tab_back() -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        seen = []
        names = [view.NAME for view in VIEWS]
        for key in (*("tab" for _ in names), "shift+tab"):
            await pilot.press(key)
            await pilot.pause()
            seen.append(app.current_mode)
        assert seen == [*names[1:], names[0], names[-1]]

    drive(make_app(FakeSource(1)), body)


def test_a_click_on_a_name_goes_to_its_screen() -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        column = line_of(app, "#title-bar").index("3 Events")
        await pilot.click("#title-bar", offset=(column + 2, 0))
        await pilot.pause()
        assert app.current_mode == "events"

    drive(make_app(FakeSource(1)), body)


@pytest.mark.parametrize("key", ["p", "space"])
def test_p_pauses_and_goes_on(key: str) -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await settled(pilot, SECONDS)
        await pilot.press(key)
        await pilot.pause()
        assert app.moment.state == "paused"
        assert "‖ paused" in line_of(app, "#title-bar")
        await pilot.press(key)
        await pilot.pause()
        assert "● live" in line_of(app, "#title-bar")

    drive(make_app(FakeSource(SECONDS)), body)


def test_s_sorts_by_the_next_column_and_shift_s_turns_the_order() -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await settled(pilot, SECONDS)
        await pilot.press("2")
        await pilot.pause()
        assert "by live falling" in line_of(app, "#caption")
        by_live = table_rows(app)
        await pilot.press("S")
        await pilot.pause()
        assert "by live rising" in line_of(app, "#caption")
        unused = 2  # two classes have equal, empty rows, and keep their order
        assert table_rows(app)[unused:] == by_live[-unused - 1 :: -1]
        await pilot.press("s")
        await pilot.pause()
        assert "by mapped falling" in line_of(app, "#caption")

    drive(make_app(FakeSource(SECONDS)), body)


def test_a_click_on_a_heading_sorts_by_it_and_a_second_one_turns_the_order() -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await settled(pilot, SECONDS)
        await pilot.press("2")
        await pilot.pause()
        heading = screen_text(app).splitlines()[4]
        for order in ("falling", "rising"):
            await pilot.click("#rows", offset=(heading.index("hits") + 1, 1))
            await pilot.pause()
            assert f"by hits {order}" in line_of(app, "#caption")

    drive(make_app(FakeSource(SECONDS)), body)


def test_slash_moves_the_cursor_to_the_row_and_n_to_the_next() -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await settled(pilot, SECONDS)
        await pilot.press("2", "slash")
        await pilot.pause()
        assert "find:" in screen_text(app)
        await pilot.press("c", "1", "enter")
        await pilot.pause()
        first = app.screen.query_one(RowTable).cursor_key
        assert str(first).startswith("1")
        assert "1 of 8" in line_of(app, "#status")
        await pilot.press("n")
        await pilot.pause()
        assert app.screen.query_one(RowTable).cursor_key != first
        assert "2 of 8" in line_of(app, "#status")

    drive(make_app(FakeSource(SECONDS)), body)


def test_a_search_that_finds_nothing_says_so() -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await settled(pilot, SECONDS)
        await pilot.press("2", "slash", "z", "z", "enter")
        await pilot.pause()
        assert "no row has 'zz'" in line_of(app, "#status")

    drive(make_app(FakeSource(SECONDS)), body)


def test_f_filters_while_typing_and_escape_brings_all_rows_back() -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await settled(pilot, SECONDS)
        await pilot.press("2")
        await pilot.pause()
        every = len(table_rows(app))
        await pilot.press("f", "c", "1", "2")
        await pilot.pause()
        assert len(table_rows(app)) == 1
        await pilot.press("enter")
        await pilot.pause()
        assert "filter 'c12'" in line_of(app, "#caption")
        await pilot.press("escape")
        await pilot.pause()
        assert len(table_rows(app)) == every

    drive(make_app(FakeSource(SECONDS)), body)


def test_escape_in_the_prompt_leaves_the_filter_as_it_was() -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await settled(pilot, SECONDS)
        await pilot.press("2")
        await pilot.pause()
        every = len(table_rows(app))
        await pilot.press("f", "c", "1", "2", "escape")
        await pilot.pause()
        assert len(table_rows(app)) == every
        assert app.focused is app.screen.query_one(RowTable)

    drive(make_app(FakeSource(SECONDS)), body)


def test_keys_typed_into_the_prompt_are_words_and_not_commands() -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await settled(pilot, SECONDS)
        await pilot.press("2", "f", "q", "p", "1")
        await pilot.pause()
        assert app.is_running
        assert app.current_mode == "classes"
        assert app.moment.state == "live"
        assert app.screen.query_one(Input).value == "qp1"

    drive(make_app(FakeSource(SECONDS)), body)


def test_keys_for_rows_do_nothing_on_the_overview() -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await settled(pilot, SECONDS)
        before = screen_text(app)
        await pilot.press("s", "S", "slash", "n", "f", "enter")
        await pilot.pause()
        assert screen_text(app) == before

    drive(make_app(FakeSource(SECONDS)), body)


def test_enter_opens_a_class_and_escape_goes_back() -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await settled(pilot, SECONDS)
        await pilot.press("2", "down", "enter")
        await pilot.pause()
        assert isinstance(app.screen, ClassDetailScreen)
        assert "front_pops" in screen_text(app)
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, VIEWS[1])

    drive(make_app(FakeSource(SECONDS)), body)


def test_enter_opens_an_event_with_its_whole_stack() -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await settled(pilot, SECONDS)
        await until(pilot, lambda: app.moment.events_seen > 0)
        await pilot.press("3")
        await pilot.pause()
        await pilot.press("down", "enter")
        await pilot.pause()
        assert isinstance(app.screen, EventDetailScreen)
        event = app.moment.events[-2]
        assert event.event in screen_text(app)
        assert all(hex(address) in "\n".join(table_rows(app)) for address in event.stack)

    drive(make_app(FakeSource(SECONDS, failing=True)), body)


def test_a_number_key_leaves_a_drill_down() -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await settled(pilot, SECONDS)
        await pilot.press("2", "enter")
        await pilot.pause()
        await pilot.press("2")
        await pilot.pause()
        assert isinstance(app.screen, VIEWS[1])
        await pilot.press("1")
        await pilot.pause()
        assert isinstance(app.screen, VIEWS[0])

    drive(make_app(FakeSource(SECONDS)), body)


def test_e_exports_what_is_shown(tmp_path: Path) -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await settled(pilot, SECONDS)
        await pilot.press("e")
        await pilot.pause()
        assert "wrote hakmem-top-4242-1.json" in line_of(app, "#status")
        data = json.loads((tmp_path / "hakmem-top-4242-1.json").read_text())
        assert app.moment.snapshot is not None
        assert data["time_ns"] == app.moment.snapshot.time_ns

    drive(make_app(FakeSource(SECONDS), export_directory=tmp_path), body)


def test_an_export_that_fails_says_why(tmp_path: Path) -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await settled(pilot, SECONDS)
        await pilot.press("e")
        await pilot.pause()
        assert "No such file or directory" in line_of(app, "#status")

    drive(make_app(FakeSource(SECONDS), export_directory=tmp_path / "gone"), body, (200, 50))


def test_r_counts_growth_and_stages_from_now_on() -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await settled(pilot, SECONDS)
        assert "since start" in screen_text(app)
        await pilot.press("r")
        await pilot.pause()
        text = screen_text(app)
        assert "since reset 0s" in text
        assert "0 acquires" in text

    drive(make_app(FakeSource(SECONDS)), body)


def test_plus_and_minus_step_the_interval_and_stop_at_its_ends() -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await settled(pilot, SECONDS)
        await pilot.press("plus")
        await pilot.pause()
        assert "every 2s" in line_of(app, "#title-bar")
        await pilot.press(*["minus"] * 9)
        await pilot.pause()
        assert "0.1s" in line_of(app, "#title-bar")
        assert "between 0.1 and 60 seconds" in line_of(app, "#status")

    drive(make_app(FakeSource(SECONDS)), body)


def test_t_changes_between_dark_and_light() -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        assert app.theme == "hakmem-dark"
        await pilot.press("t")
        assert app.theme == "hakmem-light"

    drive(make_app(FakeSource(1)), body)


@pytest.mark.parametrize("closing", ["question_mark", "escape", "q"])
def test_the_help_lists_every_key_and_all_that_is_missing(closing: str) -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await settled(pilot, SECONDS)
        await pilot.press("question_mark")
        await pilot.pause()
        assert isinstance(app.screen, HelpScreen)
        text = " ".join(" ".join(table_rows(app)).split())
        for key in KEYS:
            assert key.doc in text
        for sentence in NO_PRIVILEGE:
            assert sentence in text
        await pilot.press(closing)
        await pilot.pause()
        assert isinstance(app.screen, VIEWS[0])
        assert app.is_running

    drive(make_app(FakeSource(SECONDS, name="counters", missing=NO_PRIVILEGE)), body)


def test_the_help_scrolls_to_its_end_and_no_further() -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await settled(pilot, 1)
        await pilot.press("question_mark")
        await pilot.pause()
        await pilot.press("end", "pagedown")
        await pilot.pause()
        rows = table_rows(app)
        assert rows[-1].strip() in screen_text(app)
        await pilot.press("home")
        await pilot.pause()
        assert rows[0].strip() in screen_text(app)

    drive(make_app(FakeSource(1)), body)


@pytest.mark.parametrize(("key", "code"), [("q", 0), ("ctrl+c", 130)])
def test_q_quits_and_ctrl_c_quits_as_a_shell_says(key: str, code: int) -> None:
    source = FakeSource(3)
    app = make_app(source)

    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await settled(pilot, 3)
        await pilot.press(key)

    drive(app, body)
    assert (app.return_code or 0) == code
    assert source.closed.is_set()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_closes_the_source_before_the_end(number: signal.Signals) -> None:
    source = FakeSource(3)
    app = make_app(source)

    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await settled(pilot, 3)
        os.kill(os.getpid(), number)
        await until(pilot, lambda: app.return_code is not None)

    drive(app, body)
    assert app.return_code == 128 + number
    assert source.closed.is_set()


def test_the_cursor_stays_on_its_row_when_the_rows_change_places() -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await settled(pilot, SECONDS)
        await pilot.press("2", "down", "down", "down")
        await pilot.pause()
        rows = app.screen.query_one(RowTable)
        key = rows.cursor_key
        await pilot.press("s", "s", "s", "S")
        await pilot.pause()
        assert rows.cursor_key == key

    drive(make_app(FakeSource(SECONDS)), body)


def test_the_log_follows_the_newest_event_until_the_cursor_is_moved() -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await pilot.press("3")
        await settled(pilot, SECONDS)
        await until(pilot, lambda: app.moment.events_seen > 0)
        rows = app.screen.query_one(RowTable)
        app.draw()
        assert rows.cursor_key == app.moment.events_seen - 1
        await pilot.press("down")
        key = rows.cursor_key
        app.watch_state.receive_events(app.moment.events[:3])
        app.draw()
        assert rows.cursor_key == key

    drive(make_app(FakeSource(SECONDS)), body)


def test_no_name_of_the_target_can_speak_to_the_terminal() -> None:
    hostile = "evil\x1b]0;owned\x07\n\x9b31m"

    class Hostile(FakeSource):
        def snapshot(self) -> Snapshot:
            honest = super().snapshot()
            classes = [msgspec.structs.replace(row, tier=hostile) for row in honest.classes]
            return msgspec.structs.replace(
                honest, version=hostile, mode=hostile, missing=(hostile,), classes=tuple(classes)
            )

        def events(self, timeout_s: float) -> list[Event]:
            seen = super().events(timeout_s)
            return [
                msgspec.structs.replace(each, comm=hostile, texts=dict.fromkeys(each.args, hostile))
                for each in seen
            ]

    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await settled(pilot, SECONDS)
        await until(pilot, lambda: app.moment.events_seen > 0)
        for keys in (["1"], ["2"], ["enter"], ["3"], ["enter"], ["question_mark"]):
            await pilot.press(*keys)
            await pilot.pause()
            assert "evil" in screen_text(app)
            for row in screen_text(app).split("\n"):
                assert row.isprintable()

    drive(make_app(Hostile(SECONDS), title=hostile), body, (200, 50))


@pytest.mark.parametrize("with_rows", [True, False])
@pytest.mark.parametrize("width", [20, 60, 80, 200])
def test_the_key_bar_never_cuts_a_hint(with_rows: bool, width: int) -> None:
    text = text_of(bar(width, with_rows))
    assert len(text) == width
    assert "…" not in text
    assert "? help" in text
