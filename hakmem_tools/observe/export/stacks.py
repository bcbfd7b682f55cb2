"""What most formats take from a profile: the stacks of one view, outermost frame first."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from hakmem_tools.model.profile import Moment, Profile
from hakmem_tools.model.profile_estimate import Amount
from hakmem_tools.model.profile_records import CallFrame

#: What stands for the callers that a truncated stack has lost.
CUT = CallFrame("", 0, "[truncated]")
NO_STACK_FRAME = CallFrame("", 0, "[no stack]")


class StackAmount(msgspec.Struct, frozen=True):
    """One stack with its amount in a view."""

    frames: tuple[CallFrame, ...]  # outermost first
    amount: Amount


def stacks(profile: Profile, view: str, during: Moment) -> Iterator[StackAmount]:
    """The stacks of a view, the largest first. Raises NoSuchView."""
    found = profile.group(view, lambda key: key.stack, during)
    for stack_id, amount in sorted(found.items(), key=lambda item: -item[1].weighted):
        yield StackAmount(outermost_first(profile, stack_id), amount)


def outermost_first(profile: Profile, stack_id: int) -> tuple[CallFrame, ...]:
    """A stack's frames from the entry inwards; what was cut off is a frame of its own."""
    frames = profile.stack_frames(stack_id)
    if not frames:
        return (NO_STACK_FRAME,)
    stack = profile.stacks.get(stack_id)
    cut = (CUT,) if stack is not None and stack.truncated else ()
    return cut + frames[::-1]
