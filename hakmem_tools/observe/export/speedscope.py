"""speedscope's file format: one sampled profile per view, weights in bytes."""

from __future__ import annotations

from typing import Any

import msgspec

from hakmem_tools.model.profile import Moment, NoSuchView, Profile
from hakmem_tools.model.profile_records import CallFrame
from hakmem_tools.model.profile_trust import quality, trust_text
from hakmem_tools.observe.export.stacks import stacks

_SCHEMA = "https://www.speedscope.app/file-format-schema.json"


def export(profile: Profile, view: str, during: Moment) -> bytes:
    """The view that was asked for comes first; the others follow. Raises NoSuchView."""
    frames: dict[CallFrame, int] = {}
    profiles = [_one(profile, view, during, frames)]
    for other in ("live", "cumulative", "temporary", "leaks"):
        if other != view:
            try:
                profiles.append(_one(profile, other, during, frames))
            except NoSuchView:
                continue
    return msgspec.json.encode(
        {
            "$schema": _SCHEMA,
            "exporter": "hakmem",
            "name": f"{profile.header.command} ({trust_text(quality(profile, view, during))})",
            "activeProfileIndex": 0,
            "shared": {"frames": [_frame(frame) for frame in frames]},
            "profiles": profiles,
        }
    )


def _one(
    profile: Profile, view: str, during: Moment, frames: dict[CallFrame, int]
) -> dict[str, Any]:
    samples, weights = [], []
    for stack in stacks(profile, view, during):
        samples.append([frames.setdefault(frame, len(frames)) for frame in stack.frames])
        weights.append(round(stack.amount.weighted))
    return {
        "type": "sampled",
        "name": f"{view} bytes",
        "unit": "bytes",
        "startValue": 0,
        "endValue": sum(weights),
        "samples": samples,
        "weights": weights,
    }


def _frame(frame: CallFrame) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": frame.name}
    if frame.file:
        shown["file"] = frame.file
    if frame.line:
        shown["line"] = frame.line
    return shown
