"""Instructions of one operation, by callgrind: exact where time is not.

`hakmem bench --callgrind` runs the shortest workloads twice under valgrind, with two counts, and
divides the difference in instructions by the difference in operations: what the process costs to
start falls out. The workload's own loop stays in, the same for every allocator. This guards the
fast path and compares build variants; it knows no caches and no time.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from hakmem_tools.bench.measure import MeasureError, run_held
from hakmem_tools.bench.peers import Peer
from hakmem_tools.bench.rows import ROWS, Row

COUNTED_ROWS = ("pair64", "tiny_1")
FEW, MANY = 100_000, 300_000  # operations; enough for `tiny` to have filled its slots
TIMEOUT_SECONDS = 600.0
_SUMMARY = re.compile(r"^(?:summary|totals): (\d+)", re.MULTILINE)


class InstructionCount(msgspec.Struct, frozen=True, kw_only=True):
    """Instructions of one operation of the row under the arm; None where `failure` says why."""

    row: str
    arm: str
    few: int | None = None
    many: int | None = None
    per_operation: float | None = None
    failure: str | None = None


def count_rows(
    peers: Sequence[Peer], programs: Path, tell: Callable[[str], None] = lambda _line: None
) -> list[InstructionCount]:
    """Count every row of `COUNTED_ROWS` under every peer."""
    counts = []
    for row in (row for row in ROWS if row.name in COUNTED_ROWS):
        for peer in peers:
            counts.append(count_instructions(row, peer, programs))
            tell(f"callgrind: {row.name} under {peer.name} done")
    return counts


def count_instructions(row: Row, peer: Peer, programs: Path) -> InstructionCount:
    """Run the row twice under callgrind and take the difference. Never raises for a failed run."""
    try:
        few, few_ops = _collect(row, FEW, peer, programs)
        many, many_ops = _collect(row, MANY, peer, programs)
    except MeasureError as error:
        return InstructionCount(row=row.name, arm=peer.name, failure=str(error))
    return InstructionCount(
        row=row.name, arm=peer.name, few=few, many=many,
        per_operation=(many - few) / (many_ops - few_ops),
    )  # fmt: skip


def _collect(row: Row, count: int, peer: Peer, programs: Path) -> tuple[int, int]:
    """Instructions and operations of one run. Raises MeasureError."""
    sized = msgspec.structs.replace(row, count=count)
    with tempfile.TemporaryDirectory(prefix="hakmem-callgrind-") as folder:
        out = Path(folder, "out")
        command = [
            "valgrind", "--tool=callgrind", "--quiet", f"--callgrind-out-file={out}",
            str(programs / row.program), *sized.arguments(), "--hold",
        ]  # fmt: skip
        held = run_held(command, peer.library, timeout_seconds=TIMEOUT_SECONDS)
        return parse_total(out.read_text(errors="replace")), held.output.ops


def parse_total(text: str) -> int:
    """The instructions a callgrind output file sums up. Raises MeasureError if it has no sum."""
    found = _SUMMARY.search(text)
    if found is None:
        raise MeasureError("callgrind's output has no total")
    return int(found.group(1))
