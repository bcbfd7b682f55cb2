"""What a call-site profile is made of: the records that a recorder writes and a reader gets back.

Recorders (BPF, the counters page) build these, observe/recording.py stores them, Profile adds
them up. Pure. A stack is numbers here; what they are called is found out later, by whoever
has the files, and may be embedded as Symbols so that the profile reads anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    import numpy as np

    Numbers = np.ndarray[tuple[int], np.dtype[np.int64]]

PROFILE_SCHEMA_VERSION = 1
#: Sizes are below 2^62 bytes.
MOST_BUCKETS = 244

#: What a stack made the kernel do, by the code in Caused.
CAUSES = {0: "page_fault", 1: "madvise", 2: "mmap", 3: "munmap"}
#: The module of addresses that lie in no file: offset is then the address itself.
NO_MODULE = 0
#: The stack of samples whose own stack was lost.
NO_STACK = 0


class Header(msgspec.Struct, frozen=True, tag="header", array_like=True):
    """First record. `sample_bytes` is R, the mean distance of two samples in bytes.

    `start_ns` is CLOCK_MONOTONIC, `wall_ns` CLOCK_REALTIME, both at the start of recording.
    `classes` maps size class -> bytes, `paths` the code of the path that served -> its word;
    both come from the target's descriptors, whose texts are in `texts` (empty: not hakmem).
    `missing` holds one sentence for each thing that this recorder cannot tell.
    """

    schema_version: int
    pid: int
    exe: str
    command: str
    allocator: str
    sample_bytes: int
    start_ns: int
    wall_ns: int
    source: str  # "bpf", "uprobes" or "counters"
    machine: dict[str, str] = {}
    texts: dict[str, str] = {}
    classes: dict[int, int] = {}
    paths: dict[int, str] = {}
    missing: tuple[str, ...] = ()


class Module(msgspec.Struct, frozen=True, tag="module", array_like=True):
    """One mapped file. `path` is the target's own view of it, " (deleted)" taken off.

    `root` says where that view begins for us (/proc/PID/root), "" in our own mount namespace.
    `device` and `inode` are the mapping's, so that a file replaced since is noticed.
    """

    id: int
    path: str
    build_id: str | None = None
    device: int = 0
    inode: int = 0
    deleted: bool = False
    root: str = ""


class Thread(msgspec.Struct, frozen=True, tag="thread", array_like=True):
    """A thread's name; a later record for the same thread replaces an earlier one."""

    tid: int
    name: str


class Stack(msgspec.Struct, frozen=True, tag="stack", array_like=True):
    """A call stack, innermost frame first: (module, offset in the module's file) each.

    Offsets are return addresses, but the first one is an exact address when `exact_first`.
    `truncated`: the walk broke off before the bottom of the stack.
    """

    id: int
    frames: tuple[tuple[int, int], ...]
    truncated: bool = False
    exact_first: bool = False

    def places(self) -> tuple[tuple[int, int], ...]:
        """(module, offset) to look each frame up by: inside the call, not behind it."""
        return tuple(
            (module, offset if index == 0 and self.exact_first else max(0, offset - 1))
            for index, (module, offset) in enumerate(self.frames)
        )


class Key(msgspec.Struct, frozen=True, tag="key", array_like=True):
    """What samples are counted by; rows name it by its id. None: not known to the recorder."""

    id: int
    stack: int
    tid: int
    size_class: int | None
    path: int | None
    bucket: int  # of size_bucket()


class CallFrame(msgspec.Struct, frozen=True, array_like=True):
    """One frame with its names; `inlined`: its code lies in the frame that follows it.

    `offset` is the file's own address, as addr2line takes it, or the bare address. `note` says
    what is wrong with the module ("replaced on disk").
    """

    module: str
    offset: int
    function: str | None = None
    file: str | None = None
    line: int | None = None
    inlined: bool = False
    note: str = ""

    @property
    def name(self) -> str:
        """The function, or module+offset, or the bare address: never nothing."""
        if self.function:
            return self.function
        name = self.module.rpartition("/")[2]
        return f"{name}+{self.offset:#x}" if name else f"{self.offset:#x}"


class Symbols(msgspec.Struct, frozen=True, tag="symbols", array_like=True):
    """The frames at one place of one module, innermost first; also a JIT's name for an address."""

    module: int
    offset: int  # as Stack.places() gives it
    frames: tuple[CallFrame, ...]


class Rows(msgspec.Struct, frozen=True, array_like=True):
    """Sums by key and age, as columns: packed little-endian, sorted, keys as differences.

    `age` is floor(log2(nanoseconds)) of a sampled block's life (for allocations 0). For n
    samples of S bytes, each of weight w: samples = n, size_bytes = sum of S, weighted = sum
    of w. Empty columns: no rows.
    """

    key: bytes = b""  # u32, differences
    age: bytes = b""  # u8
    samples: bytes = b""  # u32
    size_bytes: bytes = b""  # u64
    weighted: bytes = b""  # u64

    def __len__(self) -> int:
        return len(self.age)

    @staticmethod
    def pack(rows: Iterable[tuple[int, int, int, int, int]]) -> Rows:
        """From (key, age, samples, size_bytes, weighted) tuples, in any order."""
        ordered = sorted(rows)
        if not ordered:
            return Rows()
        keys, ages, samples, size_bytes, weighted = zip(*ordered, strict=True)
        steps = [keys[0], *(b - a for a, b in pairwise(keys))]
        return Rows(
            _column(steps, 4),
            bytes(ages),
            _column(samples, 4),
            _column(size_bytes, 8),
            _column(weighted, 8),
        )

    def unpack(self) -> list[tuple[int, int, int, int, int]]:
        """The tuples again, sorted. Raises ValueError for columns of different lengths."""
        columns = [column.tolist() for column in self.arrays()]
        return list(zip(*columns, strict=True))

    def check(self) -> None:
        """Raises ValueError for columns of different lengths."""
        count = len(self.age)
        widths = ((self.samples, 4), (self.size_bytes, 8), (self.weighted, 8), (self.key, 4))
        if any(len(column) != count * width for column, width in widths):
            raise ValueError("columns of different lengths")

    def arrays(self) -> tuple[Numbers, ...]:
        """Key, age, samples, size_bytes, weighted as int64 arrays of one length.

        Raises ValueError for columns of different lengths.
        """
        import numpy as np

        self.check()
        steps = np.frombuffer(self.key, "<u4").astype(np.int64)
        rest = (
            (self.age, "u1"),
            (self.samples, "<u4"),
            (self.size_bytes, "<u8"),
            (self.weighted, "<u8"),
        )
        return (
            np.cumsum(steps),
            *(np.frombuffer(column, kind).astype(np.int64) for column, kind in rest),
        )


def _column(values: Sequence[int], width: int) -> bytes:
    most = (1 << 8 * width) - 1
    return b"".join(min(max(value, 0), most).to_bytes(width, "little") for value in values)


class Caused(msgspec.Struct, frozen=True, array_like=True):
    """What a stack made the kernel do in a tick: `cause` is a code of CAUSES.

    A page fault in a large sampled block is its allocating stack's, and has its size class; any
    other one is that of the code that touched the page. `duration_ns` is 0 where nobody measures.
    """

    stack: int
    tid: int
    cause: int
    count: int
    size_bytes: int = 0
    size_class: int | None = None
    duration_ns: int = 0


class Tick(msgspec.Struct, frozen=True, tag="tick", array_like=True):
    """What happened since the tick before, and, where `live` is given, all that is live now.

    `freed` counts samples by the key under which they were allocated, so that live = allocated
    - freed, key by key. `live` groups the live samples by age; recorders give it now and then
    and at the end. `lost` counts, by reason, samples that are in no row.
    """

    time_ns: int
    allocated: Rows = Rows()
    freed: Rows = Rows()
    live: Rows | None = None
    caused: tuple[Caused, ...] = ()
    lost: dict[str, int] = {}


class End(msgspec.Struct, frozen=True, tag="end", array_like=True):
    """Last record; without it the recording broke off. Overhead None: not measured."""

    time_ns: int
    reason: str
    overhead_ns: int | None = None
    missing: tuple[str, ...] = ()


Record = Header | Module | Thread | Stack | Key | Symbols | Tick | End


def size_bucket(size_bytes: int) -> int:
    """The histogram bucket of a size: four to a doubling, exact below 8 bytes."""
    if size_bytes < 4:
        return max(0, size_bytes)
    power = size_bytes.bit_length() - 1
    return 4 * (power - 1) + (size_bytes >> (power - 2) & 3)


def bucket_start(bucket: int) -> int:
    """The smallest size of a bucket; the inverse of size_bucket."""
    if bucket < 4:
        return max(0, bucket)
    power, quarter = divmod(bucket, 4)
    return (4 + quarter) << (power - 1)
