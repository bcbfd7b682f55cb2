"""Finds a process's counters page, and reads its bytes.

Three ways, the first that works: the descriptor /proc/PID/fd/N that links to the memfd; the
mapping of that name through /proc/PID/map_files (needs CAP_SYS_ADMIN or
CAP_CHECKPOINT_RESTORE), for a daemon that has closed all descriptors; the mapping through
process_vm_readv. The bytes are read, never mapped: a page that its owner truncates must not
kill us, and reading a hole must not cost its owner memory.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterator

import msgspec

from hakmem_tools.native.abi import PAGE_MAGIC, Abi
from hakmem_tools.observe.proc import Mapping, Process
from hakmem_tools.observe.source import TargetGone

_MOST_OFFSET = 1 << 48
PAGE_LINK = "/memfd:hakmem (deleted)"


class FileReader:
    """The page through an open descriptor, which stays readable after its owner has ended."""

    outlives_target = True

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        status = os.fstat(descriptor)
        self.identity = (status.st_dev, status.st_ino)
        self.is_regular = stat.S_ISREG(status.st_mode)

    def read_into(self, offset: int, buffer: memoryview) -> int:
        done = 0
        if offset > _MOST_OFFSET:  # what a header claims may not even fit a file offset
            return 0
        while done < len(buffer):
            got = os.preadv(self._descriptor, [buffer[done:]], offset + done)
            if got <= 0:
                break
            done += got
        return done

    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class _IoVector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class MemoryReader:
    """The page through its owner's memory: slower, and only while the owner lives."""

    outlives_target = False

    def __init__(self, pid: int, mappings: list[Mapping]) -> None:
        self._pid = pid
        self._mappings = sorted(mappings, key=lambda mapping: mapping.offset)
        self.identity = (mappings[0].device, mappings[0].inode)
        self._call = ctypes.CDLL(None, use_errno=True).process_vm_readv
        self._call.restype = ctypes.c_ssize_t
        self._call.argtypes = [
            ctypes.c_int,
            ctypes.POINTER(_IoVector),
            ctypes.c_ulong,
            ctypes.POINTER(_IoVector),
            ctypes.c_ulong,
            ctypes.c_ulong,
        ]

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Parts that are not mapped read as zero up to the last mapping's end."""
        count = max(0, min(len(buffer), self.size() - offset))
        buffer[:count] = bytes(count)
        for mapping in self._mappings:
            begin = max(offset, mapping.offset)
            end = min(offset + count, mapping.offset + mapping.end - mapping.start)
            if begin < end:
                address = mapping.start + begin - mapping.offset
                self._copy(address, buffer[begin - offset : end - offset])
        return count

    def size(self) -> int:
        return max(row.offset + row.end - row.start for row in self._mappings)

    def close(self) -> None:
        """Nothing is held."""

    def _copy(self, address: int, part: memoryview) -> None:
        here = (ctypes.c_char * len(part)).from_buffer(part)
        local = _IoVector(ctypes.addressof(here), len(part))
        remote = _IoVector(address, len(part))
        if self._call(self._pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0) < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))


Reader = FileReader | MemoryReader


class FoundPage(msgspec.Struct, frozen=True):
    """An open page and the way it was found: "fd/N", "map_files/RANGE" or "memory"."""

    reader: Reader
    way: str


def find_page(process: Process, abi: Abi) -> FoundPage | None:
    """The page that describes `process` itself; None without one. The caller closes the reader.

    A page inherited from a parent, or passed on by another process, is not taken. Raises
    TargetGone, NotPermitted.
    """
    own = process.namespace_pids()
    for found in _candidates(process):
        if _writer_of(found.reader, abi) in own:
            return found
        found.reader.close()
    return None


def _writer_of(reader: Reader, abi: Abi) -> int | None:
    """The pid in a page's header; None for what is no page (or not yet one)."""
    header = bytearray(abi.header_bytes)
    try:
        got = reader.read_into(0, memoryview(header))
    except OSError:
        return None
    if got < 32 or header[:8] != PAGE_MAGIC:
        return None
    # The head of the header is the same in every ABI version, so that another one is told.
    at = abi.offset_of("hak_page_header", "pid")
    return int.from_bytes(header[at : at + 4], "little")


def _candidates(process: Process) -> Iterator[FoundPage]:
    for number, link in process.descriptors():
        if link == PAGE_LINK:
            found = _open(process, f"fd/{number}")
            if found is not None:
                yield found
    mappings = [row for row in process.maps() if row.path == PAGE_LINK]
    for mapping in mappings:
        if mapping.offset != 0:
            continue
        found = _open(process, f"map_files/{mapping.map_file}")
        if found is None:
            same = [row for row in mappings if row.inode == mapping.inode]
            found = FoundPage(MemoryReader(process.pid, same), "memory")
        yield found


def _open(process: Process, name: str) -> FoundPage | None:
    """None when it cannot be opened or is no plain file: a name proves nothing."""
    try:
        # Never wait for a writer, should it be a pipe under a borrowed name.
        reader = FileReader(process.open(name, os.O_RDONLY | os.O_NONBLOCK))
    except (OSError, TargetGone):
        return None
    if not reader.is_regular:
        reader.close()
        return None
    return FoundPage(reader, name)
