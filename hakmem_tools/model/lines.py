"""Snapshots as the plain records that JSON lines carry.

Pure. Field names are relied on by scripts: more may be added, none renamed.
"""

from __future__ import annotations

from typing import Any

from hakmem_tools.model.snapshot import STAGES, ClassCounts, Snapshot

#: Class counters that the line names by the words of the specification instead.
_RENAMED = frozenset(STAGES.values()) | {"mapped_class_bytes"}


def totals(snapshot: Snapshot) -> dict[str, int]:
    """Every counter of the process: scalars, and class counters summed over the classes."""
    names = dict.fromkeys(name for row in snapshot.classes for name in row.counts)
    summed = {name: snapshot.total(name) for name in names}
    return {
        **snapshot.scalars,
        **summed,
        "live_bytes": snapshot.live_bytes,
        "mapped_bytes": snapshot.mapped_bytes,
    }


def class_record(row: ClassCounts) -> dict[str, Any]:
    """One size class: its stages under their names, then every other counter."""
    return {
        "class": row.index,
        "size_bytes": row.size_bytes,
        "tier": row.tier,
        "stages": row.stages,
        "live_bytes": row.live_bytes,
        "mapped_bytes": row.mapped_bytes,
        **{name: value for name, value in row.counts.items() if name not in _RENAMED},
    }


def snapshot_record(snapshot: Snapshot) -> dict[str, Any]:
    """A snapshot, absolute (`interval_ns` null) or a delta, without its schema_version."""
    return {
        "pid": snapshot.pid,
        "time_ns": snapshot.time_ns,
        "interval_ns": snapshot.interval_ns,
        "source": snapshot.source,
        "missing": list(snapshot.missing),
        "lost": snapshot.lost,
        "version": snapshot.version,
        "mode": snapshot.mode,
        "policy_version": snapshot.policy_version,
        "threads": snapshot.threads,
        "rss_bytes": snapshot.rss_bytes,
        "totals": totals(snapshot),
        "classes": [class_record(row) for row in snapshot.classes],
    }


def rates(delta: Snapshot | None) -> dict[str, float] | None:
    """Events a second of every counter that grows; None before there is an interval."""
    if delta is None or not delta.interval_ns:
        return None
    names = dict.fromkeys([*delta.scalars, *(n for row in delta.classes for n in row.counts)])
    found = {name: delta.rate(name) for name in names}
    return {name: value for name, value in found.items() if value is not None}
