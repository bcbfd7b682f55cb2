"""Figures from runs: checked on synthetic runs whose answer is known."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hakmem_tools.bench.analysis import (
    analyse_row,
    exceeds_glibc,
    geometric_mean,
    geometric_ratio,
    paired_ratio,
    points,
    time_ratio,
)
from hakmem_tools.bench.measure import Run

MIB = 1 << 20


def run(arm: str, round_: int, seconds: float | None, row: str = "json", **more: object) -> Run:
    return Run(row=row, arm=arm, round=round_, position=0, seconds=seconds, **more)  # type: ignore[arg-type]


def series(arm: str, seconds: list[float], row: str = "json", **more: object) -> list[Run]:
    return [run(arm, i, value, row, ops=100, **more) for i, value in enumerate(seconds)]


def test_costs_are_relative_to_the_best_peer_and_never_to_hakmem() -> None:
    runs = series("glibc", [2.0] * 5) + series("mimalloc", [1.0] * 5) + series("hakmem", [0.5] * 5)
    result = analyse_row(runs, "json", ["glibc", "mimalloc", "hakmem"], ["hakmem"], seed=1)
    assert result.best_peer == "mimalloc"
    assert result.cells["glibc"].cost == 2.0
    assert result.cells["mimalloc"].cost == 1.0
    assert result.cells["hakmem"].cost == 0.5
    assert result.ours["hakmem"].estimate == 0.5
    assert result.cells["hakmem"].ops_per_second == 200.0


def test_a_row_without_peers_has_no_best_peer_and_no_ratio() -> None:
    result = analyse_row(series("hakmem", [1.0] * 5), "json", ["hakmem"], ["hakmem"], seed=1)
    assert result.best_peer is None
    assert result.ours == {}
    assert result.cells["hakmem"].cost is None
    assert result.cells["hakmem"].seconds == 1.0


def test_a_failed_run_is_counted_and_is_in_no_median() -> None:
    runs = [*series("glibc", [1.0, 1.0]), run("glibc", 2, 99.0, failure="exit status 1")]
    cell = analyse_row(runs, "json", ["glibc"], [], seed=1).cells["glibc"]
    assert (cell.runs, cell.failed_runs, cell.failure) == (3, 1, "exit status 1")
    assert cell.seconds == 1.0


def test_a_cell_whose_runs_all_failed_is_missing_and_not_zero() -> None:
    runs = [run("glibc", i, None, failure="killed by SIGSEGV") for i in range(4)]
    cell = analyse_row(runs, "json", ["glibc"], [], seed=1).cells["glibc"]
    assert cell.seconds is None
    assert cell.peak_rss_bytes is None
    assert cell.context_switches is None
    assert cell.failed_runs == 4


def test_a_round_in_which_one_arm_failed_is_left_out_of_the_ratio() -> None:
    runs = series("mimalloc", [1.0] * 6) + series("hakmem", [2.0] * 5)
    runs.append(run("hakmem", 5, None, failure="out of time; killed"))
    ratio = time_ratio(runs, "json", "hakmem", "mimalloc", seed=1)
    assert ratio is not None
    assert ratio.rounds == 5


def test_pairing_by_round_keeps_a_drift_that_both_arms_share_out_of_the_interval() -> None:
    dice = random.Random(7)
    drift = [1.0 + 0.1 * i + dice.random() for i in range(15)]
    paired = paired_ratio([0.9 * d for d in drift], drift, seed=3)
    assert paired is not None
    assert paired.low == pytest.approx(0.9)
    assert paired.high == pytest.approx(0.9)


def test_the_interval_of_equal_arms_holds_one_about_as_often_as_it_says() -> None:
    held = 0
    for seed in range(200):
        dice = random.Random(seed)
        a = [math.exp(dice.gauss(0, 0.05)) for _ in range(10)]
        b = [math.exp(dice.gauss(0, 0.05)) for _ in range(10)]
        ratio = paired_ratio(a, b, seed)
        assert ratio is not None
        assert ratio.low is not None
        assert ratio.high is not None
        held += ratio.low <= 1.0 <= ratio.high
    assert held >= 180


def test_the_same_runs_give_the_same_interval() -> None:
    a, b = [1.0, 1.2, 0.9, 1.1, 1.3], [1.1, 1.0, 1.0, 1.2, 1.2]
    assert paired_ratio(a, b, 5) == paired_ratio(a, b, 5)


def test_too_few_rounds_give_an_estimate_and_no_interval() -> None:
    ratio = paired_ratio([1.0, 1.0], [2.0, 2.0], seed=1)
    assert ratio is not None
    assert (ratio.estimate, ratio.low, ratio.high) == (0.5, None, None)
    assert ratio.reaches_one is None


def test_no_common_round_gives_no_ratio() -> None:
    assert time_ratio([run("a", 0, 1.0), run("b", 1, 1.0)], "json", "a", "b", 1) is None


@given(
    st.lists(st.floats(0.01, 100.0), min_size=5, max_size=12),
    st.floats(0.1, 10.0),
)
@settings(max_examples=40, deadline=None)
def test_scaling_one_arm_scales_estimate_and_interval(values: list[float], factor: float) -> None:
    ratio = paired_ratio([factor * v for v in values], values, seed=2)
    assert ratio is not None
    assert ratio.estimate == pytest.approx(factor)
    assert ratio.low == pytest.approx(factor)


def test_the_geometric_ratio_is_the_mean_of_logarithms_over_rows() -> None:
    runs = [
        *series("hakmem", [1.0] * 5, "json"), *series("glibc", [2.0] * 5, "json"),
        *series("hakmem", [4.0] * 5, "mir"), *series("glibc", [2.0] * 5, "mir"),
    ]  # fmt: skip
    pairs = [("json", "hakmem", "glibc"), ("mir", "hakmem", "glibc")]
    ratio = geometric_ratio(runs, pairs, seed=1)
    assert ratio is not None
    assert ratio.estimate == pytest.approx(1.0)
    assert ratio.low == pytest.approx(1.0)


def test_one_row_too_short_for_an_interval_takes_it_away_from_the_geometric_ratio() -> None:
    runs = [
        *series("hakmem", [1.0] * 5, "json"), *series("glibc", [2.0] * 5, "json"),
        *series("hakmem", [1.0], "mir"), *series("glibc", [2.0], "mir"),
    ]  # fmt: skip
    pairs = [("json", "hakmem", "glibc"), ("mir", "hakmem", "glibc")]
    ratio = geometric_ratio(runs, pairs, seed=1)
    assert ratio is not None
    assert ratio.estimate == pytest.approx(0.5)
    assert ratio.low is None


def test_the_geometric_mean_of_nothing_or_of_zero_is_missing() -> None:
    assert geometric_mean([]) is None
    assert geometric_mean([1.0, 0.0]) is None
    assert geometric_mean([2.0, 8.0]) == pytest.approx(4.0)


def test_points_fall_by_rank_are_shared_by_equals_and_are_nothing_without_a_time() -> None:
    runs = [*series("a", [1.0]), *series("b", [2.0]), *series("c", [2.0])]
    runs.append(run("d", 0, None, failure="exit status 1"))
    result = analyse_row(runs, "json", ["a", "b", "c", "d"], [], seed=1)
    assert points([result], ["a", "b", "c", "d"]) == {"a": 4.0, "b": 2.5, "c": 2.5, "d": 0.0}


def test_peak_rss_is_compared_with_every_peer_and_with_no_other_build() -> None:
    arms = ["mimalloc", "hakmem", "hakmem-minimal"]
    runs = [
        one
        for arm, peak in zip(arms, [10 * MIB, 5 * MIB, 4 * MIB], strict=True)
        for one in series(arm, [1.0] * 3, peak_rss_bytes=peak)
    ]
    result = analyse_row(runs, "json", arms, arms[1:], seed=1)
    assert result.rss_to == {"hakmem": {"mimalloc": 0.5}, "hakmem-minimal": {"mimalloc": 0.4}}


@pytest.mark.parametrize(
    ("own", "glibc", "exceeds"),
    [(3.9, 2, False), (4.1, 2, True), (114, 100, False), (116, 100, True)],
)
def test_glibcs_peak_may_be_passed_by_15_per_cent_or_2_mib_whichever_is_larger(
    own: float, glibc: float, exceeds: bool
) -> None:
    assert exceeds_glibc(own * MIB, glibc * MIB) is exceeds
