"""Writes what is on the screen to a JSON file, for a bug report or a script.

Used by the app's `e` key. It never overwrites: the number in the file's name goes up.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from hakmem_tools.model.snapshot import SCHEMA_VERSION, Event, Snapshot
from hakmem_top.moment import Moment


class Export(msgspec.Struct, frozen=True):
    """The file's one record. `since` counts from the last reset, else from the start."""

    schema_version: int
    title: str
    pid: int
    time_ns: int
    state: str
    missing: tuple[str, ...]
    live_bytes: int
    mapped_bytes: int | None
    snapshot: Snapshot
    interval: Snapshot | None
    since: Snapshot | None
    since_reset: bool
    events_seen: int
    events: tuple[Event, ...]


def record(moment: Moment) -> Export | None:
    """The record of a moment; None when nothing was read yet."""
    snapshot = moment.snapshot
    if snapshot is None:
        return None
    return Export(
        schema_version=SCHEMA_VERSION,
        title=moment.title.encode("utf-8", "replace").decode(),
        pid=snapshot.pid,
        time_ns=snapshot.time_ns,
        state=moment.state,
        missing=moment.missing,
        live_bytes=snapshot.live_bytes,
        mapped_bytes=snapshot.scalars.get("mapped_bytes"),
        snapshot=snapshot,
        interval=moment.delta,
        since=moment.since,
        since_reset=moment.was_reset,
        events_seen=moment.events_seen,
        events=moment.events,
    )


def write(moment: Moment, directory: Path) -> Path | None:
    """Writes `hakmem-top-PID-N.json` with the first free N; None when nothing was read yet.

    Raises OSError when the directory cannot be written.
    """
    data = record(moment)
    if data is None:
        return None
    text = msgspec.json.format(msgspec.json.encode(data), indent=2) + b"\n"
    number = 1
    while True:
        path = directory / f"hakmem-top-{data.pid}-{number}.json"
        try:
            with path.open("xb") as file:
                file.write(text)
        except FileExistsError:
            number += 1
            continue
        return path
