"""The search: its space, its samplers, shrinkage, halving and the fresh verification."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from hakmem_tools.model.descriptors import Knob
from hakmem_tools.model.trial import Arm, Trial
from hakmem_tools.tune.experiment import Experiment
from hakmem_tools.tune.plan import Limits, Plan, PlanError
from hakmem_tools.tune.result import SweepResult
from hakmem_tools.tune.samplers import RandomSampler, TpeSampler
from hakmem_tools.tune.search import Outcome, Search, Stopped, conduct
from hakmem_tools.tune.space import Axis, Space, axis_of_knob, grid, space_of
from hakmem_tools.tune.statistics.shrinkage import shrink
from hakmem_tools.tune.store import Store
from tests.unit.tune.fakes import QUIET, FakeRunner

SPACE = space_of([
    Axis("X", tuple(map(str, range(8)))),
    Axis("Y", ("low", "mid", "high"), ordered=False),
])  # fmt: skip
PLAN = Plan(command=("prog",), arms=())


def true_effect(env: Mapping[str, str]) -> float:
    """Best at X=5, Y=mid, where it is 12 % better than the default; elsewhere mostly worse."""
    if not env:
        return 0.0
    return 0.12 - 0.02 * (int(env["X"]) - 5) ** 2 - 0.05 * (env["Y"] != "mid")


class Bench:
    """Conducts plans on the simulated machine; a complete file is only read, as in the command."""

    def __init__(self, noise: float, flat: bool = False, stop_after: int | None = None) -> None:
        self.noise = noise
        self.flat = flat
        self.stop_after = stop_after
        self.plans: list[Plan] = []
        self.runs = 0

    def __call__(self, plan: Plan, path: Path) -> tuple[SweepResult, list[Trial]] | None:
        self.plans.append(plan)
        effects = {arm.name: 0.0 if self.flat else true_effect(arm.env) for arm in plan.arms}
        with Store.open(path) if path.exists() else Store.create(path, plan) as store:
            seed = plan.seed + len(path.name) + len(store.trials())
            runner = FakeRunner(effects, noise=self.noise, seed=seed)
            experiment = Experiment(
                store, runner, machine=lambda: QUIET,
                stopping=lambda: self.stop_after is not None
                and self.runs + len(runner.keys) >= self.stop_after,
            )  # fmt: skip
            result = experiment.conduct()
            self.runs += len(runner.keys)
            return (result, store.trials()) if result.complete else None


def search(bench: Bench, folder: Path, seed: int = 1, trials: int = 18) -> Outcome:
    plan = Plan(command=("prog",), arms=(), seed=seed, limits=Limits(blocks=20))
    wanted = Search(plan=plan, space=SPACE, trials=trials)
    return conduct(wanted, folder, RandomSampler(SPACE, seed), bench)


def test_the_best_setting_is_found_and_verified_with_runs_of_its_own(tmp_path: Path) -> None:
    bench = Bench(noise=0.02)
    outcome = search(bench, tmp_path, trials=24)
    assert outcome.winner == Arm("X=5 Y=mid", {"X": "5", "Y": "mid"})
    assert outcome.verification is not None
    (arm,) = outcome.verification.arms
    assert arm.verdict == "GO"
    assert bench.plans[-1].seed != bench.plans[0].seed
    assert [len(plan.arms) - 1 for plan in bench.plans] == [9, 9, 6, 8, 3, 1]
    assert len(outcome.candidates) == 24


def test_luck_alone_passes_no_verification(tmp_path: Path) -> None:
    verdicts = []
    for seed in range(2):
        folder = tmp_path / str(seed)
        folder.mkdir()
        outcome = search(Bench(noise=0.03, flat=True), folder, seed=seed)
        verdicts += (
            [arm.verdict for arm in outcome.verification.arms] if outcome.verification else []
        )
    assert "GO" not in verdicts


def test_a_search_that_was_stopped_goes_on_to_the_same_end(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    with pytest.raises(Stopped):
        search(Bench(noise=0.02, stop_after=100), folder)
    again = Bench(noise=0.02)
    outcome = search(again, folder)
    assert outcome.winner is not None
    first = [plan for plan in again.plans if len(plan.arms) == 10]
    assert len(first) == 2


def test_random_batches_repeat_nothing_and_end_with_the_space() -> None:
    sampler = RandomSampler(SPACE, 3)
    known: dict[tuple[int, ...], float | None] = {}
    while batch := sampler.propose(5, known):
        assert not set(batch) & set(known)
        known.update(dict.fromkeys(batch))
    assert len(known) == SPACE.size == 24


def test_tpe_proposes_near_what_was_good_and_the_same_again_for_the_same_history() -> None:
    space = Space((Axis("X", tuple(map(str, range(40)))), Axis("Y", tuple(map(str, range(40))))))
    generator = np.random.default_rng(1)
    known: dict[tuple[int, ...], float | None] = {}
    for x, y in generator.integers(0, 40, size=(40, 2)):
        known[int(x), int(y)] = -((int(x) - 30) ** 2 + (int(y) - 10) ** 2) / 1000
    proposed = TpeSampler(space, 1).propose(12, known)
    assert proposed == TpeSampler(space, 1).propose(12, known)
    assert len(set(proposed)) == 12

    def away(settings: Sequence[tuple[int, ...]]) -> float:
        return float(np.mean([math.dist(one, (30, 10)) for one in settings]))

    assert away(proposed) < 0.6 * away(list(known))


def test_shrinkage_ranks_better_than_raw_means_do() -> None:
    generator = np.random.default_rng(5)
    raw, shrunk = [], []
    for _ in range(200):
        truth = generator.normal(0, 0.02, 20)
        counts = generator.choice([3, 30], 20)
        samples = {
            str(place): list(generator.normal(truth[place], 0.06, counts[place]))
            for place in range(20)
        }
        means = {name: float(np.mean(values)) for name, values in samples.items()}
        posterior = shrink(samples)
        raw.append(truth[int(max(means, key=means.__getitem__))])
        shrunk.append(truth[int(max(posterior, key=lambda name: posterior[name].mean))])
    assert np.mean(shrunk) > np.mean(raw) + 0.002


def test_equal_settings_are_shrunk_to_one_value() -> None:
    samples = {str(n): [0.01 * ((n * 7 + k * 5) % 11 - 5) for k in range(11)] for n in range(6)}
    posterior = shrink(samples)
    spread = max(one.mean for one in posterior.values()) - min(
        one.mean for one in posterior.values()
    )
    assert spread < 1e-9


def knob(kind: str, low: float, high: float, choices: tuple[str, ...] = ()) -> Knob:
    return Knob("k", "HAKMEM_K", (), kind, choices, "", low, low, high, "boot", 1, "")


def test_a_knob_becomes_an_axis_over_all_that_it_may_be() -> None:
    assert axis_of_knob(knob("bool", 0, 1), "K").values == ("0", "1")
    assert axis_of_knob(knob("enum", 0, 1, ("a", "b")), "K").values == ("a", "b")
    assert axis_of_knob(knob("int", 19, 21), "K").values == ("19", "20", "21")
    wide = axis_of_knob(knob("int", 0, 16_777_216), "K").values
    assert wide[0] == "0"
    assert wide[-1] == "16777216"
    assert len(wide) == 12


def test_a_grid_is_geometric_where_the_range_is_wide_and_even_elsewhere() -> None:
    wide = grid(1, 10_000, 5)
    assert wide == pytest.approx([1, 10, 100, 1000, 10_000])
    assert grid(0, 1, 5) == pytest.approx([0, 0.25, 0.5, 0.75, 1])


def test_an_empty_space_and_a_doubled_axis_are_refused() -> None:
    with pytest.raises(PlanError, match="nothing to search"):
        space_of([Axis("A", ("1",))])
    with pytest.raises(PlanError, match="A is given twice"):
        space_of([Axis("A", ("1", "2")), Axis("A", ("3", "4"))])
