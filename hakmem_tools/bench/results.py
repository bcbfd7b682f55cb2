"""The document of one benchmark: everything it found, put together from its runs. Pure.

`session` builds one after every round; `table` shows it and `export` writes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from hakmem_tools.bench.analysis import (
    Ratio,
    RowResult,
    analyse_row,
    exceeds_glibc,
    geometric_mean,
    geometric_ratio,
    points,
    time_ratio,
)
from hakmem_tools.bench.conduct import AA_SUFFIX
from hakmem_tools.bench.measure import Run
from hakmem_tools.bench.peers import OURS, Peer
from hakmem_tools.bench.rows import Row
from hakmem_tools.model.snapshot import SCHEMA_VERSION

SEED = 20_023


class AaResult(msgspec.Struct, frozen=True, kw_only=True):
    """The same allocator as two arms: the noise that any ratio of this run stands on."""

    peer: str
    rows: dict[str, Ratio]
    outside: int  # rows whose interval does not hold 1; 5 % of them would by chance


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """One build of hakmem over all rows.

    `rows_slower` names the rows whose interval does not reach 1, `rss_above_glibc` those over their
    limit. `time_to_default` compares another build with the default one, over all rows.
    """

    time_main: Ratio | None
    time_all: Ratio | None
    time_to_default: Ratio | None
    rss_to_peer: dict[str, float]
    rows_slower: list[str]
    rss_above_glibc: list[str]


class Setup(NamedTuple):
    """What was asked for: the plan, and what is known before the first run."""

    rows: Sequence[Row]
    peers: Sequence[Peer]
    missing_peers: Sequence[str]
    rounds: int
    quick: bool
    machine: dict[str, object]


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one benchmark found. `peers` maps a name to its version, file and fingerprint."""

    schema_version: int = SCHEMA_VERSION
    quick: bool
    rounds: int
    rounds_done: int
    machine: dict[str, object]
    load_average_after: list[float]
    peers: dict[str, dict[str, str | None]]
    missing_peers: list[str]
    aa: AaResult | None
    rows: list[RowResult]
    points_scenarios: dict[str, float]
    points_all: dict[str, float]
    ours: dict[str, Standing]
    failed_runs: int
    runs: list[Run]


def analyse_aa(runs: Sequence[Run], peer: str) -> AaResult:
    """The A/A stage's ratios, the second arm over the first."""
    ratios = {}
    for row in dict.fromkeys(run.row for run in runs):
        if ratio := time_ratio(runs, row, peer + AA_SUFFIX, peer, SEED):
            ratios[row] = ratio
    outside = sum(
        r.low is not None and r.high is not None and not r.low <= 1.0 <= r.high
        for r in ratios.values()
    )
    return AaResult(peer=peer, rows=ratios, outside=outside)


def analyse(runs: Sequence[Run], rows: Sequence[Row], peers: Sequence[Peer]) -> list[RowResult]:
    """The table's lines, in its order, for the rows that have run at all."""
    begun = {run.row for run in runs}
    arms = [peer.name for peer in peers]
    ours = [peer.name for peer in peers if peer.ours]
    return [analyse_row(runs, row.name, arms, ours, SEED) for row in rows if row.name in begun]


def standing(
    runs: Sequence[Run], results: Sequence[RowResult], rows: Sequence[Row], arm: str
) -> Standing:
    """How one build of hakmem stands over the rows."""
    main = {row.name for row in rows if row.main}
    pairs = [(r.row, arm, r.best_peer) for r in results if r.best_peer and arm in r.ours]
    peaks: dict[str, list[float]] = {}
    for result in results:
        for peer, ratio in result.rss_to.get(arm, {}).items():
            peaks.setdefault(peer, []).append(ratio)
    return Standing(
        time_main=geometric_ratio(runs, [pair for pair in pairs if pair[0] in main], SEED),
        time_all=geometric_ratio(runs, pairs, SEED),
        time_to_default=_time_to_default(runs, results, arm),
        rss_to_peer={p: mean for p, v in peaks.items() if (mean := geometric_mean(v)) is not None},
        rows_slower=[r.row for r in results if arm in r.ours and not _reaches_one(r.ours[arm])],
        rss_above_glibc=[r.row for r in results if _above_glibc(r, arm)],
    )


def _time_to_default(runs: Sequence[Run], results: Sequence[RowResult], arm: str) -> Ratio | None:
    if arm == OURS:
        return None
    return geometric_ratio(runs, [(result.row, arm, OURS) for result in results], SEED)


def _reaches_one(ratio: Ratio) -> bool:
    return ratio.estimate <= 1.0 if ratio.reaches_one is None else ratio.reaches_one


def _above_glibc(result: RowResult, arm: str) -> bool:
    own, glibc = (result.cells[a].peak_rss_bytes if a in result.cells else None
                  for a in (arm, "glibc"))  # fmt: skip
    return own is not None and glibc is not None and exceeds_glibc(own, glibc)


def build_document(
    setup: Setup,
    aa: AaResult | None,
    runs: Sequence[Run],
    rounds_done: int,
    load_average: list[float],
) -> Document:
    """Everything that the runs so far say; `load_average` is the machine's now."""
    results = analyse(runs, setup.rows, setup.peers)
    names = [peer.name for peer in setup.peers]
    ranked = {row.name for row in setup.rows if row.scenario}
    return Document(
        quick=setup.quick,
        rounds=setup.rounds,
        rounds_done=rounds_done,
        machine=setup.machine,
        load_average_after=load_average,
        peers={peer.name: peer.describe() for peer in setup.peers},
        missing_peers=list(setup.missing_peers),
        aa=aa,
        rows=results,
        points_scenarios=points([r for r in results if r.row in ranked], names),
        points_all=points(results, names),
        ours={p.name: standing(runs, results, setup.rows, p.name) for p in setup.peers if p.ours},
        failed_runs=sum(run.failure is not None for run in runs),
        runs=list(runs),
    )
