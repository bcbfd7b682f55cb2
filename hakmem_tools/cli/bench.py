"""`hakmem bench`: the workloads under every allocator at hand, in one table."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hakmem_tools.bench.peers import DEFAULT_PEERS, PROJECT, Peer, find_peers
from hakmem_tools.bench.rows import ROWS, Row, select_rows
from hakmem_tools.cli.errors import DONE, INCONCLUSIVE, Failure, say

if TYPE_CHECKING:
    from hakmem_tools.bench.results import Document

ROUNDS, QUICK_ROUNDS = 10, 5


@click.command()
@click.option("--rows", "row_list", metavar="NAME[,NAME]", help="Rows to run, as glob patterns.")
@click.option(
    "--peers", "peer_list", metavar="NAME[,NAME]", default=",".join(DEFAULT_PEERS),
    show_default=True, help="Allocators; hakmem-minimal and NAME=LIBRARY.so are allowed too.",
)  # fmt: skip
@click.option("--rounds", type=click.IntRange(1, 1000), help=f"Rounds of the plan ({ROUNDS}).")
@click.option("--quick", is_flag=True, help="A tenth of the work, five rounds: for a look.")
@click.option("--no-aa", is_flag=True, help="Leave out the A/A stage.")
@click.option("--callgrind", is_flag=True, help="Count instructions instead of time.")
@click.option("--sites", is_flag=True, help="Score the inferred purpose of labelled call sites.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
@click.option(
    "-o", "outputs", multiple=True, metavar="FILE", type=click.Path(path_type=Path, dir_okay=False),
    help="Write FILE.json (everything) or FILE.csv (the runs); may be given twice.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite FILE.")
@click.option(
    "--programs", metavar="DIR", type=click.Path(path_type=Path, file_okay=False),
    default=PROJECT / "build" / "bench", help="Where the workloads are (build/bench).",
)  # fmt: skip
def command(
    row_list: str | None, peer_list: str, rounds: int | None, quick: bool, no_aa: bool,
    callgrind: bool, sites: bool, as_json: bool, outputs: tuple[Path, ...], force: bool,
    programs: Path,
) -> int:  # fmt: skip
    """Run the workloads under each allocator, interleaved, and compare time and memory.

    Bring the machine to rest first: what else runs is in the figures.
    """
    from hakmem_tools.bench import export, machine, results, session, table

    if callgrind and (row_list or rounds or quick or no_aa):
        raise click.UsageError("--callgrind counts rows of its own, once: leave out what is timed")
    if sites:
        return _score_sites(programs, as_json)
    rows = _chosen_rows(row_list, quick, programs)
    peers, missing = _chosen_peers(peer_list)
    _check_outputs(outputs, force, callgrind, export.FORMATS)
    if callgrind:
        return _count(peers, programs, as_json)
    if machine.is_busy():
        say("bench: other programs keep this machine busy; their load is in the figures")
    setup = results.Setup(rows, peers, missing, rounds or (QUICK_ROUNDS if quick else ROUNDS),
                          quick, machine.describe_machine())  # fmt: skip

    def keep(document: Document) -> None:
        for path in outputs:
            export.write_results(document, path)

    document = session.run_session(setup, programs, with_aa=not no_aa, tell=say, keep=keep)
    for line in export.json_lines(document) if as_json else table.document_lines(document):
        click.echo(line)
    if any(cell.seconds is None for row in document.rows for cell in row.cells.values()):
        say("bench: not every row has a time under every allocator; the failures are listed")
        return INCONCLUSIVE
    return DONE


def _chosen_rows(row_list: str | None, quick: bool, programs: Path) -> list[Row]:
    try:
        rows = list(ROWS) if row_list is None else select_rows(row_list.split(","))
    except ValueError as error:
        raise click.UsageError(f"--rows: {error}") from None
    for row in rows:
        if not (programs / row.program).is_file():
            raise Failure(f"{programs / row.program}: not built; run `make workloads`")
    return [row.quick() for row in rows] if quick else rows


def _chosen_peers(peer_list: str) -> tuple[list[Peer], list[str]]:
    try:
        peers, missing = find_peers(peer_list.split(","))
    except ValueError as error:
        raise click.UsageError(f"--peers: {error}") from None
    for line in missing:
        say(f"bench: peer {line}")
    if not peers:
        raise Failure(f"--peers {peer_list}: none of them is here")
    return peers, missing


def _check_outputs(
    outputs: Sequence[Path], force: bool, callgrind: bool, formats: Sequence[str]
) -> None:
    if outputs and callgrind:
        raise click.UsageError("-o writes times; with --callgrind use --json > FILE")
    for path in outputs:
        if path.suffix not in formats:
            raise click.UsageError(f"-o {path}: the name must end in {' or '.join(formats)}")
        if path.exists() and not force:
            raise Failure(f"-o {path}: the file exists; --force overwrites it")
        if not os.access(path.resolve().parent, os.W_OK | os.X_OK):
            raise Failure(f"-o {path}: no file can be written there")


def _count(peers: Sequence[Peer], programs: Path, as_json: bool) -> int:
    from hakmem_tools.bench import callgrind, export, table

    counts = callgrind.count_rows(peers, programs, say)
    for line in export.count_lines(counts) if as_json else table.instruction_lines(counts):
        click.echo(line)
    if any(count.failure is not None for count in counts):
        return INCONCLUSIVE
    return DONE


def _score_sites(programs: Path, as_json: bool) -> int:
    from hakmem_tools.bench import site_score
    from hakmem_tools.cli.output import print_json, print_line
    from hakmem_tools.model.site_score import confusion_lines, confusion_record

    if not (programs / site_score.PROGRAM).is_file():
        raise Failure(f"{programs / site_score.PROGRAM}: not built; run `make workloads`")
    peers, _ = _chosen_peers("hakmem")
    assert peers[0].library is not None
    for mode in site_score.MODES:
        try:
            scores = site_score.score_sites(peers[0].library, programs, mode)
        except site_score.SiteScoreError as error:
            raise Failure(str(error)) from None
        for way, score in scores.items():
            if as_json:
                print_json({"record": "sites", "mode": mode, "way": way, **confusion_record(score)})
            else:
                print_line("\n".join(confusion_lines(f"mode {mode}, {way}", score)))
    return DONE
