"""The code that a started program and its children map, as the kernel reports it while they run.

/proc/PID/maps goes with the process, and a program may live for less than our next look. This
log is attached before the program runs and needs nobody to be alive: perf records, one ring
for each CPU, put in the order of their times, since a process goes from CPU to CPU. Used for
the stacks of started programs; counts what it lost.
"""

from __future__ import annotations

import bisect
import mmap
import os
import struct
import time
from collections.abc import Iterator
from typing import NamedTuple

from hakmem_tools.observe.bpf.syscall import open_mapping_event
from hakmem_tools.observe.proc import Mapping

_RING_PAGES = 16
#: Processes that are remembered; of more, the oldest are forgotten.
_PROCESSES = 1024
# Offsets in the first page of a perf ring, and the records that we ask for.
_HEAD_WORD, _TAIL_WORD = 1024 // 8, 1032 // 8
_LOST, _COMM, _FORK, _MAPPED = 2, 3, 7, 10
_BY_EXEC = 1 << 13  # in a comm record's misc: the name is an exec's
_HEADER = struct.Struct("<IHH")
_MAPPED_FIELDS = struct.Struct("<IIQQQIIQQII")
_TIME = struct.Struct("<Q")


class _Record(NamedTuple):
    """What a CPU's ring holds: when (ns, monotonic), perf's type and misc, and the body."""

    time_ns: int
    kind: int
    misc: int
    body: bytes


class _Ring:
    """One CPU's records."""

    def __init__(self, event: int) -> None:
        self.event = event
        page = mmap.PAGESIZE
        self._size = _RING_PAGES * page
        self._memory = mmap.mmap(event, page + self._size, mmap.MAP_SHARED)
        self._words = memoryview(self._memory)[:page].cast("Q")
        self._data_at = page

    def take(self) -> Iterator[_Record]:
        """The records that are there, in the order of their times."""
        tail, head = self._words[_TAIL_WORD], self._words[_HEAD_WORD]
        while tail < head:
            kind, misc, size = _HEADER.unpack(self._part(tail, _HEADER.size))
            body = self._part(tail + _HEADER.size, size - _HEADER.size)
            (time_ns,) = _TIME.unpack_from(body, len(body) - _TIME.size)
            yield _Record(time_ns, kind, misc, body)
            tail += size
        self._words[_TAIL_WORD] = tail

    def _part(self, position: int, count: int) -> bytes:
        """Bytes of the data, which may go on at its beginning."""
        at = position % self._size
        first = self._memory[self._data_at + at : self._data_at + min(at + count, self._size)]
        return first + self._memory[self._data_at : self._data_at + count - len(first)]

    def close(self) -> None:
        self._words.release()
        self._memory.close()
        os.close(self.event)


class MappingLog:
    """Close it, or use it as a context manager."""

    def __init__(self, pid: int) -> None:
        """For a program of one thread, from now on. Raises OSError where perf is not allowed."""
        self.lost = 0
        self._names: set[str] = set()
        self._rings: list[_Ring] = []
        self._waiting: list[_Record] = []
        self._mappings: dict[int, list[Mapping]] = {}
        try:
            for cpu in range(os.cpu_count() or 1):
                self._open(pid, cpu)
        except BaseException:
            self.close()
            raise

    def _open(self, pid: int, cpu: int) -> None:
        event = open_mapping_event(pid, cpu)
        try:
            self._rings.append(_Ring(event))
        except BaseException:
            os.close(event)
            raise

    def take(self) -> None:
        """Empties the rings; call it now and then, before they are full."""
        # The rings are read one after the other. What was recorded after the first one was
        # read waits: something older may still lie in that one.
        complete_to = time.monotonic_ns()
        for ring in self._rings:
            self._waiting.extend(ring.take())
        self._waiting.sort(key=lambda record: record.time_ns)
        noted = bisect.bisect(self._waiting, complete_to, key=lambda record: record.time_ns)
        for record in self._waiting[:noted]:
            self._note(record)
        del self._waiting[:noted]
        while len(self._mappings) > _PROCESSES:
            del self._mappings[next(iter(self._mappings))]

    def mappings(self, pid: int) -> list[Mapping]:
        """The code that a process has mapped, by address; empty for one that is not known."""
        self.take()
        return sorted(self._mappings.get(pid, []), key=lambda mapping: mapping.start)

    def _note(self, record: _Record) -> None:
        _, kind, misc, body = record
        if kind == _MAPPED:
            pid, mapping = _mapping(body)
            known = self._mappings.setdefault(pid, [])
            # What is mapped over an older mapping takes its place.
            known[:] = [m for m in known if m.end <= mapping.start or m.start >= mapping.end]
            known.append(mapping)
            self._names.add(os.path.basename(mapping.path))
        elif kind == _FORK:
            pid, parent = struct.unpack_from("<II", body)
            if pid != parent:  # a thread shares its process's
                self._mappings[pid] = list(self._mappings.get(parent, []))
        elif kind == _COMM and misc & _BY_EXEC:
            self._mappings.pop(struct.unpack_from("<I", body)[0], None)
        elif kind == _LOST:
            self.lost += struct.unpack_from("<QQ", body)[1]

    def has_mapped(self, name: str) -> bool:
        """Whether any of the processes has mapped code of a file of this name so far.

        A name without directory: the kernel tells paths from where it looks, we from our root.
        """
        self.take()
        return name in self._names

    def close(self) -> None:
        """May be called twice."""
        while self._rings:
            self._rings.pop().close()

    def __enter__(self) -> MappingLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _mapping(body: bytes) -> tuple[int, Mapping]:
    pid, _, start, count, offset, major, minor, inode, *_ = _MAPPED_FIELDS.unpack_from(body)
    name = body[_MAPPED_FIELDS.size :].partition(b"\0")[0]
    return pid, Mapping(
        start=start,
        end=start + count,
        permissions="r-xp",
        offset=offset,
        device=os.makedev(major, minor),
        inode=inode,
        path=os.fsdecode(name),
    )
