"""The form of a sweep: a command, a metric, limits, and which knobs take which values.

Used by the sweep screen and its desk. Pure: files are read through a function that is given.
It makes a Plan and knows nothing of how one is carried out.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from hakmem_tools.model.descriptors import Knob
from hakmem_tools.model.settings import SettingError, parse_value
from hakmem_tools.tune.metric import BUILTIN_METRICS, Metric, check_metric, parse_metric
from hakmem_tools.tune.plan import Limits, Plan, PlanError, check, cross, parse_list, parse_range
from hakmem_tools.tune.spec import parse_spec

COMMAND, METRIC, TIME, OTHER = "command", "metric", "time", "variable"


class Form(msgspec.Struct, frozen=True):
    """What was entered so far. `spec` is the plan of a file, which then says everything."""

    command: str = ""
    metric: str = "wall"
    time: str = "120"
    values: dict[str, str] = {}
    spec: Plan | None = None


class FormRow(msgspec.Struct, frozen=True):
    """One row: what it is called, what is entered, what may be, and what it does."""

    key: str
    name: str
    value: str
    default: str
    allowed: str
    doc: str
    knob: bool


def rows(form: Form, knobs: Sequence[Knob]) -> list[FormRow]:
    """Command, metric and time first, then the knobs with values, then all others."""
    metrics = f"{', '.join(BUILTIN_METRICS)}, or NAME=REGEX"
    head = [
        FormRow(
            COMMAND, COMMAND, form.command, "", "a command, or FILE.toml", "what is run", False
        ),
        FormRow(METRIC, METRIC, _metric_text(form), "wall", metrics, "what is compared", False),
        FormRow(TIME, "time limit", _time_text(form), "120", "seconds", "all runs together", False),
    ]
    if form.spec is not None:
        return head
    plain = {knob.env: knob for knob in knobs if knob.count == 1 and knob.name != "mode"}
    modes = {knob.env: knob for knob in knobs if knob.name == "mode"}
    other = FormRow(OTHER, "any variable", "", "", "NAME=v1,v2", "LD_PRELOAD, MALLOC_CONF", False)
    known = {**modes, **plain}
    extra = [name for name in form.values if name not in known]
    chosen = [name for name in known if name in form.values]
    rest = [name for name in known if name not in form.values]
    return [
        *head,
        *(FormRow(name, name, form.values[name], "", "v1,v2", "", True) for name in extra),
        *(_knob_row(known[name], form) for name in chosen),
        other,
        *(_knob_row(known[name], form) for name in rest),
    ]


def _knob_row(knob: Knob, form: Form) -> FormRow:
    value = form.values.get(knob.env, "")
    default = str(knob.present(knob.default))
    return FormRow(knob.env, knob.env, value, default, knob.allowed, knob.doc, True)


def _metric_text(form: Form) -> str:
    return form.metric if form.spec is None else form.spec.metric.name


def _time_text(form: Form) -> str:
    return form.time if form.spec is None else f"{form.spec.limits.max_time:g}"


def changed(
    form: Form, key: str, text: str, knobs: Sequence[Knob], read: Callable[[Path], str]
) -> Form:
    """The form with one row changed; an empty text takes a knob out again.

    Raises PlanError, one line, when the text is not understood, and OSError for a file.
    """
    text = text.strip()
    if key == COMMAND:
        if text.endswith(".toml"):
            return Form(command=text, spec=parse_spec(read(Path(text))))
        _words(text)
        return msgspec.structs.replace(form, command=text, spec=None)
    if form.spec is not None:
        raise PlanError("the file says it all; enter a command to choose knobs here")
    if key == METRIC:
        _metric(text)
        return msgspec.structs.replace(form, metric=text)
    if key == TIME:
        _seconds(text)
        return msgspec.structs.replace(form, time=text)
    if key == OTHER:
        if not text:
            return form
        key, equals, text = text.partition("=")
        if not equals:
            raise PlanError(f"{key}: write NAME=v1,v2")
    values = {name: value for name, value in form.values.items() if name != key}
    if text:
        _axis(key, text, knobs)
        values[key] = text
    return msgspec.structs.replace(form, values=values)


def _words(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise PlanError(f"command {text!r}: {error}") from None


def _metric(text: str) -> Metric:
    metric = parse_metric(text)
    check_metric(metric, tuple(BUILTIN_METRICS))
    return metric


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 1 <= seconds <= 30 * 86_400:
        raise PlanError(f"time limit {text!r}: seconds from 1 to {30 * 86_400}")
    return seconds


def _axis(name: str, text: str, knobs: Sequence[Knob]) -> tuple[str, list[str]]:
    """The values of one variable: `v1,v2` or `low:high:step`, each one that the knob takes."""
    knob = next((knob for knob in knobs if knob.env == name), None)
    ranged = knob is not None and knob.type in ("int", "float") and ":" in text
    axis = parse_range(name, text) if ranged else parse_list(name, text)
    for value in axis[1] if knob is not None else ():
        try:
            parse_value(knob, value)  # type: ignore[arg-type]
        except SettingError as error:
            raise PlanError(f"{name}={value}: {error}") from None
    return axis


def plan_of(form: Form, knobs: Sequence[Knob]) -> Plan:
    """The plan that the form stands for. Raises PlanError with what is still to do."""
    if form.spec is not None:
        return form.spec
    if not form.command:
        raise PlanError("no command yet: Enter on the first row asks for it")
    arms = cross(_axis(name, text, knobs) for name, text in form.values.items())
    if len(arms) < 2:
        raise PlanError("nothing to compare yet: give a knob two values, such as 0,1")
    return check(
        Plan(
            command=_words(form.command),
            arms=arms,
            metric=_metric(form.metric),
            limits=Limits(max_time=_seconds(form.time)),
        )
    )
