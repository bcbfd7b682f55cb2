"""The lines above the profile's table: which view, how much, and how far it can be trusted.

Pure: figures in, lines out. What was lost and what is truncated stands here on every view.
"""

from __future__ import annotations

from collections.abc import Iterable

from hakmem_tools.model.profile import Moment, NoSuchView, Profile
from hakmem_tools.model.profile_views import Quality, quality
from hakmem_top import units
from hakmem_top.lines import Line, Span, fit
from hakmem_top.profile.present import AXES, CUTS, whole


def panel(
    profile: Profile, cut: str, axis: str, during: Moment, was_reset: bool, width: int
) -> list[Line]:
    """Four lines: views, groupings, the whole, and the trust."""
    return [
        fit(line, width)
        for line in (
            _choice("view  v", CUTS, cut, "freed" if axis == "lifetime" else ""),
            _choice("by    b", AXES, axis),
            _whole(profile, cut, axis, during, was_reset),
            _trust(profile, cut, axis, during),
        )
    ]


def _choice(name: str, names: Iterable[str], chosen: str, instead: str = "") -> Line:
    word, key = name.split()
    line: Line = [Span(f"{word:<5}", "label"), Span(f"{key} ", "key")]
    if instead:
        return [*line, Span(f" {instead} blocks: a life is known when it is over", "value")]
    for one in names:
        line.append(Span(f"[{one}]" if one == chosen else f" {one} ",
                         "chosen" if one == chosen else "label"))  # fmt: skip
    return line


def _whole(profile: Profile, cut: str, axis: str, during: Moment, was_reset: bool) -> Line:
    estimate = whole(profile, cut, axis, during)
    if estimate is None:
        return [Span("total   ", "label"), Span("nothing to tell yet", "dim")]
    what = "freed" if axis == "lifetime" else CUTS[cut]
    if cut == "leaks":
        what = f"live for {units.span(2 ** profile.old_age(during) / 1e9)} or longer"
    told_s = (profile.end_ns - (during.since_ns or profile.start_ns)) / 1e9
    since = f", in {units.span(told_s)}" if cut != "live" else ""
    since += " since reset" if was_reset and cut != "live" else ""
    size = units.growth if cut == "growth" else units.size
    return [
        Span("total   ", "label"),
        Span(size(estimate.value), "strong"),
        Span(f" ({units.size(estimate.low)} to {units.size(estimate.high)})", "value"),
        Span(f" {what}{since}", "label"),
    ]


def _trust(profile: Profile, cut: str, axis: str, during: Moment) -> Line:
    """Samples, what was lost of them, and how many bytes have a stack that broke off."""
    try:
        found = quality(profile, "freed" if axis == "lifetime" else cut, during)
    except NoSuchView:
        found = Quality(0, profile.lost, None, 0.0)
    lost, cut_off = found.lost_total, found.truncated_share
    worst = max(found.lost, key=lambda reason: found.lost[reason], default="")
    return [
        Span("trust   ", "label"),
        Span(f"▲ lost {units.count(lost)}" if lost else "✓ lost 0", "alarm" if lost else "good"),
        Span(", ", "label"),
        Span(f"{units.share(cut_off)} truncated", "warn" if (cut_off or 0) > 0.05 else "value"),
        Span(", ", "label"),
        Span(f"{units.count(found.samples)} samples"),
        Span(f", one in {units.size(profile.header.sample_bytes)}", "label"),
        Span(f"; lost: {worst}" if worst else "", "label"),
    ]
