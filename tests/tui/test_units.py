"""Numbers as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakmem_top import units


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (1023, "1.00 KiB"),
        (999, "999 B"),
        (1024, "1.00 KiB"),
        (1536, "1.50 KiB"),
        (10 << 20, "10.0 MiB"),
        (999 << 20, "999 MiB"),
        (1023 << 20, "1.00 GiB"),
        (-2048, "-2.00 KiB"),
        (3 << 50, "3.00 PiB"),
    ],
)
def test_bytes_have_a_binary_unit_and_three_digits(value: int, text: str) -> None:
    assert units.size(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(16, "16 B"), (2048, "2048 B"), (9999, "9999 B"), (65536, "64 KiB"), (1 << 20, "1 MiB")],
)
def test_the_size_of_a_class_is_exact(value: int, text: str) -> None:
    assert units.block_size(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.4, "0.40"),
        (9.994, "9.99"),
        (12.34, "12.3"),
        (999.6, "1.00k"),
        (1.24e6, "1.24M"),
    ],
)
def test_rates_have_three_digits(value: float, text: str) -> None:
    assert units.rate(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0%"), (1.0, "100%"), (0.987, "98.7%"), (0.99999, "99.9%"), (0.0001, "<0.1%")],
)
def test_a_share_is_rounded_neither_to_everything_nor_to_nothing(value: float, text: str) -> None:
    assert units.share(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.25, "0.25s"), (1.0, "1s"), (58, "58s"), (82, "1m22s"), (7380, "2h03m")]
)
def test_spans_of_time_are_short(value: float, text: str) -> None:
    assert units.span(value) == text


@pytest.mark.parametrize(
    ("value", "text", "short"),
    [
        (3.25, "3.250", "3.25"),
        (723.25, "12:03.250", "12:03.25"),
        (3600.5, "1:00:00.500", "1:00:00"),
        (59.9996, "1:00.000", "1:00.00"),
    ],
)
def test_points_in_time_grow_hours_only_when_there_are_any(
    value: float, text: str, short: str
) -> None:
    assert units.moment(value) == text
    assert units.moment_short(value) == short


def test_every_unit_shows_the_placeholder_for_an_unknown_value() -> None:
    shows = (
        units.size,
        units.size_short,
        units.growth,
        units.growth_short,
        units.count,
        units.count_short,
        units.rate,
        units.share,
        units.share_short,
        units.span,
    )
    assert {show(None) for show in shows} == {units.MISSING}


def test_growth_carries_its_sign_and_zero_has_none() -> None:
    assert [units.growth(value) for value in (2048, 0, -2048)] == ["+2.00 KiB", "0 B", "-2.00 KiB"]


@given(st.integers(min_value=0, max_value=1 << 60))
def test_short_forms_keep_to_their_columns(value: int) -> None:
    assert len(units.size(value)) <= 8
    assert len(units.size_short(value)) <= 6
    assert len(units.growth_short(value)) <= 7
    assert len(units.block_size_short(min(value, 1 << 30))) <= 6


@given(st.floats(min_value=0, max_value=9.9e14))
def test_counts_and_rates_keep_to_their_columns(value: float) -> None:
    assert len(units.rate(value)) <= 5
    assert len(units.count_short(value)) <= 5
    assert len(units.count(value)) <= 6


@given(st.floats(min_value=0, max_value=1))
def test_shares_keep_to_their_columns(value: float) -> None:
    assert len(units.share(value)) <= 5
    assert len(units.share_short(value)) <= 4


@given(st.floats(min_value=0, max_value=359_999))
def test_times_keep_to_their_columns(value: float) -> None:
    assert len(units.moment(value)) <= 12
    assert len(units.moment_short(value)) <= 8
