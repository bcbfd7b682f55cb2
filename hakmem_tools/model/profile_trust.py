"""How far a view of a profile can be trusted: what was lost, and where stacks break off.

Shown with every view, whoever shows it. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from hakmem_tools.model.profile import WHOLE, Moment, Profile
from hakmem_tools.model.profile_estimate import unseen_bytes
from hakmem_tools.model.profile_records import Key

#: A module in which less than this share of a view breaks off is not worth a sentence.
_WORTH_SAYING = 0.05
_NO_MODULE = "code outside of any file"


class Quality(msgspec.Struct, frozen=True):
    """How much of a view can be trusted. Shares are of its bytes."""

    samples: int
    lost: Mapping[str, int]  # samples in no row, by reason
    truncated_share: float | None  # None without samples
    broken_off: Mapping[str, float]  # by the file in which the walk ended, the largest first
    unseen_bytes: float  # what a site without a sample has at most (95 %)

    @property
    def lost_total(self) -> int:
        """Samples that are in no row."""
        return sum(self.lost.values())


def quality(profile: Profile, view: str, during: Moment = WHOLE) -> Quality:
    """How many samples a view rests on, and how much of it is lost or truncated."""

    def end_of(key: Key) -> str | None:
        stack = profile.stacks.get(key.stack)
        if stack is not None and not stack.truncated:
            return None
        module = profile.modules.get(stack.frames[-1][0]) if stack and stack.frames else None
        return module.path.rpartition("/")[2] if module is not None else _NO_MODULE

    grouped = profile.group("live" if view == "growth" else view, end_of, during)
    whole = sum(amount.weighted for amount in grouped.values())
    broken = {end: amount.weighted / whole for end, amount in grouped.items() if end is not None}
    return Quality(
        samples=sum(amount.samples for amount in grouped.values()),
        lost=profile.lost,
        truncated_share=sum(broken.values()) if whole else None,
        broken_off=dict(sorted(broken.items(), key=lambda item: -item[1])),
        unseen_bytes=unseen_bytes(profile.header.sample_bytes),
    )


def trust_text(about: Quality) -> str:
    """lost samples: 3 (the map was full: 3); truncated stacks: 16.7% of the bytes."""
    reasons = ", ".join(f"{reason}: {count}" for reason, count in about.lost.items())
    share = about.truncated_share
    cut = "unknown" if share is None else f"{share:.1%} of the bytes"
    lost = f"{about.lost_total} ({reasons})" if reasons else f"{about.lost_total}"
    return f"lost samples: {lost}; truncated stacks: {cut}"


def truncation_advice(profile: Profile, about: Quality) -> tuple[str, ...]:
    """Where stacks break off, and how to get the callers; a sentence for each file."""
    if profile.header.source == "counters":
        return ()  # it never has callers, and says so
    return tuple(
        f"the callers of {share:.1%} of the bytes: stacks break off in {name}; built with "
        "-fno-omit-frame-pointer it shows them"
        for name, share in about.broken_off.items()
        if share >= _WORTH_SAYING
    )
