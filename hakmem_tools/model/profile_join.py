"""The join that only we can make: how a call stack's allocations were served, and what they caused.

By stack: shares of the paths that served (front, a stage, legacy, mmap), size classes, threads,
and the page faults and madvise calls of the stack. Pure.
"""

from __future__ import annotations

import msgspec

from hakmem_tools.model.profile import WHOLE, Moment, Profile
from hakmem_tools.model.profile_records import CAUSES, Key


class Effect(msgspec.Struct, frozen=True):
    """What a stack made the kernel do: how often, how many bytes, how long (0: not measured)."""

    count: int = 0
    size_bytes: int = 0
    duration_ns: int = 0


class Join(msgspec.Struct, frozen=True):
    """One stack: estimated bytes by path and by class, and effects by their word."""

    paths: dict[str, float]
    classes: dict[int, float]
    effects: dict[str, Effect]


def joins(profile: Profile, during: Moment = WHOLE) -> dict[int, Join]:
    """Stack -> its join; stacks without samples or effects are left out."""
    found: dict[int, Join] = {}

    def of(stack: int) -> Join:
        return found.setdefault(stack, Join({}, {}, {}))

    def by(key: Key) -> tuple[int, int | None, int | None]:
        return key.stack, key.size_class, key.path

    for (stack, size_class, path), amount in profile.group("cumulative", by, during).items():
        join = of(stack)
        if path is not None:
            word = profile.header.paths.get(path, f"path {path}")
            join.paths[word] = join.paths.get(word, 0.0) + amount.weighted
        if size_class is not None:
            join.classes[size_class] = join.classes.get(size_class, 0.0) + amount.weighted
    for row in profile.caused(during):
        effects = of(row.stack).effects
        word = CAUSES.get(row.cause, f"cause {row.cause}")
        known = effects.get(word, Effect())
        effects[word] = Effect(
            known.count + row.count,
            known.size_bytes + row.size_bytes,
            known.duration_ns + row.duration_ns,
        )
    return found


def join_text(join: Join) -> str:
    """served by front 81 %, slab 19 %; class 15; caused 20 page faults. Empty without any."""
    parts = []
    total = sum(join.paths.values())
    if total:
        ranked = sorted(join.paths.items(), key=lambda item: -item[1])
        parts.append("served by " + ", ".join(f"{word} {n / total:.0%}" for word, n in ranked))
    if join.classes:
        ranked_classes = sorted(join.classes, key=lambda index: -join.classes[index])
        shown = ", ".join(str(index) for index in ranked_classes[:4])
        more = f" and {len(ranked_classes) - 4} more" if len(ranked_classes) > 4 else ""
        parts.append(f"class {shown}{more}")
    if join.effects:
        effects = (_effect_text(word, effect) for word, effect in join.effects.items())
        parts.append("caused " + ", ".join(effects))
    return "; ".join(parts)


def _effect_text(word: str, effect: Effect) -> str:
    noun = {"page_fault": "page fault"}.get(word, f"{word} call")
    plural = "" if effect.count == 1 else "s"
    took = f" ({effect.duration_ns / 1e6:.1f} ms)" if effect.duration_ns else ""
    return f"{effect.count} {noun}{plural}{took}"
