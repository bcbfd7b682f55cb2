"""Gives a process the live knobs back that a killed sweep has left switched; a process of its own.

`watchdog.KnobKeeper` starts it beside a live sweep and writes to its standard input: `["KNOB",
value]` before a knob is first switched (null for the value of the start), `["KNOB"]` once it has
been put back. When that input ends, whatever ended it, the knobs that are left are put back, and
then it ends. An idle process answers late, so each knob is tried for some time. It says `ready`
once it has found the process.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterable

import msgspec

from hakmem_tools.observe.counters import CountersSource
from hakmem_tools.observe.source import TargetError, TargetGone
from hakmem_tools.tune.live_target import LiveTarget, NotEffective, ProcessTarget

PATIENCE_S = 60.0  # with a process that does not answer; each attempt waits about 2 s itself


def keep(
    lines: Iterable[str], target: LiveTarget, clock: Callable[[], float] = time.monotonic
) -> None:
    """Read what is switched until the lines end, then put it back."""
    before: dict[str, str | None] = {}
    for line in lines:
        knob, *value = msgspec.json.decode(line, type=list[str | None])
        assert knob is not None
        if value:
            before[knob] = value[0]
        else:
            before.pop(knob, None)
    deadline = clock() + PATIENCE_S
    while before and clock() < deadline:
        before = {knob: value for knob, value in before.items() if not _put(target, knob, value)}


def _put(target: LiveTarget, knob: str, value: str | None) -> bool:
    """Whether nothing is left to do for a knob: it has its value, or the process has ended."""
    try:
        target.put(knob, value)
    except TargetGone:
        return True
    except (NotEffective, TargetError):
        return False
    return True


def main(pid: int) -> int:
    """Keep the knobs of one process."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        with CountersSource(pid) as source:
            target = ProcessTarget(source)
            print("ready", flush=True)
            keep(sys.stdin, target)
    except (TargetError, TargetGone):
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1])))
