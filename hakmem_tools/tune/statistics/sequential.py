"""Error spending: looking at the data while runs are still coming, without cheating.

`analysis` asks it at each look which nominal level that look may use, and for the sequential
p-value of an arm. The stated error rate holds for the whole experiment: however often one looks and
whenever one stops, a true hypothesis is rejected with probability at most the level.

Sources:
- spending functions: Lan & DeMets, Biometrika 1983; the power family t^rho: Kim & DeMets,
  Biometrika 1987 (rho = 3 is close to O'Brien-Fleming, rho = 1 to Pocock). Spending may run on
  calendar time while the correlation runs on information: Lan & DeMets, Stat. in Medicine 1989.
- boundaries by recursive integration: Armitage, McPherson & Rowe 1969; Jennison & Turnbull, Group
  Sequential Methods, ch. 19.
- repeated confidence intervals: Jennison & Turnbull, JRSS B 1989.
- sequential p-value, the smallest level at which some look so far rejects: Liu & Anderson,
  Statistics in Medicine 2008. A running minimum of them stays a valid p-value, so Holm's procedure
  applies to them as to any other.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# Most of the error is spent early. The horizon is planned from a guess of the noise, so it is
# generous, and a spending that starts early keeps that from costing runs: on simulated machines of
# 2-4 % noise rho = 0.7 needs 5 % fewer runs than 1, and 12 % fewer than 1.5, for the same power.
RHO = 0.7
_NODES = 48  # Gauss-Legendre nodes; more change a nominal level by less than one part in a thousand
_LEAST_SPREAD = 0.002  # a calmer calibration than this was luck
_MAX_SCORE = 9.0  # |z| beyond this has probability below 1e-18: nothing is spent there
LOOKS = 20  # per sweep; more would hardly end it sooner
FIRST_LOOK = 3  # blocks before it, where the A/A pairs have told the spread (`estimate`)
FIRST_LOOK_BLIND = 5  # where they have not


class Look(NamedTuple):
    """One analysis: blocks seen so far, and the fraction of the error spent by then (0..1]."""

    blocks: int
    spent: float

    def due_after(self, last: Look) -> bool:
        """Whether it is time for it: a twentieth of the error after the last, or at the end."""
        ripe = self.spent >= min(1.0, last.spent + 1.0 / LOOKS - 1e-9)
        return ripe and self.blocks > last.blocks


NO_LOOK = Look(0, 0.0)


def looks_of(horizon: int, first: int = FIRST_LOOK) -> list[Look]:
    """The looks of an experiment that spends its error by blocks, none ever being too late."""
    taken = [NO_LOOK]
    for blocks in range(first, horizon + 1):
        look = Look(blocks, blocks / horizon)
        if look.due_after(taken[-1]):
            taken.append(look)
    return taken[1:]


class Boundary:
    """The nominal two-sided level of every look, for a whole grid of overall levels at once.

    Looks are added in order. `nominal(level)` is what the latest look may use when the experiment's
    error is `level`; `sequential_p(p)` turns that around.
    """

    def __init__(self, rho: float = RHO) -> None:
        self.rho = rho
        self.looks: list[Look] = []

    def add(self, look: Look) -> None:
        """Take one more look; raises ValueError unless it has more blocks and no less spent."""
        last = self.looks[-1] if self.looks else NO_LOOK
        if look.blocks <= last.blocks or look.spent < last.spent:
            raise ValueError(f"a look must go forward: {look} after {last}")
        self.looks.append(look)

    def nominal(self, level: float) -> float:
        """Two-sided level that the latest look may use; 0 before the first look."""
        import numpy as np

        if not self.looks or level <= 0:
            return 0.0
        levels, nominal = self._curve()
        wanted = math.log(level)
        if wanted < levels[0]:  # nominal levels are proportional to the overall one down there
            return float(math.exp(nominal[0] + wanted - levels[0]))
        return float(np.exp(np.interp(wanted, levels, nominal)))

    def sequential_p(self, p_value: float) -> float:
        """Smallest overall level at which the latest look alone rejects; 1 when none does."""
        import numpy as np

        if not self.looks:
            return 1.0
        if p_value <= 0.0:
            return 0.0
        levels, nominal = self._curve()
        wanted = math.log(p_value)
        if wanted > nominal[-1]:
            return 1.0
        if wanted < nominal[0]:
            return float(math.exp(levels[0] + wanted - nominal[0]))
        return float(np.exp(np.interp(wanted, nominal, levels)))

    def _curve(self) -> tuple[Floats, Floats]:
        """Logarithms of the grid of overall levels, and of the latest look's nominal ones."""
        import numpy as np

        state = _after(self.rho, tuple(self.looks))
        return np.log(_levels()), np.log(np.maximum(state.nominal, 1e-300))


class _State(NamedTuple):
    """After a look, by overall level: nominal level, and the density of the surviving paths."""

    nominal: Floats
    nodes: Floats
    weighted: Floats


@functools.cache
def _levels() -> Floats:
    """Overall levels, from far below any Bonferroni share of 5 % up to nearly 1."""
    import numpy as np

    return np.concatenate([np.logspace(-7, math.log10(0.05), 41), np.linspace(0.075, 0.975, 13)])


@functools.lru_cache(maxsize=512)
def _after(rho: float, looks: tuple[Look, ...]) -> _State:
    """The state after the last of `looks`; each look's is kept, since the next builds on it."""
    import numpy as np
    from scipy.special import ndtr

    look, before = looks[-1], looks[-2] if len(looks) > 1 else NO_LOOK
    earlier = _after(rho, looks[:-1]) if len(looks) > 1 else None
    share = _levels() * (min(look.spent, 1.0) ** rho - min(before.spent, 1.0) ** rho)
    low, high = np.zeros_like(share), np.full_like(share, _MAX_SCORE)
    for _ in range(48):
        middle = (low + high) / 2
        too_much = _crossing(earlier, middle, before.blocks, look.blocks) > share
        low, high = np.where(too_much, middle, low), np.where(too_much, high, middle)
    nodes, weighted = _surviving(earlier, high, before.blocks, look.blocks)
    return _State(np.asarray(2.0 * ndtr(-high)), nodes, weighted)


def _crossing(earlier: _State | None, critical: Floats, before: int, now: int) -> Floats:
    """Probability of leaving through +-critical at this look, not having left earlier."""
    import numpy as np
    from scipy.special import ndtr

    if earlier is None:
        return np.asarray(2.0 * ndtr(-critical))
    edge = (critical * math.sqrt(now))[:, None]
    step = math.sqrt(now - before)
    tails = ndtr((earlier.nodes - edge) / step) + ndtr((-edge - earlier.nodes) / step)
    return np.asarray((earlier.weighted * tails).sum(axis=1))


def _surviving(
    earlier: _State | None, critical: Floats, before: int, now: int
) -> tuple[Floats, Floats]:
    """Nodes inside +-critical, and the weighted density there of paths that never crossed."""
    import numpy as np

    unit, weights = np.polynomial.legendre.leggauss(_NODES)
    edge = critical[:, None] * math.sqrt(now)
    nodes, weight = edge * unit, edge * weights
    if earlier is None:
        density = np.exp(-(nodes**2) / (2 * now)) / math.sqrt(2 * math.pi * now)
    else:
        step = now - before
        gap = nodes[:, :, None] - earlier.nodes[:, None, :]
        kernel = np.exp(-(gap**2) / (2 * step)) / math.sqrt(2 * math.pi * step)
        density = (kernel * earlier.weighted[:, None, :]).sum(axis=2)
    return nodes, density * weight


def planned_blocks(spread: float, effect: float, level: float, power: float = 0.9) -> int:
    """Blocks that a fixed design needs to find `effect` with `power`, one run per arm and block.

    `spread` is one run's standard deviation on the log scale, `effect` a fraction (0.03 is 3 %),
    `level` the two-sided error of this arm. The normal formula n = 2 ((z_a + z_b) s / d)^2 plus
    Guenther's z_a^2 / 2 for Student's tails (The American Statistician 1981), divided by 0.9: what
    the trimmed mean keeps of a mean's efficiency on normal noise.
    """
    from scipy.special import ndtri

    z_level, z_power = -float(ndtri(level / 2)), float(ndtri(power))
    distance = math.log1p(effect)
    count = 2.0 * ((z_level + z_power) * spread / distance) ** 2 / 0.9 + z_level**2 / 2
    return max(FIRST_LOOK, math.ceil(count))


def planned_horizon(
    spread: float | None, pairs: int, effect: float, level: float, power: float = 0.95
) -> int:
    """Most blocks a sequential design may need, planned from a spread that is itself an estimate.

    The spread of `pairs` A/A pairs is raised to its upper 80 % limit (a chi-square with 0.8 degrees
    of freedom per pair, for the mean absolute difference), since a horizon that is too near costs
    power and one that is too far hardly costs runs; a tenth is added for the looks. Without a
    spread 5 % is assumed, more than nearly every machine has.
    """
    from scipy.special import gammaincinv

    deviation = 0.05
    if spread is not None and pairs > 1:
        degrees = 0.8 * pairs
        # gammaincinv(a, q) is half the chi-square quantile with 2a degrees of freedom.
        upper = math.sqrt(degrees / (2.0 * float(gammaincinv(degrees / 2.0, 0.2))))
        deviation = max(_LEAST_SPREAD, spread * upper)
    return max(8, math.ceil(1.1 * planned_blocks(deviation, effect, level, power)))
