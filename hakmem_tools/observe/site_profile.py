"""The profile source without privilege: the table of call sites in the counters page.

One frame for each site, counted by the allocator's slow paths; no threads, ages or faults. Blocks
in use are known of the tracked requests alone. Opened by observe/profiler.py where BPF does not
work.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import msgspec

from hakmem_tools.model.profile_records import (
    NO_MODULE,
    End,
    Header,
    Key,
    Module,
    Record,
    Rows,
    Stack,
    Tick,
    size_bucket,
)
from hakmem_tools.model.sites import Site
from hakmem_tools.observe.counters import CountersSource
from hakmem_tools.observe.profile_header import complete_header, describe_process
from hakmem_tools.observe.sites import read_sites
from hakmem_tools.observe.source import NoPage, SourceUnavailable, TargetGone
from hakmem_tools.observe.symbols import ProcessSymbols

_UNKNOWN_AGE = 63
_MISSING = (
    "stacks: the counters page has one frame for each call site",
    "threads, ages, temporary allocations and leaks: the table of sites keeps none",
    "intervals: most of the table's numbers stand for requests that no slow path saw",
    "live bytes of requests that are not tracked: they count as freed",
)


class SiteProfile:
    """ProfileSource of a process's counters page. Close it."""

    def __init__(
        self,
        page: CountersSource,
        no_bpf: str,
        *,
        clock: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Takes the page over. Raises SourceUnavailable when the process keeps no table."""
        self._page, self._clock, self._sleep = page, clock, sleep
        self._before: dict[int, Site] = {}
        self._keys: dict[int, int] = {}
        self._modules: dict[str, int] = {}
        self._lost = 0
        try:
            table = read_sites(page)
            if table.missing:
                raise SourceUnavailable(f"{no_bpf}; and without BPF, {table.missing[0]}")
            header = describe_process(page.pid, "hakmem", 1, "counters")
            self._symbols = ProcessSymbols(page.pid)
        except BaseException:
            page.close()
            raise
        missing = (f"everything that BPF sees: {no_bpf}", *_MISSING)
        header = complete_header(header, page, needs_samples=False)
        self.header: Header = msgspec.structs.replace(header, sample_bytes=1, missing=missing)

    @property
    def missing(self) -> tuple[str, ...]:
        """One sentence for each thing that it cannot tell; the header has them."""
        return ()

    def poll(self, *, live: bool = False) -> Sequence[Record]:
        """Names that are new, and a Tick with what sites have asked for since the last call."""
        try:
            table = read_sites(self._page)
        except (NoPage, TargetGone, OSError):
            return ()  # the process has ended, and its page with it
        records: list[Record] = []
        allocated, freed = [], []
        for site in table.sites:
            key = self._key(site, records)
            before = self._before.get(site.address)
            requests, asked = _asked(site, before)
            gone, gone_bytes = _gone(site, before)
            if requests:
                allocated.append((key, 0, requests, asked, asked))
            if gone:
                freed.append((key, _UNKNOWN_AGE, gone, gone_bytes, gone_bytes))
            self._before[site.address] = site
        lost, self._lost = table.lost - self._lost, table.lost
        told = {"no room in the table of sites": lost} if lost > 0 else {}
        tick = Tick(self._clock(), Rows.pack(allocated), Rows.pack(freed), lost=told)
        return [*records, tick]

    def _key(self, site: Site, records: list[Record]) -> int:
        if site.address not in self._keys:
            number = self._keys[site.address] = len(self._keys)
            place = self._place(site.address, records)
            records.append(Stack(number + 1, (place,), truncated=True))
            bucket = size_bucket(int(site.mean_bytes or 0))
            records.append(Key(number, number + 1, 0, None, None, bucket))
        return self._keys[site.address]

    def _place(self, address: int, records: list[Record]) -> tuple[int, int]:
        mapping = self._symbols.mapping_of(address)
        if mapping is None or not mapping.path.startswith("/"):
            return NO_MODULE, address
        if mapping.path not in self._modules:
            number = self._modules[mapping.path] = len(self._modules) + 1
            records.append(Module(number, mapping.path, device=mapping.device, inode=mapping.inode))
        return self._modules[mapping.path], address - mapping.start + mapping.offset

    def wait(self, seconds: float) -> None:
        """Sleeps: the allocator counts meanwhile."""
        self._sleep(max(0.0, seconds))

    def end(self, reason: str) -> tuple[Sequence[Record], End]:
        """The last records and the closing one: reading the table costs the target nothing."""
        return self.poll(), End(self._clock(), reason, 0, self.missing)

    def close(self) -> None:
        """Lets go of the page; may be called twice."""
        self._page.close()
        self._symbols.close()


def _asked(site: Site, before: Site | None) -> tuple[int, int]:
    """Requests and bytes that came on top."""
    count, size = (before.count, before.bytes) if before is not None else (0, 0)
    return max(0, site.count - count), max(0, site.bytes - size)


def _gone(site: Site, before: Site | None) -> tuple[int, int]:
    """Requests and bytes that are not in use any more, or were never followed."""
    count, size = _all_gone(site)
    earlier = _all_gone(before) if before is not None else (0, 0)
    return max(0, count - earlier[0]), max(0, size - earlier[1])


def _all_gone(site: Site) -> tuple[int, int]:
    untracked = max(0, site.count - site.tracked_count)
    untracked_bytes = max(0, site.bytes - site.tracked_bytes)
    return site.freed_count + untracked, site.freed_bytes + untracked_bytes
