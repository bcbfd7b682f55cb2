"""A flame graph as one HTML file: data, style and script inside, nothing fetched.

The page's own script builds the trees and their intervals from the stacks, so that a view is
switched without us. Names go into it as JSON, and from there into text nodes only.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

import msgspec

from hakmem_tools.model.plain_text import plain
from hakmem_tools.model.profile import Moment, Profile
from hakmem_tools.model.profile_records import CallFrame
from hakmem_tools.model.profile_trust import quality, truncation_advice, trust_text
from hakmem_tools.model.profile_views import amounts_by_stack, is_allocator, total
from hakmem_tools.observe.export.stacks import outermost_first

_VIEWS = {
    "live": "live now",
    "cumulative": "allocated in all",
    "leaks": "leak candidates",
    "temporary": "temporary (below 1 ms)",
    "freed": "freed",
}
_PARTS = ("flame.css", "flame_interval.js", "flame_tree.js", "flame.js")


def export(profile: Profile, view: str, during: Moment) -> bytes:
    """The page, showing `view` first. Raises NoSuchView."""
    total(profile, view, during)  # the view that was asked for has to be there
    page = _part("flame.html")
    for name in _PARTS:
        page = page.replace(f"/*{name}*/", _part(name))
    # In a script element only "</" and "<!--" could end the text early.
    data = msgspec.json.encode(_data(profile, view, during)).decode().replace("<", "\\u003c")
    return page.replace("/*data*/", data).encode()


def _part(name: str) -> str:
    return resources.files(__package__).joinpath("page", name).read_text("utf-8")


def _data(profile: Profile, view: str, during: Moment) -> dict[str, Any]:
    """Frames and stacks, each written once; amounts by view and stack."""
    found = amounts_by_stack(profile, _VIEWS, during)
    frames: dict[CallFrame, int] = {}
    stacks: list[list[int]] = []
    places: dict[int, int] = {}
    for amounts in found.values():
        for stack_id in amounts:
            if stack_id not in places:
                places[stack_id] = len(stacks)
                outer = outermost_first(profile, stack_id)
                stacks.append([frames.setdefault(frame, len(frames)) for frame in outer])
    return {
        "title": plain(profile.header.command),
        "view": view,
        "about": _about(profile, during),
        "sampleBytes": profile.header.sample_bytes,
        "frames": [_frame(frame) for frame in frames],
        "stacks": stacks,
        "views": [
            {
                "name": name,
                "label": _VIEWS[name],
                "truncated": quality(profile, name, during).truncated_share,
                "amounts": [
                    [places[s], a.samples, a.size_bytes, a.weighted, a.variance, a.heaviest]
                    for s, a in amounts.items()
                ],
            }
            for name, amounts in found.items()
        ],
    }


def _about(profile: Profile, during: Moment) -> list[str]:
    """Sentences on what was recorded, and on what is not in it."""
    header = profile.header
    seconds = (profile.end_ns - profile.start_ns) / 1e9
    about = quality(profile, "cumulative", during)
    sentences = [
        f"process {header.pid}, {header.allocator}, {seconds:.1f} s, from {header.source}; one "
        f"sample in {header.sample_bytes // 1024} KiB; a site that is not shown has at most "
        f"{about.unseen_bytes / 1024:.0f} KiB (95 %)",
        trust_text(about),
        *truncation_advice(profile, about),
        *profile.missing,
    ]
    return [plain(sentence) for sentence in sentences]


def _frame(frame: CallFrame) -> list[Any]:
    where = f"{frame.file}:{frame.line or '?'}" if frame.file else ""
    module = frame.module.rpartition("/")[2]
    return [
        plain(frame.name),
        plain(where),
        plain(f"{module}{' [' + frame.note + ']' if frame.note else ''}"),
        int(frame.inlined),
        int(is_allocator(frame)),
    ]
