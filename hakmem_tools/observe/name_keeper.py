"""Names that nobody could find later, taken while the target runs, to go into the recording.

Code of a JIT, files that were deleted or replaced, files that only the target's mount namespace
holds: a reader of the recording has none of them. The rest is left to the reader, who has more
time. Used by the recorder, tick by tick.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from hakmem_tools.model.profile_records import NO_MODULE, Module, Record, Stack, Symbols
from hakmem_tools.observe.symbolise import Symboliser


class NameKeeper:
    """Watches the records of one running process. Close it, or use it as a context manager."""

    def __init__(self, pid: int, cache_directory: Path | None = None) -> None:
        self._modules: dict[int, Module] = {}
        self._fragile: dict[int, bool] = {}
        self._done: set[tuple[int, int]] = set()
        self._symboliser = Symboliser(self._modules, pid=pid, cache_directory=cache_directory)

    def names_for(self, records: Iterable[Record]) -> list[Symbols]:
        """The names of what is new in these records and would be lost; to be written after them."""
        wanted: dict[tuple[int, int], None] = {}
        for record in records:
            if isinstance(record, Module):
                self._modules[record.id] = record
                self._fragile[record.id] = _is_fragile(record)
            elif isinstance(record, Stack):
                wanted.update(dict.fromkeys(p for p in record.places() if self._is_lost(p)))
        if not wanted:
            return []
        self._done.update(wanted)
        self._symboliser.refresh()
        found = self._symboliser.resolve(wanted).items()
        return [Symbols(module, offset, frames) for (module, offset), frames in found if
                any(frame.function for frame in frames)]  # fmt: skip

    def _is_lost(self, place: tuple[int, int]) -> bool:
        module = place[0]
        return place not in self._done and (module == NO_MODULE or self._fragile.get(module, False))

    def close(self) -> None:
        """Lets go of the target's files; may be called twice."""
        self._symboliser.close()

    def __enter__(self) -> NameKeeper:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _is_fragile(module: Module) -> bool:
    """Whether our own view of the path does not lead to the file that is mapped."""
    if not module.path.startswith("/"):
        return False
    if module.deleted:
        return True
    try:
        return module.inode != 0 and os.stat(module.path).st_ino != module.inode
    except OSError:
        return True
