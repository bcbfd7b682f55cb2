"""`hakmem profile`: records where allocations come from, of a process or a program it starts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from hakmem_tools.cli.errors import DONE, say
from hakmem_tools.cli.interrupt import asked_to_stop
from hakmem_tools.cli.output import human_bytes, print_json
from hakmem_tools.cli.profile_target import (
    check_sample_bytes,
    open_profiled,
    record_profile,
)
from hakmem_tools.cli.sink import check_path
from hakmem_tools.cli.target_options import CONTEXT, TargetSpec, positive, target_options

if TYPE_CHECKING:
    from hakmem_tools.observe.profiler import Outcome


@click.command(context_settings=CONTEXT)
@click.option("-o", "path", metavar="FILE", help="Record there (hakmem-PID.hakprof).")
@click.option("--force", is_flag=True, help="Overwrite FILE.")
@click.option("-d", "seconds", type=float, metavar="SECONDS", help="Stop after this long.")
@click.option("-i", "interval", type=float, default=1.0, metavar="SECONDS", help="Between ticks.")
@click.option("--sample-bytes", type=int, metavar="BYTES", help="Mean distance of two samples.")
@click.option(
    "--allocator",
    type=click.Choice(["hakmem", "any"]),
    default="hakmem",
    help="Any: uprobes on whatever allocator the process has.",
)
@click.option(
    "--max-overhead",
    type=float,
    default=3.0,
    metavar="PERCENT",
    help="Of the target's time (3).",
)
@click.option("--no-faults", is_flag=True, help="Leave page faults out.")
@click.option("--json", "as_json", is_flag=True, help="Print what was recorded as a JSON line.")
@target_options
def command(
    target: TargetSpec,
    path: str | None,
    force: bool,
    seconds: float | None,
    interval: float,
    sample_bytes: int | None,
    allocator: str,
    max_overhead: float,
    no_faults: bool,
    as_json: bool,
) -> int:
    """Record the call sites of -p PID, or of -- COMMAND from its first instruction on.

    Sampled allocations are added up by stack, thread, size class and path, and joined with
    their frees. Ctrl-C finishes the file and leaves the target running. `hakmem report` reads it.
    """
    from hakmem_tools.observe.profile_source import ProfileRequest
    from hakmem_tools.observe.profiler import check_request

    positive("-d", 1 if seconds is None else seconds)
    positive("-i", interval)
    positive("--max-overhead", max_overhead)
    request = ProfileRequest(
        pid=target.pid or 0,
        allocator=allocator,
        sample_bytes=sample_bytes,
        budget=max_overhead / 100,
        faults=not no_faults,
        lib=target.lib,
        started=bool(target.command),
    )
    check_sample_bytes(request)
    if path is not None:
        check_path(path, force)
    request = check_request(request)  # no privilege is told before anything starts
    with open_profiled(target, request) as opened, asked_to_stop() as stopped:
        file = Path(path if path is not None else f"hakmem-{opened.pid}.hakprof")
        check_path(str(file), force)
        outcome = record_profile(opened, request, file, force, stopped, seconds, interval)
        _tell(outcome, as_json)
        if stopped():
            raise KeyboardInterrupt
    return DONE


def _tell(outcome: Outcome, as_json: bool) -> None:
    if as_json:
        print_json(msgspec.to_builtins(outcome))
    for sentence in outcome.missing:
        say(f"missing: {sentence}")
    cost = "" if outcome.overhead is None else f", about {outcome.overhead:.2%} of one CPU's time"
    lost = f", {outcome.lost} lost" if outcome.lost else ""
    say(
        f"{outcome.path}: {outcome.samples} samples{lost} in {outcome.duration_ns / 1e9:.1f} s "
        f"({outcome.reason}), {human_bytes(outcome.written_bytes)}{cost}; "
        f"`hakmem report {outcome.path}` reads it"
    )
