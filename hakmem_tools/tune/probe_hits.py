"""Hits on libhakmem's USDT probes in the runs of a sweep, counted by the kernel.

The runner asks for the counts of one run at a time. One BPF program stays attached for the whole
sweep, so that a run costs two readings and no attaching; it counts in the processes that this one
starts, and in all that they start. Where the kernel does not let us count, and where counts were
lost, they are missing with the reason. A hit costs the program about 0.7 microseconds.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from hakmem_tools.native.library import Library
from hakmem_tools.observe.bpf.accounts import Accounts
from hakmem_tools.observe.bpf.generate import Purpose
from hakmem_tools.observe.bpf.library import open_library_file
from hakmem_tools.observe.bpf.namespace import own_namespace
from hakmem_tools.observe.bpf.watch import Watch
from hakmem_tools.observe.source import SourceUnavailable, TargetGone


class ProbeHits:
    """Counts by probe, and by probe and class, from `begin` to `end`."""

    def __init__(self, library: Library, names: Sequence[str]) -> None:
        """Attaches to the library's probes; without the privilege every count is missing."""
        self._watch: Watch | None = None
        self._reason = ""
        self._before: Accounts | None = None
        purpose = Purpose(
            counted=frozenset(names), streamed=frozenset(), pid=os.getpid(), children=True,
            namespace=own_namespace(),
        )  # fmt: skip
        try:
            with open_library_file(library.path) as file:
                self._watch = Watch(file, library.descriptors, purpose)
        except (SourceUnavailable, TargetGone) as error:
            self._reason = f"probes are not counted: {error}"

    def begin(self) -> None:
        """A run is about to start."""
        self._before = self._watch.accounts() if self._watch is not None else None

    def end(self) -> dict[str, float | str]:
        """Hits since `begin` as `probes.NAME` and `probes.NAME[CLASS]`, or `probes` and why not."""
        if self._watch is None or self._before is None:
            return {"probes": self._reason}
        before, now = self._before, self._watch.accounts()
        lost = now.lost.total - before.lost.total
        if lost:
            return {"probes": f"probes are not counted: {lost} hits were lost"}
        earlier = _flat(before)
        return {name: hits - earlier.get(name, 0.0) for name, hits in _flat(now).items()}

    def close(self) -> None:
        """Take the probes off."""
        if self._watch is not None:
            self._watch.close()


def _flat(accounts: Accounts) -> dict[str, float]:
    found = {f"probes.{name}": float(hits) for name, hits in accounts.counts.items()}
    for row in accounts.classes:
        if row.size_class is not None:
            name = f"probes.{row.event}[{row.size_class}]"
            found[name] = found.get(name, 0.0) + row.hits
    return found
