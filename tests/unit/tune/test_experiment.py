"""The conductor on a simulated machine: when it stops, what it drops, how it goes on."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hakmem_tools.model.trial import Arm, Phase
from hakmem_tools.tune.calibration import doubts
from hakmem_tools.tune.catalogues import Verification
from hakmem_tools.tune.experiment import Experiment, ExperimentError, Progress, result_of
from hakmem_tools.tune.metric import Metric
from hakmem_tools.tune.plan import Limits, Plan
from hakmem_tools.tune.result import ArmResult, Calibration, SweepResult
from hakmem_tools.tune.store import Store
from hakmem_tools.tune.verdict import Kind, Rules, parse_condition
from tests.unit.tune.fakes import QUIET, Clock, FakeRunner

_numbers = itertools.count()


def plan_of(effects: dict[str, float], **fields: object) -> Plan:
    values: dict[str, object] = {
        "command": ("true",),
        "arms": tuple(Arm(name, {"X": name}) for name in effects),
    }
    return Plan(**{**values, **fields})  # type: ignore[arg-type]


def conduct(
    folder: Path, effects: dict[str, float], runner: FakeRunner | None = None, **fields: object
) -> SweepResult:
    runner = runner or FakeRunner(effects)
    path = folder / f"{next(_numbers)}.db"
    with Store.create(path, plan_of(effects, **fields)) as store:
        return Experiment(store, runner, clock=runner.clock, machine=lambda: QUIET).conduct()


def arm(result: SweepResult, name: str) -> ArmResult:
    return next(one for one in result.arms if one.arm == name)


def test_clear_gains_and_losses_get_their_verdicts_and_stop_early(tmp_path: Path) -> None:
    effects = {"base": 0.0, "gain": 0.30, "loss": -0.20, "same": 0.0}
    result = conduct(tmp_path, effects, limits=Limits(blocks=50))
    assert result.complete
    assert arm(result, "gain").verdict is Kind.GO
    assert arm(result, "loss").verdict is Kind.NO_GO
    assert arm(result, "same").verdict is Kind.NEUTRAL
    assert arm(result, "gain").runs < arm(result, "same").runs
    interval = arm(result, "gain").interval
    assert interval is not None
    assert interval[0] < 0.30 < interval[1]


def test_a_metric_that_is_better_higher_turns_the_sign(tmp_path: Path) -> None:
    metric = Metric(name="wall", better="higher", regex="(x)")
    result = conduct(tmp_path, {"base": 0.0, "slower": -0.2}, metric=metric)
    assert arm(result, "slower").verdict is Kind.GO


def test_calibration_tells_the_spread_of_one_run(tmp_path: Path) -> None:
    effects = {"base": 0.0, "a": 0.0}
    result = conduct(
        tmp_path, effects, FakeRunner(effects, noise=0.03), limits=Limits(calibration=40)
    )
    spread = result.calibration.spread
    assert result.calibration.ok
    assert spread is not None
    assert 0.02 < spread < 0.045


def test_noisy_neighbours_are_warned_of_by_the_spread_of_equal_runs() -> None:
    by_wall = plan_of({"base": 0.0, "arm": 0.0})
    by_cpu = msgspec.structs.replace(by_wall, metric=Metric(name="cpu"))
    calm = Calibration(
        blocks=8, effect=0.0, interval=(-0.01, 0.01), spread=0.01, warmup_runs=0, ok=True
    )
    noisy = msgspec.structs.replace(calm, spread=0.2)
    assert doubts(by_wall, calm) == []
    (line,) = doubts(by_wall, noisy)
    assert "one run scatters by 20 %" in line
    assert "--metric cpu is steadier" in line
    assert "--metric" not in doubts(by_cpu, noisy)[0]


def test_a_slow_start_is_left_out_of_the_calibration(tmp_path: Path) -> None:
    effects = {"base": 0.0, "a": 0.0}
    result = conduct(tmp_path, effects, FakeRunner(effects, warmup=3))
    assert result.calibration.warmup_runs is not None
    assert 3 <= result.calibration.warmup_runs <= 8
    assert result.calibration.ok


def test_an_arm_that_crashes_is_given_up_and_the_rest_goes_on(tmp_path: Path) -> None:
    effects = {"base": 0.0, "bad": 0.0, "gain": 0.3}
    runner = FakeRunner(effects, faults={"bad": "killed by SIGSEGV"})
    result = conduct(tmp_path, effects, runner)
    assert arm(result, "gain").verdict is Kind.GO
    bad = arm(result, "bad")
    assert (bad.verdict, bad.runs, bad.failed_runs) == (Kind.INCONCLUSIVE, 0, 3)
    assert bad.reason == "all 3 runs failed: killed by SIGSEGV"


def test_a_reference_that_fails_ends_the_sweep_with_one_line(tmp_path: Path) -> None:
    effects = {"base": 0.0, "a": 0.0}
    runner = FakeRunner(effects, faults={"base": "exit status 2: no input"})
    with pytest.raises(ExperimentError, match="exit status 2: no input") as caught:
        conduct(tmp_path, effects, runner)
    assert "\n" not in str(caught.value)
    assert len(runner.keys) <= 4


def test_a_refused_arm_is_reported_and_the_others_are_measured(tmp_path: Path) -> None:
    effects = {"base": 0.0, "odd": 0.0, "gain": 0.3}
    runner = FakeRunner(effects)
    with Store.create(tmp_path / "s.db", plan_of(effects)) as store:
        result = Experiment(
            store,
            runner,
            clock=runner.clock,
            machine=lambda: QUIET,
            verify=lambda plan: Verification({"odd": "X=9: allowed is 0..4"}, ("unchecked: Y",)),
        ).conduct()
    assert arm(result, "odd").reason == "X=9: allowed is 0..4"
    assert arm(result, "odd").runs == 0
    assert arm(result, "gain").verdict is Kind.GO
    assert "unchecked: Y" in result.warnings


def test_max_time_ends_a_sweep_and_what_is_known_is_said(tmp_path: Path) -> None:
    effects = {"base": 0.0, "a": 0.02}
    clock = Clock()
    runner = FakeRunner(effects, noise=0.2, clock=clock, seconds=1.0)
    result = conduct(tmp_path, effects, runner, limits=Limits(max_time=100))
    assert result.complete
    assert 100 <= clock.now < 105
    assert result.spent == 1.0
    assert arm(result, "a").verdict is Kind.INCONCLUSIVE
    assert arm(result, "a").interval is not None


def test_a_short_time_still_leaves_most_of_itself_for_measuring(tmp_path: Path) -> None:
    effects = {"base": 0.0, "a": 0.5}
    result = conduct(tmp_path, effects, limits=Limits(max_time=20))
    assert arm(result, "a").verdict is Kind.GO


def test_a_condition_on_what_the_machine_does_not_count_keeps_go_back(tmp_path: Path) -> None:
    rules = Rules(conditions=(parse_condition("instructions <= -15%"),))
    result = conduct(tmp_path, {"base": 0.0, "a": 0.3}, rules=rules, limits=Limits(blocks=12))
    assert arm(result, "a").verdict is Kind.INCONCLUSIVE
    assert "this machine does not count it" in arm(result, "a").reason
    assert arm(result, "a").metrics["instructions"].median is None


def test_until_difference_stops_as_soon_as_an_arm_differs(tmp_path: Path) -> None:
    effects = {"base": 0.0, "a": 0.04}
    result = conduct(tmp_path, effects, limits=Limits(until="difference", detect=0.02))
    found = arm(result, "a")
    assert found.p_adjusted is not None
    assert found.p_adjusted <= 0.05
    assert result.blocks < result.horizon


def test_precision_goes_on_until_the_interval_is_as_narrow_as_asked(tmp_path: Path) -> None:
    limits = Limits(until="precision", precision=0.01)
    result = conduct(tmp_path, {"base": 0.0, "a": 0.1}, limits=limits)
    interval = arm(result, "a").interval
    assert interval is not None
    assert interval[1] - interval[0] <= 0.02


@settings(
    max_examples=8,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.integers(1, 40), max_size=6))
def test_stopping_anywhere_and_going_on_runs_every_trial_exactly_once(
    tmp_path: Path, stops: list[int]
) -> None:
    effects = {"base": 0.0, "a": 0.05, "b": 0.3}
    clock = Clock()
    runner = FakeRunner(effects, clock=clock)
    path = tmp_path / f"{next(_numbers)}.db"
    Store.create(path, plan_of(effects, limits=Limits(blocks=10))).close()
    result = None
    for stop in [*stops, None]:
        goal = None if stop is None else len(runner.keys) + stop
        with Store.open(path) as store:
            result = Experiment(
                store,
                runner,
                clock=clock,
                machine=lambda: QUIET,
                stopping=lambda goal=goal: goal is not None and len(runner.keys) >= goal,  # type: ignore[misc]
            ).conduct()
    assert result is not None
    assert result.complete
    assert len(runner.keys) == len(set(runner.keys))
    with Store.open(path) as store:
        assert len(store.trials()) == len(runner.keys)
        # Nothing but the store is needed to say the same again.
        assert result_of(store) == result


def test_an_interruption_changes_neither_the_order_nor_the_result(tmp_path: Path) -> None:
    effects = {"base": 0.0, "a": 0.05, "b": 0.3}
    whole = conduct(tmp_path, effects)
    runner = FakeRunner(effects)
    path = tmp_path / "cut.db"
    Store.create(path, plan_of(effects)).close()
    for goal in (7, 30, 10**9):
        with Store.open(path) as store:
            cut = Experiment(
                store,
                runner,
                clock=runner.clock,
                machine=lambda: QUIET,
                stopping=lambda goal=goal: len(runner.keys) >= goal,  # type: ignore[misc]
            ).conduct()
    assert cut == whole


def test_progress_tells_blocks_states_and_the_time_that_is_left(tmp_path: Path) -> None:
    told: list[Progress] = []
    effects = {"base": 0.0, "a": 0.3}
    runner = FakeRunner(effects)
    with Store.create(tmp_path / "s.db", plan_of(effects)) as store:
        Experiment(
            store, runner, clock=runner.clock, machine=lambda: QUIET, observe=told.append
        ).conduct()
    measuring = [one for one in told if one.phase is Phase.MEASURE]
    assert measuring[0].left is not None
    assert measuring[0].left > 0
    assert measuring[-1].states["a"].verdict.kind is Kind.GO
    assert measuring[-1].active == ()


def test_merged_halves_are_judged_as_a_whole_and_not_resumed(tmp_path: Path) -> None:
    effects = {"base": 0.0, "a": 0.3}
    stores = []
    for seed, host in ((1, "one"), (2, "two")):
        runner = FakeRunner(effects, seed=seed, host=host)
        store = Store.create(tmp_path / f"{host}.db", plan_of(effects))
        Experiment(store, runner, clock=runner.clock, machine=lambda: QUIET).conduct()
        stores.append(store)
    blocks = [result_of(store).blocks for store in stores]
    stores[0].merge(stores[1])
    merged = result_of(stores[0])
    assert merged.blocks == sum(blocks)
    assert merged.hosts == ["one", "two"]
    assert arm(merged, "a").verdict is Kind.GO
    with pytest.raises(ExperimentError, match="not resumed"):
        Experiment(stores[0], FakeRunner(effects)).conduct()


@pytest.mark.parametrize(
    ("setup", "part"),
    [((sys.executable, "-c", "raise SystemExit(3)"), "exit status 3"), (("/no/such",), "No such")],
)
def test_a_failing_setup_stops_before_anything_is_measured(
    tmp_path: Path, setup: tuple[str, ...], part: str
) -> None:
    effects = {"base": 0.0, "a": 0.3}
    runner = FakeRunner(effects)
    with pytest.raises(ExperimentError, match=part):
        conduct(tmp_path, effects, runner, setup=setup)
    assert runner.keys == []
