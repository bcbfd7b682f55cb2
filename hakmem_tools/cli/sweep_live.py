"""`hakmem sweep --live`: a switchback experiment on a running process."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from hakmem_tools.cli.errors import Failure, say
from hakmem_tools.cli.interrupt import asked_to_stop
from hakmem_tools.cli.sweeping import Teller, adjusted, check_reports, conclude, failures

if TYPE_CHECKING:
    from hakmem_tools.model.trial import Arm
    from hakmem_tools.tune.metric import Metric

_SLICE = re.compile(r"([0-9]*\.?[0-9]+)(ms|s|m)?")
_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, None: 1.0}


def measure_live(
    pid: int | None, slice_text: str, make: Callable[[], tuple[Arm, ...]], how: dict[str, Any]
) -> int:
    """Conduct a live sweep and print its result; returns the exit code."""
    from hakmem_tools.observe.counters import CountersSource
    from hakmem_tools.tune import live, live_target
    from hakmem_tools.tune.plan import Live, Plan
    from hakmem_tools.tune.watchdog import KnobKeeper

    if pid is None:
        raise Failure("--live needs the process: -p PID")
    match = _SLICE.fullmatch(slice_text)
    if match is None:
        raise Failure(f"--slice {slice_text!r}: write seconds, for instance 2s or 500ms")
    seconds = float(match.group(1)) * _UNITS[match.group(2)]
    if how["scheduler"]:
        raise Failure("--scheduler: a live sweep runs beside its process, not on a cluster")
    check_reports(how)
    with (
        failures(), CountersSource(pid) as source, KnobKeeper(pid) as keeper,
        asked_to_stop() as stopping,
    ):  # fmt: skip
        target = live_target.ProcessTarget(source)
        asked = {**how, "metric": None, "perf": None, "better": None}
        plan = adjusted(
            Plan(
                command=tuple(source.process.command_line().split()) or (f"process {pid}",),
                arms=make(),
                metric=_metric(how["metric"], how["better"]),
                live=Live(pid=pid, started_ns=target.started_ns, slice_seconds=seconds),
                title=f"Live on process {pid}",
            ),
            asked,
        )
        result, path = live.run(
            plan, how["output"], target, force=how["force"], observe=Teller(), stopping=stopping,
            opened=lambda opened: say(f"sweep file: {opened.path}"), keeper=keeper,
        )  # fmt: skip
        stopped = stopping() and not result.complete
        if keeper.left:
            names = ", ".join(sorted(keeper.left))
            say(f"{names}: process {pid} does not answer; a helper goes on putting it back")
    return conclude(result, path, how, stopped)


def _metric(text: str | None, better: str | None) -> Metric:
    """`cpu`, `rss`, `kernel_share`, a counter's name for its rate, or one over another."""
    from hakmem_tools.tune.live import DEFAULT_METRIC
    from hakmem_tools.tune.metric import LIVE_METRICS, Metric

    def named(name: str) -> str:
        return name if name in LIVE_METRICS else f"counters.{name}"

    if text is None:
        metric = DEFAULT_METRIC
    elif "/" in text:
        top, _, bottom = text.partition("/")
        metric = Metric(name=text, ratio=(named(top), named(bottom)))
    elif text in LIVE_METRICS:
        metric = Metric(name=text, unit=LIVE_METRICS[text])
    else:
        metric = Metric(name=text, counter=text, better="higher")
    return msgspec.structs.replace(metric, better=better) if better else metric
