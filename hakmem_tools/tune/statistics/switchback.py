"""A live experiment on one process: knobs switched in random slices, and what the switching shows.

`tune.live` hands in the samples of a metric with the arm of their slice. The first part of each
slice is discarded, since it still shows the arm before; the rest is averaged, and the slices are
compared with errors that allow for autocorrelation.

Sources: design and carry-over: Bojinov, Simchi-Levi & Zhao, Management Science 2023. Standard error
robust to autocorrelation (HAC): Newey & West, Econometrica 1987, with Bartlett weights and the lag
of Newey & West 1994; the small-sample factor n/(n-k) is the usual one. Moving-block bootstrap:
Kuensch, Annals of Statistics 1989.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MIN_SLICES = 6


class SliceSample(NamedTuple):
    """One reading: slice number, arm (0 is the reference), seconds since the slice began, value."""

    slice: int
    arm: int
    seconds: float
    value: float


class SwitchbackEffect(NamedTuple):
    """Change of the metric under the arm, as a log ratio, with its error."""

    slices: int
    treated: int
    discarded: int
    log_effect: float
    standard_error: float
    degrees: int
    autocorrelation: float

    @property
    def pairs(self) -> int:
        """Slices under the arm."""
        return self.treated

    def p_value(self, log_null: float = 0.0) -> float:
        """Two-sided p-value of the hypothesis that the log effect is `log_null`."""
        from scipy.special import stdtr

        distance = abs(self.log_effect - log_null)
        if distance == 0.0:
            return 1.0
        if self.standard_error == 0.0:
            return float(2.0 ** (1 - self.treated))
        return float(2.0 * stdtr(self.degrees, -distance / self.standard_error))

    def interval(self, level: float) -> tuple[float, float]:
        """Two-sided interval on the log scale at the error `level`; endless for level 0."""
        from scipy.special import stdtrit

        if level <= 0.0:
            return -float("inf"), float("inf")

        half = -float(stdtrit(self.degrees, level / 2)) * self.standard_error
        return self.log_effect - half, self.log_effect + half


def assign_slices(count: int, arms: int, generator: np.random.Generator) -> list[int]:
    """Arms of `count` slices: every arm once in each round, in random order, so none starves."""
    order: list[int] = []
    while len(order) < count:
        order.extend(int(arm) for arm in generator.permutation(arms))
    return order[:count]


def slice_means(
    samples: Sequence[SliceSample], carry_over: float
) -> tuple[list[tuple[int, int, float]], int]:
    """Mean log value of each slice after its carry-over, as (slice, arm, mean); and how many
    samples were discarded. Values of 0 or below have no logarithm and are discarded too.
    """
    import math

    kept: dict[tuple[int, int], list[float]] = {}
    discarded = 0
    for sample in samples:
        if sample.seconds < carry_over or sample.value <= 0:
            discarded += 1
        else:
            kept.setdefault((sample.slice, sample.arm), []).append(math.log(sample.value))
    rows = [(number, arm, sum(logs) / len(logs)) for (number, arm), logs in sorted(kept.items())]
    return rows, discarded


def switchback_effect(
    samples: Sequence[SliceSample], arm: int, carry_over: float
) -> SwitchbackEffect | None:
    """Effect of `arm` against arm 0: least squares with a linear drift, HAC standard error.

    None when fewer than `MIN_SLICES` slices remain, or one of the two arms has fewer than two.
    """
    import numpy as np

    rows, discarded = slice_means(samples, carry_over)
    rows = [row for row in rows if row[1] in (0, arm)]
    treated = sum(1 for row in rows if row[1] == arm)
    if len(rows) < MIN_SLICES or min(treated, len(rows) - treated) < 2:
        return None
    values = np.array([row[2] for row in rows])
    times = np.array([row[0] for row in rows], dtype=float)
    design = np.column_stack(
        [np.ones(len(rows)), [float(row[1] == arm) for row in rows], times - times.mean()]
    )
    solution, *_ = np.linalg.lstsq(design, values, rcond=None)
    residuals = values - design @ solution
    covariance = hac_covariance(design, residuals)
    return SwitchbackEffect(
        slices=len(rows),
        treated=treated,
        discarded=discarded,
        log_effect=float(solution[1]),
        standard_error=float(np.sqrt(max(0.0, covariance[1, 1]))),
        degrees=len(rows) - design.shape[1],
        autocorrelation=autocorrelation(residuals),
    )


def hac_covariance(design: Floats, residuals: Floats) -> Floats:
    """Covariance of least-squares coefficients that stays right under autocorrelation.

    `design` is slices x coefficients in time order. Never below the plain estimate for the same
    coefficient: with few slices the Bartlett sum can come out too small by chance.
    """
    import numpy as np

    count, width = design.shape
    lags = int(4 * (count / 100.0) ** (2.0 / 9.0))
    scores = design * residuals[:, None]
    middle = scores.T @ scores
    for lag in range(1, lags + 1):
        weight = 1.0 - lag / (lags + 1.0)
        cross = scores[lag:].T @ scores[:-lag]
        middle = middle + weight * (cross + cross.T)
    inverse = np.linalg.inv(design.T @ design)
    robust: Floats = inverse @ middle @ inverse * count / (count - width)
    plain: Floats = inverse * float(residuals @ residuals) / (count - width)
    return robust if robust[1, 1] >= plain[1, 1] else plain


def autocorrelation(values: Floats) -> float:
    """Lag-1 autocorrelation; 0 for a constant series."""
    centred = values - values.mean()
    total = float(centred @ centred)
    return float(centred[1:] @ centred[:-1]) / total if total > 0 else 0.0


def block_bootstrap_interval(
    differences: Floats, generator: np.random.Generator, level: float = 0.05, resamples: int = 1999
) -> tuple[float, float] | None:
    """Interval of the mean of an autocorrelated series by the moving-block bootstrap.

    Block length is n^(1/3) rounded up (Kuensch's rate). None below `MIN_SLICES` values.
    """
    import numpy as np

    count = len(differences)
    if count < MIN_SLICES:
        return None
    length = int(np.ceil(count ** (1.0 / 3.0)))
    pieces = int(np.ceil(count / length))
    starts = generator.integers(0, count - length + 1, size=(resamples, pieces))
    index = (starts[:, :, None] + np.arange(length)).reshape(resamples, -1)[:, :count]
    means = np.asarray(differences, dtype=float)[index].mean(axis=1)
    low, high = np.quantile(means, [level / 2, 1 - level / 2])
    return float(low), float(high)
