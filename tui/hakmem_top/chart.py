"""Series of numbers as rows of block characters.

Used by the panels. Pure. Every chart stands on zero, because a cut axis makes noise look
like a trend. A None in a series is a gap, never a zero.
"""

from __future__ import annotations

from collections.abc import Sequence

_EIGHTHS = " ▁▂▃▄▅▆▇█"
_LEFT_EIGHTHS = " ▏▎▍▌▋▊▉█"
_SHADE = "░"

#: Head room above the largest value, so that steady traffic is a band and not a wall.
_HEAD_ROOM = 1.25

Series = Sequence[float | None]


def spark(values: Series, width: int, ceiling: float | None = None) -> str:
    """The newest `width` values as one row, newest at the right, padded on the left.

    `ceiling` is the value of a full block; by default a quarter above the largest value.
    """
    shown = list(values)[-width:] if width > 0 else []
    top = ceiling or max((v for v in shown if v is not None), default=0) * _HEAD_ROOM
    return "".join(_level(value, top) for value in shown).rjust(max(0, width))


def _level(value: float | None, top: float) -> str:
    if value is None:
        return " "
    if top <= 0 or value <= 0:
        return _EIGHTHS[1]
    return _EIGHTHS[max(1, min(8, round(8 * value / top)))]


def bar(share: float | None, width: int) -> str:
    """A share of 1 as a horizontal bar of `width` columns; anything above 0 leaves a mark."""
    if share is None or width <= 0:
        return " " * max(0, width)
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    if share > 0:
        eighths = max(1, eighths)
    full, part = divmod(eighths, 8)
    text = "█" * full + (_LEFT_EIGHTHS[part] if part else "")
    return text.ljust(width)


def area(lower: Series, upper: Series, width: int, height: int) -> list[list[tuple[str, str]]]:
    """Two series as one filled chart: `lower` in solid blocks, the rest of `upper` shaded.

    Gives `height` rows, top first, each a list of (text, "lower" | "upper" | "") runs of
    together `width` columns. The newest value is at the right. Both share one scale.
    """
    if width <= 0 or height <= 0:
        return [[] for _ in range(max(0, height))]
    low, high = list(lower)[-width:], list(upper)[-width:]
    top = max((v for v in (*low, *high) if v is not None), default=0)
    blank = width - len(low)
    rows = []
    for row in range(height - 1, -1, -1):
        cells = [(" ", "")] * blank
        cells += [_area_cell(a, b, top, row, height) for a, b in zip(low, high, strict=True)]
        rows.append(_runs(cells))
    return rows


def _area_cell(
    low: float | None, high: float | None, top: float, row: int, height: int
) -> tuple[str, str]:
    """The character of one column and row (0 is the bottom), and which series it shows."""
    if top <= 0:
        return ("▁", "upper") if row == 0 and high is not None else (" ", "")
    solid = 0 if low is None else round(low / top * height * 8) - row * 8
    if solid > 0:
        return _EIGHTHS[min(8, solid)], "lower"
    shaded = 0 if high is None else round(high / top * height * 8) - row * 8
    if shaded >= 4:
        return _SHADE, "upper"
    return " ", ""


def _runs(cells: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Neighbours of one kind joined into one run."""
    runs: list[tuple[str, str]] = []
    for text, kind in cells:
        if runs and runs[-1][1] == kind:
            runs[-1] = (runs[-1][0] + text, kind)
        else:
            runs.append((text, kind))
    return runs


def whisker(
    low: float | None, middle: float | None, high: float | None, reach: float, width: int
) -> str:
    """An interval on an axis from -reach to +reach: ends, the estimate, and a line at zero.

    Ends beyond the axis are arrows; without an interval there is the zero line alone.
    """
    centre = width // 2
    cells = [" "] * width
    cells[centre] = "┊"
    if low is None or high is None or reach <= 0:
        return "".join(cells)

    def column(value: float) -> int:
        return max(0, min(width - 1, round(centre + value / reach * (width - 1 - centre))))

    if low > reach or high < -reach:
        cells[-1 if low > reach else 0] = "▸" if low > reach else "◂"
        return "".join(cells)
    start, end = column(low), column(high)
    for place in range(start, end + 1):
        cells[place] = "┼" if place == centre else "─"
    cells[start] = "◂" if low < -reach else "├"
    cells[end] = "▸" if high > reach else "┤"
    if middle is not None:
        cells[column(middle)] = "●"
    return "".join(cells)
