"""Writes a sweep's result beside the sweep's own file: one HTML page and JSON lines.

Used by the sweep screen's `e`. It never overwrites: the number in the files' names goes up.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hakmem_tools.model.trial import Trial
from hakmem_tools.tune.report import render
from hakmem_top.sweep.desk import SweepMoment


def write(moment: SweepMoment, runs_of: Callable[[str], list[Trial]], directory: Path) -> str:
    """Writes `hakmem-sweep-N.html` and `.json` with the first free N; gives one line for people.

    Raises OSError when the directory cannot be written.
    """
    if moment.result is None or moment.plan is None:
        return "no look was taken yet, so there is nothing to write"
    trials = [trial for arm in moment.plan.arms for trial in runs_of(arm.name)]
    rules = moment.plan.rules
    number = 1
    while any((directory / f"hakmem-sweep-{number}.{end}").exists() for end in ("html", "json")):
        number += 1
    for kind, end in (("html", "html"), ("json", "json")):
        with (directory / f"hakmem-sweep-{number}.{end}").open("x") as file:
            file.write(render(kind, moment.result, trials, rules))
    return f"wrote hakmem-sweep-{number}.html and .json"
