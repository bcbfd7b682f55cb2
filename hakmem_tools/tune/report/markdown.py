"""A sweep's result as Markdown, for a pull request or a note."""

from __future__ import annotations

import shlex

from hakmem_tools.tune.report import words
from hakmem_tools.tune.result import SweepResult


def markdown(result: SweepResult) -> str:
    """Verdicts, then all metrics, then how it was measured."""
    lines = [f"# {_cell(result.title or 'Sweep')}", ""]
    lines += [f"`{shlex.join(result.command)}`, {result.metric} ({result.better} is better)", ""]
    lines += _table(
        ["arm", "verdict", "effect", "interval", "p adjusted", "runs", "failed", "outliers"],
        [
            [
                arm.arm,
                str(arm.verdict),
                words.percent(arm.effect),
                words.interval(arm.interval),
                words.p_value(arm.p_adjusted),
                str(arm.runs),
                str(arm.failed_runs),
                str(arm.outliers),
            ]
            for arm in words.sorted_arms(result)
        ],
    )
    asked = words.asked(result)
    if asked:
        lines += ["", "## Metrics asked for", "", *_table(asked[0], asked[1:])]
    names = words.columns(result)
    lines += ["", "## All metrics", "", "Medians; in parentheses the change to the reference.", ""]
    rows = [[name, words.amount(result.reference_metrics[name].median, words.unit_of(result, name))]
            for name in names]  # fmt: skip
    for row in rows:
        for arm in result.arms:
            summary = arm.metrics.get(row[0])
            value = words.amount(summary.median if summary else None, words.unit_of(result, row[0]))
            change = words.percent(summary.change if summary else None)
            row.append(f"{value} ({change})")
    lines += _table(["metric", result.reference, *(arm.arm for arm in result.arms)], rows)
    lines += ["", "## How it was measured", ""]
    lines += [f"- {words.calibration_line(result)}", f"- {words.progress_line(result)}"]
    lines += [f"- rules: {result.rules}", f"- hosts: {', '.join(result.hosts)}"]
    lines += [f"- {name}: {fact}" for name, fact in result.machine.items()]
    lines += [f"- missing: {name}: {reason}" for name, reason in words.missing(result).items()]
    lines += [f"- warning: {warning}" for warning in result.warnings]
    lines += [f"- {_cell(arm.arm)}: {arm.reason}" for arm in result.arms]
    return "\n".join(lines) + "\n"


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
