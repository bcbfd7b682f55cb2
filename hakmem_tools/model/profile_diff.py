"""Two profiles compared, group by group. Pure.

Groups are matched by what they are called, since the numbers of stacks and threads of two
recordings have nothing to do with each other. Ages and times are each recording's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from hakmem_tools.model.profile import Profile
from hakmem_tools.model.profile_estimate import Amount, Estimate, difference
from hakmem_tools.model.profile_lines import estimate_fields, frame_record
from hakmem_tools.model.profile_records import CallFrame, Key
from hakmem_tools.model.profile_trust import quality
from hakmem_tools.model.profile_views import Grouping, place_text, total


class Change(msgspec.Struct, frozen=True):
    """One group in two profiles; bytes before and after, and the difference with its error."""

    label: str
    before: float
    after: float
    estimate: Estimate
    frames: tuple[CallFrame, ...] = ()

    @property
    def certain(self) -> bool:
        """Whether the interval of the difference leaves out zero."""
        return self.estimate.low > 0 or self.estimate.high < 0


def changes(before: Profile, after: Profile, view: str, by: str = "site") -> list[Change]:
    """What changed, the largest change first. Raises NoSuchView."""
    sides = [_named(profile, view, by) for profile in (before, after)]
    frames = {**sides[0][1], **sides[1][1]}
    found = []
    for label in dict.fromkeys([*sides[0][0], *sides[1][0]]):
        old, new = (side[0].get(label, Amount()) for side in sides)
        change = difference(new, old)
        found.append(
            Change(label.split("\n")[0], old.weighted, new.weighted, change, frames.get(label, ()))
        )
    return sorted(found, key=lambda change: (-abs(change.estimate.value), change.label))


def _named(
    profile: Profile, view: str, by: str
) -> tuple[dict[str, Amount], dict[str, tuple[CallFrame, ...]]]:
    """Amounts by a name that both profiles share, and the frames of stacks."""
    grouping = Grouping(profile, by)
    names: dict[object, str] = {}
    frames: dict[str, tuple[CallFrame, ...]] = {}

    def name(key: Key) -> str:
        group = grouping(key)
        if group not in names:
            label, stack = grouping.label(group), grouping.frames(group)
            # A stack is the same one if all its frames are; its first line is what is shown.
            names[group] = "\n".join([label, *(place_text(frame) for frame in stack)])
            frames[names[group]] = stack
        return names[group]

    return profile.group(view, name), frames


def change_record(view: str, by: str, change: Change) -> dict[str, Any]:
    """One change as the plain record that JSON lines carry."""
    return {
        "view": view,
        "by": by,
        "label": change.label,
        "before_bytes": round(change.before),
        "after_bytes": round(change.after),
        **estimate_fields("change", change.estimate),
        "certain": change.certain,
        "frames": [frame_record(frame) for frame in change.frames],
    }


def diff_summary(
    before: Profile, after: Profile, view: str, missing: Sequence[str]
) -> dict[str, Any]:
    """The last line: the whole difference, and what both profiles have lost."""
    sides = {}
    for name, profile in (("before", before), ("after", after)):
        about = quality(profile, view)
        sides[name] = {
            "command": profile.header.command,
            "samples": about.samples,
            "lost": about.lost_total,
            "lost_samples": about.lost,
            "truncated_share": about.truncated_share,
            **estimate_fields(view, total(profile, view)),
        }
    amounts = [profile.group(view, lambda _: 0).get(0, Amount()) for profile in (before, after)]
    change = difference(amounts[1], amounts[0])
    return {"summary": {**sides, **estimate_fields("change", change), "missing": list(missing)}}
