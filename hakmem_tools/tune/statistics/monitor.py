"""The family of arms watched over time: what may be said of each arm after each look.

`experiment` (and the simulations that check the error rate) hand in the log ratios gathered so far;
out come estimate, simultaneous interval and adjusted p-value per arm, valid at that look and at any
other, whatever made one stop. It takes no decision: `verdict` does.

Error rate: over the whole experiment and all arms together, the probability that any interval ever
misses its true effect, or that any arm without effect ever gets an adjusted p-value at or below the
level, is at most the level.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from hakmem_tools.tune.statistics.estimate import paired_estimate
from hakmem_tools.tune.statistics.family import holm, interval_level
from hakmem_tools.tune.statistics.sequential import RHO, Boundary, Look

if TYPE_CHECKING:
    import numpy as np

LEVEL = 0.05


class ArmEffect(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one arm at a look; effects are fractions (0.05 is 5 % more throughput).

    `effect` and `interval` are None with `reason` while there are too few pairs. `p_adjusted` is
    the Holm-adjusted sequential p-value of "no effect at all", 1 until something speaks against it.
    """

    arm: str
    pairs: int
    effect: float | None = None
    interval: tuple[float, float] | None = None
    p_adjusted: float = 1.0
    reason: str = ""

    @property
    def half_width(self) -> float | None:
        """Half of the interval's width, as a fraction."""
        return None if self.interval is None else (self.interval[1] - self.interval[0]) / 2

    @property
    def differs(self) -> bool:
        """Whether "no effect" is rejected at the experiment's level (5 %)."""
        return self.p_adjusted <= LEVEL


class Estimate(Protocol):
    """An effect on the log scale that can be tested and enclosed at any level."""

    @property
    def pairs(self) -> int:
        """How many observations of the arm are in it."""

    @property
    def log_effect(self) -> float:
        """The effect; above 0 is better."""

    def interval(self, level: float) -> tuple[float, float]:
        """Two-sided interval that errs with probability `level`."""

    def p_value(self) -> float:
        """Two-sided p-value of no effect."""


Estimator = Callable[[Sequence[Any], "np.random.Generator"], Estimate | None]


class Monitor:
    """Keeps the spent error and each arm's smallest sequential p-value from look to look."""

    def __init__(
        self,
        arms: Sequence[str],
        *,
        seed: int,
        level: float = LEVEL,
        estimator: Estimator = paired_estimate,
    ) -> None:
        self.arms = tuple(arms)
        self.level = level
        self._seed = seed
        self._estimator = estimator
        self._boundary = Boundary(RHO)
        self._smallest: dict[str, float | None] = dict.fromkeys(self.arms)
        self._frozen: dict[str, ArmEffect] = {}

    @property
    def looks(self) -> Sequence[Look]:
        """Every look so far."""
        return tuple(self._boundary.looks)

    @property
    def nominal(self) -> float:
        """Level of each interval at the latest look; all of them together err with `level`."""
        return self._boundary.nominal(interval_level(self.level, len(self.arms)))

    def freeze(self, effect: ArmEffect) -> None:
        """Stop following an arm: what was said of it at the last look stays said."""
        self._frozen[effect.arm] = effect

    def look(self, look: Look, data: Mapping[str, Sequence[Any]]) -> list[ArmEffect]:
        """Analyse the data so far, in the order of the arms. Raises ValueError as `Boundary.add`.

        `data` maps an arm to what the estimator takes: by default one log improvement per complete
        block, in block order.
        """
        self._boundary.add(look)
        estimates: dict[str, Estimate | None] = {}
        for place, arm in enumerate(self.arms):
            if arm in self._frozen:
                continue
            estimate = self._estimate(place, look, data.get(arm, ()))
            estimates[arm] = estimate
            if estimate is not None:
                p_now = self._boundary.sequential_p(estimate.p_value())
                before = self._smallest[arm]
                self._smallest[arm] = p_now if before is None else min(before, p_now)
        adjusted = dict(
            zip(self.arms, holm([self._smallest[arm] for arm in self.arms]), strict=True)
        )
        return [
            self._frozen[arm]
            if arm in self._frozen
            else self._effect(arm, estimates[arm], adjusted[arm], len(data.get(arm, ())))
            for arm in self.arms
        ]

    def _estimate(self, place: int, look: Look, data: Sequence[Any]) -> Estimate | None:
        import numpy as np

        # Own stream per look and arm: an analysis made again from the store gives the same digits.
        generator = np.random.default_rng([self._seed, look.blocks, place])
        return self._estimator(data, generator)

    def _effect(
        self, arm: str, estimate: Estimate | None, p_adjusted: float | None, pairs: int
    ) -> ArmEffect:
        if estimate is None:
            reason = f"only {pairs} complete blocks: too few for an interval"
            return ArmEffect(arm=arm, pairs=pairs, reason=reason)
        pairs = estimate.pairs
        low, high = estimate.interval(self.nominal)
        if not math.isfinite(high - low) or high > 5.0:  # beyond e^5 it says nothing
            return ArmEffect(
                arm=arm,
                pairs=pairs,
                effect=math.expm1(estimate.log_effect),
                p_adjusted=1.0 if p_adjusted is None else p_adjusted,
                reason="the interval is still too wide to print",
            )
        return ArmEffect(
            arm=arm,
            pairs=pairs,
            effect=math.expm1(estimate.log_effect),
            interval=(math.expm1(low), math.expm1(high)),
            p_adjusted=1.0 if p_adjusted is None else p_adjusted,
        )
