"""The help screen's lines. Pure; used by screens/help.py."""

from __future__ import annotations

from collections.abc import Sequence

from hakmem_top import edges
from hakmem_top.keys import KEYS, SCREEN_KEYS
from hakmem_top.lines import Line, Span, left, wrap
from hakmem_top.moment import Moment
from hakmem_top.present import reasons
from hakmem_top.units import MISSING

_KEY = 10

#: Words and signs of the screens, with what they mean.
_MEANINGS = (
    ("used", "live bytes over mapped bytes; what is lacking to 100% is fragmentation"),
    ("hit rate", "allocations that the thread's front served without a refill"),
    ("stages", "0.5 EMPTY scan, 1 EMPTY list, 2 UNUSED slot, 3 new SuperSlab, in this order"),
    ("fails", "acquires that no stage served: the legacy backend did; ! is in this interval"),
    ("pools", "hit rate of the Mid and Large pools / the target that the learner moves caps to"),
    ("trust", "samples lost, bytes whose stack broke off, samples: how far a profile carries"),
    ("alarms", "✓ ok is none, △ was is before this interval, ▲ NOW is in it, ? n/a not known"),
    (MISSING, "not known; the reason is given, and never a zero in its place"),
)


def help_lines(moment: Moment, views: Sequence[tuple[str, str]], width: int) -> list[Line]:
    """What is missing (if anything is), keys, and meanings, wrapped to the width."""
    lines: list[Line] = []
    if reasons(moment):
        lines.extend([[Span("Missing", "head")], *edges.missing_lines(moment, width), []])
    lines.append([Span("Keys", "head")])
    for number, (_, title) in enumerate(views, start=1):
        lines.extend(_entry(str(number), f"{title}.", width))
    for key in KEYS:
        lines.extend(_entry(key.shown, key.doc, width))
    lines.extend(_entry("arrows", "Move the cursor; PgUp, PgDn, Home and End too.", width))
    for name, title in views:
        own = SCREEN_KEYS.get(name, ())
        if own:
            lines.extend([[], [Span(f"Keys of {title}", "head")]])
        for key in own:
            lines.extend(_entry(key.shown, key.doc, width))
    lines.extend([[], [Span("Words and signs", "head")]])
    for name, meaning in _MEANINGS:
        lines.extend(_entry(name, meaning, width, tone="strong"))
    return lines


def _entry(name: str, text: str, width: int, tone: str = "key") -> list[Line]:
    rows = wrap(text, max(20, width - _KEY))
    return [
        [Span(left(name if number == 0 else "", _KEY), tone), Span(row)]
        for number, row in enumerate(rows)
    ]
