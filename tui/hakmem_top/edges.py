"""The lines around every screen: whom we watch, the state, the banner, what is missing.

Used by the widgets of screens/base.py. Pure: a Moment and a width in, one line out.
"""

from __future__ import annotations

from rich.cells import cell_len

from hakmem_top import units
from hakmem_top.lines import Line, Span, clip, fit, left, width_of, wrap
from hakmem_top.moment import ATTACHING, ENDED, FAILED, Moment
from hakmem_top.present import reasons

#: Sign and word of each state: the colour only repeats them.
STATES = {
    "attaching": ("◌", "attaching", "warn"),
    "live": ("●", "live", "good"),
    "paused": ("‖", "paused", "warn"),
    "ended": ("■", "ended", "alarm"),
    "failed": ("■", "failed", "alarm"),
}

SOURCES = {"bpf": "BPF"}


def facts(moment: Moment, width: int) -> Line:
    """Who is watched, and how: command, pid, mode, version, source tier, threads."""
    snapshot = moment.snapshot
    if snapshot is None:
        return fit([Span(f" {moment.title}", "strong")], width)
    parts = [
        ("pid", str(snapshot.pid)),
        ("mode", snapshot.mode),
        ("hakmem", snapshot.version),
        ("source", SOURCES.get(snapshot.source, snapshot.source)),
    ]
    extras = [("threads", units.count(snapshot.threads))] if snapshot.threads else []
    extras.append(("policy", str(snapshot.policy_version)))
    extras.append(("watched", units.span(moment.watched_s)))
    room = width - 2 - cell_len(moment.title)
    for extra in extras:
        if width_of(_named([*parts, extra])) <= room:
            parts.append(extra)
    tail = _named(parts)
    title = clip(moment.title, max(8, width - 2 - width_of(tail)))
    return fit([Span(f" {title}", "strong"), *tail], width)


def _named(parts: list[tuple[str, str]]) -> Line:
    line: Line = []
    for name, value in parts:
        line.extend([Span("  "), Span(f"{name} ", "label"), Span(value)])
    return line


def state(moment: Moment) -> Line:
    """The state's sign and word, and the interval."""
    sign, word, tone = STATES[moment.state]
    return [
        Span(f"{sign} {word}", tone),
        Span(f"  every {units.span(moment.interval_s)} ", "label"),
    ]


def banner(moment: Moment, width: int) -> Line:
    """What the user has to know before reading the figures; empty when all is well."""
    if moment.state == ENDED:
        what = moment.state_reason or "the process has ended"
        advice = ("; the last data stay", ". q quits, e exports.")
    elif moment.state == FAILED:
        what = f"reading failed: {moment.state_reason}"
        advice = ("; the last data stay", ". q quits.")
    else:
        return []
    text = clip(f" ■ {what}", width)
    for more in advice:
        if cell_len(text + more) <= width:
            text += more
    return [Span(left(text, width), "plain")]


def status(moment: Moment, width: int) -> Line:
    """What is missing, in one line; the help screen has every sentence in full."""
    sentences = reasons(moment)
    if moment.state == ATTACHING and moment.snapshot is None:
        return fit([Span(f" attaching to {moment.title} ...", "label")], width)
    if not sentences:
        return fit([Span(" nothing is missing", "dim")], width)
    more = f" (+{len(sentences) - 1} more: ?)" if len(sentences) > 1 else ""
    room = width - len(" missing: ") - len(more) - 1
    hint = " (? for all)" if not more and len(sentences[0]) > room else more
    room = width - len(" missing: ") - len(hint) - 1
    text = clip(sentences[0], room)
    return fit([Span(" missing: ", "warn"), Span(text, "label"), Span(hint, "key")], width)


def missing_lines(moment: Moment, width: int) -> list[Line]:
    """Every sentence of what is missing, wrapped."""
    rows: list[Line] = []
    for sentence in reasons(moment):
        for number, text in enumerate(wrap(sentence, max(10, width - 2))):
            rows.append([Span("- " if number == 0 else "  ", "warn"), Span(text, "label")])
    return rows or [[Span("nothing", "dim")]]
