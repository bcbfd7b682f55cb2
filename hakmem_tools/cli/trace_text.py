"""How `hakmem trace` prints: events as JSON lines or text, and the summary with exact counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from hakmem_tools.cli.errors import say
from hakmem_tools.cli.sink import Sink
from hakmem_tools.model.event_lines import event_line, event_record

if TYPE_CHECKING:
    from hakmem_tools.observe.bpf.accounts import Accounts
    from hakmem_tools.observe.bpf.tracing import Trace, TracedEvent


class Printer:
    """Writes one trace. Text goes to the sink, its summary to stderr; JSON all to the sink."""

    def __init__(self, sink: Sink, as_json: bool, start_ns: int) -> None:
        self._sink = sink
        self._as_json = as_json
        self._start_ns = start_ns

    def events(self, batch: Sequence[TracedEvent]) -> None:
        """Some events, brought to the reader at once."""
        for traced in batch:
            if self._as_json:
                frames = None
                if traced.frames is not None:
                    frames = [msgspec.structs.asdict(frame) for frame in traced.frames]
                self._sink.json(event_record(traced.event, frames, traced.truncated))
            else:
                self._text(traced)
        self._sink.flush()

    def _text(self, traced: TracedEvent) -> None:
        self._sink.line(event_line(traced.event, self._start_ns))
        for frame in traced.frames or ():
            self._sink.line(f"{'':14}{frame.text}")
        if traced.truncated:
            self._sink.line(f"{'':14}... (it cannot be followed further)")

    def summary(self, accounts: Accounts, trace: Trace, pid: int) -> None:
        """The last line: exact counts, what was lost, how, and at what cost."""
        if self._as_json:
            self._sink.json(summary_record(accounts, trace, pid))
        else:
            for line in _summary_lines(accounts, trace):
                say(line)
        self._sink.flush()


def summary_record(accounts: Accounts, trace: Trace, pid: int) -> dict[str, Any]:
    """The summary's fields, without its schema_version."""
    return {
        "event": "summary",
        "counts": accounts.counts,
        "lost": accounts.lost.total,
        "lost_events": accounts.lost.events,
        "shown": trace.shown,
        "classes": [
            {"event": r.event, "class": r.size_class, "code": r.code_text, "count": r.hits}
            for r in accounts.classes
        ],
        "pid": pid,
        "time_ns": trace.end_ns,
        "duration_ns": trace.end_ns - trace.start_ns,
        "tier": trace.watch.tier,
        "program_ns": accounts.cost.program_ns,
        "overhead_ns": accounts.cost.overhead_ns,
        "overhead_range_ns": list(accounts.cost.overhead_range_ns),
        "missing": list(trace.missing),
    }


def _summary_lines(accounts: Accounts, trace: Trace) -> list[str]:
    counts = ", ".join(f"{name} {n}" for name, n in accounts.counts.items() if n) or "no events"
    low, high = (ns / 1e6 for ns in accounts.cost.overhead_range_ns)
    seconds = (trace.end_ns - trace.start_ns) / 1e9
    lines = [
        f"{counts}; {trace.shown} shown, {accounts.lost.total} lost, in {seconds:.3f} s",
        f"cost the target an estimated {low:.1f} to {high:.1f} ms ({trace.watch.tier})",
    ]
    return lines + [f"missing: {sentence}" for sentence in trace.missing]
