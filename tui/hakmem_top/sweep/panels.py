"""The sweep screen's panel: what is compared, how far it is, and what the machine is like.

Pure: a SweepMoment, a width and a height in, lines out.
"""

from __future__ import annotations

import shlex

from hakmem_tools.tune.plan import Plan, PlanError, reference_runs
from hakmem_tools.tune.result import SweepResult
from hakmem_tools.tune.session import State
from hakmem_top import chart, units
from hakmem_top.lines import Line, Span, fit, left, wrap
from hakmem_top.sweep.desk import SweepMoment
from hakmem_top.sweep.form import plan_of
from hakmem_top.sweep.present import arm_lines, settled, standing

_NAME = 10

SIGNS = {
    "preparing": ("◌", "warn"),
    "calibrating": ("●", "good"),
    "measuring": ("●", "good"),
    "paused": ("‖", "warn"),
    "stopping": ("◌", "warn"),
    "stopped": ("■", "warn"),
    "failed": ("■", "alarm"),
    "complete": ("✓", "good"),
}


def panel(moment: SweepMoment, selected: str, width: int, height: int) -> list[Line]:
    """The rows above the table; `selected` is the arm under the cursor."""
    if moment.state is State.NEW:
        return form_panel(moment, width, height)
    rows = [_what(moment), _progress(moment, width)]
    if moment.error:
        rows += [[Span(left("error", _NAME), "alarm"), Span(moment.error, "alarm")]]
    rows += [_calibration(moment.result), *_of_selected(moment, selected)]
    rows += _circumstances(moment)
    return [fit(row, width) for row in rows[:height]]


def title(moment: SweepMoment) -> Line:
    """The panel's title."""
    if moment.state is State.NEW:
        return [Span("A sweep: which setting is better, and how sure is that?", "head")]
    word = standing(moment).word
    sign, tone = SIGNS[word]
    resumed = ", taken up again" if moment.resumed else ""
    return [Span("Sweep  ", "head"), Span(f"{sign} {word}", tone), Span(resumed, "head")]


def form_panel(moment: SweepMoment, width: int, height: int) -> list[Line]:
    """What the form stands for now, and what is still to do."""
    try:
        plan = plan_of(moment.form, moment.knobs)
    except PlanError as error:
        what: list[Line] = [[Span("to do  ", "warn"), Span(str(error))]]
    else:
        what = _planned(plan)
    about = (
        "Runs a command of its own under each setting, in random order, and compares. A knob takes"
        " values such as 0,1 or a range such as 19:21. The first of each make the reference."
    )
    rows = [*what, *([Span(text, "label")] for text in wrap(about, width))]
    return [fit(row, width) for row in rows[:height]]


def _planned(plan: Plan) -> list[Line]:
    block = len(plan.contenders) + reference_runs(len(plan.contenders))
    return [
        [
            Span("ready  ", "good"),
            Span(f"{len(plan.arms)} arms", "strong"),
            Span(f", {block} runs a block, at most {units.span(plan.limits.max_time or None)}; "),
            Span("x", "key"),
            Span(" starts"),
        ],
        [Span("reference  ", "label"), Span(plan.reference.text)],
    ]


def _what(moment: SweepMoment) -> Line:
    plan = moment.plan
    if plan is None:
        return []
    what = plan.title or shlex.join(plan.command)
    return [
        Span(left("compares", _NAME), "label"),
        Span(plan.metric.name, "strong"),
        Span(f" ({plan.metric.better} is better) of ", "label"),
        Span(what),
    ]


def _progress(moment: SweepMoment, width: int) -> Line:
    stand = standing(moment)
    lines = arm_lines(moment)
    bar = max(10, min(60, width - _NAME - 54))
    told = f"  block {stand.blocks} of ≤ {stand.horizon}" if stand.horizon else "  A/A runs"
    left_s = f", ≤ {units.span(stand.left_s)} left" if stand.left_s is not None else ""
    arms = max(0, len(lines) - 1)
    return [
        Span(left("progress", _NAME), "label"),
        Span(chart.bar(stand.share or 0.0, bar).replace(" ", "░"), "live"),
        Span(told, "value"),
        Span(left_s, "strong"),
        Span(f", {settled(lines)}/{arms} settled", "label"),
    ]


def _calibration(result: SweepResult | None) -> Line:
    name = Span(left("A/A", _NAME), "label")
    if result is None or (result.calibration.effect is None and not result.blocks):
        return [name, Span("the reference is compared with itself first", "dim")]
    found = result.calibration
    if found.effect is None:
        return [name, Span(f"△ {found.reason}: the noise is not known", "warn")]
    low, high = found.interval or (0.0, 0.0)
    spread = "" if found.spread is None else f", one run spreads by {found.spread * 100:.1f}%"
    verdict = "fit to measure" if found.ok else found.reason
    return [
        name,
        Span("✓ " if found.ok else "△ ", "good" if found.ok else "warn"),
        Span(verdict, "value" if found.ok else "warn"),
        Span(
            f": {(found.effect or 0.0) * 100:+.1f}% ({low * 100:+.1f} to {high * 100:+.1f})"
            f"{spread}",
            "label",
        ),
    ]


def _of_selected(moment: SweepMoment, selected: str) -> list[Line]:
    """The reason behind the verdict of the arm under the cursor."""
    for line in arm_lines(moment):
        if line.arm == selected:
            return [[Span(left("why", _NAME), "label"), Span(f"{line.short}: ", "strong"),
                     Span(line.reason)]]  # fmt: skip
    return []


def _circumstances(moment: SweepMoment) -> list[Line]:
    """Rules, file and warnings, where there is room for them."""
    rows: list[Line] = []
    if moment.result is not None:
        rows.append([Span(left("rules", _NAME), "label"), Span(moment.result.rules, "label")])
    if moment.path is not None:
        rows.append([Span(left("file", _NAME), "label"), Span(str(moment.path), "label")])
    for text in moment.result.warnings if moment.result is not None else ():
        rows.append([Span(left("machine", _NAME), "warn"), Span(text, "value")])
    return rows
