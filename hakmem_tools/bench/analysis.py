"""From runs to figures: medians, ratios with their intervals, geometric means, points. Pure.

`table` and `results` show what `analyse` returns. Randomness comes in as a seed, so the same runs
give the same intervals. numpy is imported when first used.

- A peer's cost in a row is the ratio of its median time to the best peer's median. hakmem is never
  the best peer: it is compared with it.
- Interval: percentile bootstrap (Efron & Tibshirani 1993, ch. 13) over rounds. Both arms are
  resampled with the same rounds, since what disturbs a round disturbs its neighbours too.
- Runs that failed are not in a median, they are counted; a round counts for a ratio only when both
  arms have it. Fewer than `MIN_ROUNDS` such rounds: no interval (None).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from hakmem_tools.bench.measure import Run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MIN_ROUNDS = 5  # with fewer, a bootstrap of medians is far too sure of itself
RESAMPLES = 4000
CONFIDENCE = 0.95
GLIBC_SLACK = 1.15  # a row may take so many times glibc's peak RSS, or
GLIBC_SLACK_BYTES = 2 << 20  # so much more, whichever is larger


class Ratio(msgspec.Struct, frozen=True):
    """A ratio of medians with its interval; below 1 the first of the two is the cheaper."""

    estimate: float
    low: float | None
    high: float | None
    rounds: int

    @property
    def reaches_one(self) -> bool | None:
        """Whether the interval lies below 1 or covers it; None without an interval."""
        return None if self.low is None else self.low <= 1.0


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One row under one arm. Medians over the runs that worked; None when none did."""

    runs: int
    failed_runs: int
    failure: str | None
    seconds: float | None
    ops_per_second: float | None
    cost: float | None
    peak_rss_bytes: float | None
    minor_faults: float | None
    major_faults: float | None
    user_seconds: float | None
    system_seconds: float | None
    context_switches: float | None


class RowResult(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the table: the cells by arm, and each build of hakmem against the best peer."""

    row: str
    best_peer: str | None
    cells: dict[str, Cell]
    ours: dict[str, Ratio]
    rss_to: dict[str, dict[str, float]]  # ours -> peer -> ratio of peak RSS


def runs_of(runs: Sequence[Run], row: str, arm: str) -> list[Run]:
    """The runs of one cell, in the order of their rounds."""
    return sorted((r for r in runs if r.row == row and r.arm == arm), key=lambda r: r.round)


def analyse_row(
    runs: Sequence[Run], row: str, arms: Sequence[str], ours: Sequence[str], seed: int
) -> RowResult:
    """One line of the table; `ours` are the arms that are builds of hakmem."""
    medians = {arm: _median(_seconds(runs, row, arm).values()) for arm in arms}
    peers = {a: m for a, m in medians.items() if a not in ours and m is not None}
    best = min(peers, key=lambda arm: peers[arm]) if peers else None
    cells = {arm: _cell(runs_of(runs, row, arm), peers[best] if best else None) for arm in arms}
    ratios = {}
    for arm in ours:
        if best and (ratio := time_ratio(runs, row, arm, best, seed)):
            ratios[arm] = ratio
    return RowResult(
        row=row, best_peer=best, cells=cells, ours=ratios,
        rss_to={arm: _rss_ratios(cells, arm, ours) for arm in ours if arm in cells},
    )  # fmt: skip


def time_ratio(runs: Sequence[Run], row: str, arm: str, to: str, seed: int) -> Ratio | None:
    """Median seconds of `arm` over those of `to`, paired by round; None without a common round."""
    mine, others = _seconds(runs, row, arm), _seconds(runs, row, to)
    rounds = sorted(mine.keys() & others.keys())
    return paired_ratio([mine[r] for r in rounds], [others[r] for r in rounds], seed)


def paired_ratio(values: Sequence[float], others: Sequence[float], seed: int) -> Ratio | None:
    """Ratio of the medians of two series of equal length, whose elements belong together in pairs.

    None for empty series or where the second median is 0.
    """
    import numpy as np

    if not values or float(np.median(others)) <= 0.0:
        return None
    estimate = float(np.median(values) / np.median(others))
    if len(values) < MIN_ROUNDS:
        return Ratio(estimate, None, None, len(values))
    logs = resampled_logs(values, others, seed)
    low, high = np.exp(np.quantile(logs, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]))
    return Ratio(estimate, float(low), float(high), len(values))


def resampled_logs(values: Sequence[float], others: Sequence[float], seed: int) -> Floats:
    """Logarithms of the ratio of medians in `RESAMPLES` resamples of the pairs."""
    import numpy as np

    generator = np.random.default_rng(seed)
    picks = generator.integers(0, len(values), size=(RESAMPLES, len(values)))
    mine = np.median(np.asarray(values, dtype=float)[picks], axis=1)
    theirs = np.median(np.asarray(others, dtype=float)[picks], axis=1)
    logs: Floats = np.log(mine) - np.log(theirs)
    return logs


def geometric_ratio(
    runs: Sequence[Run], pairs: Sequence[tuple[str, str, str]], seed: int
) -> Ratio | None:
    """Geometric mean over rows of `time_ratio`, for (row, arm, to); None without any row.

    The rows' rounds are resampled each on their own; rows too short for an interval take the
    interval away from the whole.
    """
    import numpy as np

    estimates: list[float] = []
    logs: list[Floats] = []
    fewest = 0
    for place, (row, arm, to) in enumerate(pairs):
        mine, others = _seconds(runs, row, arm), _seconds(runs, row, to)
        rounds = sorted(mine.keys() & others.keys())
        ratio = time_ratio(runs, row, arm, to, seed)
        if ratio is None:
            continue
        estimates.append(math.log(ratio.estimate))
        fewest = min(fewest, len(rounds)) if fewest else len(rounds)
        if len(rounds) >= MIN_ROUNDS:
            logs.append(
                resampled_logs([mine[r] for r in rounds], [others[r] for r in rounds], seed + place)
            )
    if not estimates:
        return None
    estimate = math.exp(sum(estimates) / len(estimates))
    if len(logs) < len(estimates):
        return Ratio(estimate, None, None, fewest)
    means = np.mean(np.stack(logs), axis=0)
    low, high = np.exp(np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]))
    return Ratio(estimate, float(low), float(high), fewest)


def geometric_mean(values: Sequence[float]) -> float | None:
    """Geometric mean; None for no values or a value that is not positive."""
    if not values or min(values) <= 0.0:
        return None
    return math.exp(sum(math.log(value) for value in values) / len(values))


def points(results: Sequence[RowResult], arms: Sequence[str]) -> dict[str, float]:
    """Points over rows: with k arms the fastest gets k, the next k-1, and one without a time 0.

    Equal medians share the points of their places.
    """
    total = dict.fromkeys(arms, 0.0)
    for result in results:
        times = {a: c.seconds for a, c in result.cells.items() if c.seconds is not None}
        for arm, own in times.items():
            faster = sum(other < own for other in times.values())
            equal = sum(other == own for other in times.values())
            total[arm] += len(arms) - faster - (equal - 1) / 2
    return total


def exceeds_glibc(rss_bytes: float, glibc_bytes: float) -> bool:
    """Whether a row's peak RSS is above glibc's by more than 15 % or 2 MiB, whichever is larger."""
    return rss_bytes > max(glibc_bytes * GLIBC_SLACK, glibc_bytes + GLIBC_SLACK_BYTES)


def _seconds(runs: Sequence[Run], row: str, arm: str) -> dict[int, float]:
    """Seconds by round of the runs that worked; a time of 0 cannot be compared and is left out."""
    worked = (r for r in runs_of(runs, row, arm) if r.failure is None)
    return {r.round: r.seconds for r in worked if r.seconds is not None and r.seconds > 0.0}


def _median(values: Iterable[float | None]) -> float | None:
    import numpy as np

    known = [float(value) for value in values if value is not None]
    return float(np.median(known)) if known else None


def _cell(runs: Sequence[Run], best_seconds: float | None) -> Cell:
    worked = [run for run in runs if run.failure is None]
    failures = [run.failure for run in runs if run.failure is not None]
    seconds = _median(run.seconds for run in worked)
    ops = _median(run.ops for run in worked)
    return Cell(
        runs=len(runs),
        failed_runs=len(failures),
        failure=failures[0] if failures else None,
        seconds=seconds,
        ops_per_second=ops / seconds if ops is not None and seconds else None,
        cost=seconds / best_seconds if seconds is not None and best_seconds else None,
        peak_rss_bytes=_median(run.peak_rss_bytes for run in worked),
        minor_faults=_median(run.minor_faults for run in worked),
        major_faults=_median(run.major_faults for run in worked),
        user_seconds=_median(run.user_seconds for run in worked),
        system_seconds=_median(run.system_seconds for run in worked),
        context_switches=_median(
            (run.voluntary_switches or 0) + (run.involuntary_switches or 0) for run in worked
        ),
    )


def _rss_ratios(cells: Mapping[str, Cell], arm: str, ours: Sequence[str]) -> dict[str, float]:
    own = cells[arm].peak_rss_bytes
    if own is None:
        return {}
    peaks = {name: cell.peak_rss_bytes for name, cell in cells.items() if name not in ours}
    return {name: own / peak for name, peak in peaks.items() if peak}
