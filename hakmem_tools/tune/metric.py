"""A metric of a sweep: one number per run, and where it comes from.

`plan` holds them, `extract` takes them from what a run has yielded. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

# Name -> unit. Lower is better for every one of them.
BUILTIN_METRICS: dict[str, str] = {
    "wall": "s",
    "user": "s",
    "system": "s",
    "cpu": "s",
    "kernel_share": "fraction",
    "peak_rss": "bytes",
    "minor_faults": "",
    "major_faults": "",
    "voluntary_switches": "",
    "involuntary_switches": "",
}

# Of a running process, per second where it is a flow; its counters too, as `counters.NAME`.
LIVE_METRICS = {"cpu": "s", "kernel_share": "fraction", "rss": "bytes"}


class PlanError(ValueError):
    """A plan that cannot be carried out: one line that names the value and what is allowed."""


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One number per run.

    `regex` (its first group) or `json_path` (`a.b.0.c`) takes it from the program's own output,
    `counter` from libhakmem's counters page (`shared_fail`, `shared_fail[7]` for one class),
    `probe` from the kernel's count of hits on a USDT probe of libhakmem, likewise by class.
    `ratio` makes one of others: the first over the sum of the rest. With none of these, `name` is
    one that the runner measures itself (wall, user, system, ...).
    """

    name: str
    better: str = "lower"
    regex: str = ""
    json_path: str = ""
    counter: str = ""
    probe: str = ""
    ratio: tuple[str, ...] = ()
    unit: str = ""

    @property
    def from_output(self) -> bool:
        """Whether the program's output has to be read for it."""
        return bool(self.regex or self.json_path)


_PLACES = {"json": "json_path", "counter": "counter", "probe": "probe"}


def parse_metric(text: str, better: str | None = None) -> Metric:
    """Read `NAME=REGEX`, `NAME=json:PATH`, `NAME=counter:C`, `NAME=probe:P`, or a name alone.

    The last three do without `NAME=` as well. What a program prints is taken to be better when it
    is more (a rate), everything else when it is less, unless `better` says so.
    """
    name, equals, place = text.partition("=")
    kind, colon, value = (place if equals else text).partition(":")
    printed = bool(equals)
    if colon and kind in _PLACES:
        if not value:
            raise PlanError(f"metric {text!r}: nothing after {kind}:")
        printed = kind == "json"
        plain = Metric(name=name if equals else value)
        found = msgspec.structs.replace(plain, **{_PLACES[kind]: value})
    elif equals:
        found = Metric(name=name, regex=place)
    else:
        found = Metric(name=text)
    if not found.name:
        raise PlanError(f"metric {text!r}: a name is missing before the =")
    return msgspec.structs.replace(found, better=better or ("higher" if printed else "lower"))


def check_metric(metric: Metric, builtin: Sequence[str] = ()) -> None:
    """PlanError unless the metric can be taken from somewhere; `builtin` are measured anyway."""
    if metric.better not in ("lower", "higher"):
        raise PlanError(f"metric.better={metric.better!r}: allowed is 'lower' or 'higher'")
    places = (metric.regex, metric.json_path, metric.counter, metric.probe, metric.ratio)
    if sum(map(bool, places)) > 1:
        raise PlanError(f"metric {metric.name!r}: give one of regex, json, counter, probe, ratio")
    if metric.regex:
        try:
            groups = re.compile(metric.regex).groups
        except re.error as error:
            raise PlanError(f"metric.regex={metric.regex!r}: {error}") from None
        if groups < 1:
            raise PlanError(
                f"metric.regex={metric.regex!r}: put the number in parentheses: 'ops: ([0-9.]+)'"
            )
    elif metric.ratio:
        if len(metric.ratio) < 2:
            raise PlanError(f"metric {metric.name!r}: ratio needs a numerator and what it is of")
    elif not any(places) and metric.name not in builtin:
        raise PlanError(
            f"metric {metric.name!r} is not measured by the runner: give a regex, a json path, a"
            f" counter or a probe for it, or use one of {', '.join(builtin)}"
        )
