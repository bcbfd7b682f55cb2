"""The third screen: the log of rare events, newest first, with the lost ones counted."""

from __future__ import annotations

from collections.abc import Hashable

from hakmem_top import units
from hakmem_top.event_table import event_table
from hakmem_top.lines import Line, Span, spread
from hakmem_top.moment import Moment
from hakmem_top.screens.base import TableScreen
from hakmem_top.screens.event_detail import EventDetailScreen
from hakmem_top.tables import Table


class EventsScreen(TableScreen):
    """The log; Enter shows one event with all arguments and its stack."""

    NAME = "events"
    TITLE = "Events"
    SORT_KEYS = (("time", True), ("event", False), ("class", False), ("thread", False))

    def table(self, moment: Moment, width: int) -> Table:
        """The events, sorted and filtered."""
        return event_table(
            moment,
            width,
            sort_key=self.sort_key,
            descending=self.descending,
            query=self.filter_text,
            describe=self.top.describe_address,
        )

    def caption(self, moment: Moment, width: int) -> Line:
        """How many are shown, how many there were, and how many were lost."""
        seen = units.count(moment.events_seen)
        start: Line = [
            Span(" Events ", "strong"),
            Span(f"{self.rows.position()}, {seen} seen", "label"),
        ]
        if self.filter_text:
            start.append(Span(f", filter '{self.filter_text}'", "warn"))
        lost = moment.snapshot.lost if moment.snapshot else 0
        if moment.snapshot is None or moment.snapshot.source == "counters":
            return spread(start, [Span(f"lost {units.MISSING} ", "label")], width)
        text, tone = (f"▲ lost {units.count(lost)} ", "alarm") if lost else ("✓ lost 0 ", "good")
        return spread(start, [Span(text, tone)], width)

    def open_row(self, key: Hashable) -> None:
        """Shows one event in full."""
        moment = self.top.moment
        position = len(moment.events) - (moment.events_seen - key) if isinstance(key, int) else -1
        if 0 <= position < len(moment.events):
            self.app.push_screen(EventDetailScreen(moment.events[position]))
