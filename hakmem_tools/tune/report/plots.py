"""Plots as inline SVG text: effects with intervals, raw points, memory against time.

The HTML page puts them in. Pure string making, no library; colours come from the page's style.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

from hakmem_tools.model.trial import Trial
from hakmem_tools.tune.report import words
from hakmem_tools.tune.result import ArmResult

_WIDTH = 860
_LEFT = 230
_RIGHT = 20
_ROW = 26
_MOST_CURVES = 40  # more lie on top of each other


class Scale:
    """A linear map from values to pixels, over round ends with a few ticks."""

    def __init__(self, values: Sequence[float], low: float, high: float) -> None:
        finite = [value for value in values if math.isfinite(value)] or [0.0]
        bottom, top = min(finite), max(finite)
        if bottom == top:
            bottom, top = bottom - (abs(bottom) or 1.0) / 10, top + (abs(top) or 1.0) / 10
        self.step = _round_step((top - bottom) / 5)
        self.bottom = math.floor(bottom / self.step) * self.step
        self.top = math.ceil(top / self.step) * self.step
        self._low, self._high = low, high

    def __call__(self, value: float) -> float:
        share = (value - self.bottom) / (self.top - self.bottom)
        return round(self._low + share * (self._high - self._low), 1)

    @property
    def ticks(self) -> list[float]:
        """Tick values from end to end."""
        count = round((self.top - self.bottom) / self.step)
        return [self.bottom + self.step * place for place in range(count + 1)]


def _round_step(raw: float) -> float:
    size = 10.0 ** math.floor(math.log10(raw))
    return next(size * factor for factor in (1, 2, 5, 10) if size * factor >= raw)


def effects(arms: Sequence[ArmResult], bands: Sequence[float]) -> str:
    """One row per arm: the estimate as a dot, its interval as a bar; the rules as vertical lines.

    `bands` are the rules' edges as fractions. Arms without an effect say so in their row.
    """
    reach = words.reach([arm.interval for arm in arms])
    ends = [end for arm in arms if arm.interval for end in arm.interval]
    points = [arm.effect for arm in arms if arm.effect is not None]
    inside = [min(max(end, -reach), reach) for end in (*bands, *ends, *points)]
    scale = Scale([0.0, *inside], _LEFT, _WIDTH - _RIGHT - 30)  # room for the last tick's label
    height = _ROW * (len(arms) + 2)
    parts = [_axis(scale, height, lambda tick: f"{tick * 100:+,.4g} %")]
    for edge in bands:
        parts.append(_line(scale(edge), 8, scale(edge), height - _ROW, "rule"))
    parts.append(_line(scale(0.0), 8, scale(0.0), height - _ROW, "zero"))
    for row, arm in enumerate(arms):
        y = _ROW * (row + 1)
        parts.append(_label(arm.arm, y))
        if arm.interval is not None:
            title = f"{words.percent(arm.effect)}, {words.interval(arm.interval)}"
            kind = str(arm.verdict).lower()
            parts.append(f'<g class="{kind}"><title>{html.escape(title)}</title>')
            parts.append(_whisker(scale, arm.effect or 0.0, *arm.interval, y))
            parts.append("</g>")
        else:
            parts.append(f'<text x="{_LEFT + 8}" y="{y + 4}" class="note">no interval</text>')
    return _svg(height, "Effects with their intervals", parts)


def _whisker(scale: Scale, effect: float, low: float, high: float, y: int) -> str:
    """A bar and a dot; an end that lies beyond the axis is an arrow, a dot there is left out."""
    left, right = max(low, scale.bottom), min(high, scale.top)
    parts = [_line(scale(left), y, scale(right), y, "bar")] if left < right else []
    for end, at, out in ((low, scale.bottom, -9), (high, scale.top, 9)):
        if (end - at) * out > 0:
            x = scale(at)
            parts.append(f'<polygon points="{x},{y - 6} {x + out},{y} {x},{y + 6}"/>')
    if scale.bottom <= effect <= scale.top:
        parts.append(f'<circle cx="{scale(effect)}" cy="{y}" r="5"/>')
    return "".join(parts)


def points(names: Sequence[str], trials: Sequence[Trial], metric: str, unit: str) -> str:
    """Every run of every arm; outlying ones too, and failed ones as a count beside the row."""
    good = {n: [t for t in trials if t.arm == n and t.ok and metric in t.metrics] for n in names}
    scale = Scale([t.metrics[metric] for ts in good.values() for t in ts], _LEFT, _WIDTH - 90)
    height = _ROW * (len(names) + 2)
    parts = [_axis(scale, height, lambda tick: words.amount(tick, unit))]
    for row, name in enumerate(names):
        y = _ROW * (row + 1)
        parts.append(_label(name, y))
        for place, trial in enumerate(good[name]):
            # A fixed jitter, so that the page is the same every time it is made.
            shift = (place * 7 % 11 - 5) * 1.4
            x = scale(trial.metrics[metric])
            title = f"block {trial.key.block}: {words.amount(trial.metrics[metric], unit)}"
            parts.append(
                f'<circle class="run" cx="{x}" cy="{y + shift:.1f}" r="2.5">'
                f"<title>{html.escape(title)}</title></circle>"
            )
        failed = sum(1 for trial in trials if trial.arm == name and not trial.ok)
        if failed:
            parts.append(f'<text x="{_WIDTH - 80}" y="{y + 4}" class="note">{failed} failed</text>')
    return _svg(height, f"Every run: {metric}", parts)


def memory(names: Sequence[str], trials: Sequence[Trial]) -> str:
    """Resident memory against time since the start, one curve per run, one colour per arm."""
    curves = [(names.index(t.arm), t.rss) for t in trials if t.arm in names and len(t.rss) > 1]
    if not curves:
        return '<p class="note">No run was long enough for a curve of its memory.</p>'
    stride = max(1, math.ceil(len(curves) / _MOST_CURVES))
    longest = sorted(rss[-1].seconds for _, rss in curves)
    usual = longest[round(0.9 * (len(longest) - 1))]  # one held-up run must not squeeze all others
    curves = [(arm, [one for one in rss if one.seconds <= usual]) for arm, rss in curves]
    times = Scale([0.0, usual], 90, _WIDTH - _RIGHT - 20)
    height = 320
    sizes = Scale([0.0, *(float(s.bytes) for _, rss in curves for s in rss)], height - 30, 16)
    parts = [_axis(times, height, lambda tick: f"{tick:.4g} s")]
    for tick in sizes.ticks:
        parts.append(_line(90, sizes(tick), _WIDTH - _RIGHT, sizes(tick), "grid"))
        parts.append(
            f'<text x="84" y="{sizes(tick) + 4}" class="end">{words.amount(tick, "B")}</text>'
        )
    for arm, rss in curves[::stride]:
        path = " ".join(f"{times(one.seconds)},{sizes(float(one.bytes))}" for one in rss)
        title = f"<title>{html.escape(names[arm])}</title>"
        parts.append(f'<polyline class="c{arm % 8}" points="{path}">{title}</polyline>')
    legend = " ".join(
        f'<span class="key c{place % 8}">{html.escape(name)}</span>'
        for place, name in enumerate(names)
    )
    beyond = sum(end > usual for end in longest)
    note = f' <span class="note">{beyond} longer runs go on beyond</span>' if beyond else ""
    return _svg(height, "Resident memory against time", parts) + f"<p>{legend}{note}</p>"


def _axis(scale: Scale, height: int, text: object) -> str:
    assert callable(text)
    parts = []
    for tick in scale.ticks:
        x = scale(tick)
        parts.append(_line(x, 8, x, height - _ROW, "grid"))
        label = html.escape(text(tick))
        parts.append(f'<text x="{x}" y="{height - 8}" class="middle">{label}</text>')
    return "".join(parts)


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>'


def _label(name: str, y: int) -> str:
    short = name if len(name) <= 32 else name[:31] + "…"
    return (
        f'<text x="{_LEFT - 8}" y="{y + 4}" class="end">{html.escape(short)}'
        f"<title>{html.escape(name)}</title></text>"
    )


def _svg(height: int, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{html.escape(title)}">'
        + "".join(parts)
        + "</svg>"
    )
