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
@click.option("--sites", is_flag=True, help="Print the call sites, most bytes first.")
@target_options
def command(
    target: TargetSpec,
    interval_s: float | None,
    count: int | None,
    as_json: bool,
    all_classes: bool,
    sites: bool,
) -> int:
    """Print the counters of -p PID now, or of -- COMMAND when it ends.

    With -i or -n, what happened in each interval (1 second unless given).
    """
    if sites:
        return _show_sites(target, as_json)
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


def _show_sites(target: TargetSpec, as_json: bool) -> int:
    from hakmem_tools.cli.stat_text import site_lines
    from hakmem_tools.model.sites import site_record
    from hakmem_tools.observe.sites import read_sites

    if target.pid is None:
        raise click.UsageError("--sites reads a running process: give -p PID")
    with open_target(target) as opened, opened_counters(opened) as source:
        found = read_sites(source)
    for site in found.sites if as_json else ():
        print_json({"pid": target.pid, **site_record(site)})
    if not as_json and found.sites:
        print_line("\n".join(site_lines(found)))
    if found.lost:
        say(f"{found.lost} requests came from sites that found no room in the table")
    for sentence in found.missing:
        say(f"missing: {sentence}")
    return MISSING if found.missing else DONE


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
