"""A snapshot as the plain text that `hakmem stat` prints."""

from __future__ import annotations

from hakmem_tools.cli.output import human_bytes, table
from hakmem_tools.model.sites import SiteTable
from hakmem_tools.model.snapshot import ClassCounts, Snapshot

_HEADINGS = (
    "class",
    "size",
    "live",
    "mapped",
    "allocs",
    "refills",
    "drains",
    "remote",
    "st 0.5",
    "st 1",
    "st 2",
    "st 3",
    "fail",
)


def stat_lines(snapshot: Snapshot, *, all_classes: bool = False) -> list[str]:
    """Head, scalars and one row per class that has been used (or all of them).

    What is missing is not said here: each command knows what its reader expected.
    """
    rows = [row for row in snapshot.classes if all_classes or any(row.counts.values())]
    lines = [_head(snapshot), _scalars(snapshot), ""]
    lines += table(_HEADINGS, [_class_cells(row) for row in rows])
    return lines


def _head(snapshot: Snapshot) -> str:
    when = "since its start"
    if snapshot.interval_ns is not None:
        when = f"in {snapshot.interval_ns / 1e9:.3f} s"
    parts = [f"pid {snapshot.pid}", f"libhakmem {snapshot.version}", f"mode {snapshot.mode}", when]
    if snapshot.threads is not None:
        parts.append(f"{snapshot.threads} threads")
    if snapshot.rss_bytes is not None:
        parts.append(f"RSS {human_bytes(snapshot.rss_bytes)}")
    return ", ".join(parts)


def _scalars(snapshot: Snapshot) -> str:
    parts = [f"live {human_bytes(snapshot.live_bytes)}"]
    for name, value in snapshot.scalars.items():
        shown = human_bytes(value) if name.endswith("_bytes") else str(value)
        if value:
            parts.append(f"{name.removesuffix('_bytes')} {shown}")
    return ", ".join(parts)


def _class_cells(row: ClassCounts) -> tuple[str, ...]:
    allocs = row.get("front_pops") + row.get("direct_allocs") + row.get("legacy_allocs")
    counts = (
        allocs,
        row.get("refills"),
        row.get("drains"),
        row.get("remote_frees"),
        *row.stages.values(),
        row.get("shared_fail"),
    )
    return (
        str(row.index),
        str(row.size_bytes),
        human_bytes(row.live_bytes),
        human_bytes(row.mapped_bytes),
        *(str(count) for count in counts),
    )


def site_lines(found: SiteTable) -> list[str]:
    """The table of call sites; an estimate is marked with ~."""
    rows = [
        (
            f"{'~' if site.estimated else ''}{site.count}",
            human_bytes(site.bytes),
            human_bytes(round(site.mean_bytes or 0)),
            human_bytes(site.max_bytes),
            "-" if site.live_bytes is None else human_bytes(site.live_bytes),
            site.policy,
            site.text,
        )
        for site in found.sites
    ]
    return table(("requests", "bytes", "mean", "max", "live", "policy", "site"), rows)
