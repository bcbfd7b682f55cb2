"""The profile screen: views, the tree, histograms and one site, on an invented server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot

from hakmem_tools.observe.recording import read_profile
from hakmem_top.app import HakmemTop
from hakmem_top.profile.present import CUTS
from hakmem_top.screens.site_detail import SiteDetailScreen
from tests.tui.driving import drive, make_app, screen_text, settled, table_rows, until
from tests.tui.fake_profile import FakeProfiles
from tests.tui.fake_source import FakeSource
from tests.tui.test_screens import SIZES, Compare, by_size

KEY = "5"
SECONDS = 20


def profile_app(profiles: FakeProfiles, **more: Any) -> HakmemTop:
    return make_app(FakeSource(3), make_profile_desk=profiles, **more)


async def press(pilot: Pilot[None], keys: Sequence[str]) -> None:
    for key in keys:
        await pilot.press(key)
        await pilot.pause()


async def shown(app: HakmemTop, pilot: Pilot[None], keys: Sequence[str] = ()) -> None:
    """Goes to the screen, and waits until all of the script was taken in."""
    await settled(pilot, 3)
    await press(pilot, [KEY])
    desk = app.profile_desk
    ticks = lambda: len(desk.profile.ticks) if desk.profile is not None else 0  # noqa: E731
    await until(pilot, lambda: desk.state == "failed" or ticks() == SECONDS)
    await press(pilot, keys)


def after(keys: Sequence[str]) -> Any:
    async def prepare(pilot: Pilot[None]) -> None:
        app = pilot.app
        assert isinstance(app, HakmemTop)
        await shown(app, pilot, keys)
        for status in app.screen.query("#status"):
            status._fall_silent()  # type: ignore[attr-defined]
        app.draw()
        await pilot.pause()

    return prepare


@pytest.mark.parametrize("size", SIZES, ids=by_size)
@pytest.mark.parametrize(
    "keys",
    [
        pytest.param(["down", "right"], id="live"),
        pytest.param(["v", "o"], id="cumulative-from-main"),
        pytest.param(["v", "v"], id="growth"),
        pytest.param(["v", "v", "v"], id="leaks"),
        pytest.param(["v", "v", "v", "v"], id="temporary"),
        pytest.param(["b"], id="threads"),
        pytest.param(["v", "b", "b"], id="classes"),
        pytest.param(["b", "b", "b", "b"], id="lifetimes"),
        pytest.param(["enter"], id="site"),
    ],
)
def test_a_profile_looks_the_same_as_before(
    snap_compare: Compare, keys: list[str], size: tuple[int, int]
) -> None:
    app = profile_app(FakeProfiles(SECONDS))
    assert snap_compare(app, terminal_size=size, run_before=after(keys))


def test_without_privilege_the_reason_stands_where_the_profile_would() -> None:
    why = "call sites need CAP_BPF and CAP_PERFMON; run as root"

    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await shown(app, pilot)
        assert "✗ no profile" in screen_text(app)
        assert why in screen_text(app)

    drive(profile_app(FakeProfiles(failed=why)), body)


def test_sampling_begins_with_the_first_look_and_ends_with_the_app() -> None:
    profiles = FakeProfiles(SECONDS)

    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await settled(pilot, 3)
        assert profiles.sampler is None
        await shown(app, pilot)
        assert profiles.sampler is not None

    drive(profile_app(profiles), body)
    assert profiles.sampler is not None
    assert profiles.sampler.stopped


def test_every_view_says_what_was_lost_and_what_is_truncated() -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await shown(app, pilot)
        for cut in CUTS:
            for _ in range(5):
                text = screen_text(app)
                assert "▲ lost 3, " in text, cut
                assert "truncated" in text, cut
                await press(pilot, ["b"])
            await press(pilot, ["v"])

    drive(profile_app(FakeProfiles(SECONDS)), body)


def test_the_leak_leads_the_leaks_with_file_and_line() -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await shown(app, pilot, ["v", "v", "v"])
        first = table_rows(app)[0]
        assert "Node::create" in first
        assert "tree.cc:12" in first
        assert "net_receive" not in screen_text(app)

    drive(profile_app(FakeProfiles(SECONDS)), body)


def test_right_unfolds_left_folds_and_then_goes_up() -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await shown(app, pilot, ["end"])
        rows = len(table_rows(app))
        at = app.screen.query_one("#rows").cursor_key  # type: ignore[attr-defined]
        await press(pilot, ["right", "down"])
        assert len(table_rows(app)) == rows + 1
        await press(pilot, ["left"])
        assert app.screen.query_one("#rows").cursor_key == at  # type: ignore[attr-defined]
        await press(pilot, ["left"])
        assert len(table_rows(app)) == rows

    drive(profile_app(FakeProfiles(SECONDS)), body)


def test_o_turns_the_tree_so_that_main_is_on_top() -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await shown(app, pilot, ["v", "o"])
        assert table_rows(app)[0].startswith("▾ ")
        roots = [row for row in table_rows(app) if row[0] in "▾▸"]
        assert sorted(row.split()[1] for row in roots) == ["main", "worker_main"]

    drive(profile_app(FakeProfiles(SECONDS)), body)


def test_a_search_finds_what_is_folded_and_unfolds_the_way() -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await shown(app, pilot, ["end"])
        assert not any("main.cc" in row for row in table_rows(app)[-1:])
        await press(pilot, ["slash", *"loop.cc", "enter"])
        assert "event_loop" in screen_text(app)
        at = app.screen.query_one("#rows").cursor_key  # type: ignore[attr-defined]
        assert at[-1][0] == "event_loop"

    drive(profile_app(FakeProfiles(SECONDS)), body)


def test_a_filter_keeps_the_stacks_that_have_the_words_anywhere() -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await shown(app, pilot, ["v", "f", *"worker", "enter"])
        text = screen_text(app)
        assert "net_receive" in text
        assert "log_line" in text
        assert "Node::create" not in text
        await press(pilot, ["escape"])
        assert "Node::create" in screen_text(app)

    drive(profile_app(FakeProfiles(SECONDS)), body)


def test_s_sorts_a_histogram_by_bytes_blocks_or_name() -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await shown(app, pilot, ["v", "b"])
        orders = []
        for _ in range(3):
            orders.append([row.split()[0].lstrip("›") for row in table_rows(app)])
            await press(pilot, ["s"])
        by_bytes, by_blocks, by_label = orders
        assert by_label == ["main", "worker-1", "worker-2"]
        assert sorted(by_bytes) == sorted(by_blocks) == by_label
        assert by_bytes != by_label

    drive(profile_app(FakeProfiles(SECONDS)), body)


def test_a_profile_of_the_counters_page_says_what_it_is_and_has_no_ages() -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await shown(app, pilot)
        profile = app.profile_desk.profile
        assert profile is not None
        profile.header = msgspec.structs.replace(profile.header, source="counters")
        await press(pilot, ["v"])
        assert "the counters page's table of sites" in screen_text(app)
        await press(pilot, ["v", "v", "v"])
        assert "keeps no ages of blocks" in screen_text(app)

    drive(profile_app(FakeProfiles(SECONDS)), body)


def test_a_pause_holds_the_profile_and_a_reset_counts_from_now() -> None:
    profiles = FakeProfiles(SECONDS)

    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await shown(app, pilot, ["v", "p"])
        held = table_rows(app)
        assert profiles.sampler is not None
        profiles.sampler.play(5)
        await pilot.pause()
        assert table_rows(app) == held
        await press(pilot, ["p"])
        assert table_rows(app) != held
        await press(pilot, ["r"])
        assert "No sample yet" in screen_text(app)
        profiles.sampler.play(2)
        await pilot.pause()
        assert "allocated, in 2s since reset" in screen_text(app)

    drive(profile_app(profiles), body)


def test_enter_shows_how_a_site_was_served_and_what_the_kernel_did() -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await shown(app, pilot, ["enter"])
        assert isinstance(app.screen, SiteDetailScreen)
        rows = "\n".join(table_rows(app))
        for part in ("Node::create", "/src/app/tree.cc:12", "class 3 (64 B), front", "page_fault"):
            assert part in rows
        await press(pilot, ["escape"])
        assert "Call sites" in screen_text(app)

    drive(profile_app(FakeProfiles(SECONDS)), body)


def test_e_writes_a_recording_that_reads_back(tmp_path: Path) -> None:
    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await shown(app, pilot, ["e"])
        assert "wrote hakmem-4242-1.hakprof" in screen_text(app)

    drive(profile_app(FakeProfiles(SECONDS), export_directory=tmp_path), body)
    profile = read_profile(tmp_path / "hakmem-4242-1.hakprof")
    assert len(profile.ticks) == SECONDS
    assert profile.broken is None
    assert profile.missing == ()
