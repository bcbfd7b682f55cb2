"""The few raw system calls that bcc's Python lacks: bpf() for links and statistics, and
perf_event_open() with a reference counter.

Used by the loader and the attacher. Every function returns an open descriptor, close-on-exec,
or raises OSError; nothing else is kept.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import struct
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

# Numbers of x86-64's system calls, of bpf()'s commands and of its program and attach types.
_NR_PERF_EVENT_OPEN = 298
_NR_BPF = 321
_BPF_PROG_LOAD = 5
_BPF_MAP_LOOKUP_BATCH = 24
_BPF_LINK_CREATE = 28
_BPF_ENABLE_STATS = 32
_PROG_TYPE_KPROBE = 2
TRACE_UPROBE_MULTI = 48
TRACE_UPROBE_SESSION = 57
_MULTI_RETURN = 1  # BPF_F_UPROBE_MULTI_RETURN
_STATS_RUN_TIME = 0

_PERF_IOC_ENABLE = 0x2400
_PERF_IOC_SET_BPF = 0x40042408
_PERF_FLAG_FD_CLOEXEC = 8
_PERF_TYPE_SOFTWARE = 1
_PERF_COUNT_DUMMY = 9
_PERF_SAMPLE_TIME = 1 << 2
# Bits of perf_event_attr: inherit, exclude_kernel, mmap, comm, task, sample_id_all, mmap2,
# comm_exec, use_clockid.
_MAPPING_FLAGS = (1, 5, 8, 9, 13, 18, 23, 24, 25)
_UPROBE_PMU = Path("/sys/bus/event_source/devices/uprobe")
_REF_CTR_SHIFT = 32  # format/ref_ctr_offset: config:32-63


def _syscall(number: int, *arguments: int | ctypes.Array[ctypes.c_char]) -> int:
    if platform.machine() != "x86_64":
        raise OSError(38, f"hakmem's BPF part knows x86-64, not {platform.machine()}")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = int(libc.syscall(ctypes.c_long(number), *words))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _bpf(command: int, attributes: bytes) -> int:
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    return _syscall(_NR_BPF, command, buffer, len(attributes))


def load_trivial_program(attach_type: int = 0) -> int:
    """Loads a uprobe program of two instructions: the cheapest question of what is allowed here.

    The kernel refuses it with EPERM without the privilege, with EINVAL where it does not know
    the attach type.
    """
    instructions = struct.pack("<BBhi", 0xB7, 0, 0, 0) + struct.pack("<BBhi", 0x95, 0, 0, 0)
    code = ctypes.create_string_buffer(instructions, len(instructions))
    license_text = ctypes.create_string_buffer(b"GPL")
    attributes = struct.pack(
        "<IIQQIIQII16sII",
        _PROG_TYPE_KPROBE,
        len(instructions) // 8,
        ctypes.addressof(code),
        ctypes.addressof(license_text),
        0,
        0,
        0,
        0,
        0,
        b"hakmem_try",
        0,
        attach_type,
    )
    return _bpf(_BPF_PROG_LOAD, attributes)


def create_multi_link(
    program: int,
    path: str,
    sites: Sequence[tuple[int, int]],
    pid: int | None,
    *,
    cookies: Sequence[int] = (),
    attach_type: int = TRACE_UPROBE_MULTI,
    at_return: bool = False,
) -> int:
    """One link from a program to many sites of a file, each (file offset, semaphore's or 0).

    With a pid (as our namespace numbers it) no other process meets the breakpoints. `cookies`
    tell the program its sites apart. `at_return` runs it where the function returns, instead of
    at the site.
    """
    count = len(sites)
    name = ctypes.create_string_buffer(os.fsencode(path))
    offsets = (ctypes.c_uint64 * count)(*(offset for offset, _ in sites))
    given = (ctypes.c_uint64 * count)(*cookies)
    semaphores = (ctypes.c_uint64 * count)(*(semaphore for _, semaphore in sites))
    attributes = struct.pack(
        "<IIIIQQQQIII4x",
        program,
        0,
        attach_type,
        0,
        ctypes.addressof(name),
        ctypes.addressof(offsets),
        ctypes.addressof(semaphores) if any(semaphores) else 0,
        ctypes.addressof(given) if cookies else 0,
        count,
        _MULTI_RETURN if at_return else 0,
        pid or 0,
    )
    return _bpf(_BPF_LINK_CREATE, attributes)


def map_items(
    descriptor: int, key_bytes: int, value_bytes: int, batch: int = 4096
) -> Iterator[tuple[memoryview, memoryview]]:
    """All entries of a hash map, some thousand at a time: their keys and their values, packed.

    The views are used again for the next batch. Raises OSError.
    """
    while True:
        try:
            yield from _map_batches(descriptor, key_bytes, value_bytes, batch)
            return
        except _BucketTooLarge:
            batch *= 4  # nothing has been given out of the first batch


class _BucketTooLarge(Exception):
    """More entries share one bucket of the map than a batch has room for."""


def _map_batches(
    descriptor: int, key_bytes: int, value_bytes: int, batch: int
) -> Iterator[tuple[memoryview, memoryview]]:
    keys = ctypes.create_string_buffer(key_bytes * batch)
    values = ctypes.create_string_buffer(value_bytes * batch)
    place = ctypes.create_string_buffer(max(8, key_bytes))
    started = 0
    while True:
        attributes = ctypes.create_string_buffer(
            struct.pack(
                "<QQQQIIQQ",
                ctypes.addressof(place) if started else 0,
                ctypes.addressof(place),
                ctypes.addressof(keys),
                ctypes.addressof(values),
                batch,
                descriptor,
                0,
                0,
            ),
            56,
        )
        ended = False
        try:
            _syscall(_NR_BPF, _BPF_MAP_LOOKUP_BATCH, attributes, len(attributes))
        except FileNotFoundError:
            ended = True
        except OSError as error:
            if error.errno == errno.ENOSPC and not started:
                raise _BucketTooLarge from None
            raise
        (count,) = struct.unpack_from("<I", attributes, 32)
        if count:
            yield memoryview(keys)[: count * key_bytes], memoryview(values)[: count * value_bytes]
        if ended:
            return
        started = 1


def enable_run_time_stats() -> int:
    """Lets the kernel measure all BPF programs' own run time while the descriptor is open."""
    return _bpf(_BPF_ENABLE_STATS, struct.pack("<I", _STATS_RUN_TIME))


def open_mapping_event(pid: int, cpu: int) -> int:
    """A perf event that records which code a process and its children map while on one CPU.

    Every record ends with its time, u64, in ns of the monotonic clock.
    """
    attributes = bytearray(120)
    struct.pack_into("<IIQ", attributes, 0, _PERF_TYPE_SOFTWARE, 120, _PERF_COUNT_DUMMY)
    struct.pack_into("<Q", attributes, 24, _PERF_SAMPLE_TIME)
    struct.pack_into("<Q", attributes, 40, sum(1 << bit for bit in _MAPPING_FLAGS))
    struct.pack_into("<i", attributes, 92, time.CLOCK_MONOTONIC)
    buffer = ctypes.create_string_buffer(bytes(attributes), len(attributes))
    return _syscall(_NR_PERF_EVENT_OPEN, buffer, pid, cpu, -1, _PERF_FLAG_FD_CLOEXEC)


def open_uprobe_event(program: int, path: str, offset: int, semaphore: int, pid: int | None) -> int:
    """A perf uprobe event on one site, with the program on it and switched on.

    Older than multi links. It lives as long as its descriptor and leaves no name behind; closing
    it takes the kernel about 0.1 s.
    """
    kind = int((_UPROBE_PMU / "type").read_text())
    name = ctypes.create_string_buffer(os.fsencode(path))
    attributes = struct.pack(
        "<IIQQQQQIIQQ48x",
        kind,
        120,
        semaphore << _REF_CTR_SHIFT,
        1,  # sample_period: a probe event needs one; nothing is sampled
        0,
        0,
        0,
        1,  # wakeup_events
        0,
        ctypes.addressof(name),  # config1: the path
        offset,  # config2
    )
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    who, cpu = (pid, -1) if pid else (-1, 0)
    event = _syscall(_NR_PERF_EVENT_OPEN, buffer, who, cpu, -1, _PERF_FLAG_FD_CLOEXEC)
    try:
        fcntl.ioctl(event, _PERF_IOC_SET_BPF, program)
        fcntl.ioctl(event, _PERF_IOC_ENABLE, 0)
    except OSError:
        os.close(event)
        raise
    return event
