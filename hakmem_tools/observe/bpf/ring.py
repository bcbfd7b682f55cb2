"""Reads a BPF ring buffer by its mapped memory.

libbpf's reader calls back into Python for each record, and Ctrl-C inside a callback is lost;
this one is plain Python, and a record costs one slice. One reader to a ring, used by one
thread. The layout is the kernel's: a page with the consumer's position, which we write; a page
with the producer's, then the data, mapped twice in a row so that no record is torn apart.
"""

from __future__ import annotations

import mmap

_BUSY = 1 << 31
_DISCARDED = 1 << 30
_HEADER_BYTES = 8  # u32 length with two flags, u32 for the kernel


class RingReader:
    """Close it before the map's descriptor goes."""

    def __init__(self, descriptor: int, data_bytes: int) -> None:
        """`data_bytes` is the map's max_entries. Raises OSError."""
        page = mmap.PAGESIZE
        self._mask = data_bytes - 1
        self._ours = mmap.mmap(descriptor, page, mmap.MAP_SHARED)
        try:
            self._theirs = mmap.mmap(
                descriptor,
                page + 2 * data_bytes,
                mmap.MAP_SHARED,
                mmap.PROT_READ,
                offset=page,
            )
        except BaseException:
            self._ours.close()
            raise
        # Native-width views: each position is loaded and stored by one instruction.
        self._consumer = memoryview(self._ours).cast("Q")
        self._producer = memoryview(self._theirs)[:8].cast("Q")
        self._words = memoryview(self._theirs)[page:].cast("I")
        self._data_at = page

    def take(self, limit: int) -> list[bytes]:
        """At most `limit` records that are complete, oldest first; never waits."""
        records: list[bytes] = []
        position = self._consumer[0]
        end = self._producer[0]
        while position < end and len(records) < limit:
            at = position & self._mask
            word = self._words[at // 4]
            if word & _BUSY:
                break
            length = word & ~_DISCARDED
            if not word & _DISCARDED:
                start = self._data_at + at + _HEADER_BYTES
                records.append(self._theirs[start : start + length])
            position += (length + _HEADER_BYTES + 7) & ~7
        self._consumer[0] = position
        return records

    def close(self) -> None:
        """Unmaps; may be called twice."""
        for view in (self._consumer, self._producer, self._words):
            view.release()
        self._ours.close()
        self._theirs.close()
