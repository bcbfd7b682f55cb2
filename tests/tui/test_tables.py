"""Tables choose whole columns by the width there is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakmem_top import lines
from hakmem_top.class_table import COLUMNS, class_table
from hakmem_top.event_table import ROOMY, SHORT, event_table
from hakmem_top.lines import Span, text_of, width_of
from hakmem_top.moment import Moment, Watch
from hakmem_top.tables import fit_columns, fit_short
from tests.tui.fake_source import FakeSource

#: What the 80-column screen leaves to a table: one column of margin on either side.
NARROW = 78


def moment(seconds: int = 20, **more: bool) -> Moment:
    watch, source = Watch("demo", 1.0), FakeSource(seconds, **more)
    for _ in range(seconds):
        watch.receive(source.snapshot())
        watch.receive_events(source.events(0))
    return watch.moment()


def keys(table_width: int) -> list[str]:
    return [column.key for column, _ in fit_columns(COLUMNS, table_width).columns]


def test_the_narrow_class_table_keeps_memory_traffic_stages_and_fails() -> None:
    assert keys(NARROW) == [
        "class", "live", "mapped", "used", "hits", "refills", "drains",
        "stage 0.5", "stage 1", "stage 2", "stage 3", "fails",
    ]  # fmt: skip


def test_a_wider_table_adds_columns_and_drops_none() -> None:
    seen: set[str] = set()
    for width in range(NARROW, 240):
        now = set(keys(width))
        assert seen - now == set(), f"width {width} lost {seen - now}"
        seen = now
    assert seen == {column.key for column in COLUMNS}


@pytest.mark.parametrize("width", range(NARROW, 220, 7))
@pytest.mark.parametrize("make", [class_table, event_table])
def test_no_row_is_wider_than_the_table(make: object, width: int) -> None:
    assert callable(make)
    table = make(moment(failing=True), width)
    rows = [table.line(position) for position in range(len(table.keys))]
    assert rows
    assert {width_of(line) <= width for line in (*table.headings, *rows)} == {True}


@pytest.mark.parametrize("width", range(NARROW, 220, 7))
def test_no_number_of_the_class_table_is_cut(width: int) -> None:
    table = class_table(moment(failing=True), width)
    texts = [text_of(line) for line in table.headings]
    texts += [text_of(table.line(position)) for position in range(len(table.keys))]
    assert [text for text in texts if "…" in text] == []


def test_columns_of_rank_zero_stay_even_where_they_do_not_fit() -> None:
    assert len(fit_short(SHORT, 10).columns) == len(SHORT) - 1


def test_classes_are_sorted_by_live_bytes_unless_asked_otherwise() -> None:
    now = moment()
    assert now.snapshot is not None
    live = {row.index: row.live_bytes for row in now.snapshot.classes}
    by_live = class_table(now, NARROW).keys
    assert list(by_live) == sorted(live, key=lambda index: -live[index])
    assert list(class_table(now, NARROW, "class", False).keys) == sorted(live)


def test_unknown_values_come_last_in_either_direction() -> None:
    now = moment()
    unused = {4, 8}
    for descending in (True, False):
        ordered = class_table(now, NARROW, "used", descending).keys
        assert set(ordered[-2:]) == unused


def test_a_filter_keeps_the_rows_that_hold_every_word() -> None:
    now = moment(failing=True)
    assert list(class_table(now, NARROW, query="c12").keys) == [12]
    every = event_table(now, NARROW)
    fails = event_table(now, NARROW, query="shared_fail SOFT_CAP c12")
    assert 0 < len(fails.keys) < len(every.keys)
    assert all("shared_fail" in text_of(fails.line(i)) for i in range(len(fails.keys)))


def test_a_filter_that_nothing_matches_says_so() -> None:
    table = class_table(moment(), NARROW, query="nonesuch")
    assert not table.keys
    assert "nonesuch" in table.empty


def test_the_log_is_newest_first_and_each_row_keeps_its_key() -> None:
    now = moment(seconds=10)
    table = event_table(now, NARROW)
    assert list(table.keys) == list(range(now.events_seen - 1, -1, -1))


def test_the_roomy_log_names_the_reason_in_its_own_column() -> None:
    assert "reason" in [column.key for column in ROOMY]
    heading = text_of(event_table(moment(), 198).headings[-1])
    names = "time▾ event class reason arguments thread stack top"
    assert heading.split() == names.split()


@given(st.lists(st.text(max_size=12), max_size=6), st.integers(min_value=0, max_value=40))
def test_a_fitted_line_has_exactly_its_width(texts: list[str], width: int) -> None:
    printable = ["".join(c for c in text if c.isprintable()) for text in texts]
    assert width_of(lines.fit([Span(text) for text in printable], width)) == width


def test_a_cut_is_shown_by_an_ellipsis() -> None:
    assert lines.clip("superslab", 6) == "super…"
    assert text_of(lines.fit([Span("super"), Span("slab")], 7)) == "supers…"
    assert lines.clip("slab", 4) == "slab"


def test_wrapped_text_loses_no_word() -> None:
    text = "events and stacks: the counters page holds totals only"
    rows = lines.wrap(text, 20)
    assert max(len(row) for row in rows) <= 20
    assert " ".join(rows) == text
