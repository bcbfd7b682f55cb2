"""How profiles print as text: a heading with what they rest on, then rows with their error."""

from __future__ import annotations

from collections.abc import Sequence

from hakmem_tools.cli.output import human_bytes, table
from hakmem_tools.model.plain_text import plain
from hakmem_tools.model.profile import Moment, Profile
from hakmem_tools.model.profile_estimate import Estimate
from hakmem_tools.model.profile_join import join_text, joins
from hakmem_tools.model.profile_trust import quality, trust_text
from hakmem_tools.model.profile_views import (
    STACK_GROUPS,
    Grouping,
    Row,
    asking_frames,
    place_text,
    total,
)

_BAR = 40


def interval_text(estimate: Estimate) -> str:
    """The limits of an estimate: 1.2 MiB .. 3.4 MiB."""
    return f"{human_bytes(round(estimate.low))} .. {human_bytes(round(estimate.high))}"


def heading(profile: Profile, view: str, during: Moment) -> list[str]:
    """What was recorded, the view's total, and how much of it is lost or truncated."""
    header = profile.header
    seconds = (profile.end_ns - profile.start_ns) / 1e9
    about, whole = quality(profile, view, during), total(profile, view, during)
    return [
        f"{plain(header.command)} (process {header.pid}), {plain(header.allocator)}, "
        f"{seconds:.1f} s, from {header.source}",
        f"{view} {human_bytes(round(whole.value))} (95 %: {interval_text(whole)}), from "
        f"{about.samples} samples, one in {human_bytes(header.sample_bytes)}; a site that is not "
        f"listed has at most {human_bytes(round(about.unseen_bytes))}",
        plain(trust_text(about)),
    ]


def view_lines(
    profile: Profile, view: str, by: str, rows: Sequence[Row], limits: tuple[int, int],
    during: Moment,
) -> list[str]:  # fmt: skip
    """The lines of a view: a table; what a row caused and its stack's frames below it.

    `limits`: how many rows, and how many frames of each.
    """
    top, depth = limits
    lines = [*heading(profile, view, during), ""]
    if not rows:
        return [*lines, f"no samples in view {view}"]
    shown = rows[: top or None]
    cells = [
        [
            human_bytes(round(row.estimate.value)),
            f"{row.share:.1%}",
            interval_text(row.estimate),
            str(row.estimate.samples),
            plain(row.label),
        ]
        for row in shown
    ]
    head, *made = table(("bytes", "share", "95 % interval", "samples", "where"), cells)
    lines.append(head)
    joined = joins(profile, during, Grouping(profile, by).of_stack) if by in STACK_GROUPS else {}
    for row, line in zip(shown, made, strict=True):
        lines.append(line)
        join = joined.get(row.group)
        lines += [f"{'':8}[{plain(join_text(join))}]"] if join and join_text(join) else []
        lines += stack_lines(row, depth)
    if len(rows) > len(shown):
        rest = sum(abs(row.estimate.value) for row in rows[len(shown) :])
        lines.append(f"{len(rows) - len(shown)} more, {human_bytes(round(rest))} together")
    return lines


def stack_lines(row: Row, depth: int) -> list[str]:
    """The callers of a row's site, one a line."""
    frames = asking_frames(row.frames)
    if frames and place_text(frames[0]) == row.label:
        frames, depth = frames[1:], max(0, depth - 1)  # the row has said it
    lines = [f"{'':8}{plain(place_text(frame))}" for frame in frames[:depth]]
    if len(frames) > depth:
        lines.append(f"{'':8}... {len(frames) - depth} more")
    if row.truncated and row.frames:
        lines.append(f"{'':8}... (it cannot be followed further)")
    return lines


def lifetime_lines(profile: Profile, during: Moment) -> list[str]:
    """A histogram of how long the blocks lived that were freed."""
    lines = [*heading(profile, "freed", during), ""]
    lifetimes = profile.lifetimes(during)
    most = max((amount.weighted for amount in lifetimes.values()), default=0.0)
    cells = [
        [
            f"{_duration(1 << age)} .. {_duration(2 << age)}",
            human_bytes(round(amount.weighted)),
            str(amount.samples),
            "#" * round(_BAR * amount.weighted / most),
        ]
        for age, amount in lifetimes.items()
    ]
    return [*lines, *table(("lived", "bytes", "samples", ""), cells)]


def _duration(ns: int) -> str:
    value = float(ns)
    for unit in ("ns", "us", "ms"):
        if value < 1000:
            return f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:.0f} s"
