"""Collapsed stacks: `outer;...;inner BYTES`, one line a stack."""

from __future__ import annotations

from hakmem_tools.model.plain_text import plain
from hakmem_tools.model.profile import Moment, Profile
from hakmem_tools.observe.export.stacks import stacks


def export(profile: Profile, view: str, during: Moment) -> bytes:
    """The stacks of a view with their bytes; equal lines are added up. Raises NoSuchView."""
    lines: dict[str, float] = {}
    for stack in stacks(profile, view, during):
        # A semicolon separates frames, and a name may not hold one.
        line = ";".join(plain(frame.name).replace(";", ":") for frame in stack.frames)
        lines[line] = lines.get(line, 0.0) + stack.amount.weighted
    return "".join(f"{line} {round(count)}\n" for line, count in lines.items()).encode()
