"""Warm-up at the start of a series of runs, and outliers anywhere: flagged, not removed.

Sources: modified z-score with the limit 3.5: Iglewicz & Hoaglin, How to Detect and Handle Outliers,
1993. Warm-up by the marginal standard error rule (MSER): White, Simulation 1997; its caution that a
cut in the second half means "no steady state seen" is kept.
"""

from __future__ import annotations

from collections.abc import Sequence

OUTLIER_LIMIT = 3.5
MIN_RUNS = 5


def modified_scores(values: Sequence[float]) -> list[float]:
    """Distance of each value from the median, in robust standard deviations.

    Where more than half of the values are equal the mean absolute deviation takes over (same
    source); where all are equal every score is 0. Fewer than `MIN_RUNS` values: all 0.
    """
    import numpy as np

    if len(values) < MIN_RUNS:
        return [0.0] * len(values)
    data = np.asarray(values, dtype=float)
    centred = data - np.median(data)
    scale = 1.4826 * float(np.median(np.abs(centred)))
    if scale == 0.0:
        scale = 1.2533 * float(np.mean(np.abs(centred)))
    if scale == 0.0:
        return [0.0] * len(values)
    return [float(score) for score in centred / scale]


def outlier_flags(values: Sequence[float], limit: float = OUTLIER_LIMIT) -> list[bool]:
    """Which values lie further than `limit` robust standard deviations from the median."""
    return [abs(score) > limit for score in modified_scores(values)]


def warmup_length(values: Sequence[float]) -> int | None:
    """How many runs at the start belong to the warm-up: the MSER truncation point.

    0 when there is none; None when the series has not settled (the best cut lies beyond half of
    it). Fewer than `MIN_RUNS` runs cannot tell: 0.
    """
    import numpy as np

    count = len(values)
    if count < MIN_RUNS:
        return 0
    data = np.asarray(values, dtype=float)
    # At least three runs must remain, or the rule would pick a tail that agrees by chance.
    cuts = range(0, count - 2)
    costs = [
        float(((data[cut:] - data[cut:].mean()) ** 2).sum()) / (count - cut) ** 2 for cut in cuts
    ]
    best = int(np.argmin(costs))
    # A cut is only worth making when it clearly pays: noise alone moves the minimum about.
    if best == 0 or costs[best] > 0.5 * costs[0]:
        return 0
    return None if best > count // 2 else best
