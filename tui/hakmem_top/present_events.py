"""From a Moment to the rows of the event log: what happened, to whom, why, from where.

Used by event_table.py. Pure: no Textual, no widths, no colours. The other half of present.py,
apart because events are records and the rest is arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from hakmem_tools.model.snapshot import Event
from hakmem_top import units
from hakmem_top.moment import Moment

#: Arguments that are addresses, when they are large enough to be one.
ADDRESSES = ("address", "superslab", "got", "expected", "ptr", "site")

#: Events that should not happen.
ALARMING = ("shared_fail", "integrity", "ace_fail")


class EventRow(msgspec.Struct, frozen=True):
    """One event. `at_s` counts from the first snapshot; it may be negative."""

    key: int
    at_s: float
    event: str
    class_label: str
    reason: str
    detail: str
    brief: str
    tid: int
    comm: str
    stack_top: str
    alarming: bool


class EventRows:
    """The events, newest first, each made into a row only when it is asked for.

    `keys` are the events' numbers since the watch began; `describe` names a return address.
    """

    def __init__(self, moment: Moment, describe: Callable[[int], str] = hex) -> None:
        self.keys = range(moment.events_seen - 1, moment.events_seen - len(moment.events) - 1, -1)
        self._events = moment.events
        self._start_ns = moment.history[0].time_ns if moment.history else 0
        self._describe = describe

    def at(self, position: int) -> EventRow:
        """The row at a position; 0 is the newest."""
        event = self._events[-1 - position]
        return event_row(event, self.keys[position], self._start_ns, self._describe)


def event_row(event: Event, key: int, start_ns: int, describe: Callable[[int], str]) -> EventRow:
    """One event as texts; `key` is its number since the watch began."""
    shown = {name: argument(event, name) for name in event.args}
    class_label = f"C{event.args['class']}" if "class" in event.args else ""
    reason = next((shown[name] for name in ("reason", "kind") if name in shown), "")
    rest = [
        f"{name} {text}" for name, text in shown.items() if name not in ("class", "reason", "kind")
    ]
    return EventRow(
        key=key,
        at_s=(event.time_ns - start_ns) / 1e9,
        event=event.event,
        class_label=class_label,
        reason=reason,
        detail=" ".join(rest),
        brief=" ".join(text for text in (reason, *_brief(event, shown)) if text),
        tid=event.tid,
        comm=event.comm,
        stack_top=describe(event.stack[0]) if event.stack else "",
        alarming=event.event in ALARMING,
    )


def _brief(event: Event, shown: dict[str, str]) -> list[str]:
    """The arguments for a narrow column: what tells most first, addresses last and bare."""
    words = []
    if "active" in shown and "cap" in shown:
        words.append(f"{shown['active']}/{shown['cap']}")
    taken = ("class", "reason", "kind", "active", "cap") if words else ("class", "reason", "kind")
    rest = [name for name in shown if name not in taken]
    words += [
        units.size_short(event.args[name]) if name == "bytes" else f"{name} {text}"
        for name, text in shown.items()
        if name in rest and not _is_address(name, event)
    ]
    return [*words, *(shown[name] for name in rest if _is_address(name, event))]


def _is_address(name: str, event: Event) -> bool:
    """Whether an argument is shown in hexadecimal (`got` is a count in some probes)."""
    return name in ADDRESSES and name not in event.texts and event.args[name] > 0xFFFF


def argument(event: Event, name: str) -> str:
    """A probe argument as text: its code's name, an address, a size, or the number."""
    value = event.args[name]
    if name in event.texts:
        return event.texts[name]
    if _is_address(name, event):
        return hex(value)
    if name == "bytes" or name.endswith("_bytes"):
        return units.size(value)
    if name.endswith("_ns"):
        return units.span(value / 1e9)
    return units.count(value)
