"""What the A/A runs tell: the noise of one run, the warm-up, and whether the machine is fit.

`experiment` plans the length of a sweep by it, `analysis` takes the spread as a check on its own.
Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from hakmem_tools.model.trial import Phase, Trial
from hakmem_tools.tune.plan import Plan
from hakmem_tools.tune.result import Calibration
from hakmem_tools.tune.statistics.estimate import paired_estimate, spread
from hakmem_tools.tune.statistics.outliers import warmup_length

AA_LEVEL = 0.001  # an A/A alarm should be rare: it puts the whole sweep in doubt
NOISY = 0.05  # of one run; a 3 % effect then takes sixty blocks and more


def calibration_of(plan: Plan, trials: Sequence[Trial]) -> Calibration:
    """Judge the A/A blocks: spread, warm-up, and whether the reference agrees with itself."""
    import numpy as np

    warmup = warmup_length(_centred_logs(_calibration_runs(trials), plan.metric.name))
    ratios = aa_ratios(plan, trials, plan.metric.name)
    estimate = paired_estimate(ratios, np.random.default_rng([plan.seed, len(ratios), 3]))
    if estimate is None:
        return Calibration(
            blocks=len(ratios), effect=None, interval=None, spread=None, warmup_runs=warmup,
            ok=False, reason=f"only {len(ratios)} good A/A pairs",
        )  # fmt: skip
    low, high = estimate.interval(0.05)
    reason = ""
    if warmup is None:
        reason = "the runs never settled: each differs from those before"
    elif estimate.p_value() < AA_LEVEL and abs(estimate.log_effect) > 1e-3:
        reason = "the reference differs from itself: something else on the machine decides"
    return Calibration(
        blocks=len(ratios), effect=math.expm1(estimate.log_effect),
        interval=(math.expm1(low), math.expm1(high)), spread=spread(ratios), warmup_runs=warmup,
        ok=not reason, reason=reason,
    )  # fmt: skip


def doubts(plan: Plan, calibration: Calibration) -> list[str]:
    """What the A/A runs warn of, one line each: a machine unfit to measure, noisy neighbours."""
    found = []
    if not calibration.ok and calibration.reason:
        found.append(f"A/A: {calibration.reason}")
    if calibration.spread is not None and calibration.spread > NOISY:
        steadier = "" if plan.metric.name == "cpu" or plan.live else "; --metric cpu is steadier"
        found.append(
            f"A/A: one run scatters by {calibration.spread * 100:.0f} %: what else runs on the"
            f" machine decides as much as the arms do{steadier}"
        )
    return found


def aa_ratios(plan: Plan, trials: Sequence[Trial], metric: str) -> list[float]:
    """Log ratios of `metric` in the A/A blocks after the warm-up (which the main metric tells)."""
    runs = _calibration_runs(trials)
    warmup = warmup_length(_centred_logs(runs, plan.metric.name)) or 0
    by_block: dict[int, list[float]] = {}
    for trial in runs:
        if trial.metrics.get(metric, 0) > 0:
            by_block.setdefault(trial.key.block, []).append(math.log(trial.metrics[metric]))
    ratios = [values[1] - values[0] for _, values in sorted(by_block.items()) if len(values) == 2]
    return ratios[math.ceil(warmup / 2) :]  # whole blocks: a pair needs both its runs


def _calibration_runs(trials: Sequence[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.key.phase == Phase.CALIBRATE and trial.ok]


def _centred_logs(runs: Sequence[Trial], name: str) -> list[float]:
    """Logs of a metric in the order of the runs, each less its host's median: hosts differ."""
    import numpy as np

    logs: dict[str, list[float]] = {}
    for trial in runs:
        if trial.metrics.get(name, 0) > 0:
            logs.setdefault(trial.host, []).append(math.log(trial.metrics[name]))
    middles = {host: float(np.median(values)) if len(logs) > 1 else 0.0
               for host, values in logs.items()}  # fmt: skip
    return [
        math.log(trial.metrics[name]) - middles[trial.host]
        for trial in runs
        if trial.metrics.get(name, 0) > 0
    ]
