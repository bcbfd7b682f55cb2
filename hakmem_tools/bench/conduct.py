"""Runs the plan: every row under every arm, interleaved, in rotated order, round after round.

`hakmem bench` calls `conduct`; `measure` does one run. The order is pure and can be told beforehand
(`order`). It draws no conclusion from a run but one: a checksum that differs from the others of its
row, with the same flags, means that memory was not what it ought to be, and fails the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from hakmem_tools.bench.measure import Run, measure
from hakmem_tools.bench.peers import Peer
from hakmem_tools.bench.rows import Row

AA_SUFFIX = " again"


class Arm(NamedTuple):
    """A column of the plan: a peer, under a name that differs when it stands in it twice."""

    name: str
    peer: Peer


class Step(NamedTuple):
    """One run of the plan."""

    round: int
    position: int
    row: Row
    arm: Arm


def arms_of(peers: Sequence[Peer]) -> list[Arm]:
    """One arm for each peer."""
    return [Arm(peer.name, peer) for peer in peers]


def aa_arms(peer: Peer) -> list[Arm]:
    """The same peer as two arms: what differs between them is noise."""
    return [Arm(peer.name, peer), Arm(peer.name + AA_SUFFIX, peer)]


def order(rows: Sequence[Row], arms: Sequence[Arm], rounds: int) -> Iterator[Step]:
    """Every step in the order it runs.

    Within a round a row's arms follow one another at once. The arm that begins moves on by one
    from row to row and from round to round, and every other round goes backwards, so that no arm
    always runs after the same other one or always first.
    """
    position = 0
    for round_ in range(rounds):
        for place, row in enumerate(rows):
            first = (place + round_) % len(arms) if arms else 0
            turned = [*arms[first:], *arms[:first]]
            for arm in turned[::-1] if round_ % 2 else turned:
                yield Step(round_, position, row, arm)
                position += 1


def conduct(
    rows: Sequence[Row],
    arms: Sequence[Arm],
    rounds: int,
    programs: Path,
    *,
    after_round: Callable[[int, Sequence[Run]], None] = lambda _round, _runs: None,
) -> list[Run]:
    """Run the whole plan and return every run, also the failed ones.

    `after_round` gets the number of the rounds done and all runs so far, to show and to save.
    """
    runs: list[Run] = []
    expected: dict[str, int] = {}
    done = 0
    for step in order(rows, arms, rounds):
        if step.round > done:
            done = step.round
            after_round(done, runs)
        run = measure(
            step.row, step.arm.peer, programs,
            round_=step.round, position=step.position, arm=step.arm.name,
        )  # fmt: skip
        runs.append(_with_checked_sum(run, expected))
    after_round(rounds, runs)
    return runs


def _with_checked_sum(run: Run, expected: dict[str, int]) -> Run:
    """The run, failed if its checksum is not the one that its row had first."""
    if run.failure is not None or run.checksum is None:
        return run
    if run.checksum == expected.setdefault(run.row, run.checksum):
        return run
    failure = f"checksum {run.checksum}, but the row's first run had {expected[run.row]}"
    return msgspec.structs.replace(run, failure=failure)
