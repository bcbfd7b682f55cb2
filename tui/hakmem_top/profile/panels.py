"""The lines above the profile's table: which view, how much, and how far it can be trusted.

Pure: figures in, lines out. What was lost and what is truncated stands here on every view.
"""

from __future__ import annotations

from collections.abc import Iterable

from hakmem_tools.model.profile import Moment, NoSuchView, Profile
from hakmem_tools.model.profile_trust import Quality, quality, truncation_advice
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
            [Span("trust   ", "label"), *trust(profile, view_of(cut, axis), during)],
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


def view_of(cut: str, axis: str) -> str:
    """The model's view: lifetimes are those of freed blocks, whatever else is chosen."""
    return "freed" if axis == "lifetime" else cut


def advice(profile: Profile, cut: str, axis: str, during: Moment) -> tuple[str, ...]:
    """Where stacks break off, and how to get the callers."""
    try:
        return truncation_advice(profile, quality(profile, view_of(cut, axis), during))
    except NoSuchView:
        return ()


def trust(profile: Profile, view: str, during: Moment) -> Line:
    """What was lost, how many bytes have a stack that broke off, and the samples there are."""
    try:
        found = quality(profile, view, during)
    except NoSuchView:
        found = Quality(0, profile.lost, None, {}, 0.0)
    lost, cut_off = found.lost_total, found.truncated_share
    worst = max(found.lost, key=lambda reason: found.lost[reason], default="")
    return [
        Span(f"▲ lost {units.count(lost)}" if lost else "✓ lost 0", "alarm" if lost else "good"),
        Span(", ", "label"),
        Span(f"{units.share(cut_off)} truncated", "warn" if (cut_off or 0) > 0.05 else "value"),
        Span(", ", "label"),
        *_basis(profile, found),
        Span(f"; lost: {worst}" if worst else "", "label"),
    ]


def _basis(profile: Profile, found: Quality) -> Line:
    """What the figures are made of."""
    if profile.header.source == "counters":
        return [
            Span("the counters page's table of sites", "warn"),
            Span(": one frame each, no intervals", "label"),
        ]
    return [
        Span(f"{units.count(found.samples)} samples"),
        Span(f", one in {units.size(profile.header.sample_bytes)}", "label"),
    ]
