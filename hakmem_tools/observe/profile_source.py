"""The protocol of what a call-site profile comes from: records, a tick at a time.

Implemented by observe/bpf/ (the probes of libhakmem, or uprobes on any other allocator) and by
the counters page's site table; opened by observe/profiler.py. A recorder writes the records to
a file; a live view adds them to a Profile of its own (model/profile.py):

    with open_profile(ProfileRequest(pid=pid)) as source:
        profile = Profile(source.header)
        for record in source.poll(live=True):
            profile.add(record)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import msgspec

from hakmem_tools.model.profile_records import End, Header, Record
from hakmem_tools.observe.counters import CountersSource


class ProfileRequest(msgspec.Struct, frozen=True):
    """What is to be profiled, and how.

    `allocator` is "hakmem" (its own probes) or "any" (uprobes on the functions of whatever
    allocator the process has). `sample_bytes` is the mean distance of two samples; None: the
    process's own, or the default. `budget` is the share of the target's time that may be taken.
    `way` is "bpf", "sites" (the counters page's table: one frame, no privilege), or "auto".
    """

    pid: int
    allocator: str = "hakmem"
    sample_bytes: int | None = None
    budget: float = 0.03
    faults: bool = True
    lib: str | None = None
    started: bool = False  # by us, and held before its first instruction
    way: str = "auto"
    no_bpf: str = ""  # why "sites" serves, in one sentence


class ProfileSource(Protocol):
    """Where the records of one process's profile come from. Used by one thread at a time."""

    header: Header

    def poll(self, *, live: bool = False) -> Sequence[Record]:
        """What is new since the last call: names that are new, and last a Tick.

        With `live`, the tick groups all live blocks by age (a look at each of them). Raises
        nothing when the target has ended: what the kernel still holds is given.
        """

    def wait(self, seconds: float) -> None:
        """Lets so much time pass; an allocator that must be watched in turns is, meanwhile."""

    def end(self, reason: str) -> tuple[Sequence[Record], End]:
        """Detaches; the last records (live blocks by age among them), and the closing one."""

    @property
    def missing(self) -> tuple[str, ...]:
        """One sentence for each thing that it cannot tell, as far as is known now."""

    def close(self) -> None:
        """Detaches everything; may be called twice."""


@runtime_checkable
class Paced(Protocol):
    """A source that can lower its costs by the target's live knobs, once its page is there."""

    def keep_pace(self, page: CountersSource, budget: float) -> None:
        """From now on takes no more than this share of the target's time; takes the page over."""
