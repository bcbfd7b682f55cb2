"""The flame graph in a real browser: it draws, zooms, searches, turns round, fetches nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hakmem_tools.model.profile import WHOLE, Profile
from hakmem_tools.model.profile_estimate import Amount, interval
from hakmem_tools.model.profile_records import CallFrame, Key, Rows, Stack, Symbols, Tick
from hakmem_tools.observe.export import exporter
from tests.integration.profile.browser import Page, chromium
from tests.unit.model.profiles import START, R, small_profile

HOSTILE = "</script><img src=x onerror='window.hit=1'>\x1b[31m"


def page_profile() -> Profile:
    """The small profile and a stack whose names would like to be markup."""
    records = small_profile()
    records += [
        Symbols(1, 0x3000, (CallFrame("/srv/app/server", 0x3000, HOSTILE, HOSTILE, 3),)),
        Stack(3, ((1, 0x3001), (1, 0x2001))),
        Key(3, 3, 7, 3, 0, 24),
        Tick(START + 41 * 10**9, allocated=Rows.pack([(3, 0, 3, 3 * 200, 3 * R)])),
    ]
    return Profile.of(records)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    directory = tmp_path_factory.mktemp("flame")
    path = directory / "profile.html"
    path.write_bytes(exporter("html")(page_profile(), "live", WHOLE))
    with chromium(directory / "chromium") as browser:
        browser.open(path)
        yield browser


@pytest.fixture(autouse=True)
def _whole_profile(page: Page) -> None:
    page.choose("#view", "live")
    page.choose("#order", "callers")
    page.key("Escape")


def names(page: Page, more: str = "") -> list[str]:
    found = page.value(f"[...document.querySelectorAll('.frame{more}')].map(e => e.dataset.name)")
    assert isinstance(found, list)
    return found


def frame(name: str) -> str:
    return f".frame[data-name={name!r}]"


def width(page: Page, name: str) -> float:
    found = page.value(f'document.querySelector("{frame(name)}").getBoundingClientRect().width')
    assert isinstance(found, int | float)
    return float(found)


def test_every_frame_is_drawn_as_wide_as_its_bytes(page: Page) -> None:
    assert {"all", "main", "parse", "node_new", "libnet.so+0x500", "[truncated]"} <= set(
        names(page)
    )
    assert width(page, "node_new") / width(page, "all") == pytest.approx(10 / 15, abs=0.01)


def test_a_click_zooms_and_escape_comes_back(page: Page) -> None:
    page.click(frame("parse"))
    page.until("!document.getElementById('reset').hidden")
    assert "libnet.so+0x500" not in names(page)
    assert width(page, "node_new") == pytest.approx(width(page, "all"), abs=2)
    page.key("Escape")
    page.until("document.getElementById('reset').hidden")
    assert "libnet.so+0x500" in names(page)


def test_the_button_shows_the_whole_again(page: Page) -> None:
    page.click(frame("node_new"))
    page.click("#reset")
    assert "libnet.so+0x500" in names(page)


def test_a_search_marks_what_matches_and_says_how_much_that_is(page: Page) -> None:
    page.key("/")
    page.type("PARSE")
    page.until("document.querySelectorAll('.frame.match').length > 0")
    # parse's own file is parse.cc; what it calls does not match.
    assert names(page, ".match") == ["parse"]
    assert page.value("document.getElementById('matched').textContent").startswith("matched 66.7 %")
    page.key("Escape")
    assert names(page, ".match") == []


def test_a_search_finds_files_and_modules(page: Page) -> None:
    page.key("/")
    page.type("tree.cc")
    page.until("document.querySelectorAll('.frame.match').length > 0")
    assert names(page, ".match") == ["node_new"]


def test_the_inverted_graph_begins_with_what_allocates(page: Page) -> None:
    page.choose("#order", "callees")
    lowest = page.value(
        "[...document.querySelectorAll('.frame[data-level=\"1\"]')].map(e => e.dataset.name)"
    )
    assert lowest[0] == "node_new"
    assert "main" not in lowest


def test_an_icicle_hangs_down(page: Page) -> None:
    before = page.value("document.querySelector(\".frame[data-name='all']\").offsetTop")
    page.click("#icicle")
    after = page.value("document.querySelector(\".frame[data-name='all']\").offsetTop")
    page.click("#icicle")
    assert before > 0
    assert after == 0


def test_another_view_is_drawn_from_the_same_page(page: Page) -> None:
    page.choose("#view", "cumulative")
    assert "allocated in all: 12.5 MiB" in page.value(
        "document.getElementById('total').textContent"
    )
    page.choose("#view", "leaks")
    assert "libnet.so+0x500" not in names(page)


def test_the_tooltip_says_bytes_with_their_error_and_the_place(page: Page) -> None:
    page.hover(frame("node_new"))
    page.until("!document.getElementById('tip').hidden")
    text = page.value("document.getElementById('tip').textContent")
    assert "/src/tree.cc:12 (inlined)" in text
    assert "5.0 MiB (95 %: 2.4 MiB to 9.2 MiB), 10 samples" in text


def test_lost_samples_and_truncated_stacks_are_shown(page: Page) -> None:
    assert "lost samples: 3 (the map was full: 3)" in page.value("document.body.textContent")
    assert "truncated stacks: 13.3 %" in page.value("document.getElementById('total').textContent")


def test_names_of_the_target_stay_text_and_nothing_is_fetched(page: Page) -> None:
    assert "</script><img src=x onerror='window.hit=1'>\\x1b[31m" in names(page)
    assert page.value("window.hit === undefined && document.images.length === 0")
    assert page.problems == []
    assert [url for url in page.requests if not url.startswith(("file:", "data:"))] == []


def test_the_page_takes_the_same_intervals_as_we_do(page: Page) -> None:
    for samples, size in ((1, 64), (2, 4096), (5, 300_000), (40, 64), (3, 4 << 20), (900, 9000)):
        weight = round(size / (1 - 2.718281828459045 ** (-size / R)))
        amount = Amount.of_row(samples, samples * size, samples * weight)
        theirs = page.value(
            f"interval({{samples: {samples}, seen: {amount.size_bytes}, bytes: {amount.weighted},"
            f" variance: {amount.variance}, heaviest: {amount.heaviest}}})"
        )
        assert theirs == pytest.approx(interval(amount), rel=1e-4)
