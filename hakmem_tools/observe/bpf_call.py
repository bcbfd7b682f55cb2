"""The bpf(2) system call for a few questions, without bcc: which links exist, what they attach.

Used by `hakmem probes`. Only asks: loading and attaching are observe/bpf's. Struct layouts are
those of the kernel's uapi/linux/bpf.h.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Iterator

import msgspec

_SYSCALL = {"x86_64": 321, "aarch64": 280}.get(platform.machine())
_OBJ_GET_INFO_BY_FD = 15
_TASK_FD_QUERY = 20
_LINK_GET_FD_BY_ID = 30
_LINK_GET_NEXT_ID = 31
_LINK_PERF_EVENT = 7
_LINK_UPROBE_MULTI = 12
_EVENT_UPROBES = (1, 2)
_FD_TYPE_UPROBES = (4, 5)
_MOST_OFFSETS = 65536
_PATH_BYTES = 4096


class Attachment(msgspec.Struct, frozen=True):
    """One uprobe that somebody has placed: a file and offsets in it.

    `kind` is "uprobe_multi", "perf" or "tracefs"; `holder` says who, as far as it is known.
    """

    kind: str
    path: str
    offsets: tuple[int, ...]
    link_id: int | None = None
    holder: str = ""


def _bpf(command: int, attribute: ctypes.Array[ctypes.c_char], size: int) -> int:
    """The call's result. Raises OSError."""
    if _SYSCALL is None:
        raise OSError(38, f"no number for bpf(2) on {platform.machine()}")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    result = libc.syscall(
        ctypes.c_long(_SYSCALL), ctypes.c_long(command), attribute, ctypes.c_ulong(size)
    )
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(result)


def _attribute(packed: bytes, size: int = 160) -> ctypes.Array[ctypes.c_char]:
    return ctypes.create_string_buffer(packed.ljust(size, b"\0"), size)


def link_ids() -> Iterator[int]:
    """Ids of all BPF links of the machine. Raises OSError without CAP_SYS_ADMIN."""
    current = 0
    while True:
        attribute = _attribute(struct.pack("<II", current, 0))
        try:
            _bpf(_LINK_GET_NEXT_ID, attribute, len(attribute))
        except FileNotFoundError:
            return
        current = struct.unpack_from("<I", attribute, 4)[0]
        yield current


def link_attachment(link_id: int) -> Attachment | None:
    """What a link attaches; None when it is no uprobe, or has gone. Raises OSError."""
    attribute = _attribute(struct.pack("<I", link_id))
    try:
        descriptor = _bpf(_LINK_GET_FD_BY_ID, attribute, len(attribute))
    except FileNotFoundError:
        return None
    try:
        kind = struct.unpack_from("<I", _link_info(descriptor, b""))[0]
        if kind == _LINK_UPROBE_MULTI:
            return _multi_attachment(descriptor, link_id)
        if kind == _LINK_PERF_EVENT:
            return _perf_attachment(descriptor, link_id)
        return None
    finally:
        os.close(descriptor)


def _link_info(descriptor: int, request: bytes) -> bytes:
    """struct bpf_link_info; `request` fills its part from byte 16 on (buffers to write to)."""
    info = ctypes.create_string_buffer((bytes(16) + request).ljust(128, b"\0"), 128)
    packed = struct.pack("<IIQ", descriptor, len(info), ctypes.addressof(info))
    attribute = _attribute(packed)
    _bpf(_OBJ_GET_INFO_BY_FD, attribute, len(attribute))
    return info.raw


def _multi_attachment(descriptor: int, link_id: int) -> Attachment | None:
    count = min(struct.unpack_from("<I", _link_info(descriptor, b""), 52)[0], _MOST_OFFSETS)
    path = ctypes.create_string_buffer(_PATH_BYTES)
    offsets = (ctypes.c_uint64 * count)()
    request = struct.pack(
        "<QQQQII", ctypes.addressof(path), ctypes.addressof(offsets), 0, 0, _PATH_BYTES, count
    )
    _link_info(descriptor, request)
    return Attachment("uprobe_multi", os.fsdecode(path.value), tuple(offsets), link_id)


def _perf_attachment(descriptor: int, link_id: int) -> Attachment | None:
    if struct.unpack_from("<I", _link_info(descriptor, b""), 16)[0] not in _EVENT_UPROBES:
        return None
    path = ctypes.create_string_buffer(_PATH_BYTES)
    request = struct.pack("<QQII", 0, ctypes.addressof(path), _PATH_BYTES, 0)
    offset = struct.unpack_from("<I", _link_info(descriptor, request), 36)[0]
    return Attachment("perf", os.fsdecode(path.value), (offset,), link_id)


def task_attachment(pid: int, descriptor: int) -> Attachment | None:
    """The uprobe behind a perf event that a process holds; None when it is none.

    Raises OSError without CAP_SYS_ADMIN.
    """
    path = ctypes.create_string_buffer(_PATH_BYTES)
    packed = struct.pack("<IIIIQ", pid, descriptor, 0, _PATH_BYTES, ctypes.addressof(path))
    attribute = _attribute(packed)
    try:
        _bpf(_TASK_FD_QUERY, attribute, len(attribute))
    except PermissionError:
        raise
    except OSError:  # no program on this event, or it is gone
        return None
    kind, offset = struct.unpack_from("<IQ", attribute, 28)
    if kind not in _FD_TYPE_UPROBES:
        return None
    return Attachment("perf", os.fsdecode(path.value), (offset,))
