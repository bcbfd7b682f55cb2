"""Numbers as words, the same in every report."""

from __future__ import annotations

from collections.abc import Sequence

from hakmem_tools.tune.metric import BUILTIN_METRICS, LIVE_METRICS
from hakmem_tools.tune.result import ArmResult, SweepResult

_STEPS = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))


def percent(fraction: float | None) -> str:
    """A signed percentage with two decimals, or a dash for what is missing."""
    return "–" if fraction is None else f"{fraction * 100:+.2f} %"


def interval(ends: tuple[float, float] | None) -> str:
    """Both ends as percentages, or a dash."""
    return "–" if ends is None else f"{ends[0] * 100:+.2f} .. {ends[1] * 100:+.2f} %"


#: Ends of an axis of effects, as fractions.
_REACHES = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 50.0)


def reach(intervals: Sequence[tuple[float, float] | None]) -> float:
    """The end of an axis of effects: the first round one that holds three intervals in four.

    One arm far out must not squeeze all others.
    """
    ends = sorted(max(abs(one[0]), abs(one[1])) for one in intervals if one is not None)
    furthest = ends[(3 * len(ends) - 1) // 4] if ends else 0.0
    return next((end for end in _REACHES if end >= furthest), _REACHES[-1])


def amount(value: float | None, unit: str = "") -> str:
    """A number with a prefix that keeps three digits before the point at most, or a dash."""
    if value is None:
        return "–"
    if unit == "fraction":
        return f"{value * 100:.2f} %"
    unit = "B" if unit == "bytes" else unit
    if value == 0.0:
        return f"0 {unit}".strip()
    for size, prefix in _STEPS:
        if abs(value) >= size:
            return f"{value / size:.4g} {prefix}{unit}".strip()
    return f"{value:.3g} {unit}".strip()


def p_value(p: float | None) -> str:
    """A p-value with two digits; tiny ones as a bound."""
    if p is None:
        return "–"
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}"


def unit_of(result: SweepResult, name: str) -> str:
    """The unit of a metric, as far as it is known."""
    if name == result.metric and result.unit:
        return result.unit
    if name in result.units:
        return result.units[name]
    return "s" if name.endswith("-clock") else {**BUILTIN_METRICS, **LIVE_METRICS}.get(name, "")


def asked(result: SweepResult) -> list[list[str]]:
    """A table of the metrics that the spec asked for: a heading, then a row for each arm.

    Empty when it asked for the main metric alone. Cells are medians.
    """
    if not result.also:
        return []
    names = [result.metric, *result.also]
    arms = [(result.reference, result.reference_metrics)]
    arms += [(arm.arm, arm.metrics) for arm in result.arms]
    rows = []
    for arm, metrics in arms:
        medians = [metrics[name].median if name in metrics else None for name in names]
        cells = zip(names, medians, strict=True)
        rows.append([arm, *(amount(median, unit_of(result, name)) for name, median in cells)])
    return [["arm", *names], *rows]


def columns(result: SweepResult) -> list[str]:
    """The metrics that a table shows: every one of which some arm has a number.

    Counters of one class, and those that are 0 everywhere, are in JSON and CSV: too many to read.
    """
    shown = []
    for name in result.reference_metrics:
        if name.endswith("]"):
            continue
        medians = _medians(result, name)
        if any(medians) or (medians and not name.startswith(("counters.", "probes."))):
            shown.append(name)
    return shown


def _medians(result: SweepResult, name: str) -> list[float]:
    """What the arms have of a metric; those that have none are left out."""
    each = [result.reference_metrics.get(name), *(arm.metrics.get(name) for arm in result.arms)]
    return [one.median for one in each if one is not None and one.median is not None]


def missing(result: SweepResult) -> dict[str, str]:
    """Metrics that no arm has, with the reason."""
    return {
        name: summary.missing
        for name, summary in result.reference_metrics.items()
        if summary.missing and not name.endswith("]") and not _medians(result, name)
    }


def calibration_line(result: SweepResult) -> str:
    """The A/A result in one line."""
    found = result.calibration
    if found.effect is None:
        return f"A/A: {found.reason}"
    spread = "–" if found.spread is None else f"{found.spread * 100:.2f} %"
    verdict = "the reference agrees with itself" if found.ok else found.reason
    return (
        f"A/A over {found.blocks} pairs: {percent(found.effect)} ({interval(found.interval)}),"
        f" one run scatters by {spread}; {verdict}"
    )


def progress_line(result: SweepResult) -> str:
    """How far the sweep came, and what its error rate is."""
    state = "complete" if result.complete else "not complete: it can be resumed"
    return (
        f"{result.blocks} blocks of at most {result.horizon}, {result.looks} looks,"
        f" {result.seconds:.0f} s; {state}. All intervals and p-values hold together with error"
        f" {result.level * 100:g} %, whenever one looks."
    )


def sorted_arms(result: SweepResult) -> Sequence[ArmResult]:
    """Arms from best to worst; those without an effect last."""
    return sorted(result.arms, key=lambda arm: (arm.effect is None, -(arm.effect or 0.0), arm.arm))
