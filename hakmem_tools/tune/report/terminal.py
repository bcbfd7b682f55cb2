"""A sweep's result as plain text for a terminal or a pipe."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from hakmem_tools.tune.report import words
from hakmem_tools.tune.result import SweepResult


def terminal(result: SweepResult) -> str:
    """A table of arms from best to worst, then what is known about the measurement itself."""
    lines = [result.title] if result.title else []
    lines.append(f"{shlex.join(result.command)}: {result.metric} ({result.better} is better)")
    median = result.reference_metrics.get(result.metric)
    unit = words.unit_of(result, result.metric)
    shown = words.amount(median.median if median else None, unit)
    lines.append(f"reference {result.reference}: median {shown}, {result.reference_runs} runs")
    rows = [("VERDICT", "EFFECT", "INTERVAL", "P ADJ", "RUNS", "FAILED", "ARM")]
    for arm in words.sorted_arms(result):
        rows.append(
            (
                str(arm.verdict),
                words.percent(arm.effect),
                words.interval(arm.interval),
                words.p_value(arm.p_adjusted),
                str(arm.runs),
                str(arm.failed_runs),
                arm.arm,
            )
        )
    lines += _aligned(rows)
    lines += _aligned(words.asked(result))
    lines += [f"{arm.arm}: {arm.reason}" for arm in words.sorted_arms(result)]
    lines.append(words.calibration_line(result))
    lines.append(words.progress_line(result))
    lines += [f"missing: {name}: {reason}" for name, reason in words.missing(result).items()]
    lines += [f"warning: {warning}" for warning in result.warnings]
    return "\n".join(lines) + "\n"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join(cells).rstrip())
    return lines
