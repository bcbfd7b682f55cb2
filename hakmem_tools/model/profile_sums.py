"""Sums over the ticks of a profile, by key and age: what makes a view of any moment quick.

All that happened up to tick n is kept as one reduced table; the next one starts from it, so that
a live screen pays for one tick a second and not for all since the start. What happened between
two moments is one table less another. Pure; used by Profile alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from hakmem_tools.model.profile_estimate import Amount
from hakmem_tools.model.profile_records import Rows

if TYPE_CHECKING:
    from hakmem_tools.model.profile_records import Numbers

    Columns = tuple[Numbers, ...]  # key, age, samples, size_bytes, weighted

#: Ages are one byte.
AGES = 256
#: Tables that are kept: the last few moments that somebody asked about.
_MOST_KEPT = 8


class Prefixes:
    """The reduced tables of one kind of rows. Ticks are only ever added behind."""

    def __init__(self, rows_of: Callable[[int], Rows]) -> None:
        """`rows_of(n)` gives the rows of tick n."""
        self._rows_of = rows_of
        self._kept: dict[int, Columns] = {}

    def up_to(self, count: int) -> Columns | None:
        """All rows of the first `count` ticks, one for each key and age; None for no tick."""
        if count <= 0:
            return None
        table = self._kept.pop(count, None)
        if table is None:
            start = max((known for known in self._kept if known < count), default=0)
            parts = [self._kept[start]] if start else []
            parts += [rows.arrays() for n in range(start, count) if len(rows := self._rows_of(n))]
            if not parts:
                return None
            table = _reduced([(1, part) for part in parts], by_age=True)
        self._kept[count] = table  # the newest last
        while len(self._kept) > _MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        return table


def amounts(
    signed: Sequence[tuple[int, Columns | None]],
    ages: range | None = None,
    *,
    by_age: bool = False,
) -> dict[int, Amount]:
    """Amounts by key * AGES, plus age where asked for, of some tables less others.

    `ages` picks rows by their age. Sums that are not positive (a free whose allocation was lost)
    are left out.
    """
    parts = [(sign, table) for sign, table in signed if table is not None]
    if ages is not None:
        parts = [(sign, _of_age(table, ages)) for sign, table in parts]
    if not parts:
        return {}
    keys, found_ages, *sums = (column.tolist() for column in _reduced(parts, by_age=by_age))
    return {
        key * AGES + age: Amount.of_row(samples, max(0, size_bytes), weighted)
        for key, age, samples, size_bytes, weighted in zip(keys, found_ages, *sums, strict=True)
        if samples > 0 and weighted > 0
    }


def _of_age(table: Columns, ages: range) -> Columns:
    chosen = (table[1] >= ages.start) & (table[1] < ages.stop)
    return tuple(column[chosen] for column in table)


def _reduced(parts: Sequence[tuple[int, Columns]], *, by_age: bool) -> Columns:
    """One row for each key (and age): signed sums, exact below 2^53 bytes."""
    import numpy as np

    key, age, *columns = (np.concatenate([part[i] for _, part in parts]) for i in range(5))
    sign = np.repeat([sign for sign, _ in parts], [len(part[0]) for _, part in parts])
    identity, where = np.unique(key * AGES + (age if by_age else 0), return_inverse=True)
    with np.errstate(invalid="ignore"):  # a forged recording may hold sums that no memory has
        sums = [
            np.bincount(where, sign * column, len(identity)).astype(np.int64) for column in columns
        ]
    return identity // AGES, identity % AGES, *sums
