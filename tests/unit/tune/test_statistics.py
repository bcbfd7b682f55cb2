"""The pieces of the statistics, one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakmem_tools.tune.statistics import estimate, family, outliers, sequential, switchback
from hakmem_tools.tune.statistics.sequential import Boundary, Look

finite = st.floats(-1.0, 1.0, allow_nan=False)


def generator() -> np.random.Generator:
    return np.random.default_rng(3)


def test_two_pairs_give_no_estimate() -> None:
    assert estimate.paired_estimate([0.1, 0.2], generator()) is None


def test_one_wild_pair_in_twelve_hardly_moves_the_estimate() -> None:
    calm = [0.05, 0.051, 0.049, 0.052, 0.048, 0.05, 0.0505, 0.0495, 0.051, 0.05, 0.049]
    found = estimate.paired_estimate([*calm, 3.0], generator())
    assert found is not None
    assert found.log_effect == pytest.approx(0.05, abs=0.002)


def test_a_few_pairs_that_agree_by_chance_are_not_believed_beyond_what_equal_runs_scatter() -> None:
    pairs = [0.05, 0.0501, 0.0499]
    believed = estimate.paired_estimate(pairs, generator())
    doubted = estimate.paired_estimate(pairs, generator(), deviation=0.04)
    assert believed is not None
    assert doubted is not None
    assert believed.p_value() < 0.001
    assert doubted.p_value() > 0.04


@given(st.lists(finite, min_size=3, max_size=30), finite)
def test_shifting_every_pair_shifts_the_estimate_and_keeps_its_error(
    values: list[float], shift: float
) -> None:
    plain = estimate.paired_estimate(values, generator(), 99)
    moved = estimate.paired_estimate([value + shift for value in values], generator(), 99)
    assert plain is not None
    assert moved is not None
    assert moved.log_effect == pytest.approx(plain.log_effect + shift, abs=1e-9)
    assert moved.standard_error == pytest.approx(plain.standard_error, abs=1e-7)


@given(st.lists(finite, min_size=3, max_size=30))
def test_an_interval_holds_its_estimate_and_widens_as_its_level_falls(values: list[float]) -> None:
    found = estimate.paired_estimate(values, generator(), 99)
    assert found is not None
    wide, narrow = found.interval(0.001), found.interval(0.2)
    assert wide[0] <= narrow[0] <= found.log_effect <= narrow[1] <= wide[1]
    assert found.widening >= 1.0


def test_equal_pairs_fall_back_to_the_sign_test() -> None:
    found = estimate.paired_estimate([0.3] * 8, generator())
    assert found is not None
    assert found.p_value() == pytest.approx(2.0**-7)


def test_an_interval_at_level_zero_is_unbounded() -> None:
    found = estimate.paired_estimate([0.1, 0.2, 0.4], generator())
    assert found is not None
    assert found.half_width(0.0) == math.inf


def test_bca_interval_of_a_mean_covers_it_about_as_often_as_said() -> None:
    dice = generator()
    hits = 0
    for _ in range(100):
        rows = dice.exponential(1.0, (30, 1))
        interval = estimate.bca_interval(rows, lambda part: float(part.mean()), dice, resamples=399)
        assert interval is not None
        hits += interval[0] <= 1.0 <= interval[1]
    assert hits >= 86


def test_bca_interval_of_a_constant_is_a_point_and_of_four_rows_is_missing() -> None:
    rows = np.ones((6, 2))
    assert estimate.bca_interval(rows, lambda part: float(part.sum() / len(part)), generator()) == (
        2.0,
        2.0,
    )
    assert estimate.bca_interval(rows[:4], lambda part: 1.0, generator()) is None


def test_ratio_of_medians_refuses_a_reference_of_zero() -> None:
    assert estimate.ratio_of_medians([4, 6], [2, 3]) == 2.0
    with pytest.raises(ValueError, match="median is 0"):
        estimate.ratio_of_medians([1], [0])


def test_spread_recovers_the_deviation_of_one_run() -> None:
    pairs = generator().normal(0, 0.03, 4000) - generator().permutation(
        generator().normal(0, 0.03, 4000)
    )
    found = estimate.spread(pairs)
    assert found == pytest.approx(0.03, rel=0.1)


def test_holm_matches_a_worked_example() -> None:
    assert family.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=12))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(values: list[float | None]) -> None:
    adjusted = family.holm(values)
    pairs = sorted((p, a) for p, a in zip(values, adjusted, strict=True) if p is not None)
    assert all(a is not None and p <= a <= 1 for p, a in pairs)
    assert [a for _, a in pairs] == sorted(a for _, a in pairs if a is not None)
    assert [p is None for p in values] == [a is None for a in adjusted]


def test_one_look_at_the_end_is_an_ordinary_test() -> None:
    boundary = Boundary()
    boundary.add(Look(20, 1.0))
    assert boundary.nominal(0.05) == pytest.approx(0.05, rel=1e-3)
    assert boundary.sequential_p(0.01) == pytest.approx(0.01, rel=0.02)


def test_the_first_look_spends_its_share_and_later_looks_may_use_more() -> None:
    boundary = Boundary(rho=3.0)
    levels = []
    for look in range(1, 6):
        boundary.add(Look(look * 10, look / 5))
        levels.append(boundary.nominal(0.05))
    assert levels[0] == pytest.approx(0.05 / 125, rel=0.02)
    assert levels == sorted(levels)
    assert levels[-1] < 0.05


def test_simulated_paths_cross_the_boundary_as_often_as_it_says() -> None:
    boundary = Boundary()
    dice = np.random.default_rng(11)
    paths = np.cumsum(dice.normal(0, 1, (200_000, 30)), axis=1)
    crossed = np.zeros(len(paths), dtype=bool)
    from scipy.special import ndtri

    for blocks in (5, 9, 14, 20, 30):
        boundary.add(Look(blocks, blocks / 30))
        limit = -ndtri(boundary.nominal(0.05) / 2)
        crossed |= np.abs(paths[:, blocks - 1]) / math.sqrt(blocks) > limit
    assert crossed.mean() == pytest.approx(0.05, abs=0.002)


@given(st.floats(1e-12, 0.9))
def test_sequential_p_never_undercuts_the_p_value_and_turns_nominal_around(p_value: float) -> None:
    boundary = _three_looks()
    sequential_p = boundary.sequential_p(p_value)
    assert sequential_p >= p_value * 0.999
    if sequential_p < 0.9:
        assert boundary.nominal(sequential_p) == pytest.approx(p_value, rel=0.05)


def _three_looks() -> Boundary:
    boundary = Boundary()
    for blocks in (10, 20, 30):
        boundary.add(Look(blocks, blocks / 30))
    return boundary


def test_a_look_must_go_forward() -> None:
    boundary = Boundary()
    boundary.add(Look(10, 0.5))
    with pytest.raises(ValueError, match="forward"):
        boundary.add(Look(10, 0.7))


def test_planned_blocks_grow_with_noise_and_shrink_with_the_effect() -> None:
    assert sequential.planned_blocks(0.04, 0.03, 0.05) > sequential.planned_blocks(0.02, 0.03, 0.05)
    assert sequential.planned_blocks(0.02, 0.10, 0.05) <= 8


def test_outliers_are_flagged_and_even_values_are_not() -> None:
    assert outliers.outlier_flags([1.0, 1.01, 0.99, 1.0, 1.02, 5.0]) == [False] * 5 + [True]
    assert outliers.outlier_flags([2.0] * 9) == [False] * 9
    assert outliers.outlier_flags([2.0] * 9 + [3.0])[-1]


def test_a_slow_start_is_seen_as_warm_up_and_noise_is_not() -> None:
    dice = generator()
    steady = list(dice.normal(0, 0.02, 12))
    assert outliers.warmup_length([0.5, 0.3, *steady]) in (2, 3, 4)
    assert outliers.warmup_length(steady) == 0


def test_a_series_that_keeps_falling_has_not_settled() -> None:
    assert (
        outliers.warmup_length([0.5**step for step in range(3)] + [0.1]) == 0
    )  # too short to tell
    falling = [10.0 - step for step in range(10)]
    assert outliers.warmup_length(falling) is None


def slices(effect: float, carry: float, seed: int, count: int = 60) -> list[switchback.SliceSample]:
    """A process whose rate drifts, is autocorrelated, and takes half a second to feel a switch."""
    dice = np.random.default_rng(seed)
    arms = switchback.assign_slices(count, 2, dice)
    state, samples, before = 0.0, [], 0
    for number, arm in enumerate(arms):
        for tick in range(8):
            state = 0.7 * state + dice.normal(0, 0.02)
            acting = before if tick * 0.25 < carry else arm
            value = math.exp(5 + 0.001 * number + state + acting * math.log1p(effect))
            samples.append(switchback.SliceSample(number, arm, tick * 0.25, value))
        before = arm
    return samples


def test_carry_over_biases_the_estimate_until_it_is_discarded() -> None:
    naive = [switchback.switchback_effect(slices(0.1, 0.9, s), 1, 0.0) for s in range(20)]
    clean = [switchback.switchback_effect(slices(0.1, 0.9, s), 1, 1.0) for s in range(20)]
    mean_naive = np.mean([found.log_effect for found in naive if found])
    mean_clean = np.mean([found.log_effect for found in clean if found])
    assert mean_clean == pytest.approx(math.log(1.1), abs=0.01)
    assert mean_naive < 0.7 * math.log(1.1)


def test_switchback_intervals_hold_no_effect_nineteen_times_in_twenty() -> None:
    held = 0
    for seed in range(200):
        found = switchback.switchback_effect(slices(0.0, 0.5, seed), 1, 0.5)
        assert found is not None
        low, high = found.interval(0.05)
        held += low <= 0.0 <= high
    assert held >= 186


def test_a_few_slices_give_no_effect_and_say_how_much_was_discarded() -> None:
    samples = slices(0.1, 0.5, 1, count=4)
    assert switchback.switchback_effect(samples, 1, 0.5) is None
    _, discarded = switchback.slice_means(samples, 0.5)
    assert discarded == 8


def test_every_round_of_slices_holds_every_arm_once() -> None:
    order = switchback.assign_slices(12, 3, generator())
    assert all(sorted(order[start : start + 3]) == [0, 1, 2] for start in range(0, 12, 3))


def test_block_bootstrap_is_wider_than_independence_on_a_correlated_series() -> None:
    dice = generator()
    series = [0.0]
    for _ in range(199):
        series.append(0.8 * series[-1] + dice.normal())
    data = np.array(series)
    interval = switchback.block_bootstrap_interval(data, dice)
    assert interval is not None
    assert interval[1] - interval[0] > 1.5 * 2 * 1.96 * data.std() / math.sqrt(len(data))
