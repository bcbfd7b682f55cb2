"""Events as the records that JSON lines carry, and as lines for people.

Pure. Field names are relied on by scripts: more may be added, none renamed. Codes are shown by
their words, every other argument by its number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hakmem_tools.model.snapshot import Event

#: Numbers from here on are addresses, which people read in hexadecimal.
_ADDRESS = 1 << 32


def event_record(
    event: Event, frames: Sequence[Mapping[str, Any]] | None = None, truncated: bool = False
) -> dict[str, Any]:
    """One event, without its schema_version; with `stack` when frames are given."""
    record: dict[str, Any] = {
        "event": event.event,
        **{name: event.texts.get(name, value) for name, value in event.args.items()},
        "pid": event.pid,
        "tid": event.tid,
        "time_ns": event.time_ns,
        "comm": event.comm,
    }
    if frames is not None:
        record |= {"stack": list(frames), "truncated": truncated}
    return record


def event_line(event: Event, start_ns: int) -> str:
    """One event for people: seconds since `start_ns`, thread, event, arguments."""
    seconds = (event.time_ns - start_ns) / 1e9
    thread = f"{event.comm}/{event.tid}"
    return f"{seconds:12.6f}  {thread:<20}  {event.event:<14}  {_arguments(event)}"


def _arguments(event: Event) -> str:
    parts = []
    for name, value in event.args.items():
        number = f"{value:#x}" if value >= _ADDRESS else str(value)
        parts.append(f"{name}={event.texts.get(name, number)}")
    return " ".join(parts)
