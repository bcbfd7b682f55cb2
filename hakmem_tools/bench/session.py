"""One benchmark from its setup to its document: the A/A stage first, then the plan.

`hakmem bench` calls `run_session`. The document is built after every round and handed on, so that
an interrupted benchmark has already said and saved what it knew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from hakmem_tools.bench.conduct import aa_arms, arms_of, conduct
from hakmem_tools.bench.machine import load_average
from hakmem_tools.bench.measure import Run
from hakmem_tools.bench.results import AaResult, Document, Setup, analyse_aa, build_document

AA_ROUNDS_SHARE = 2  # the A/A stage takes one round for so many of the plan, and at least
AA_ROUNDS_LEAST = 5


def run_session(
    setup: Setup,
    programs: Path,
    *,
    with_aa: bool = True,
    tell: Callable[[str], None] = lambda _line: None,
    keep: Callable[[Document], None] = lambda _document: None,
) -> Document:
    """Run everything and return the document; `tell` gets progress, `keep` what is there so far."""
    aa = _run_aa(setup, programs, tell) if with_aa else None
    latest = build_document(setup, aa, [], 0, load_average())

    def after_round(done: int, runs: Sequence[Run]) -> None:
        nonlocal latest
        latest = build_document(setup, aa, runs, done, load_average())
        failed = f", {latest.failed_runs} runs failed" if latest.failed_runs else ""
        tell(f"round {done} of {setup.rounds} done{failed}")
        keep(latest)

    conduct(setup.rows, arms_of(setup.peers), setup.rounds, programs, after_round=after_round)
    return latest


def _run_aa(setup: Setup, programs: Path, tell: Callable[[str], None]) -> AaResult:
    """The first of our own builds against itself, or the first peer where there is none."""
    peer = next((peer for peer in setup.peers if peer.ours), setup.peers[0])
    rounds = max(AA_ROUNDS_LEAST, setup.rounds // AA_ROUNDS_SHARE)
    runs = conduct(
        setup.rows, aa_arms(peer), rounds, programs,
        after_round=lambda done, _: tell(f"A/A round {done} of {rounds} done ({peer.name})"),
    )  # fmt: skip
    return analyse_aa(runs, peer.name)
