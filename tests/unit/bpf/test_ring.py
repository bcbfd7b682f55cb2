"""The ring reader, on a file that is laid out as the kernel lays out a ring."""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator

import pytest

from hakmem_tools.observe.bpf.ring import RingReader

PAGE = mmap.PAGESIZE
BUSY, DISCARDED = 1 << 31, 1 << 30


class Ring:
    """The kernel's side: a page with our position, a page with its own, the data twice."""

    def __init__(self) -> None:
        self.file = os.memfd_create("ring")
        os.ftruncate(self.file, 2 * PAGE + 2 * PAGE)
        self.position = 0

    def put(self, data: bytes, flags: int = 0) -> None:
        record = struct.pack("<II", len(data) | flags, 0) + data
        record += bytes(-len(record) % 8)
        for at, byte in enumerate(record, start=self.position):
            for copy in (0, PAGE):
                os.pwrite(self.file, bytes([byte]), 2 * PAGE + copy + at % PAGE)
        self.position += len(record)
        os.pwrite(self.file, struct.pack("<Q", self.position), PAGE)

    @property
    def consumed(self) -> int:
        return int(struct.unpack("<Q", os.pread(self.file, 8, 0))[0])


@pytest.fixture
def ring() -> Iterator[Ring]:
    made = Ring()
    yield made
    os.close(made.file)


@pytest.fixture
def reader(ring: Ring) -> Iterator[RingReader]:
    made = RingReader(ring.file, PAGE)
    yield made
    made.close()


def test_records_come_in_order_and_their_room_is_given_back(ring: Ring, reader: RingReader) -> None:
    ring.put(b"one")
    ring.put(b"second")
    assert reader.take(10) == [b"one", b"second"]
    assert ring.consumed == ring.position
    assert reader.take(10) == []


def test_no_more_than_the_limit_is_taken_at_once(ring: Ring, reader: RingReader) -> None:
    for number in range(5):
        ring.put(bytes([number]))
    assert reader.take(3) == [b"\0", b"\1", b"\2"]
    assert reader.take(3) == [b"\3", b"\4"]


def test_a_record_that_is_still_being_written_waits_with_all_behind_it(
    ring: Ring, reader: RingReader
) -> None:
    ring.put(b"one")
    ring.put(b"busy", BUSY)
    ring.put(b"three")
    assert reader.take(10) == [b"one"]
    assert ring.consumed == 16


def test_a_discarded_record_is_passed_over(ring: Ring, reader: RingReader) -> None:
    ring.put(b"gone", DISCARDED)
    ring.put(b"here")
    assert reader.take(10) == [b"here"]
    assert ring.consumed == ring.position


def test_a_record_across_the_end_of_the_ring_comes_whole(ring: Ring, reader: RingReader) -> None:
    for _ in range(3):
        ring.put(bytes(1200))
    reader.take(10)
    long = bytes(range(200)) * 6
    ring.put(long)
    assert ring.position > PAGE
    assert reader.take(10) == [long]


def test_closing_twice_is_no_error(ring: Ring) -> None:
    reader = RingReader(ring.file, PAGE)
    reader.close()
    reader.close()
