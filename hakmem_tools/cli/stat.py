"""`hakmem stat`: a process's counters, now or over an interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hakmem_tools.cli.errors import DONE, INCONCLUSIVE, MISSING, Failure, say
from hakmem_tools.cli.output import print_json, print_line
from hakmem_tools.cli.target_options import (
    CONTEXT,
    OpenTarget,
    TargetSpec,
    open_target,
    opened_counters,
    positive,
    target_options,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from hakmem_tools.model.snapshot import Snapshot
    from hakmem_tools.observe.counters import CountersSource


@click.command(context_settings=CONTEXT)
@click.option("-i", "interval_s", type=float, metavar="SECONDS", help="Print each interval.")
@click.option("-n", "count", type=int, metavar="COUNT", help="Stop after this many intervals.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
@click.option("--all", "all_classes", is_flag=True, help="Print idle classes too.")
@target_options
def command(
    target: TargetSpec,
    interval_s: float | None,
    count: int | None,
    as_json: bool,
    all_classes: bool,
) -> int:
    """Print the counters of -p PID now, or of -- COMMAND when it ends.

    With -i or -n, what happened in each interval (1 second unless given).
    """
    repeat = interval_s is not None or count is not None
    interval_s = 1.0 if interval_s is None else interval_s
    positive("-i", interval_s)
    positive("-n", 1 if count is None else count)

    def show(snapshot: Snapshot) -> None:
        if as_json:
            from hakmem_tools.model.lines import snapshot_record

            print_json(snapshot_record(snapshot))
            return
        from hakmem_tools.cli.stat_text import stat_lines
        from hakmem_tools.observe.counters import NO_EVENTS

        print_line("\n".join(stat_lines(snapshot, all_classes=all_classes)))
        for sentence in snapshot.missing:
            if sentence != NO_EVENTS:  # nobody asked for events
                say(f"missing: {sentence}")

    with open_target(target, hold=not repeat) as opened:
        if not repeat and opened.launched is not None:
            show(_until_end(opened))
            return DONE
        with opened_counters(opened) as source:
            if repeat:
                return _each_interval(source, interval_s, count, show)
            show(source.snapshot())
            return DONE


def _each_interval(
    source: CountersSource, interval_s: float, count: int | None, show: Callable[[Snapshot], None]
) -> int:
    from hakmem_tools.observe.collector import Collector

    collector = Collector(source, interval_s)
    given = 0
    for sample in collector.samples(None if count is None else count + 1):
        if sample.delta is not None:
            show(sample.delta)
            given += 1
    if collector.ended:
        say(collector.ended)
    return DONE if count is None or given >= count else INCONCLUSIVE


def _until_end(opened: OpenTarget) -> Snapshot:
    """Waits for the program's end, through any exec; its last counts."""
    from hakmem_tools.observe.counters import CountersSource
    from hakmem_tools.observe.source import NoPage, NoSuchProcess

    last: list[CountersSource] = []
    reason = ["it ended too soon"]

    def open_page() -> None:
        try:
            source = CountersSource(opened.pid)
        except (NoPage, NoSuchProcess) as error:
            reason[0] = str(error)
            return
        for earlier in last:
            earlier.close()
        last[:] = [source]

    status = opened.launched.wait_stopping(open_page)
    if status != 0:
        say(f"{opened.launched.command} ended with status {status}")
    if not last:
        raise Failure(f"{reason[0]} (a static or set-user-id program ignores LD_PRELOAD)", MISSING)
    with last[0] as source:
        return source.final_snapshot()
