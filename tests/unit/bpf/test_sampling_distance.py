"""How far apart samples are drawn while somebody listens."""

from __future__ import annotations

import pytest

from hakmem_tools.observe.sampling_distance import next_distance

USUAL = 524_288


@pytest.mark.parametrize("pace", [0.0001, 0.003, 0.02, 0.2, 5.0])
def test_the_distance_settles_where_listening_takes_less_than_its_share(pace: float) -> None:
    """`pace` is the share that listening takes at the usual distance; it falls with distance."""
    distance = USUAL
    for _ in range(20):
        distance = next_distance(distance, USUAL, pace * USUAL / distance, budget=0.03)
    assert pace * USUAL / distance <= 0.5 * 0.03
    assert next_distance(distance, USUAL, pace * USUAL / distance, budget=0.03) == distance
    assert distance == USUAL or pace * USUAL / distance >= 0.05 * 0.03


def test_a_target_that_calms_down_is_sampled_as_before() -> None:
    distance = 64 * USUAL
    for _ in range(10):
        distance = next_distance(distance, USUAL, 0.0, budget=0.03)
    assert distance == USUAL


def test_no_share_is_so_large_that_sampling_ends() -> None:
    distance = USUAL
    for _ in range(10):
        distance = next_distance(distance, USUAL, 1e9, budget=0.03)
    assert distance == 1 << 28
