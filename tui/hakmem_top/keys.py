"""Every key: what it does, in one table.

The app's bindings, the key bar, the help screen and the table in docs/man/hakmem-top.1 all
come from here (a test compares the last). Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from hakmem_top.lines import Line, Span, fit, width_of


class Key(NamedTuple):
    """One action. `keys` are Textual's names, `shown` is what people read.

    `rank` orders the key bar's hints when not all fit (low stays; None is never hinted).
    `tables` says that it works only where there are rows.
    """

    keys: str
    shown: str
    action: str
    hint: str
    doc: str
    rank: int | None = None
    tables: bool = False


KEYS: tuple[Key, ...] = (
    Key("tab", "Tab", "next_view", "next", "Next screen; Shift-Tab is the previous one.", 7),
    Key("shift+tab", "Shift-Tab", "previous_view", "", "Previous screen."),
    Key("p,space", "p", "pause", "pause", "Pause: the figures stand still; reading goes on.", 1),
    Key("s", "s", "sort", "sort", "Sort by the next column.", 2, tables=True),
    Key("S", "S", "sort_reverse", "", "Reverse the order.", tables=True),
    Key("slash", "/", "search", "find", "Find a row: the cursor moves to it.", 3, tables=True),
    Key("n", "n", "search_next", "", "Next row that is found.", tables=True),
    Key("f", "f", "filter", "filter", "Show only the rows with these words.", 4, tables=True),
    Key("enter", "Enter", "open_row", "open", "Open the row under the cursor.", 8, tables=True),
    Key("e", "e", "export", "export", "Write what is shown to a JSON file here.", 6),
    Key("r", "r", "reset", "reset", "Count growth, stages and fails from now on.", 5),
    Key("plus,equals_sign", "+", "slower", "", "Read less often."),
    Key("minus", "-", "faster", "interval", "Read more often.", 9),
    Key("t", "t", "theme", "", "Change between dark and light."),
    Key("escape", "Esc", "leave", "", "Back; clears the filter."),
    Key("question_mark,f1", "?", "help", "help", "These keys, and all that is missing.", 0),
    Key("q", "q", "quit", "quit", "Quit; every probe is detached.", 0),
    Key("ctrl+c", "Ctrl-C", "interrupt", "", "Quit with exit code 130."),
)

#: The keys of single screens, by the screen's name. Where one is also in KEYS, this one counts.
SCREEN_KEYS: Mapping[str, tuple[Key, ...]] = {
    "profile": (
        Key("v", "v", "next_cut", "view", "Live, cumulative, growth, leaks, temporary.", 1),
        Key("V", "V", "previous_cut", "", "The view before."),
        Key("b", "b", "next_axis", "by", "By call site, thread, class, size or lifetime.", 1),
        Key("o", "o", "turn", "turn", "From main down, or from the allocation up.", 5),
        Key("right,l", "Right", "unfold", "", "Unfold the row; Left folds it."),
        Key("left,h", "Left", "fold", "", "Fold the row, or go to the row above it."),
    ),
    "sweep": (
        Key("x", "x", "go", "start/stop", "Start; stop after this run; x again stops it now.", 0),
        Key("p,space", "p", "pause", "pause", "Pause the sweep after this run, or go on.", 1),
        Key("enter", "Enter", "open_row", "open", "Change the row; of an arm, see its runs.", 1),
    ),
}


def keys_of(screen: str, with_rows: bool) -> tuple[Key, ...]:
    """The keys that work on a screen, its own ones first."""
    own = SCREEN_KEYS.get(screen, ())
    taken = {key.shown for key in own}
    common = (key for key in KEYS if with_rows or not key.tables)
    return (*own, *(key for key in common if key.shown not in taken))


def bar(width: int, with_rows: bool, screen: str = "") -> Line:
    """As many hints as fit the width, in the table's order, the important ones first chosen."""
    usable = [key for key in keys_of(screen, with_rows) if key.rank is not None]
    chosen: list[Key] = []
    for key in sorted(usable, key=lambda key: key.rank or 0):
        if width_of(_hints([*chosen, key])) + 1 <= width:
            chosen.append(key)
    return fit([Span(" "), *_hints([key for key in usable if key in chosen])], width)


def _hints(keys: Sequence[Key]) -> Line:
    line: Line = []
    for position, key in enumerate(keys):
        shown = "+/-" if key.action == "faster" else key.shown
        line.extend(
            [Span("  " if position else ""), Span(shown, "key"), Span(f" {key.hint}", "label")]
        )
    return line
