"""The tables from which the kernel draws samples and weighs them."""

from __future__ import annotations

import math
import random

import pytest

from hakmem_tools.observe.bpf.any_program import gap_quantiles, weights

MEAN = 524_288


def draw(table: list[int], chance: random.Random) -> int:
    """hak_draw_gap() of any.bpf.c."""
    total = 0
    for _ in range(4):
        place = chance.randrange(len(table))
        total += table[place]
        if place + 1 < len(table):
            return total + ((table[place + 1] - table[place]) * chance.randrange(1 << 24) >> 24)
    return total


def test_drawn_distances_have_the_mean_and_the_tail_of_an_exponential() -> None:
    chance, count = random.Random(5), 200_000
    table = gap_quantiles(MEAN)
    drawn = [draw(table, chance) for _ in range(count)]
    assert sum(drawn) / count == pytest.approx(MEAN, rel=5 / math.sqrt(count))
    for times in (0.5, 1, 3, 9):
        expected = math.exp(-times)
        share = sum(gap > times * MEAN for gap in drawn) / count
        assert share == pytest.approx(expected, abs=5 * math.sqrt(expected / count))


def test_weights_between_the_table_s_places_are_right_to_a_ten_thousandth() -> None:
    table = weights(MEAN)
    for size in (1, 1000, 40_000, 524_288, 3_000_000, 8_000_000):
        place = (size << 12) // MEAN
        low, high = table[place >> 8], table[(place >> 8) + 1]
        weight = low + ((high - low) * (place & 255) >> 8)
        assert weight == pytest.approx(size / -math.expm1(-size / MEAN), rel=2e-4)


def test_a_block_behind_the_table_weighs_what_it_is() -> None:
    assert weights(MEAN)[-1] == pytest.approx(16 * MEAN, rel=1e-6)
