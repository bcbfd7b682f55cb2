"""Renders a sweep's result: one module per format, all from the same record.

`render` is what the commands call. No module here measures, judges or reads a store, except that
the HTML page also takes the raw runs, to draw them.
"""

from __future__ import annotations

from collections.abc import Sequence

from hakmem_tools.model.trial import Trial
from hakmem_tools.tune.result import SweepResult
from hakmem_tools.tune.verdict import Rules

FORMATS = ("terminal", "markdown", "json", "csv", "html")


def render(
    kind: str, result: SweepResult, trials: Sequence[Trial] = (), rules: Rules | None = None
) -> str:
    """The result as text in one of `FORMATS`; raises ValueError for another.

    `trials` are drawn or listed by html and csv; `rules` (the defaults if None) are drawn by html.
    """
    if kind == "terminal":
        from hakmem_tools.tune.report.terminal import terminal

        return terminal(result)
    if kind == "markdown":
        from hakmem_tools.tune.report.markdown import markdown

        return markdown(result)
    if kind == "json":
        from hakmem_tools.tune.report.lines import json_lines

        return json_lines(result)
    if kind == "csv":
        from hakmem_tools.tune.report.lines import csv_rows

        return csv_rows(trials)
    if kind == "html":
        from hakmem_tools.tune.report.html import page

        return page(result, trials, rules)
    raise ValueError(f"format {kind!r}: allowed are {', '.join(FORMATS)}")
