"""A simulated noisy machine for the statistics' own tests: heavy tails, drift, shared reference."""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

from hakmem_tools.tune.statistics.estimate import paired_estimate
from hakmem_tools.tune.statistics.monitor import ArmEffect, Monitor
from hakmem_tools.tune.statistics.sequential import Look


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
    ratios: NDArray[np.float64], seed: int, looks: int = 20
) -> tuple[int, list[ArmEffect]]:
    """Follow an experiment until some arm differs or the blocks run out: blocks used, last look."""
    horizon, arms = ratios.shape
    names = [f"arm{number}" for number in range(arms)]
    monitor = Monitor(names, seed=seed, estimator=functools.partial(paired_estimate, resamples=199))
    effects: list[ArmEffect] = []
    blocks = 0
    for blocks in sorted({max(5, round(horizon * k / looks)) for k in range(1, looks + 1)}):
        pairs = {name: ratios[:blocks, place] for place, name in enumerate(names)}
        effects = monitor.look(Look(blocks, blocks / horizon), pairs)
        if any(effect.differs for effect in effects):
            break
    return blocks, effects
