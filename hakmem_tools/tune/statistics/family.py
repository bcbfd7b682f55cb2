"""Many arms at once: correction of p-values over the family, and the share each interval gets.

Sources: Holm, Scandinavian Journal of Statistics 1979; Bonferroni's inequality for simultaneous
intervals. Both hold under any dependence, which matters because all arms share one reference.
"""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's adjusted p-values, in the order given.

    None stands for an arm that has no p-value yet; it keeps its place in the family (it may still
    get one), so the others are corrected for it too. An empty family gives an empty list.
    """
    size = len(p_values)
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * size
    highest = 0.0
    for rank, (p, place) in enumerate(known):
        highest = max(highest, min(1.0, (size - rank) * p))
        adjusted[place] = highest
    return adjusted


def interval_level(level: float, family: int) -> float:
    """Level of each interval so that all of them hold together with probability 1 - level."""
    return level / max(1, family)
