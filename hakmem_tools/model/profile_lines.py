"""A profile as the plain records that JSON lines carry: a line for each stack, then a summary.

Pure. Field names are relied on by scripts: more may be added, none renamed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from hakmem_tools.model.profile import WHOLE, Moment, Profile
from hakmem_tools.model.profile_estimate import Amount, Estimate, unseen_bytes
from hakmem_tools.model.profile_join import Effect, Join, all_effects, joins
from hakmem_tools.model.profile_records import CallFrame, Key
from hakmem_tools.model.profile_trust import quality, truncation_advice
from hakmem_tools.model.profile_views import Row, amounts_by_stack, total

_VIEWS = ("live", "cumulative", "freed", "temporary", "leaks")


def frame_record(frame: CallFrame) -> dict[str, Any]:
    """One frame; `offset` is the module's own address of it."""
    return {
        "function": frame.function,
        "file": frame.file,
        "line": frame.line,
        "module": frame.module or None,
        "offset": frame.offset,
        "inlined": frame.inlined,
        "note": frame.note or None,
    }


def estimate_fields(name: str, estimate: Estimate | None) -> dict[str, Any]:
    """An estimate as NAME_bytes and its interval; null where the profile cannot tell."""
    if estimate is None:
        return {f"{name}_bytes": None, f"{name}_bytes_interval": None}
    return {
        f"{name}_bytes": round(estimate.value),
        f"{name}_bytes_interval": [round(estimate.low), round(estimate.high)],
    }


def stack_records(profile: Profile, during: Moment = WHOLE) -> list[dict[str, Any]]:
    """A record for each stack with samples, those with most live bytes first."""
    of_view = amounts_by_stack(profile, _VIEWS, during)
    joined: dict[int, Join] = joins(profile, during)
    details = _details(profile, during)
    stacks = dict.fromkeys(stack for amounts in of_view.values() for stack in amounts)
    stacks.update(dict.fromkeys(joined))

    # A site may well hold bytes without one of them having been sampled.
    unseen = unseen_bytes(profile.header.sample_bytes)

    def estimate(view: str, stack: int) -> Estimate | None:
        amounts = of_view.get(view)
        return None if amounts is None else amounts.get(stack, Amount()).estimate(unseen=unseen)

    def record(stack_id: int) -> dict[str, Any]:
        cumulative = estimate("cumulative", stack_id)
        stack = profile.stacks.get(stack_id)
        return {
            "frames": [frame_record(frame) for frame in profile.stack_frames(stack_id)],
            **estimate_fields("live", estimate("live", stack_id)),
            **estimate_fields("total", cumulative),
            "samples": cumulative.samples if cumulative else 0,
            "total_blocks": round(cumulative.objects) if cumulative else 0,
            **estimate_fields("freed", estimate("freed", stack_id)),
            **estimate_fields("temporary", estimate("temporary", stack_id)),
            **estimate_fields("leak", estimate("leaks", stack_id)),
            "truncated": stack is None or stack.truncated,
            "served": details.get(stack_id, []),
            **_effect_fields(_effects(joined.get(stack_id))),
            "pid": profile.header.pid,
        }

    made = [record(stack_id) for stack_id in stacks]
    return sorted(made, key=lambda r: (-(r["live_bytes"] or 0), -(r["total_bytes"] or 0)))


def row_record(view: str, by: str, row: Row, join: Join | None = None) -> dict[str, Any]:
    """One row of a grouped view; with what it made the kernel do, where that is known of it."""
    return {
        "view": view,
        "by": by,
        "label": row.label,
        "bytes": round(row.estimate.value),
        "bytes_interval": [round(row.estimate.low), round(row.estimate.high)],
        "blocks": round(row.estimate.objects),
        "samples": row.estimate.samples,
        "share": row.share,
        "truncated": row.truncated,
        "frames": [frame_record(frame) for frame in row.frames],
        **_effect_fields(_effects(join)),
    }


def summary_record(
    profile: Profile, during: Moment = WHOLE, missing: Sequence[str] = ()
) -> dict[str, Any]:
    """The last line: what was recorded, how completely, how sure the estimates are."""
    about = quality(profile, "cumulative", during)
    header = profile.header
    summary = {
        "command": header.command,
        "allocator": header.allocator,
        "source": header.source,
        "sample_bytes": header.sample_bytes,
        "duration_ns": profile.end_ns - profile.start_ns,
        **estimate_fields("live", total(profile, "live", during)),
        **estimate_fields("total", total(profile, "cumulative", during)),
        "samples": about.samples,
        "lost": about.lost_total,
        "lost_samples": about.lost,
        "truncated_share": about.truncated_share,
        "truncated_in": about.broken_off,
        **_effect_fields(all_effects(profile, during)),
        "unseen_bytes": round(about.unseen_bytes),
        "confidence": 0.95,
        "overhead_ns": profile.end.overhead_ns if profile.end else None,
        "missing": [*profile.missing, *truncation_advice(profile, about), *missing],
    }
    # Shaped as a stack without bytes, so that a reader of stacks may go on over it.
    return {
        "frames": [],
        "live_bytes": 0,
        "live_bytes_interval": [0, 0],
        "total_bytes": 0,
        "samples": 0,
        "pid": header.pid,
        "time_ns": profile.end_ns,
        "summary": summary,
    }


def _effects(join: Join | None) -> dict[str, Effect]:
    return {} if join is None else join.effects


def _effect_fields(effects: dict[str, Effect]) -> dict[str, Any]:
    """What a stack or site made the kernel do: counts, bytes and nanoseconds by its word."""
    return {
        "caused": {word: effect.count for word, effect in effects.items()},
        "caused_bytes": {word: e.size_bytes for word, e in effects.items() if e.size_bytes},
        "caused_ns": {word: e.duration_ns for word, e in effects.items() if e.duration_ns},
    }


def _details(profile: Profile, during: Moment) -> dict[int, list[dict[str, Any]]]:
    """Stack -> which class and path served it, and for which threads."""

    def by(key: Key) -> tuple[int, int | None, int | None, int]:
        return key.stack, key.size_class, key.path, key.tid

    found: dict[int, list[dict[str, Any]]] = {}
    groups: Iterable[Any] = profile.group("cumulative", by, during).items()
    for (stack, size_class, path, tid), amount in groups:
        found.setdefault(stack, []).append(
            {
                "class": size_class,
                "path": None if path is None else profile.header.paths.get(path, str(path)),
                "tid": tid,
                **estimate_fields("total", amount.estimate()),
                "samples": amount.samples,
            }
        )
    return found
