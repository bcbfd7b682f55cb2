"""Styled text without a terminal: spans, lines, and how they are cut, padded and joined.

Used by panels.py and tables.py to build, and by widgets/ to draw. Pure: a tone is a name;
themes.py gives it a colour, and each tone that matters also has a word or a sign.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

#: Every tone there is; themes.py gives each a style.
TONES = (
    "value",  # a figure
    "strong",  # the figure that matters most in its place
    "label",  # what a figure is
    "head",  # a column heading
    "dim",  # idle rows, placeholders, rules
    "live",  # live bytes, and shares of acquires
    "mapped",  # mapped bytes that are not live
    "good",
    "warn",
    "alarm",
    "key",  # a key to press
    "chosen",  # the screen in front
)


class Span(NamedTuple):
    """A run of text in one tone."""

    text: str
    tone: str = "value"


Line = list[Span]


def width_of(line: Iterable[Span]) -> int:
    """Columns that a line takes."""
    return sum(cell_len(span.text) for span in line)


def text_of(line: Iterable[Span]) -> str:
    """A line without its tones."""
    return "".join(span.text for span in line)


def printable(text: str) -> str:
    """The text without control characters, each shown as a question mark.

    Names come out of a watched process's memory; none may speak to the user's terminal.
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def clip(text: str, width: int) -> str:
    """The text in at most `width` columns; a cut is shown by an ellipsis."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + "…" if width > 0 else ""


def left(text: str, width: int) -> str:
    """The text in exactly `width` columns, at the left."""
    return set_cell_size(clip(text, width), max(0, width))


def right(text: str, width: int) -> str:
    """The text in exactly `width` columns, at the right."""
    cut = clip(text, width)
    return " " * max(0, width - cell_len(cut)) + cut


def fit(line: Line, width: int) -> Line:
    """The line in exactly `width` columns; a cut is shown by an ellipsis."""
    taken = width_of(line)
    if taken <= width:
        return [*line, Span(" " * (width - taken))] if taken < width else line
    out: Line = []
    room = width
    for span in line:
        if cell_len(span.text) >= room:
            cut = clip(span.text + "…", room)
            return [*out, Span(left(cut, room), span.tone)]
        out.append(span)
        room -= cell_len(span.text)
    return out


def spread(start: Line, end: Line, width: int) -> Line:
    """One line with `start` at the left and `end` at the right; `end` keeps its room."""
    room = max(0, width - width_of(end))
    return fit([*fit(start, room), *end], width)


def beside(columns: Sequence[tuple[list[Line], int]], gap: int = 2) -> list[Line]:
    """Blocks of lines side by side, each in its width; short ones are filled with blanks."""
    height = max((len(block) for block, _ in columns), default=0)
    rows = []
    for index in range(height):
        row: Line = []
        for position, (block, width) in enumerate(columns):
            if position:
                row.append(Span(" " * gap))
            row.extend(fit(block[index] if index < len(block) else [], width))
        rows.append(row)
    return rows


def wrap(text: str, width: int) -> list[str]:
    """The text broken at blanks into rows of at most `width` columns."""
    rows: list[str] = []
    row = ""
    for word in text.split():
        joined = f"{row} {word}" if row else word
        if cell_len(joined) <= width:
            row = joined
            continue
        if row:
            rows.append(row)
        row = clip(word, width)
    return [*rows, row] if row else rows
