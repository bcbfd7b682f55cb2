"""Series as block characters."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hakmem_top import chart

VALUES = st.lists(st.one_of(st.none(), st.floats(min_value=0, max_value=1e12)), max_size=80)


def test_a_spark_stands_on_zero_and_leaves_head_room() -> None:
    assert chart.spark([0, 5, 10], 3) == "▁▃▆"


def test_a_spark_shows_the_newest_values_at_the_right() -> None:
    assert chart.spark([9, 9, 0, 0], 2, ceiling=9) == "▁▁"
    assert chart.spark([9], 3, ceiling=9) == "  █"


def test_an_unknown_value_is_a_gap_and_not_a_zero() -> None:
    assert chart.spark([9, None, 9], 3, ceiling=9) == "█ █"


def test_a_small_share_leaves_a_mark_and_none_leaves_nothing() -> None:
    assert chart.bar(0.0001, 8).strip() == "▏"
    assert chart.bar(0.0, 8).strip() == ""
    assert chart.bar(None, 8) == " " * 8
    assert chart.bar(1.0, 8) == "█" * 8


def test_an_area_shades_what_is_mapped_and_not_live() -> None:
    rows = chart.area([4, 8], [8, 8], 2, 2)
    assert rows == [[("░", "upper"), ("█", "lower")], [("██", "lower")]]


def test_an_area_of_an_empty_process_is_its_floor() -> None:
    rows = chart.area([0], [0], 2, 2)
    assert rows[1] == [(" ", ""), ("▁", "upper")]


@given(VALUES, st.integers(min_value=0, max_value=60))
def test_a_spark_has_exactly_its_width(values: list[float | None], width: int) -> None:
    assert len(chart.spark(values, width)) == width


@given(VALUES, st.integers(min_value=1, max_value=60), st.integers(min_value=1, max_value=12))
def test_an_area_has_exactly_its_size(values: list[float | None], width: int, height: int) -> None:
    rows = chart.area(values, values, width, height)
    assert [sum(len(text) for text, _ in row) for row in rows] == [width] * height
