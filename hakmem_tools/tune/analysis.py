"""From runs to results: pairs the runs of each block, follows the looks, and judges every arm.

Pure: `experiment` calls it while it measures, reports call it on a stored sweep, and both get the
same digits, because looks are replayed in the order in which they were taken.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from hakmem_tools.model.trial import Phase, Trial
from hakmem_tools.tune.calibration import aa_ratios
from hakmem_tools.tune.metric import BUILTIN_METRICS
from hakmem_tools.tune.plan import Plan, reference_runs
from hakmem_tools.tune.result import ArmResult, Summary
from hakmem_tools.tune.statistics.estimate import (
    PairedEstimate,
    bca_interval,
    paired_estimate,
    ratio_of_medians,
    spread,
)
from hakmem_tools.tune.statistics.monitor import ArmEffect, Monitor
from hakmem_tools.tune.statistics.outliers import outlier_flags
from hakmem_tools.tune.statistics.sequential import FIRST_LOOK, FIRST_LOOK_BLIND, Look
from hakmem_tools.tune.statistics.switchback import (
    SliceSample,
    SwitchbackEffect,
    switchback_effect,
)
from hakmem_tools.tune.verdict import Change, Verdict, decide

if TYPE_CHECKING:
    import numpy as np


class Pairs(NamedTuple):
    """One metric's log ratios, arm over reference, by arm, for the blocks in order."""

    metric: str
    by_arm: Mapping[str, Sequence[float]]


class ArmState(NamedTuple):
    """An arm at a look: what is known and what follows from it."""

    effect: ArmEffect
    verdict: Verdict
    done: bool


def complete_blocks(plan: Plan, trials: Sequence[Trial], sizes: Sequence[int]) -> int:
    """Length of the run of finished measuring blocks from block 0; `sizes` are their lengths."""
    done: dict[int, int] = {}
    for trial in trials:
        if trial.key.phase == Phase.MEASURE:
            done[trial.key.block] = done.get(trial.key.block, 0) + 1
    for block, size in enumerate(sizes):
        if done.get(block, 0) < size:
            return block
    return len(sizes)


def pairs_of(plan: Plan, trials: Sequence[Trial], metric: str, blocks: int) -> Pairs:
    """Log ratios of `metric` in the first `blocks` blocks.

    Several runs of the reference in a block are averaged. A block without a good run of the
    reference gives no pair; an arm's failed run gives none for that arm. Hosts need no further
    care: a block never crosses them, so a host's speed cancels.
    """
    logs: dict[int, dict[str, list[float]]] = {}
    for trial in trials:
        wanted = trial.key.phase == Phase.MEASURE and trial.key.block < blocks and trial.ok
        value = trial.metrics.get(metric, 0.0)
        if wanted and value > 0:
            arms = logs.setdefault(trial.key.block, {})
            arms.setdefault(trial.arm, []).append(math.log(value))
    by_arm: dict[str, list[float]] = {arm.name: [] for arm in plan.contenders}
    for _, arms in sorted(logs.items()):
        reference = arms.get(plan.reference.name)
        if reference:
            base = sum(reference) / len(reference)
            for arm, values in arms.items():
                if arm in by_arm:
                    by_arm[arm].append(sum(values) / len(values) - base)
    return Pairs(metric, by_arm)


def improvements(plan: Plan, trials: Sequence[Trial], blocks: int) -> Mapping[str, Sequence[float]]:
    """Log ratios of the main metric with the sign that makes better positive."""
    sign = 1.0 if plan.metric.better == "higher" else -1.0
    pairs = pairs_of(plan, trials, plan.metric.name, blocks)
    return {arm: [sign * value for value in values] for arm, values in pairs.by_arm.items()}


def slices(plan: Plan, trials: Sequence[Trial], blocks: int) -> Mapping[str, Sequence[SliceSample]]:
    """A live sweep's slices, each arm's with the reference's between them, in order of time.

    Better is a larger value, as in `improvements`.
    """
    sign = 1 if plan.metric.better == "higher" else -1
    measured = [t for t in trials if t.key.phase == Phase.MEASURE and t.key.block < blocks]
    found: dict[str, list[SliceSample]] = {arm.name: [] for arm in plan.contenders}
    for number, trial in enumerate(sorted(measured, key=lambda trial: trial.key)):
        value = trial.metrics.get(plan.metric.name, 0.0)
        if not trial.ok or value <= 0:
            continue
        if trial.arm == plan.reference.name:
            for rows in found.values():
                rows.append(SliceSample(number, 0, 0.0, value**sign))
        elif trial.arm in found:
            found[trial.arm].append(SliceSample(number, 1, 0.0, value**sign))
    return found


def _switchback(
    samples: Sequence[SliceSample], _generator: np.random.Generator
) -> SwitchbackEffect | None:
    return switchback_effect(samples, 1, 0.0)


class Follower:
    """Follows a sweep from look to look; the one place where arms become done."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.monitor = Monitor(
            [arm.name for arm in plan.contenders],
            seed=plan.seed,
            level=plan.limits.level,
            estimator=_switchback if plan.live else self._paired,
        )
        self.states: dict[str, ArmState] = {}
        self._deviations: dict[str, float] = {}

    def first_look(self, trials: Sequence[Trial]) -> int:
        """Blocks before the first look; the calibration's runs must be there."""
        known = self.plan.live is None and self._deviation(self.plan.metric.name, trials) > 0
        return FIRST_LOOK if known else FIRST_LOOK_BLIND

    def _deviation(self, metric: str, trials: Sequence[Trial]) -> float:
        """Standard deviation of a pair by the A/A runs, 0 if they do not tell it.

        That of a pair with as many runs of the reference as a block of all arms has.
        """
        if metric not in self._deviations:
            runs = reference_runs(len(self.plan.contenders))
            one = spread(aa_ratios(self.plan, trials, metric)) or 0.0
            self._deviations[metric] = one * math.sqrt(1 + 1 / runs)
        return self._deviations[metric]

    def _paired(
        self, values: Sequence[float], generator: np.random.Generator
    ) -> PairedEstimate | None:
        known = self._deviations.get(self.plan.metric.name, 0.0)
        return paired_estimate(values, generator, deviation=known)

    @property
    def done(self) -> set[str]:
        """Arms that need no more runs."""
        return {arm for arm, state in self.states.items() if state.done}

    def look(self, look: Look, trials: Sequence[Trial]) -> dict[str, ArmState]:
        """Take a look at the first blocks; raises ValueError unless it goes forward."""
        earlier = self.done
        self._deviation(self.plan.metric.name, trials)  # once: the looks to come rest on it too
        data = slices if self.plan.live else improvements
        effects = self.monitor.look(look, data(self.plan, trials, look.blocks))
        for effect in effects:
            if effect.arm in earlier:
                continue
            changes = self._changes(effect.arm, trials, look.blocks)
            verdict = decide(
                effect.effect, effect.interval, self.plan.rules, changes, effect.reason
            )
            done = self._done(effect, verdict)
            self.states[effect.arm] = ArmState(effect, verdict, done)
            if done:
                self.monitor.freeze(effect)
        return self.states

    def _done(self, effect: ArmEffect, verdict: Verdict) -> bool:
        limits = self.plan.limits
        half = effect.half_width
        if limits.precision and half is not None and half <= limits.precision:
            return True
        if limits.until == "difference":
            low, high = effect.interval or (-math.inf, math.inf)
            small = -limits.detect < low and high < limits.detect
            return effect.p_adjusted <= limits.level or small
        return limits.until == "verdict" and verdict.settled

    def _changes(self, arm: str, trials: Sequence[Trial], blocks: int) -> dict[str, Change]:
        """Changes of the metrics that GO's conditions name.

        A condition must hold as well as the main rule, so no correction over the two is needed
        (intersection-union test: Berger, Technometrics 1982).
        """
        changes = {}
        for condition in self.plan.rules.conditions:
            values = pairs_of(self.plan, trials, condition.metric, blocks).by_arm[arm]
            generator = _generator(self.plan.seed, blocks, 7)
            known = self._deviation(condition.metric, trials)
            estimate = paired_estimate(values, generator, deviation=known)
            if estimate is None:
                changes[condition.metric] = Change(
                    missing=why_missing(trials, arm, condition.metric)
                )
            else:
                low, high = estimate.interval(self.monitor.nominal)
                low, high = min(low, 50.0), min(high, 50.0)
                changes[condition.metric] = Change(math.expm1(low), math.expm1(high))
        return changes


def why_missing(trials: Sequence[Trial], arm: str, metric: str) -> str:
    """The latest reason that a run of the arm gave for lacking a metric."""
    for trial in reversed(trials):
        if trial.arm == arm and metric in trial.missing:
            return trial.missing[metric]
    return f"no run has a metric named {metric}"


def arm_result(
    plan: Plan, arm_name: str, state: ArmState | None, trials: Sequence[Trial], refused: str
) -> ArmResult:
    """Everything a report says of one contender."""
    env = next(arm.env for arm in plan.arms if arm.name == arm_name)
    mine = [t for t in trials if t.arm == arm_name and t.key.phase == Phase.MEASURE]
    good = [trial for trial in mine if trial.ok]
    failed = [trial for trial in mine if not trial.ok]
    values = [trial.metrics[plan.metric.name] for trial in good]
    if refused:
        verdict = decide(None, None, plan.rules, reason=refused)
    elif failed and not good:
        why = f"all {len(failed)} runs failed: {failed[-1].detail}"
        verdict = decide(None, None, plan.rules, reason=why)
    else:
        verdict = state.verdict if state else decide(None, None, plan.rules, reason="no look yet")
    effect = state.effect if state else None
    return ArmResult(
        arm=arm_name,
        env=env,
        metric=plan.metric.name,
        effect=effect.effect if effect else None,
        interval=effect.interval if effect else None,
        p_adjusted=effect.p_adjusted if effect and effect.effect is not None else None,
        verdict=verdict.kind,
        reason=verdict.reason,
        runs=len(good),
        failed_runs=len(failed),
        pairs=effect.pairs if effect else 0,
        outliers=sum(outlier_flags([math.log(value) for value in values if value > 0])),
        settled=bool(state and state.done),
        metrics=summaries(plan, arm_name, trials),
    )


def summaries(plan: Plan, arm: str, trials: Sequence[Trial]) -> dict[str, Summary]:
    """Median and change of every metric that some run of the sweep has, by name."""
    measured = [trial for trial in trials if trial.key.phase == Phase.MEASURE]
    names = sorted({name for trial in measured for name in (*trial.metrics, *trial.missing)})
    return {name: _summary(plan, arm, name, measured) for name in _ordered(plan, names)}


def _ordered(plan: Plan, names: Sequence[str]) -> list[str]:
    """The main metric first, then those asked for, then the runner's own, then the rest."""
    first = [plan.metric.name, *(metric.name for metric in plan.also), *BUILTIN_METRICS]
    return [name for name in dict.fromkeys(first) if name in names] + [
        name for name in names if name not in first
    ]


def _summary(plan: Plan, arm: str, name: str, trials: Sequence[Trial]) -> Summary:
    import numpy as np

    mine = {t.key.block: t.metrics[name] for t in trials if _has(t, arm, name)}
    if not mine:
        return Summary(missing=why_missing(trials, arm, name))
    median = float(np.median(list(mine.values())))
    if arm == plan.reference.name:
        return Summary(median=median, runs=len(mine))
    base: dict[int, list[float]] = {}
    for trial in trials:
        if _has(trial, plan.reference.name, name):
            base.setdefault(trial.key.block, []).append(trial.metrics[name])
    rows = np.array(
        [(value, float(np.median(base[block]))) for block, value in mine.items() if block in base]
    )
    if not len(rows) or float(np.median(rows[:, 1])) == 0.0:
        return Summary(median=median, runs=len(mine), missing="the reference has none to compare")
    interval = None
    # Of hundreds of counters the change is enough: their intervals would take longer than all else.
    if (rows > 0).all() and not name.startswith("counters."):
        interval = bca_interval(rows, _ratio, _generator(plan.seed, len(rows), 5), resamples=499)
    return Summary(median=median, change=_ratio(rows), interval=interval, runs=len(mine))


def _has(trial: Trial, arm: str, name: str) -> bool:
    return trial.ok and trial.arm == arm and name in trial.metrics


def _ratio(rows: object) -> float:
    import numpy as np

    table = np.asarray(rows)
    if float(np.median(table[:, 1])) == 0.0:
        return 0.0
    return ratio_of_medians(table[:, 0], table[:, 1]) - 1.0  # type: ignore[arg-type]


def _generator(*seeds: int) -> np.random.Generator:
    import numpy as np

    return np.random.default_rng(list(seeds))
