"""A simulated noisy machine for the statistics' own tests: heavy tails, drift, shared reference."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hakmem_tools.tune.statistics.estimate import paired_estimate, spread
from hakmem_tools.tune.statistics.monitor import ArmEffect, Monitor
from hakmem_tools.tune.statistics.sequential import (
    FIRST_LOOK,
    FIRST_LOOK_BLIND,
    looks_of,
    planned_horizon,
)


def machine_noise(
    generator: np.random.Generator, blocks: int, runs: int, deviation: float
) -> NDArray[np.float64]:
    """Log noise of `runs` runs in each of `blocks` blocks, in the order in which they happen.

    `deviation` is one run's core standard deviation; one run in twenty is slowed by several times
    that, and the level of the whole machine wanders and swings.
    """
    core = generator.normal(0.0, deviation, (blocks, runs))
    disturbed = generator.random((blocks, runs)) < 0.05
    core += disturbed * generator.exponential(5 * deviation, (blocks, runs))
    steps = generator.normal(0.0, deviation / 4, blocks * runs)
    wander = np.cumsum(steps) + deviation * np.sin(np.arange(blocks * runs) / 37.0)
    return core + wander.reshape(blocks, runs)


def log_ratios(
    generator: np.random.Generator, blocks: int, arms: int, deviation: float, effect: float
) -> NDArray[np.float64]:
    """Blocks x arms of log ratios to the reference; every arm has the same true `effect`."""
    noise = machine_noise(generator, blocks, arms + 1, deviation)
    order = generator.permuted(np.tile(np.arange(arms + 1), (blocks, 1)), axis=1)
    by_arm = np.take_along_axis(noise, order, axis=1)
    return by_arm[:, 1:] - by_arm[:, :1] + math.log1p(effect)


def sequential_run(
    ratios: NDArray[np.float64], seed: int, deviation: float = 0.0, first: int = FIRST_LOOK_BLIND
) -> tuple[int, list[ArmEffect]]:
    """Follow an experiment until some arm differs or the blocks run out: blocks used, last look.

    `deviation` is that of a pair as an A/A calibration has told it; then one may look early.
    """
    horizon, arms = ratios.shape
    names = [f"arm{number}" for number in range(arms)]
    estimator = functools.partial(paired_estimate, resamples=199, deviation=deviation)
    monitor = Monitor(names, seed=seed, estimator=estimator)
    effects: list[ArmEffect] = []
    blocks = 0
    for look in looks_of(horizon, first):
        blocks = look.blocks
        pairs = {name: list(ratios[:blocks, place]) for place, name in enumerate(names)}
        effects = monitor.look(look, pairs)
        if any(effect.differs for effect in effects):
            break
    return blocks, effects


def calibrated(
    noise: Callable[[int], NDArray[np.float64]], effect: float, seed: int
) -> tuple[int, list[ArmEffect]]:
    """A whole sweep of one arm: eight A/A pairs, the horizon that they plan, then looks.

    `noise` gives so many log ratios of equal programs. Blocks used, and the last look.
    """
    known = spread(noise(8))
    horizon = planned_horizon(known, 8, 0.03, 0.05)
    ratios = noise(horizon)[:, np.newaxis] + math.log1p(effect)
    return sequential_run(ratios, seed, (known or 0.0) * math.sqrt(2), FIRST_LOOK)
