"""From the bytes that BPF puts into the ring to Events.

The layout is that of probes/events.h, laid out by cffi from the same bytes that clang compiles;
names of arguments and codes come from the library's descriptors. Used by the watch. Pure once
made: no kernel, no process.
"""

from __future__ import annotations

import struct
from functools import cache

import cffi
import msgspec

from hakmem_tools.model.codes import argument_groups
from hakmem_tools.model.descriptors import Descriptors
from hakmem_tools.model.snapshot import Event
from hakmem_tools.observe.bpf.generate import STACK_FRAMES, probe_text, size_defines

_CODES = {"uint64_t": "Q", "uint32_t": "I", "int32_t": "i", "char": "s"}
_WORD_BYTES = 8


class Layout(msgspec.Struct, frozen=True):
    """How events.h lies in memory for a given widest probe."""

    record: struct.Struct
    names: tuple[str, ...]
    event_bytes: int


@cache
def record_layout(args: int) -> Layout:
    """The layout of struct hak_event with `args` arguments. Raises ValueError on a hole in it."""
    ffi = cffi.FFI()
    defines = {"HAK_EVENT_ARGS": args, "HAK_EVENT_FRAMES": STACK_FRAMES}
    text = "".join(f"#define {name} {value}\n" for name, value in defines.items())
    ffi.cdef(text + probe_text("events.h"))
    parts, names = [], []
    for name, field in ffi.typeof("struct hak_event").fields:
        is_array = field.type.kind == "array"
        element = field.type.item.cname if is_array else field.type.cname
        parts.append(f"{field.type.length if is_array else 1}{_CODES[element]}")
        names.append(name)
    record = struct.Struct("<" + "".join(parts))
    if record.size != ffi.sizeof("struct hak_event"):
        raise ValueError(f"struct hak_event has holes: {record.size} bytes of fields")
    return Layout(record, tuple(names), record.size)


class RecordReader:
    """Reads the records of one library's probes."""

    def __init__(self, descriptors: Descriptors) -> None:
        self._layout = record_layout(size_defines(descriptors)["HAK_EVENT_ARGS"])
        probes = descriptors.probes
        self._names = tuple((probe.name, probe.args) for probe in probes)
        texts = {(code.group, code.value): code.text for code in descriptors.codes}
        self._codes = tuple(
            {
                argument: {value: text for (g, value), text in texts.items() if g == group}
                for argument, group in argument_groups(probe).items()
            }
            for probe in probes
        )
        if self._layout.names[:8] != _ORDER:
            raise ValueError(f"struct hak_event has other fields: {self._layout.names}")

    def event(self, data: bytes) -> Event:
        """One record as an Event. Raises ValueError for one that is cut short or of no probe."""
        layout = self._layout
        if len(data) < layout.event_bytes:
            raise ValueError(f"a record of {len(data)} bytes, {layout.event_bytes} expected")
        fields = layout.record.unpack_from(data)
        time_ns, pid, tid, kind, stack_bytes, caller, comm = fields[:7]
        if kind >= len(self._names):
            raise ValueError(f"a record of probe {kind}, of {len(self._names)}")
        name, arguments = self._names[kind]
        values = dict(zip(arguments, fields[7:], strict=False))
        stack = _stack(data[layout.event_bytes :], stack_bytes, caller)
        return Event(
            event=name,
            pid=pid,
            tid=tid,
            time_ns=time_ns,
            args=values,
            texts={
                argument: words.get(values[argument], str(values[argument]))
                for argument, words in self._codes[kind].items()
            },
            stack=stack,
            truncated=stack_bytes < 0 or stack_bytes >= STACK_FRAMES * _WORD_BYTES,
            comm=comm.partition(b"\0")[0].decode("utf-8", "replace"),
        )


_ORDER = ("time_ns", "pid", "tid", "kind", "stack_bytes", "caller", "comm", "args")


def _stack(data: bytes, stack_bytes: int, caller: int) -> tuple[int, ...]:
    """The frames, with the caller put in where the frame pointers lead past it.

    At its first instruction a function has no frame of its own yet, and a leaf never gets one:
    the kernel then misses the function that called it, whose address is on top of the stack.
    """
    count = max(0, stack_bytes) // _WORD_BYTES
    frames = struct.unpack_from(f"<{count}Q", data)
    if caller and frames and frames[1:2] != (caller,):
        return (frames[0], caller, *frames[1:])
    return frames
