"""Reads the sums of a profiling program: what has grown since the last look, map by map.

Maps are read in batches and never emptied, so that no hit falls between reading and deleting.
Used by the profile sources. Knows nothing of modules or names.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property

import msgspec

from hakmem_tools.observe.bpf.loader import Program
from hakmem_tools.observe.bpf.profile_layout import PROFILE_FRAMES, layout, seen_places
from hakmem_tools.observe.bpf.syscall import map_items
from hakmem_tools.observe.unwind import StackWords

NONE = 0xFFFFFFFF
_WORD_BYTES = 8


class Cell(msgspec.Struct, frozen=True):
    """What sampled blocks are counted by; `stack` is the kernel's key, 0: it was lost."""

    stack: int
    tid: int
    size_class: int | None
    path: int | None
    bucket: int


class RawStack(msgspec.Struct, frozen=True):
    """A user stack as the kernel walked it. `site` is where the allocator was called, or 0.

    `start` is given instead of addresses where the walk broke off soon.
    """

    site: int
    addresses: tuple[int, ...]
    cut: bool  # deeper than the program keeps, or not walked at all
    start: StackWords | None = None


#: (cell, age, samples, bytes, weighted bytes)
Row = tuple[Cell, int, int, int, int]
#: (stack key, tid, cause, size class, count, bytes, nanoseconds)
CauseRow = tuple[int, int, int, int | None, int, int, int]


class Growth(msgspec.Struct, frozen=True):
    """What came on top since the last look."""

    allocated: list[Row]
    freed: list[Row]
    causes: list[CauseRow]


class KernelSums:
    """The maps of one profiling program. Used by one thread at a time."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._before: dict[str, dict[bytes, tuple[int, ...]]] = {
            name: {} for name in ("allocated", "freed", "causes")
        }

    def take(self) -> Growth:
        """What came on top since the last call.

        Frees are read first: a block that comes and goes meanwhile must not be freed only.
        """
        freed = [
            (_cell(key), layout("hak_freed_key").unpack(key)[5], a, b, c)
            for key, (a, b, c) in self._grown("freed", "hak_freed_key", "hak_sums")
        ]
        allocated = [
            (_cell(key), 0, a, b, c)
            for key, (a, b, c) in self._grown("allocated", "hak_cell_key", "hak_sums")
        ]
        causes = [
            (*_cause(key), a, b, c)
            for key, (a, b, c) in self._grown("causes", "hak_cause_key", "hak_cause")
        ]
        return Growth(allocated, freed, causes)

    def live(self, now_ns: int) -> list[Row]:
        """Every sampled block in use, added up by cell and age."""
        sums: dict[tuple[bytes, int], list[int]] = {}
        key_bytes = layout("hak_cell_key").size
        for _, values in self._entries("live", 8, layout("hak_live").size):
            for cell, time_ns, size_bytes, weighted in struct.iter_unpack(
                f"<{key_bytes}sQQQ", values
            ):
                age = max(1, now_ns - time_ns).bit_length() - 1
                row = sums.setdefault((cell, age), [0, 0, 0])
                row[0] += 1
                row[1] += size_bytes
                row[2] += weighted
        return [(_cell(cell), age, a, b, c) for (cell, age), (a, b, c) in sums.items()]

    def stack(self, key: int) -> RawStack | None:
        """A stack by its key; None for one that was lost."""
        with suppress(KeyError):
            table = self._program.map("stacks")
            data = bytes(table[table.Key(key)])
            site, stack_bytes, words, ip, sp, bp, _, _, *rest = layout("hak_stack").unpack(data)
            frames, places = rest[:PROFILE_FRAMES], rest[PROFILE_FRAMES:]
            if words:
                found = zip(places[:words], frames[:words], strict=True)
                start = StackWords(ip, sp, bp, {sp + place: word for place, word in found})
                return RawStack(site, (), False, start)
            count = max(0, stack_bytes) // _WORD_BYTES
            cut = stack_bytes < 0 or count >= PROFILE_FRAMES - 1
            return RawStack(site, tuple(frames[:count]), cut)
        return None

    def tell_code(self, parts: Sequence[tuple[int, int]]) -> None:
        """Where code lies: first address and bytes of the program's own, and of its libraries."""
        table = self._program.map("code")
        for number, (start, size) in enumerate(parts):
            leaf = table.Leaf()
            leaf.start, leaf.bytes = start, size
            table[table.Key(number)] = leaf

    def seen(self) -> dict[str, int]:
        """Hits and losses since attaching, by name (probes/profile.h in lower case)."""
        counts = self._program.per_cpu_array("seen")
        return {name: counts[place] for name, place in seen_places().items()}

    # ---- how ----

    @cached_property
    def _descriptors(self) -> dict[str, int]:
        return {
            name: int(self._program.map(name).map_fd)
            for name in ("allocated", "freed", "causes", "live")
        }

    def _entries(
        self, name: str, key_bytes: int, value_bytes: int
    ) -> Iterator[tuple[memoryview, memoryview]]:
        return map_items(self._descriptors[name], key_bytes, value_bytes)

    def _grown(self, name: str, key: str, value: str) -> Iterator[tuple[bytes, tuple[int, ...]]]:
        """Keys whose sums have grown, with the difference."""
        before, keys_as, values_as = self._before[name], layout(key), layout(value)
        for keys, values in self._entries(name, keys_as.size, values_as.size):
            pairs = zip(
                struct.iter_unpack(f"{keys_as.size}s", keys),
                values_as.iter_unpack(values),
                strict=True,
            )
            for (packed,), sums in pairs:
                last = before.get(packed)
                if last == sums:
                    continue
                before[packed] = sums
                yield (
                    packed,
                    sums
                    if last is None
                    else tuple(now - then for now, then in zip(sums, last, strict=True)),
                )


def _cell(packed: bytes) -> Cell:
    stack, tid, size_class, path, bucket = layout("hak_cell_key").unpack_from(packed)
    return Cell(stack, tid, _known(size_class), _known(path), bucket)


def _cause(packed: bytes) -> tuple[int, int, int, int | None]:
    stack, tid, cause, size_class, _ = layout("hak_cause_key").unpack(packed)
    return stack, tid, cause, _known(size_class)


def _known(number: int) -> int | None:
    return None if number == NONE else number
