"""Paired effects on the log scale: an estimate, its standard error, its interval.

`analysis` feeds it one log ratio per block (arm over reference, both measured in that block in
random order). Because the order is random, a block's log ratio is symmetric around the true effect
whatever drift the machine has, and the blocks' signs are independent; every method below leans on
that and on nothing more.

Sources:
- trimmed mean with its winsorised standard error: Tukey & McLaughlin 1963; Yuen, Biometrika 1974.
- symmetric studentised bootstrap: Hall, Annals of Statistics 1988; for trimmed means: Wilcox,
  Introduction to Robust Estimation and Hypothesis Testing, ch. 4. Resampling is by random signs of
  the residuals (wild bootstrap: Wu 1986; Liu 1988), which is where the symmetry is used.
- BCa interval: Efron, JASA 1987.

It does not decide how wide an interval must be: `sequential` hands in the level.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

TRIM = 0.2  # of each tail; withstands one run in five being disturbed on either side
MIN_PAIRS = 3  # below this there is no spread to speak of, and the interval is missing
# Smaller samples use the plain mean: its t is conservative under heavy tails. Trimming eight takes
# so many degrees of freedom that it finds a 3 % effect later, on measured noise as on normal.
MIN_TRIMMED = 12
# A machine with two speeds gives three equal pairs once in thirty times, and then no spread at all.
# So that of fewer pairs than this is not believed below half of what the A/A pairs have shown:
# ten arms on such a machine, first looked at after three pairs, else err in 25 % of sweeps.
FEW_PAIRS = 8
_BELIEVED = 0.5
RESAMPLES = 999
_WIDENING_LEVEL = 0.05  # where 999 resamples still give a steady quantile


class PairedEstimate(NamedTuple):
    """A location on the log scale with what is needed to make an interval at any level.

    `widening` is how much heavier the bootstrap finds the tails of the studentised estimate than
    Student's, and is never below 1: the bootstrap may widen an interval but not narrow it.
    """

    pairs: int
    log_effect: float
    standard_error: float
    degrees: float
    widening: float

    def interval(self, level: float) -> tuple[float, float]:
        """Two-sided interval on the log scale that errs with probability `level`."""
        half = self.half_width(level)
        return self.log_effect - half, self.log_effect + half

    def half_width(self, level: float) -> float:
        """Half the width of `interval(level)`; infinite for level 0."""
        if level <= 0.0:
            return float("inf")
        from scipy.special import stdtrit

        quantile = -float(stdtrit(self.degrees, min(level, 1.0) / 2))
        return self.widening * quantile * self.standard_error

    def p_value(self, log_null: float = 0.0) -> float:
        """Two-sided p-value of the hypothesis that the log effect is `log_null`."""
        distance = abs(self.log_effect - log_null)
        if distance == 0.0:
            return 1.0
        if self.standard_error == 0.0:
            # All pairs say exactly the same: the sign test is what is left (2 * 2^-n).
            return float(2.0 ** (1 - self.pairs))
        from scipy.special import stdtr

        score = distance / (self.standard_error * self.widening)
        return float(2.0 * stdtr(self.degrees, -score))


def paired_estimate(
    log_ratios: Sequence[float] | Floats,
    generator: np.random.Generator,
    resamples: int = RESAMPLES,
    deviation: float = 0.0,
) -> PairedEstimate | None:
    """Estimate the common log ratio of the blocks.

    The 20 % trimmed mean, bootstrapped studentised; below `MIN_TRIMMED` blocks the mean with
    Student's t. Unit: natural log of arm over reference. `deviation` is the standard deviation of a
    pair as the A/A pairs have shown it (0: unknown). Fewer than `MIN_PAIRS` blocks give None.
    """
    import numpy as np

    values = np.asarray(log_ratios, dtype=float)
    count = len(values)
    if count < MIN_PAIRS:
        return None
    location, error = (float(part[0]) for part in _trimmed_rows(values[np.newaxis, :]))
    degrees = _degrees(count)
    if count < FEW_PAIRS:
        error = max(error, _BELIEVED * deviation / math.sqrt(count))
    widening = 1.0
    if error > 0 and count >= MIN_TRIMMED:  # of fewer pairs there are too few signs to draw
        widening = _widening(values - location, degrees, generator, resamples)
    return PairedEstimate(count, location, error, degrees, widening)


def _cut(count: int) -> int:
    """How many values fall to the trim at each end; small samples are not trimmed."""
    return int(TRIM * count) if count >= MIN_TRIMMED else 0


def _degrees(count: int) -> float:
    """Degrees of freedom of the studentised estimate.

    The usual count for a trimmed mean, n - 2g - 1, is too generous far out in the tails, where
    early looks live: on normal noise it rejects 1.6 times too often at 0.002 with 12 pairs. Three
    quarters of it keeps the rate at or below the nominal one from 12 to 60 pairs, down to 0.0005.
    """
    cut = _cut(count)
    return 0.75 * (count - 2 * cut - 1) if cut else float(count - 1)


def _trimmed_rows(rows: Floats) -> tuple[Floats, Floats]:
    """Trimmed mean and its winsorised standard error, for each row."""
    import numpy as np

    count = rows.shape[1]
    cut = _cut(count)
    ordered = np.sort(rows, axis=1)
    kept = ordered[:, cut : count - cut]
    location = kept.mean(axis=1)
    # The winsorised sample is the kept part with its ends repeated `cut` times.
    low, high = kept[:, 0], kept[:, -1]
    total = kept.sum(axis=1) + cut * (low + high)
    mean = total / count
    squares = ((kept - mean[:, None]) ** 2).sum(axis=1)
    squares = squares + cut * ((low - mean) ** 2 + (high - mean) ** 2)
    variance = squares / (count - 1)
    error = np.sqrt(variance / count) / ((count - 2 * cut) / count)
    return location, error


def _widening(
    residuals: Floats, degrees: float, generator: np.random.Generator, resamples: int
) -> float:
    """Ratio of the bootstrap's critical value to Student's at 5 %, at least 1."""
    import numpy as np
    from scipy.special import stdtrit

    signs = generator.integers(0, 2, size=(resamples, len(residuals))) * 2.0 - 1.0
    location, error = _trimmed_rows(signs * residuals)
    usable = error > 0
    if not usable.any():
        return 1.0
    scores = np.abs(location[usable]) / error[usable]
    # The quantile's next higher order statistic: no interpolation, and no sort of all.
    place = math.ceil((1 - _WIDENING_LEVEL) * (len(scores) - 1))
    critical = float(np.partition(scores, place)[place])
    return max(1.0, critical / -float(stdtrit(degrees, _WIDENING_LEVEL / 2)))


def ratio_of_medians(arm: Sequence[float], reference: Sequence[float]) -> float:
    """Median of the arm's values over the median of the reference's, minus nothing: a plain ratio.

    Raises ValueError if either is empty or the reference's median is 0.
    """
    import numpy as np

    if not len(arm) or not len(reference):
        raise ValueError("a ratio of medians needs values on both sides")
    bottom = float(np.median(np.asarray(reference, dtype=float)))
    if bottom == 0.0:
        raise ValueError("the reference's median is 0: there is no ratio to it")
    return float(np.median(np.asarray(arm, dtype=float))) / bottom


def bca_interval(
    rows: Floats,
    statistic: Callable[[Floats], float],
    generator: np.random.Generator,
    level: float = 0.05,
    resamples: int = 1999,
) -> tuple[float, float] | None:
    """Bias-corrected and accelerated bootstrap interval of a statistic of whole rows.

    `rows` has one block per row, so that pairs stay together; `statistic` maps rows to a number.
    For describing a secondary metric: it knows nothing of looks or of other arms. None if there are
    fewer than five rows; a statistic that never varies gives a point.
    """
    import numpy as np
    from scipy.special import ndtr, ndtri

    count = len(rows)
    if count < 5:
        return None
    observed = statistic(rows)
    draws = generator.integers(0, count, size=(resamples, count))
    replicas = np.array([statistic(rows[draw]) for draw in draws])
    jackknife = np.array([statistic(np.delete(rows, row, axis=0)) for row in range(count)])
    below = (np.sum(replicas < observed) + 0.5 * np.sum(replicas == observed)) / resamples
    if below <= 0.0 or below >= 1.0 or np.ptp(replicas) == 0.0:
        return float(replicas.min()), float(replicas.max())
    bias = float(ndtri(below))
    centred = jackknife.mean() - jackknife
    squares = float((centred**2).sum())
    speed = float((centred**3).sum()) / (6.0 * squares**1.5) if squares > 0 else 0.0
    tails = []
    for tail in (level / 2, 1 - level / 2):
        shifted = bias + float(ndtri(tail))
        tails.append(float(ndtr(bias + shifted / (1 - speed * shifted))))
    low, high = np.quantile(replicas, tails)
    return float(low), float(high)


def spread(log_ratios: Sequence[float] | Floats) -> float | None:
    """Standard deviation of one run on the log scale, from A/A pairs.

    From the mean absolute difference, which for normal noise is sqrt(2/pi) of the deviation: much
    steadier over eight pairs than a median, and a disturbed run counts, but not by its square. A
    pair holds the noise of two runs, hence the other root of 2. None below `MIN_PAIRS` pairs.
    """
    import numpy as np

    values = np.asarray(log_ratios, dtype=float)
    if len(values) < MIN_PAIRS:
        return None
    # Around 0, not around their mean: in an A/A pair the two sides are the same thing.
    return float(np.sqrt(np.pi / 2) * np.mean(np.abs(values)) / np.sqrt(2.0))
