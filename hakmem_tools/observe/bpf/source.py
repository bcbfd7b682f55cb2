"""The BPF source: the counters page's totals, and with them events and the kernel's own counts.

Opened through observe/open.py. The page counts everything already, and costs its process
nothing; BPF adds what a total cannot tell (which event, when, in which thread) for rare kinds,
and counts by class and stage as the kernel saw them since attaching.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hakmem_tools.model.descriptors import Descriptors
from hakmem_tools.model.event_choice import rare_events
from hakmem_tools.model.snapshot import Event, Snapshot
from hakmem_tools.observe.bpf.accounts import Accounts
from hakmem_tools.observe.bpf.attach import Tier
from hakmem_tools.observe.bpf.generate import Purpose
from hakmem_tools.observe.bpf.library import open_mapped_library
from hakmem_tools.observe.bpf.namespace import own_namespace
from hakmem_tools.observe.bpf.watch import Watch
from hakmem_tools.observe.counters import NO_EVENTS, CountersSource

#: Frequent, but worth the kernel's count by class and stage: one for each slab of 64 KiB.
_COUNTED = frozenset(("stage_hit",))
_RING_BYTES = 4 << 20


class BpfSource:
    """Source of one process. Used by one thread at a time; close it."""

    name = "bpf"

    def __init__(self, page: CountersSource, watch: Watch) -> None:
        """Takes over both."""
        self.page = page
        self.watch = watch
        others = tuple(sentence for sentence in page.missing if sentence != NO_EVENTS)
        self.missing: tuple[str, ...] = others + watch.missing

    @property
    def tier(self) -> Tier:
        """How the probes are attached."""
        return self.watch.tier

    @property
    def descriptors(self) -> Descriptors:
        """The tables that the page carries."""
        return self.page.descriptors

    def accounts(self) -> Accounts:
        """The kernel's counts, what was lost, and what watching cost, since attaching."""
        return self.watch.accounts()

    def snapshot(self) -> Snapshot:
        """Absolute counters now; `lost` is the kernel's. Raises TargetGone, NotPermitted."""
        return self._marked(self.page.snapshot())

    def final_snapshot(self) -> Snapshot:
        """The last counts of a process that has ended. Raises TargetGone."""
        return self._marked(self.page.final_snapshot())

    def events(self, timeout_s: float) -> Sequence[Event]:
        """Events since the last call; waits at most `timeout_s` for the first."""
        return self.watch.events(timeout_s)

    def close(self) -> None:
        """Detaches everything; may be called twice."""
        self.watch.close()
        self.page.close()

    def __enter__(self) -> BpfSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _marked(self, snapshot: Snapshot) -> Snapshot:
        missing = tuple(sentence for sentence in snapshot.missing if sentence != NO_EVENTS)
        return msgspec.structs.replace(
            snapshot,
            source=self.name,
            missing=missing + self.watch.missing,
            lost=self.watch.accounts().lost.total,
        )


def open_bpf(
    pid: int,
    page: CountersSource,
    *,
    stacks: bool = False,
    streamed: frozenset[str] | None = None,
    tier: Tier | None = None,
) -> BpfSource:
    """Attaches to a process whose page is open; the source takes the page over.

    Streams the library's rare events, or those in `streamed`. Raises SourceUnavailable or
    TargetError (the page stays the caller's then), TargetGone.
    """
    descriptors = page.descriptors
    known = frozenset(probe.name for probe in descriptors.probes)
    purpose = Purpose(
        counted=_COUNTED & known,
        streamed=rare_events(descriptors) if streamed is None else streamed & known,
        pid=pid,
        stacks=stacks,
        ring_bytes=_RING_BYTES,
        namespace=own_namespace(),
    )
    with open_mapped_library(pid) as library:
        return BpfSource(page, Watch(library, descriptors, purpose, tier=tier))
