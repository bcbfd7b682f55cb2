"""`hakmem trace`: streams events with class, reason, thread and stack; counts them exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from hakmem_tools.cli.errors import DONE, MISSING, Failure, say
from hakmem_tools.cli.interrupt import asked_to_stop
from hakmem_tools.cli.sink import Sink
from hakmem_tools.cli.target_options import (
    CONTEXT,
    OpenTarget,
    TargetSpec,
    open_target,
    positive,
    target_options,
)

if TYPE_CHECKING:
    from hakmem_tools.observe.bpf.tracing import Trace


@click.command(context_settings=CONTEXT)
@click.option("--event", "wanted", metavar="NAME[,NAME]", help="Which, or all (the rare ones).")
@click.option("-d", "seconds", type=float, metavar="SECONDS", help="Stop after this long.")
@click.option("-n", "count", type=int, metavar="COUNT", help="Stop after this many events.")
@click.option("--stack", "stacks", is_flag=True, help="Show the stack of each event.")
@click.option("--children", is_flag=True, help="Trace the processes that it forks, too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
@click.option("-o", "path", metavar="FILE", help="Write there instead of stdout.")
@click.option("--force", is_flag=True, help="Overwrite FILE.")
@target_options
def command(
    target: TargetSpec,
    wanted: str | None,
    seconds: float | None,
    count: int | None,
    stacks: bool,
    children: bool,
    as_json: bool,
    path: str | None,
    force: bool,
) -> int:
    """Stream the events of -p PID, or of -- COMMAND from its first instruction on.

    Each event comes with thread, size class and reason; the summary's counts are exact even
    when events were lost. Ctrl-C detaches and leaves the target running.
    """
    from hakmem_tools.cli.trace_text import Printer
    from hakmem_tools.observe.bpf.tracing import TraceRequest, open_trace

    positive("-d", 1 if seconds is None else seconds)
    positive("-n", 1 if count is None else count)
    request = TraceRequest(wanted, target.lib, bool(target.command), stacks, children)
    request.check()  # a wrong name, or no privilege, is told before anything starts
    with (
        Sink(path, force) as sink,
        open_target(target, hold=True) as opened,
        _end_of(opened) as ended,
        open_trace(opened.pid, request) as trace,
        asked_to_stop() as stopped,
    ):
        if opened.launched is not None:
            opened.launched.release()
        printer = Printer(sink, as_json, trace.start_ns)
        for batch in trace.batches(ended=ended, stopped=stopped, seconds=seconds, count=count):
            printer.events(batch)
        printer.summary(trace.finish(), trace, opened.pid)
        if stopped():
            raise KeyboardInterrupt
        return _verdict(trace, opened)


@contextmanager
def _end_of(opened: OpenTarget) -> Iterator[Callable[[], bool]]:
    """The function that says whether the target has ended.

    Asked for before the probes are attached: a target may end the moment they are, and what it
    did until then is still to be told.
    """
    from hakmem_tools.observe.proc import Process

    launched = opened.launched
    if launched is not None:
        yield lambda: launched.poll() is not None
        return
    with Process(opened.pid) as process:
        yield lambda: not process.is_alive()


def _verdict(trace: Trace, opened: OpenTarget) -> int:
    if opened.launched is None or opened.launched.poll() is None:
        return DONE
    if opened.launched.status:
        say(f"{opened.launched.command} ended with status {opened.launched.status}")
    if not trace.library_ran:
        raise Failure(
            f"{opened.launched.command} never mapped libhakmem: a static or set-user-id program "
            "ignores LD_PRELOAD",
            MISSING,
        )
    return DONE
