"""How far the sweep's verdicts can be trusted, measured with programs whose truth is known.

    gcc -O2 -o build/bench/spin bench/trust/spin.c
    .venv/bin/python -m bench.trust.trust aa --tries 20        # ten equal arms: false verdicts
    .venv/bin/python -m bench.trust.trust power --tries 20     # 3 % more work: found, and with what
    .venv/bin/python -m bench.trust.trust simulate --tries 200 # the same, on noise measured here
    .venv/bin/python -m bench.trust.trust hyperfine --tries 20 # the same programs under hyperfine
    .venv/bin/python -m bench.trust.trust overhead             # the runner's own time for each run

Prints a JSON line for each try, and a summary last. docs/decisions/006 holds what came out.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hakmem_tools.model.trial import Arm, Phase, TrialKey
from hakmem_tools.tune import session
from hakmem_tools.tune.metric import Metric
from hakmem_tools.tune.plan import Limits, Plan
from hakmem_tools.tune.result import SweepResult
from hakmem_tools.tune.runner import Runner
from hakmem_tools.tune.statistics.estimate import paired_estimate, spread
from hakmem_tools.tune.statistics.monitor import Monitor
from hakmem_tools.tune.statistics.sequential import looks_of, planned_blocks, planned_horizon

SPIN = "build/bench/spin"


def conduct(plan: Plan) -> SweepResult:
    """One sweep in a file of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return session.run(plan, Path(folder) / "a.sweep", library=None)[0]


def aa(tries: int, work: str, blocks: int, metric: str) -> Iterator[dict[str, Any]]:
    """Ten arms that all do what the reference does."""
    arms = tuple(Arm(f"arm {n}", {"SPIN": "100", "TWIN": str(n)}) for n in range(11))
    wrong = different = 0
    for attempt in range(tries):
        plan = Plan(
            command=(SPIN, work), arms=arms, metric=Metric(name=metric), seed=attempt,
            limits=Limits(blocks=blocks),
        )  # fmt: skip
        result = conduct(plan)
        kinds = [str(arm.verdict) for arm in result.arms]
        false = sum(kind in ("GO", "NO-GO") for kind in kinds)
        differs = sum(arm.p_adjusted is not None and arm.p_adjusted <= 0.05 for arm in result.arms)
        wrong, different = wrong + bool(false), different + bool(differs)
        yield {
            "try": attempt, "false_verdicts": false, "false_differences": differs,
            "neutral": kinds.count("NEUTRAL"), "spread": result.calibration.spread,
            "blocks": result.blocks, "seconds": round(result.seconds, 1),
        }  # fmt: skip
    yield {"tries": tries, "sweeps_with_false_verdict": wrong, "with_false_difference": different}


def power(tries: int, work: str, blocks: int, metric: str) -> Iterator[dict[str, Any]]:
    """One arm that does 3 % more work; until a difference is shown or the horizon is reached."""
    arms = (Arm("100", {"SPIN": "100"}), Arm("103", {"SPIN": "103"}))
    found, runs, spreads = 0, [], []
    for attempt in range(tries):
        limits = Limits(until="difference", blocks=blocks)
        plan = Plan(
            command=(SPIN, work), arms=arms, metric=Metric(name=metric), seed=attempt, limits=limits
        )
        result = conduct(plan)
        (arm,) = result.arms
        spread = result.calibration.spread or math.nan
        hit = arm.p_adjusted is not None and arm.p_adjusted <= 0.05 and (arm.effect or 0) < 0
        found += hit
        runs.append(arm.runs)
        spreads.append(spread)
        yield {
            "try": attempt, "found": bool(hit), "effect": arm.effect, "interval": arm.interval,
            "pairs": arm.runs, "horizon": result.horizon, "spread": spread,
        }  # fmt: skip
    # A fixed design cannot know this day's noise: it must do for the worst nine tries in ten.
    usual = sorted(spread for spread in spreads if spread == spread)
    worst = usual[math.ceil(0.9 * len(usual)) - 1]
    yield {
        "tries": tries, "found": found, "pairs_mean": statistics.mean(runs),
        "pairs_median": statistics.median(runs), "spread_median": statistics.median(usual),
        "fixed_pairs_at_median_spread": planned_blocks(statistics.median(usual), 0.03, 0.05),
        "fixed_pairs_for_nine_in_ten": planned_blocks(worst, 0.03, 0.05),
    }  # fmt: skip


def hyperfine(tries: int, work: str, runs: int, _metric: str) -> Iterator[dict[str, Any]]:
    """hyperfine's own comparison of equal programs, and of one that does 3 % more."""
    from scipy import stats

    tally = {100: [0, 0], 103: [0, 0]}
    for attempt in range(tries):
        for percent in (100, 103):
            first, second = _hyperfine(work, 100, percent, runs)
            ratio = statistics.mean(second) / statistics.mean(first)
            # The "± error" that hyperfine prints: standard deviations, carried through the ratio.
            error = ratio * math.hypot(*(statistics.stdev(x) / statistics.mean(x)
                                         for x in (first, second)))  # fmt: skip
            printed = abs(ratio - 1) > error
            welch = float(stats.ttest_ind(first, second, equal_var=False).pvalue)
            tally[percent][0] += printed
            tally[percent][1] += welch <= 0.05
            yield {"try": attempt, "percent": percent, "ratio": ratio, "error": error,
                   "beyond_its_error": printed, "welch_p": welch}  # fmt: skip
    yield {
        "tries": tries, "runs_each": runs,
        "equal_programs": {"beyond_its_error": tally[100][0], "welch_5_percent": tally[100][1]},
        "three_percent": {"beyond_its_error": tally[103][0], "welch_5_percent": tally[103][1]},
    }  # fmt: skip


def _hyperfine(work: str, first: int, second: int, runs: int) -> list[list[float]]:
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        commands = [f"env SPIN={percent} {SPIN} {work}" for percent in (first, second)]
        subprocess.run(
            ["hyperfine", "-N", "--style", "none", "--warmup", "2", "--runs", str(runs),
             "--export-json", file.name, *commands],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return [result["times"] for result in json.load(file)["results"]]


SCALES = (1, 2, 4)  # times the CPU time's noise that is measured: a calm hour and worse ones


def simulate(tries: int, work: str, pairs: int, metric: str) -> Iterator[dict[str, Any]]:
    """Sweeps of a 3 % effect drawn from noise that was measured here, against fixed designs.

    All use the same estimator and the level 5 %. `smallest_fixed` knows the noise beforehand, which
    nobody does. `planned_fixed` has the eight A/A pairs that the sweep has, and takes so much more
    than they say that it, too, finds the effect nine times in ten.
    """
    import numpy as np

    measured = np.array(_measured_noise(work, pairs, metric))
    # Blocks run in random order, which makes their noise symmetric whatever the machine does.
    symmetric = np.concatenate([measured, -measured])
    generator = np.random.default_rng(1)
    effect = math.log(1 / 1.03)
    for scale in SCALES if metric == "cpu" else (1,):

        def draw(count: int, noise: Any = symmetric * scale) -> Any:
            return generator.choice(noise, count)

        oracle, oracle_found = _fixed_needed(draw, effect, tries, generator)
        planned, planned_found = _planned_needed(draw, effect, tries, generator)
        runs = [_sequential(draw, effect, attempt) for attempt in range(tries)]
        false = sum(_sequential(draw, 0.0, attempt)[1] for attempt in range(tries))
        used = [blocks for blocks, _ in runs]
        yield {
            "tries": tries, "metric": metric, "noise_pairs": len(measured), "scale": scale,
            "spread": spread(list(symmetric * scale)),
            "sequential": {
                "found": sum(differs for _, differs in runs), "false": false,
                "pairs_mean": statistics.mean(used), "pairs_median": statistics.median(used),
            },
            "smallest_fixed": {"found": oracle_found, "pairs": oracle},
            "planned_fixed": {"found": planned_found, "pairs_mean": planned},
        }  # fmt: skip


def _rejects(log_ratios: Any, generator: Any) -> bool:
    estimate = paired_estimate(log_ratios, generator, 199)
    return estimate is not None and estimate.p_value() <= 0.05


def _fixed_needed(draw: Any, effect: float, tries: int, generator: Any) -> tuple[int, int]:
    """The fewest pairs, always as many, that find the effect nine times in ten; how often."""
    pairs = max(3, planned_blocks(spread(list(draw(400))) or math.nan, 0.03, 0.05, power=0.6))
    while True:
        found = sum(_rejects(draw(pairs) + effect, generator) for _ in range(2 * tries))
        if found >= 1.8 * tries:
            return pairs, found // 2
        pairs = max(pairs + 1, round(1.06 * pairs))


def _planned_needed(draw: Any, effect: float, tries: int, generator: Any) -> tuple[float, int]:
    """The same where eight A/A pairs tell the noise: mean number of pairs, and how often."""
    for percent in range(100, 300, 10):  # of what they tell
        planned, found = [], 0
        for _ in range(tries):
            told = (spread(list(draw(8))) or math.nan) * percent / 100
            planned.append(planned_blocks(told, 0.03, 0.05))
            found += _rejects(draw(planned[-1]) + effect, generator)
        if found >= 0.9 * tries:
            return statistics.mean(planned), found
    raise AssertionError("no plan finds it")


def _sequential(draw: Any, effect: float, seed: int) -> tuple[int, bool]:
    """Calibrate, then follow one arm to the end: pairs used, and whether it differs."""
    known = spread(list(draw(8))) or math.nan
    horizon = planned_horizon(known, 8, 0.03, 0.05)
    log_ratios = draw(horizon) + effect
    estimator = functools.partial(paired_estimate, resamples=199, deviation=known * math.sqrt(2))
    monitor = Monitor(["arm"], seed=seed, estimator=estimator)
    for look in looks_of(horizon):
        if monitor.look(look, {"arm": log_ratios[: look.blocks]})[0].differs:
            return look.blocks, True
    return horizon, False


def _measured_noise(work: str, pairs: int, metric: str) -> list[float]:
    """Log ratios of neighbouring runs of one and the same command."""
    plan = Plan(command=(SPIN, work), arms=(Arm("a", {}), Arm("b", {"B": "1"})))
    logs = []
    with Runner(plan) as runner:
        for number in range(2 * pairs):
            trial = runner.run(plan.arms[number % 2], TrialKey(Phase.MEASURE, number, 0))
            logs.append(math.log(trial.metrics[metric]))
    return [later - earlier for earlier, later in zip(logs[::2], logs[1::2], strict=True)]


def overhead(tries: int, _work: str, _blocks: int, _metric: str) -> Iterator[dict[str, Any]]:
    """What a run takes beside the program's own time, with the runner's checks and sampling on."""
    plan = Plan(command=("/bin/true",), arms=(Arm("a", {}), Arm("b", {"B": "1"})))
    own, beside = [], []
    with Runner(plan) as runner:
        for number in range(max(tries, 100)):
            began = time.perf_counter()
            trial = runner.run(plan.arms[number % 2], TrialKey(Phase.MEASURE, number, 0))
            whole = time.perf_counter() - began
            own.append(trial.metrics["wall"])
            beside.append(whole - trial.metrics["wall"])
    cuts = statistics.quantiles(beside, n=20)
    yield {
        "runs": len(own), "program_ms_median": 1e3 * statistics.median(own),
        "runner_ms_median": 1e3 * statistics.median(beside), "runner_ms_p95": 1e3 * cuts[18],
        "runner_ms_max": 1e3 * max(beside),
    }  # fmt: skip


def main() -> int:
    """Run one of the questions."""
    questions = {
        "aa": (aa, 20),
        "power": (power, 0),
        "simulate": (simulate, 300),
        "hyperfine": (hyperfine, 20),
        "overhead": (overhead, 0),
    }
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("question", choices=questions)
    parser.add_argument("--tries", type=int, default=20)
    parser.add_argument("--metric", default="wall", choices=["wall", "cpu"])
    parser.add_argument("--work", default="10000", help="thousands of iterations in a run")
    parser.add_argument("--blocks", type=int, help="most blocks (hyperfine: runs of each program)")
    given = parser.parse_args()
    ask, blocks = questions[given.question]
    blocks = blocks if given.blocks is None else given.blocks
    for record in ask(given.tries, given.work, blocks, given.metric):
        print(json.dumps(record), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
