"""What the statistics promise, checked on simulated machines with fixed seeds."""

from __future__ import annotations

import numpy as np
import pytest

from hakmem_tools.tune.statistics.estimate import paired_estimate, spread
from hakmem_tools.tune.statistics.monitor import Monitor
from hakmem_tools.tune.statistics.sequential import Look, planned_horizon
from hakmem_tools.tune.verdict import Kind, Rules, decide
from tests.unit.tune.simulation import log_ratios, sequential_run


def test_two_hundred_ten_arm_sweeps_of_equal_arms_err_in_at_most_five_percent() -> None:
    generator = np.random.default_rng(20)
    wrong_difference = wrong_verdict = missed_zero = 0
    for sweep in range(200):
        ratios = log_ratios(generator, 40, 10, 0.03, 0.0)
        _, effects = sequential_run(ratios, sweep)
        wrong_difference += any(effect.differs for effect in effects)
        missed_zero += any(
            effect.interval is not None and not effect.interval[0] <= 0 <= effect.interval[1]
            for effect in effects
        )
        kinds = {decide(e.effect, e.interval, Rules()).kind for e in effects}
        wrong_verdict += bool(kinds & {Kind.GO, Kind.NO_GO})
    assert wrong_difference <= 10
    assert missed_zero <= 10
    assert wrong_verdict <= 10


def test_verdicts_by_estimate_also_err_in_at_most_five_percent_of_equal_sweeps() -> None:
    generator = np.random.default_rng(21)
    rules = Rules(judge="estimate")
    wrong = 0
    for sweep in range(60):
        _, effects = sequential_run(log_ratios(generator, 30, 10, 0.04, 0.0), sweep)
        kinds = {decide(e.effect, e.interval, rules).kind for e in effects}
        wrong += bool(kinds & {Kind.GO, Kind.NO_GO})
    assert wrong <= 3


def test_three_percent_is_found_nine_times_in_ten_with_fewer_runs_than_a_fixed_design() -> None:
    # Nobody knows beforehand whether runs scatter by 2 or by 4 %. A fixed design has to choose its
    # number of blocks before it starts; here it gets the smallest (in steps of four) that finds 3 %
    # nine times in ten over such machines.
    generator = np.random.default_rng(30)
    fixed = _fixed_blocks_needed(generator)
    found, used = 0, 0
    tries = 120
    for attempt in range(tries):
        deviation = generator.uniform(0.02, 0.04)
        # As in a real sweep: eight A/A pairs tell the spread, and that plans the horizon.
        calibration = spread(log_ratios(generator, 8, 1, deviation, 0.0)[:, 0])
        horizon = planned_horizon(calibration, 8, 0.03, 0.05)
        pairs = log_ratios(generator, horizon, 1, deviation, 0.03)
        blocks, effects = sequential_run(pairs, attempt)
        effect = effects[0]
        found += effect.differs and effect.effect is not None and effect.effect > 0
        used += blocks
    assert found >= 0.9 * tries
    assert used / tries < fixed


@pytest.mark.parametrize("deviation", [0.02, 0.03, 0.04])
def test_three_percent_is_found_nine_times_in_ten_at_each_noise(deviation: float) -> None:
    generator = np.random.default_rng(int(deviation * 1000))
    found = 0
    for attempt in range(60):
        calibration = spread(log_ratios(generator, 8, 1, deviation, 0.0)[:, 0])
        horizon = planned_horizon(calibration, 8, 0.03, 0.05)
        _, effects = sequential_run(log_ratios(generator, horizon, 1, deviation, 0.03), attempt)
        found += effects[0].differs
    assert found >= 54


def _fixed_blocks_needed(generator: np.random.Generator) -> int:
    for blocks in range(20, 200, 4):
        found = 0
        for _ in range(200):
            deviation = generator.uniform(0.02, 0.04)
            pairs = log_ratios(generator, blocks, 1, deviation, 0.03)[:, 0]
            estimate = paired_estimate(pairs, generator, 199)
            assert estimate is not None
            found += estimate.p_value() <= 0.05
        if found >= 180:
            return blocks
    raise AssertionError("no fixed design finds it")


def test_intervals_of_a_ten_percent_gain_hold_it_at_every_look() -> None:
    generator = np.random.default_rng(7)
    missed = 0
    for sweep in range(100):
        ratios = log_ratios(generator, 24, 3, 0.03, 0.10)
        for blocks in (8, 16, 24):
            _, effects = sequential_run(ratios[:blocks], sweep, looks=3)
            if any(e.interval and not e.interval[0] <= 0.10 <= e.interval[1] for e in effects):
                missed += 1
                break
    assert missed <= 12  # three separate sequential analyses of the same data are looked at here


def test_a_gain_beyond_the_rule_becomes_go_and_a_loss_no_go() -> None:
    generator = np.random.default_rng(9)
    for true, expected in ((0.12, Kind.GO), (-0.08, Kind.NO_GO)):
        ratios = log_ratios(generator, 40, 2, 0.02, true)
        names = ["a", "b"]
        monitor = Monitor(names, seed=1)
        effects = monitor.look(Look(40, 1.0), {n: ratios[:, i] for i, n in enumerate(names)})
        assert {decide(e.effect, e.interval, Rules()).kind for e in effects} == {expected}
