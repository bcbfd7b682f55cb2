"""Whether the hosts of a cluster agree on an arm's effect.

Reports warn where they do not. A host's own speed cancels in its pairs, which makes it a blocking
factor without further ado; what does not cancel is an effect that itself depends on the host.
Source: Cochran's Q (Biometrics 1954). Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from hakmem_tools.model.trial import Trial
from hakmem_tools.tune.analysis import improvements
from hakmem_tools.tune.plan import Plan

MIN_PAIRS = 4  # of a host, before its effect has a spread to speak of
LEVEL = 0.01  # of the warning; it changes no verdict


def disagreements(plan: Plan, trials: Sequence[Trial], blocks: int) -> list[str]:
    """One line for each arm whose effect is not the same on all hosts."""
    hosts = sorted({trial.host for trial in trials})
    if len(hosts) < 2:
        return []
    by_host = {
        host: improvements(plan, [trial for trial in trials if trial.host == host], blocks)
        for host in hosts
    }
    found = []
    for arm in plan.contenders:
        effects = {
            host: list(of[arm.name])
            for host, of in by_host.items()
            if len(of[arm.name]) >= MIN_PAIRS
        }
        if len(effects) > 1 and _differ(list(effects.values())):
            shown = ", ".join(
                f"{host} {math.expm1(sum(values) / len(values)) * 100:+.1f} %"
                for host, values in effects.items()
            )
            found.append(f"{arm.name}: its effect is not the same on all hosts: {shown}")
    return found


def _differ(groups: Sequence[Sequence[float]]) -> bool:
    """Cochran's Q at `LEVEL`; groups that do not vary at all differ if their means do."""
    import numpy as np
    from scipy.special import chdtrc

    means = np.array([np.mean(group) for group in groups])
    errors = np.array([np.var(group, ddof=1) / len(group) for group in groups])
    if (errors <= 0).any():
        return bool(np.ptp(means) > 1e-9)
    weights = 1.0 / errors
    centre = float((weights * means).sum() / weights.sum())
    score = float((weights * (means - centre) ** 2).sum())
    return float(chdtrc(len(groups) - 1, score)) < LEVEL
