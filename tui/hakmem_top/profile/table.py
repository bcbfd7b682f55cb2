"""The tables of the profile screen: the tree, the histograms, one site in full. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from hakmem_tools.model.profile_estimate import Estimate
from hakmem_top import chart, units
from hakmem_top.lines import Line, Span, left, right
from hakmem_top.profile.present import Detail, FlatRow, TreeRow, where
from hakmem_top.tables import Cell, Column, Table, build, fit_columns
from hakmem_top.units import MISSING

_BAR = 16


def _size(estimate: Estimate, signed: bool) -> Cell:
    short = units.growth_short if signed else units.size_short
    roomy = units.growth if signed else units.size
    return Cell(short(estimate.value), roomy(estimate.value), "strong", estimate.value)


def _interval(estimate: Estimate) -> Cell:
    """Both ends where there is room, else how far off the estimate may be."""
    ends = f"{units.size_short(estimate.low)} .. {units.size_short(estimate.high)}"
    half = (estimate.high - estimate.low) / 2
    share = abs(half / estimate.value) if estimate.value else None
    short = MISSING if share is None else f"±{share * 100:.0f}%" if share < 9.995 else ">±999%"
    return Cell(short, ends, "label", share)


def _blocks(estimate: Estimate, signed: bool) -> Cell:
    text = units.count_short(round(estimate.objects))
    sign = "+" if signed and estimate.objects > 0 else ""
    return Cell(sign + text, sign + units.count(round(estimate.objects)), "value", estimate.objects)


def _samples(estimate: Estimate) -> Cell:
    return Cell("", units.count(estimate.samples), "label", estimate.samples)


def _share(value: float) -> Cell:
    return Cell(units.share_short(value), units.share(value), "value", value)


def _bar(value: float, width: int) -> Cell:
    return Cell(chart.bar(value, width), chart.bar(value, width), "live", value)


def _site(row: TreeRow) -> Cell:
    """Indented, with a sign that says whether there is more; file and line with it when short."""
    sign = ("▾ " if row.unfolded else "▸ ") if row.branches else "· "
    name = f"{'  ' * min(row.depth, 12)}{sign}{row.name}"
    name += " …" if row.truncated else ""
    inlined = " (inlined)" if row.inlined else ""
    tone = "strong" if row.depth == 0 else "value"
    short = name.replace(row.name, _short(row.name))
    return Cell(f"{short}  {row.where}", name + inlined, tone, row.name)


def _short(name: str) -> str:
    """A function without template arguments, in its innermost scope: file and line follow it."""
    bare, depth = "", 0
    for sign in name.partition("(")[0]:
        depth += (sign == "<") - (sign == ">")
        bare += sign if depth == 0 and sign != ">" else ""
    return "::".join(bare.split("::")[-2:]) if "operator" not in name else name


def tree_table(
    rows: Sequence[TreeRow],
    width: int,
    *,
    signed: bool,
    sort_key: str,
    descending: bool,
    empty: str,
) -> Table:
    """The tree. Its order is the tree's own: the largest first on every level."""
    columns: tuple[Column[TreeRow], ...] = (
        Column("site", "call site", _site, 30, 50, text=True, grow=True),
        Column("where", "where", lambda r: Cell("", r.where, "label"), 0, 34, text=True),
        Column("bytes", "bytes", lambda r: _size(r.estimate, signed), 8, 10),
        Column("interval", "±", lambda r: _interval(r.estimate), 6, 20),
        Column("share", "share", lambda r: _share(r.share), 5, 6),
        Column("bar", "", lambda r: _bar(r.share, 8), 8, _BAR, text=True, rank=2),
        Column("blocks", "blocks", lambda r: _blocks(r.estimate, signed), 7, 9, rank=1),
        Column("samples", "samples", lambda r: _samples(r.estimate), 0, 8),
    )
    return build(
        [row.path for row in rows],
        rows.__getitem__,
        fit_columns(columns, width),
        sort_key=sort_key,
        descending=descending,
        empty=empty,
    )


def flat_table(
    rows: Sequence[FlatRow],
    heading: str,
    width: int,
    *,
    signed: bool,
    sort_key: str,
    descending: bool,
    empty: str,
) -> Table:
    """A histogram: a bar for each row."""
    top = max((row.share for row in rows), default=0.0) or 1.0
    bar = max(10, width - 76)
    columns: tuple[Column[FlatRow], ...] = (
        Column("label", heading, lambda r: Cell(r.label, r.label, "strong", r.label), 30, 40,
               text=True, grow=width < 100),
        Column("bytes", "bytes", lambda r: _size(r.estimate, signed), 8, 10),
        Column("interval", "±", lambda r: _interval(r.estimate), 6, 20),
        Column("share", "share", lambda r: _share(r.share), 5, 6),
        Column("bar", "", lambda r: _bar(r.share / top, 8 if width < 100 else bar - 24), 8,
               max(8, bar - 24), text=True, rank=2),
        Column("blocks", "blocks", lambda r: _blocks(r.estimate, signed), 7, 9, rank=1),
        Column("samples", "samples", lambda r: _samples(r.estimate), 0, 8),
    )  # fmt: skip
    return build(
        [row.key for row in rows],
        rows.__getitem__,
        fit_columns(columns, width),
        sort_key=sort_key,
        descending=descending,
        empty=empty,
    )


# ---- one site in full


def detail_lines(found: Detail) -> list[Line]:
    """The frames, the views, the classes and paths that served, sizes, threads, and the kernel."""
    lines: list[Line] = [[Span("Call stack", "head")]]
    for number, frame in enumerate(found.frames):
        inlined = " (inlined)" if frame.inlined else ""
        lines.append(
            [
                Span(f"{number:>3}  ", "label"),
                Span(left(frame.name, 34), "strong" if number < found.shared else "label"),
                Span(f"  {frame.file}:{frame.line or '?'}" if frame.file else f"  {where(frame)}"),
                Span(inlined, "label"),
            ]
        )
    if found.stacks > 1:
        more = f"the largest of {found.stacks} stacks; what they share stands out"
        lines.append([Span(f"     {more}", "label")])
    lines += [[], [Span("Bytes", "head")]]
    for name, estimate in found.cuts:
        lines.append(_view(name, estimate))
    for heading, rows in (
        ("Served by (class, path)", found.served),
        ("Sizes", found.sizes),
        ("Threads", found.threads),
    ):
        lines += [[], [Span(f"{heading}, cumulative", "head")]]
        lines += [_part(row) for row in rows]
    lines += [[], [Span("What it made the kernel do", "head")]]
    for cause in found.caused:
        size = f", {units.size(cause.size_bytes)}" if cause.size_bytes else ""
        took = f", {units.span(cause.duration_ns / 1e9)}" if cause.duration_ns else ""
        counted = f"  {left(cause.name, 14)}{right(units.count(cause.count), 10)}"
        lines.append([Span(f"{counted}{size}{took}")])
    if not found.caused:
        lines.append([Span("  nothing was seen", "dim")])
    return lines


def _view(name: str, estimate: Estimate | None) -> Line:
    if estimate is None:
        return [Span(f"  {left(name, 12)}", "label"), Span(f"{right(MISSING, 10)}", "dim")]
    return [
        Span(f"  {left(name, 12)}", "label"),
        Span(right(units.size(estimate.value), 10), "strong"),
        Span(f"  {units.size(estimate.low)} to {units.size(estimate.high)}", "label"),
        Span(f"  ~{units.count(round(estimate.objects))} blocks"),
        Span(f", {units.count(estimate.samples)} samples", "label"),
    ]


def _part(row: FlatRow) -> Line:
    return [
        Span(f"  {left(row.label, 36)}"),
        Span(right(units.size(row.estimate.value), 10), "strong"),
        Span(right(units.share(row.share), 7)),
        Span(" "),
        Span(chart.bar(row.share, _BAR), "live"),
    ]
