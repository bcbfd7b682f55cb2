"""From sampled bytes to estimates that carry their error. Pure, and without numpy.

Sampling: an allocation of S bytes is sampled with probability p = 1 - exp(-S/R), independently
of all others (a countdown of bytes that is exponential with mean R, drawn anew after each
sample), and counts for w = S/p bytes.

Total: the Horvitz-Thompson estimator, sum of w, unbiased. Its variance is estimated without
bias by the sum of (1-p) w^2 = w (w - S) over the samples (Horvitz and Thompson 1952; Sarndal,
Swensson and Wretman 1992, section 3.5, Poisson sampling).

Interval: a weighted sum of few Poisson counts is far from normal. Fay and Feuer (1997) give
gamma limits for it, which need the largest weight and stay conservative for small counts. Two
things are known besides, and used: nobody looks at a site that was never sampled, so that the
lower limit is taken given at least one sample (the Poisson distribution cut at zero); and the
truth is never below the bytes that were seen in samples.
"""

from __future__ import annotations

import math
from functools import lru_cache

import msgspec

#: Where a sum of weights has so many effective counts, the cut at zero no longer matters.
_MANY = 30.0


class Amount(msgspec.Struct, frozen=True):
    """Sums over samples; adds up. `heaviest` is the largest mean weight of a row in it.

    `objects` estimates how many blocks the samples stand for, the sum of 1/p.
    """

    samples: int = 0
    size_bytes: int = 0
    weighted: float = 0.0
    variance: float = 0.0
    heaviest: float = 0.0
    objects: float = 0.0

    @staticmethod
    def of_row(samples: int, size_bytes: int, weighted: float) -> Amount:
        """From one row of blocks of about one size.

        With n samples of equal size the sum of w (w - S) is W (W - B) / n for their sums, and
        the sum of w/S is n W / B; within a size bucket the error of that is below 2 %.
        """
        if samples <= 0 or weighted <= 0:
            return Amount()
        return Amount(
            samples,
            size_bytes,
            float(weighted),
            weighted * max(0.0, weighted - size_bytes) / samples,
            weighted / samples,
            samples * weighted / size_bytes if size_bytes else float(samples),
        )

    def __add__(self, other: Amount) -> Amount:
        return Amount(
            self.samples + other.samples,
            self.size_bytes + other.size_bytes,
            self.weighted + other.weighted,
            self.variance + other.variance,
            max(self.heaviest, other.heaviest),
            self.objects + other.objects,
        )

    def estimate(self, confidence: float = 0.95, unseen: float = 0.0) -> Estimate:
        """The total in bytes with its interval; `unseen` is its end for no samples at all."""
        low, high = interval(self, confidence) if self.samples else (0.0, unseen)
        return Estimate(self.weighted, low, high, self.samples, self.objects)


class Estimate(msgspec.Struct, frozen=True):
    """An estimated number of bytes, its interval, and the samples and blocks behind it."""

    value: float
    low: float
    high: float
    samples: int
    objects: float


def interval(amount: Amount, confidence: float = 0.95) -> tuple[float, float]:
    """The interval of an amount's total, in bytes; (0, 0) for no samples (see unseen_bytes)."""
    total, variance = amount.weighted, amount.variance
    if amount.samples == 0 or total <= 0:
        return 0.0, 0.0
    if variance <= 0:
        return min(total, float(amount.size_bytes)), total
    tail = (1 - confidence) / 2
    scale = variance / total
    # Blocks so large that nearly all are sampled leave few counts in doubt but many seen.
    low = scale * _lower_shape(round(total / scale, 6), tail)
    heaviest = amount.heaviest
    scale_up = (variance + heaviest**2) / (total + heaviest)
    shape_up = (total + heaviest) / scale_up
    high = scale_up * gamma_quantile(round(shape_up, 6), 1 - tail)
    low = min(max(low, float(amount.size_bytes)), total)
    return low, max(high, total)


def unseen_bytes(sample_bytes: int, confidence: float = 0.95) -> float:
    """What a site without a single sample has at most: -R ln((1 - c) / 2), 3.7 R for 95 %."""
    return -sample_bytes * math.log((1 - confidence) / 2)


def difference(later: Amount, earlier: Amount, confidence: float = 0.95) -> Estimate:
    """later - earlier for independent amounts, with its interval.

    Limits of the difference from those of its parts (Zou and Donner 2008, "MOVER"); an amount
    without samples may still be up to its upper limit, of which its weight gives the scale.
    """
    low_a, high_a = interval(later, confidence)
    low_b, high_b = interval(earlier, confidence)
    value = later.weighted - earlier.weighted
    scale = max(later.heaviest, earlier.heaviest)
    unseen = -scale * math.log((1 - confidence) / 2)
    high_a = high_a if later.samples else unseen
    high_b = high_b if earlier.samples else unseen
    return Estimate(
        value,
        value - math.hypot(later.weighted - low_a, high_b - earlier.weighted),
        value + math.hypot(high_a - later.weighted, earlier.weighted - low_b),
        later.samples + earlier.samples,
        later.objects - earlier.objects,
    )


@lru_cache(maxsize=4096)
def _lower_shape(shape: float, tail: float) -> float:
    """The Poisson mean at which `shape` or more counts, given one or more, have chance `tail`."""
    if shape > _MANY:
        return gamma_quantile(shape, tail)
    if shape <= 1:
        return 0.0

    def chance(mean: float) -> float:
        return gamma_p(shape, mean) / -math.expm1(-mean)

    return _bisect(chance, tail, 1e-12, shape + 1)


@lru_cache(maxsize=4096)
def gamma_quantile(shape: float, chance: float) -> float:
    """Quantile of the gamma distribution of scale 1; half a chi-squared of twice the degrees.

    Wilson and Hilferty's cube for many degrees (error below 1e-4 there), else by bisection.
    """
    if shape > _MANY:
        from statistics import NormalDist

        z = NormalDist().inv_cdf(chance)
        return shape * (1 - 1 / (9 * shape) + z / (3 * math.sqrt(shape))) ** 3
    return _bisect(lambda x: gamma_p(shape, x), chance, 0.0, shape + 12 * math.sqrt(shape) + 40)


def gamma_p(shape: float, x: float) -> float:
    """The regularised lower incomplete gamma function, by its series (DLMF 8.7.1)."""
    if x <= 0:
        return 0.0
    term = math.exp(-x + shape * math.log(x) - math.lgamma(shape + 1))
    total, n = term, shape
    while term > total * 1e-15 and n < shape + 2000:
        n += 1
        term *= x / n
        total += term
    return min(1.0, total)


def _bisect(rising: object, wanted: float, low: float, high: float) -> float:
    assert callable(rising)
    for _ in range(44):
        middle = (low + high) / 2
        if rising(middle) < wanted:
            low = middle
        else:
            high = middle
    return (low + high) / 2
