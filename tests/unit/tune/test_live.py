"""The live sweep on simulated processes whose load wanders: honest errors, knobs put back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from hakmem_tools.model.trial import Arm, Phase, Status
from hakmem_tools.observe.source import TargetGone
from hakmem_tools.tune.experiment import ExperimentError
from hakmem_tools.tune.keeper import keep
from hakmem_tools.tune.live import run
from hakmem_tools.tune.live_target import NotEffective, Reading
from hakmem_tools.tune.metric import Metric
from hakmem_tools.tune.plan import Limits, Live, Plan, PlanError
from hakmem_tools.tune.result import SweepResult
from hakmem_tools.tune.statistics.monitor import Monitor
from hakmem_tools.tune.statistics.sequential import Look
from hakmem_tools.tune.statistics.switchback import (
    SliceSample,
    SwitchbackEffect,
    assign_slices,
    switchback_effect,
)
from hakmem_tools.tune.store import Store


class Process:
    """A process whose rate follows its knob K, a wandering load, and what the knob was before.

    Time is its own; a knob's effect comes in with a time constant of `inertia` seconds.
    """

    def __init__(
        self,
        effects: Mapping[str | None, float],
        *,
        noise: float = 0.01,
        memory: float = 0.9,
        inertia: float = 0.1,
        seed: int = 1,
    ) -> None:
        self.effects = effects
        self.noise, self.memory, self.inertia = noise, memory, inertia
        self.now = 0.0
        self.knobs: dict[str, str | None] = {"K": None}
        self.log: list[tuple[str, str | None]] = []
        self.dies_at = math.inf
        self.deaf = False
        self._done = 0.0
        self._load = 0.0
        self._level = 0.0
        self._generator = np.random.default_rng(seed)

    def wait(self, seconds: float) -> None:
        """Let time pass in steps of at most 0.1 s."""
        while seconds > 0:
            step = min(seconds, 0.1)
            share = self.memory ** (step / 0.1)
            self._load = share * self._load + self._generator.normal(
                0, self.noise * math.sqrt(1 - share * share)
            )
            aim = self.effects[self.knobs["K"]]
            self._level += (aim - self._level) * (1 - math.exp(-step / self.inertia))
            self._done += step * 1000 * math.exp(self._load) * (1 + self._level)
            self.now += max(step, 1e-6)
            seconds -= step

    def refusal(self, knobs: Mapping[str, str]) -> str:
        return "" if set(knobs) <= {"K"} else f"{next(iter(knobs))}: no such knob"

    def given(self, knob: str) -> str | None:
        return self.knobs.get(knob)

    def put(self, knob: str, value: str | None) -> None:
        if self.deaf:
            self.now += 2.0
            raise NotEffective(f"{knob}: the process did not answer; it may be idle")
        self.log.append((knob, value))
        self.knobs[knob] = value

    def read(self) -> Reading:
        if self.now >= self.dies_at:
            raise TargetGone("process 7 has ended")
        return Reading(self.now, self.now * 0.5, 0.0, 1 << 20, {"work": self._done}, {})


def plan(blocks: int = 16, **changes: object) -> Plan:
    arms = (Arm("K=1", {"K": "1"}), Arm("K=2", {"K": "2"}))
    fields: dict[str, object] = {
        "command": ("server",), "arms": arms, "live": Live(pid=7, started_ns=1, slice_seconds=1.0),
        "metric": Metric(name="work", counter="work", better="higher"),
        "limits": Limits(blocks=blocks, calibration=4),
    }  # fmt: skip
    return Plan(**{**fields, **changes})  # type: ignore[arg-type]


def conduct(process: Process, path: Path, plan: Plan) -> SweepResult:
    return run(plan, path, process, clock=lambda: process.now, wait=process.wait)[0]


def test_an_effect_on_a_wandering_load_is_found_and_the_knob_put_back(tmp_path: Path) -> None:
    process = Process({None: 0.0, "1": 0.0, "2": 0.2})
    result = conduct(process, tmp_path / "a.sweep", plan())
    (arm,) = result.arms
    assert arm.verdict == "GO"
    assert arm.interval is not None
    assert arm.interval[0] <= 0.2 <= arm.interval[1]
    assert process.knobs == {"K": None}
    assert {value for _, value in process.log} == {"1", "2", None}


def test_what_the_arm_before_left_behind_is_not_measured(tmp_path: Path) -> None:
    # Half a second of inertia and a carry-over of half of a two-second slice.
    slow = plan(live=Live(pid=7, started_ns=1, slice_seconds=4.0, carry_over=0.6))
    process = Process({None: 0.0, "1": 0.0, "2": 0.3}, inertia=0.4, noise=0.003)
    effect = conduct(process, tmp_path / "a.sweep", slow).arms[0].effect
    assert effect == pytest.approx(0.3, abs=0.02)


def test_a_process_that_ends_ends_the_sweep_and_keeps_its_slices(tmp_path: Path) -> None:
    process = Process({None: 0.0, "1": 0.0, "2": 0.0})
    process.dies_at = 12.5
    with pytest.raises(ExperimentError, match="process 7 has ended; the slices so far are kept"):
        conduct(process, tmp_path / "a.sweep", plan())
    with Store.open(tmp_path / "a.sweep") as store:
        assert len(store.trials()) == 12


def test_a_knob_that_is_not_answered_fails_its_slice(tmp_path: Path) -> None:
    process = Process({None: 0.0, "1": 0.0, "2": 0.0})
    process.deaf = True
    with pytest.raises(ExperimentError, match="did not answer"):
        conduct(process, tmp_path / "a.sweep", plan())
    with Store.open(tmp_path / "a.sweep") as store:
        assert {trial.status for trial in store.trials()} == {Status.NOT_EFFECTIVE}


def test_what_a_killed_sweep_left_switched_is_put_back_by_its_keeper() -> None:
    process = Process({None: 0.0})
    process.knobs.update(K="2", L="2", M="2")
    lines = ['["K",null]', '["L","1"]', '["M","1"]', '["M"]']
    keep(lines, process, lambda: process.now)
    assert process.knobs == {"K": None, "L": "1", "M": "2"}


def test_the_keeper_gives_up_a_process_that_never_answers() -> None:
    process = Process({None: 0.0})
    process.deaf = True
    keep(['["K",null]'], process, lambda: process.now)
    assert 60 <= process.now < 70
    assert process.log == []


def test_a_sweep_taken_up_after_a_kill_knows_what_the_process_had_at_first(tmp_path: Path) -> None:
    killed = Process({"5": 0.0, "1": 0.0, "2": 0.0})
    killed.knobs["K"] = "5"  # somebody had set it before
    killed.dies_at = 12.5
    with pytest.raises(ExperimentError):
        conduct(killed, tmp_path / "a.sweep", plan())
    process = Process({"5": 0.0, "1": 0.0, "2": 0.0})
    process.knobs["K"] = "2"
    conduct(process, tmp_path / "a.sweep", plan())
    assert process.knobs == {"K": "5"}


def test_an_unknown_knob_is_refused_before_anything_is_switched(tmp_path: Path) -> None:
    process = Process({None: 0.0})
    arms = (Arm("J=1", {"J": "1"}), Arm("J=2", {"J": "2"}))
    with pytest.raises(ExperimentError, match="no such knob"):
        conduct(process, tmp_path / "a.sweep", plan(arms=arms))
    assert process.log == []


def test_a_slice_out_of_range_is_refused(tmp_path: Path) -> None:
    bad = plan(live=Live(pid=7, started_ns=1, slice_seconds=0.001))
    with pytest.raises(PlanError, match="--slice"):
        conduct(Process({None: 0.0}), tmp_path / "a.sweep", bad)


def test_every_slice_is_a_trial_and_calibration_comes_first(tmp_path: Path) -> None:
    process = Process({None: 0.0, "1": 0.0, "2": 0.0}, noise=0.002)
    result = conduct(process, tmp_path / "a.sweep", plan(blocks=8))
    assert result.calibration.spread is not None
    with Store.open(tmp_path / "a.sweep") as store:
        calibration = store.trials(Phase.CALIBRATE)
        assert {trial.arm for trial in calibration} == {"K=1"}
        assert all(trial.rss for trial in store.trials())


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.9])
def test_autocorrelated_series_without_an_effect_err_in_at_most_five_percent(
    memory: float,
) -> None:
    wrong = sum(_differs(memory, 0.0, seed) for seed in range(200))
    assert wrong <= 16  # of 200: above it is beyond chance (1 %) at a true rate of 4.5 %


def test_an_effect_of_three_percent_is_found_in_autocorrelated_series() -> None:
    assert sum(_differs(0.5, 0.03, seed) for seed in range(60)) >= 54


def _differs(memory: float, effect: float, seed: int, rounds: int = 30, arms: int = 3) -> bool:
    """Whether a sequential switchback experiment of `arms` arms finds any difference."""
    generator = np.random.default_rng(seed)
    load, rows = 0.0, []
    for number, arm in enumerate(assign_slices(rounds * arms, arms, generator)):
        load = memory * load + generator.normal(0, 0.02 * math.sqrt(1 - memory**2))
        rows.append((number, arm, math.exp(load + (effect if arm else 0.0))))
    names = [str(arm) for arm in range(1, arms)]

    def estimator(samples: list[SliceSample], _: np.random.Generator) -> SwitchbackEffect | None:
        return switchback_effect(samples, 1, 0.0)

    monitor = Monitor(names, seed=seed, estimator=estimator)  # type: ignore[arg-type]
    for blocks in range(6, rounds + 1, 4):
        data = {
            name: [
                SliceSample(number, int(arm == int(name)), 0.0, value)
                for number, arm, value in rows[: blocks * arms]
                if arm in (0, int(name))
            ]
            for name in names
        }
        if any(one.differs for one in monitor.look(Look(blocks, blocks / rounds), data)):
            return True
    return False
