"""A call site as the allocator has seen it: what it asked for, and what it seems to be for.

Read from the counters page by observe/sites.py; shown by `hakmem stat --sites` and by `hakmem
profile` with one frame. Pure.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Site(msgspec.Struct, frozen=True):
    """One call site. Sizes are in bytes; `sizes` counts requests by doubling, from 16 bytes up.

    `count` and `bytes` are estimates when `estimated`: what slow paths saw stands for what they
    did not. Live values are of the tracked requests alone: None where none is tracked.
    """

    address: int
    count: int
    bytes: int
    tracked_count: int
    tracked_bytes: int
    freed_count: int
    freed_bytes: int
    max_bytes: int
    policy: str
    estimated: bool
    sizes: tuple[int, ...]
    function: str | None = None
    module: str | None = None
    offset: int | None = None

    @property
    def mean_bytes(self) -> float | None:
        """Mean size of a request; None without any."""
        return self.bytes / self.count if self.count else None

    @property
    def live_count(self) -> int | None:
        return self.tracked_count - self.freed_count if self.tracked_count else None

    @property
    def live_bytes(self) -> int | None:
        return self.tracked_bytes - self.freed_bytes if self.tracked_count else None

    @property
    def text(self) -> str:
        """For people: function (module), module+offset, or the address."""
        name = (self.module or "").rsplit("/", 1)[-1]
        if self.function:
            return f"{self.function} ({name})"
        return f"{name}+{self.offset:#x}" if name and self.offset else f"{self.address:#x}"


class SiteTable(msgspec.Struct, frozen=True):
    """All sites, those with most bytes first. `lost` requests found no room in the table."""

    sites: tuple[Site, ...]
    lost: int
    missing: tuple[str, ...] = ()


def site_record(site: Site) -> dict[str, Any]:
    """A site's JSON line."""
    frame = {"function": site.function, "module": site.module, "offset": site.offset,
             "file": None, "line": None}  # fmt: skip
    return {
        "frames": [frame],
        "address": site.address,
        "count": site.count,
        "total_bytes": site.bytes,
        "mean_bytes": site.mean_bytes,
        "max_bytes": site.max_bytes,
        "live_count": site.live_count,
        "live_bytes": site.live_bytes,
        "policy": site.policy,
        "estimated": site.estimated,
        "sizes": list(site.sizes),
    }
