"""The document of a benchmark as text: time, memory, noise, standing, points.

`hakmem bench` prints the lines. Nothing is computed here but the layout.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hakmem_tools.bench.analysis import Cell, Ratio, RowResult
from hakmem_tools.bench.callgrind import InstructionCount
from hakmem_tools.bench.results import Document, Standing

NOTHING = "-"
_MIB = 1 << 20


def document_lines(document: Document) -> Iterator[str]:
    """Everything, in the order in which one reads it."""
    names = list(document.peers)
    ours = list(document.ours)
    yield from _heading_lines(document)
    yield from _time_lines(document.rows, names, ours)
    yield from _memory_lines(document.rows, names, ours)
    for name, one in document.ours.items():
        yield from _standing_lines(name, one)
    yield from _points_lines(document)
    yield from _failure_lines(document.rows)


def instruction_lines(counts: Sequence[InstructionCount]) -> Iterator[str]:
    """Instructions of one operation, a line for each workload and a column for each allocator."""
    arms = list(dict.fromkeys(count.arm for count in counts))
    by_cell = {(count.row, count.arm): count for count in counts}
    cells = [
        [row, *(_number(by_cell[row, arm].per_operation, 2) for arm in arms)]
        for row in dict.fromkeys(count.row for count in counts)
    ]
    yield "Instructions for one operation, the workload's own loop included (callgrind)"
    yield from _table(["row", *arms], cells)
    for count in counts:
        if count.failure is not None:
            yield f"{count.row} under {count.arm}: {count.failure}"


def _heading_lines(document: Document) -> Iterator[str]:
    machine = document.machine
    quick = ", quick: for a look, not for a claim" if document.quick else ""
    yield f"{document.rounds_done} of {document.rounds} rounds{quick}"
    yield (
        f"{machine.get('cpu')}, {machine.get('usable_cores')} cores, "
        f"Linux {machine.get('kernel')}, THP {machine.get('thp_enabled')}, "
        f"load {machine.get('load_average')} before, {document.load_average_after} after"
    )
    versions = (f"{name} {about['version'] or '?'}" for name, about in document.peers.items())
    yield ", ".join(versions)
    aa = document.aa
    if aa is not None and aa.rows:
        widest = max(aa.rows, key=lambda row: abs(aa.rows[row].estimate - 1))
        yield (
            f"A/A of {aa.peer}: {aa.outside} of {len(aa.rows)} intervals leave out 1.00; furthest "
            f"{widest} {_ratio(aa.rows[widest])}"
        )
    yield ""


def _time_lines(
    rows: Sequence[RowResult], names: Sequence[str], ours: Sequence[str]
) -> Iterator[str]:
    yield "Time: cost relative to the best peer of the row (medians); in brackets 95 % intervals"
    peers = [name for name in names if name not in ours]
    cells = []
    for row in rows:
        best = row.cells[row.best_peer].seconds if row.best_peer else None
        told = [_number(row.cells[name].cost, 2) for name in peers]
        own = [_ratio(row.ours.get(name)) for name in ours]
        cells.append(
            [row.row, *told, *own, _number(best and best * 1e3, 1), row.best_peer or NOTHING]
        )
    yield from _table(["row", *peers, *ours, "best ms", "best peer"], cells)
    yield ""


def _memory_lines(
    rows: Sequence[RowResult], names: Sequence[str], ours: Sequence[str]
) -> Iterator[str]:
    yield "Memory: peak RSS in MiB (VmHWM, medians), and minor faults in thousands"
    against = [(one, peer) for one in ours for peer in ("mimalloc", "glibc") if peer in names]
    cells = [
        [
            row.row,
            *(_number(_scaled(row.cells[name].peak_rss_bytes, _MIB), 1) for name in names),
            *(_number(row.rss_to.get(one, {}).get(peer), 2) for one, peer in against),
            *(_number(_scaled(row.cells[name].minor_faults, 1e3), 1) for name in names),
        ]
        for row in rows
    ]
    ratios = [f"{one}/{peer}" for one, peer in against]
    yield from _table(["row", *names, *ratios, *(f"f:{name}" for name in names)], cells)
    yield ""


def _standing_lines(name: str, one: Standing) -> Iterator[str]:
    yield (
        f"{name}: geometric mean of time to the best peer {_ratio(one.time_main)} in the main "
        f"rows, {_ratio(one.time_all)} in all"
    )
    if one.time_to_default is not None:
        yield f"{name}: geometric mean of time to hakmem {_ratio(one.time_to_default, 3)}"
    for peer, ratio in one.rss_to_peer.items():
        yield f"{name}: geometric mean of peak RSS to {peer} {ratio:.2f}"
    if one.rows_slower:
        yield f"{name}: above the best peer, interval and all: {', '.join(one.rows_slower)}"
    if one.rss_above_glibc:
        over = ", ".join(one.rss_above_glibc)
        yield f"{name}: peak RSS above glibc's by more than 15 % or 2 MiB: {over}"


def _points_lines(document: Document) -> Iterator[str]:
    for title, points in (
        ("scenarios", document.points_scenarios),
        ("all rows", document.points_all),
    ):
        if any(points.values()):
            ranked = sorted(points.items(), key=lambda item: -item[1])
            yield f"points, {title}: " + ", ".join(f"{name} {got:g}" for name, got in ranked)


def _failure_lines(rows: Sequence[RowResult]) -> Iterator[str]:
    for row in rows:
        for name, cell in row.cells.items():
            if cell.failed_runs:
                yield f"{row.row} under {name}: {_failed(cell)}"


def _failed(cell: Cell) -> str:
    return f"{cell.failed_runs} of {cell.runs} runs failed; the first: {cell.failure}"


def _ratio(ratio: Ratio | None, digits: int = 2) -> str:
    if ratio is None:
        return NOTHING
    estimate = _number(ratio.estimate, digits)
    if ratio.low is None or ratio.high is None:
        return f"{estimate} [?]"
    return f"{estimate} [{ratio.low:.{digits}f}, {ratio.high:.{digits}f}]"


def _number(value: float | None, digits: int) -> str:
    return NOTHING if value is None else f"{value:.{digits}f}"


def _scaled(value: float | None, unit: float) -> float | None:
    return None if value is None else value / unit


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of a table; the first column to the left, all others to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(headings, *rows, strict=True)]
    for row in [headings, *rows]:
        padded = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        yield "  ".join([row[0].ljust(widths[0]), *padded])
