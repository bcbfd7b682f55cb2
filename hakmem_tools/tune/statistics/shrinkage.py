"""What noisy measurements of many settings say together: an empirical-Bayes model.

`search` ranks settings by it. The best of many noisy means is mostly the luckiest one; so each
setting's effect is taken as drawn from a common normal distribution, whose spread is estimated from
the data, and each mean is drawn towards the centre by as much as its own noise demands.

Source: normal-normal model with the method-of-moments variance of DerSimonian & Laird, Controlled
Clinical Trials 1986; shrinkage as in Efron & Morris, JASA 1975. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Shrunk(NamedTuple):
    """A setting's effect (log scale) after shrinkage: posterior mean and standard deviation."""

    mean: float
    deviation: float


def shrink(samples: Mapping[str, Sequence[float]]) -> dict[str, Shrunk]:
    """Posterior of each setting from its paired log effects; settings without any are left out.

    The noise of one pair is pooled over all settings, since a few pairs alone do not tell it. With
    fewer than three settings nothing is drawn anywhere.
    """
    import numpy as np

    means = {name: float(np.mean(values)) for name, values in samples.items() if len(values)}
    counts = {name: len(samples[name]) for name in means}
    within = sum(float(np.square(np.asarray(samples[name]) - means[name]).sum()) for name in means)
    degrees = sum(counts.values()) - len(means)
    noise = within / degrees if degrees > 0 else 0.0
    errors = {name: noise / counts[name] for name in means}
    if len(means) < 3 or noise <= 0.0:
        return {name: Shrunk(means[name], errors[name] ** 0.5) for name in means}
    centre, between = _common(list(means.values()), list(errors.values()))
    found = {}
    for name, mean in means.items():
        kept = between / (between + errors[name])
        found[name] = Shrunk(centre + kept * (mean - centre), (kept * errors[name]) ** 0.5)
    return found


def _common(means: Sequence[float], errors: Sequence[float]) -> tuple[float, float]:
    """Centre and variance of the distribution that the true effects come from."""
    import numpy as np

    values, weights = np.asarray(means), 1.0 / np.asarray(errors)
    centre = float((weights * values).sum() / weights.sum())
    excess = float((weights * (values - centre) ** 2).sum()) - (len(values) - 1)
    scale = float(weights.sum() - (weights**2).sum() / weights.sum())
    between = max(0.0, excess / scale)
    weights = 1.0 / (between + np.asarray(errors))
    return float((weights * values).sum() / weights.sum()), between
