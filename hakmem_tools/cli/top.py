"""`hakmem top` (and `hakmem-top`): the terminal UI, or the same snapshots for scripts.

The UI is found through the entry point group `hakmem.tui`, so that these tools never import it.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from hakmem_tools.cli.errors import DONE, INCONCLUSIVE, INTERRUPTED, MISSING, Failure, say
from hakmem_tools.cli.output import print_json, print_line
from hakmem_tools.cli.target_options import (
    CONTEXT,
    OpenTarget,
    TargetSpec,
    open_target,
    opened_source,
    positive,
    target_options,
)

if TYPE_CHECKING:
    from hakmem_tools.observe.collector import Sample
    from hakmem_tools.observe.open import Wanted
    from hakmem_tools.observe.source import Source

_NO_UI = "the terminal UI is not installed; use --headless, or install the package hakmem"


@click.command(context_settings=CONTEXT)
@click.option("--headless", is_flag=True, help="Print snapshots instead of the terminal UI.")
@click.option("-i", "interval_s", type=float, default=1.0, metavar="SECONDS", help="Interval (1).")
@click.option("-n", "count", type=int, metavar="COUNT", help="Stop after this many (headless).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines (headless).")
@click.option(
    "--source",
    "want",
    type=click.Choice(["auto", "bpf", "counters"]),
    default="auto",
    help="Where to look: BPF, the counters page, or the best that works (auto).",
)
@target_options
def command(
    target: TargetSpec,
    headless: bool,
    interval_s: float,
    count: int | None,
    as_json: bool,
    want: Wanted,
) -> int:
    """Watch -p PID, or -- COMMAND, live.

    With --headless: COUNT snapshots (endless unless given), one every SECONDS, the first at once.
    """
    positive("-i", interval_s)
    positive("-n", 1 if count is None else count)
    if headless:
        with open_target(target) as opened:
            source = opened_source(opened, want)
            try:
                return _print_samples(source, interval_s, count, as_json)
            finally:
                source.close()
    if as_json or count is not None:
        raise click.UsageError("--json and -n go with --headless")
    return _show(target, interval_s, want)


def _print_samples(source: Source, interval_s: float, count: int | None, as_json: bool) -> int:
    from hakmem_tools.observe.collector import Collector

    collector = Collector(source, interval_s)
    given = 0
    for sample in collector.samples(count):
        given += 1
        _print_sample(sample, as_json)
    if collector.ended:
        say(collector.ended)
    return DONE if count is None or given >= count else INCONCLUSIVE


def _print_sample(sample: Sample, as_json: bool) -> None:
    if as_json:
        from hakmem_tools.model.lines import rates, snapshot_record

        print_json({**snapshot_record(sample.snapshot), "rates": rates(sample.delta)})
        return
    from hakmem_tools.cli.stat_text import stat_lines

    shown = sample.delta or sample.snapshot
    print_line("\n".join([*stat_lines(shown), *map("missing: {}".format, shown.missing), ""]))


def _show(target: TargetSpec, interval_s: float, want: Wanted) -> int:
    from importlib.metadata import entry_points

    found = list(entry_points(group="hakmem.tui", name="top"))
    if not found:
        raise Failure(_NO_UI, MISSING)
    try:
        run = found[0].load()
    except ImportError as error:
        raise Failure(f"{_NO_UI} ({error})", MISSING) from None
    _check_terminal()  # before a program is started that would have to end again
    # A program that we start must not share the screen and the keys with the UI.
    with (
        open(os.devnull, "rb+", buffering=0) as nowhere,
        open_target(target, redirect=dict.fromkeys((0, 1, 2), nowhere.fileno())) as opened,
    ):
        code = run(
            make_source=lambda: opened_source(opened, want),
            interval_s=interval_s,
            title=_title(target, opened),
        )
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        return int(code)


def _check_terminal() -> None:
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or not stream.isatty():
            raise Failure(f"{name} is no terminal; use `hakmem top --headless` for scripts")


def _title(target: TargetSpec, opened: OpenTarget) -> str:
    return " ".join(target.command) or opened.title
