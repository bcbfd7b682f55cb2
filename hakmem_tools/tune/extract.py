"""Takes a metric out of what a program printed or counted: by regex, JSON path or counter's name.

The runner uses it after each run. Pure: text in, number or reason out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from hakmem_tools.tune.metric import Metric


def extract(metric: Metric, output: str) -> float | str:
    """The metric's number, or one line that says why there is none.

    A regular expression takes its last match (a program may print progress first). A JSON path
    looks into the whole output, or else into the last line that is JSON.
    """
    return _by_regex(metric, output) if metric.regex else _by_json(metric, output)


def _by_regex(metric: Metric, output: str) -> float | str:
    matches = list(re.finditer(metric.regex, output, re.MULTILINE))
    if not matches:
        return f"metric {metric.name}: {metric.regex!r} matches nothing in the output"
    return _number(metric, matches[-1].group(1))


def _by_json(metric: Metric, output: str) -> float | str:
    document = _document(output)
    if document is None:
        return f"metric {metric.name}: the output holds no JSON"
    place = document
    for part in metric.json_path.split("."):
        if isinstance(place, dict) and part in place:
            place = place[part]
        elif isinstance(place, list) and part.lstrip("-").isdigit() and abs(int(part)) < len(place):
            place = place[int(part)]
        else:
            return f"metric {metric.name}: no {part!r} in the JSON at {metric.json_path!r}"
    return _number(metric, place)


def _document(output: str) -> Any:
    for text in (output, *reversed(output.splitlines())):
        if text.lstrip()[:1] in ("{", "["):
            try:
                return msgspec.json.decode(text)
            except msgspec.DecodeError:
                continue
    return None


def _number(metric: Metric, value: object) -> float | str:
    try:
        number = float(str(value).replace(",", "")) if not isinstance(value, bool) else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        return f"metric {metric.name}: {str(value)[:60]!r} is not a number"
    return number


def counted(metric: Metric, metrics: Mapping[str, float]) -> float | str:
    """A metric that is one of libhakmem's counters or probes, or why it cannot be had."""
    kind, name = ("counter", metric.counter) if metric.counter else ("probe", metric.probe)
    value = _of_class(f"{kind}s.{name}", metrics)
    return f"metric {metric.name}: {kind} {name} was not read" if value is None else value


def _of_class(name: str, metrics: Mapping[str, float]) -> float | None:
    """A counter by class that never counted (`name[7]`) is 0 if `name` itself was read."""
    value = metrics.get(name)
    return 0.0 if value is None and name.partition("[")[0] in metrics else value


def share(metric: Metric, metrics: Mapping[str, float]) -> float | str:
    """A metric made of others: the first over the sum of the rest, or why it cannot be had."""
    values = []
    for name in metric.ratio:
        value = _of_class(name, metrics)
        if value is None:
            return f"metric {metric.name}: {name} was not measured"
        values.append(value)
    total = sum(values[1:])
    return values[0] / total if total else f"metric {metric.name}: nothing was counted"
