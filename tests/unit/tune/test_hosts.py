"""Hosts as a blocking factor: their speed cancels, and effects that depend on them are told."""

from __future__ import annotations

import math

import numpy as np

from hakmem_tools.model.trial import Arm, Phase, Status, Trial, TrialKey
from hakmem_tools.tune.analysis import improvements
from hakmem_tools.tune.hosts import disagreements
from hakmem_tools.tune.plan import Plan

PLAN = Plan(command=("prog",), arms=(Arm("-", {}), Arm("A=1", {"A": "1"})))


def trials(speeds: dict[str, float], effects: dict[str, float], blocks: int = 24) -> list[Trial]:
    """Blocks in turn on each host, whose speed and effect of the arm are given; 1 % noise."""
    generator = np.random.default_rng(4)
    found = []
    for block in range(blocks):
        host = list(speeds)[block % len(speeds)]
        for place, arm in enumerate(("-", "A=1")):
            effect = effects[host] if place else 0.0
            wall = speeds[host] / (1 + effect) * math.exp(generator.normal(0, 0.01))
            found.append(
                Trial(key=TrialKey(Phase.MEASURE, block, place), arm=arm, host=host,
                      status=Status.OK, started_ns=block, metrics={"wall": wall})
            )  # fmt: skip
    return found


def test_a_host_ten_times_slower_leaves_the_effect_as_it_is() -> None:
    runs = trials({"a": 1.0, "b": 10.0}, {"a": 0.1, "b": 0.1})
    values = improvements(PLAN, runs, 24)["A=1"]
    assert abs(math.expm1(float(np.mean(values))) - 0.1) < 0.01
    assert float(np.std(values)) < 0.03
    assert disagreements(PLAN, runs, 24) == []


def test_an_effect_that_one_host_does_not_have_is_told() -> None:
    runs = trials({"a": 1.0, "b": 10.0}, {"a": 0.1, "b": 0.0})
    (line,) = disagreements(PLAN, runs, 24)
    assert line.startswith("A=1: its effect is not the same on all hosts: a +")


def test_one_host_cannot_disagree_with_itself() -> None:
    assert disagreements(PLAN, trials({"a": 1.0}, {"a": 0.1}), 24) == []
