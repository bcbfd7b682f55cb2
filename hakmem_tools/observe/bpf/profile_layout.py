"""How the records of probes/profile.h lie in memory, as struct formats.

Laid out by cffi from the same bytes that clang compiles, so that no layout is written twice.
Used by those who read the profile's maps. Pure.
"""

from __future__ import annotations

import re
import struct
from functools import cache
from typing import Any

import cffi

from hakmem_tools.observe.bpf.generate import probe_text

#: Frames of a user stack that are kept, as many as the kernel walks by default and one more;
#: deeper stacks are cut off and said to be.
PROFILE_FRAMES = 128
#: Words of a stack that are looked through where it cannot be walked by frame pointers.
COPY_WORDS = 1024
_CODES = {"uint64_t": "Q", "uint32_t": "I", "int32_t": "i", "uint16_t": "H"}


@cache
def _header() -> Any:
    ffi = cffi.FFI()
    sizes = {"HAK_STACK_FRAMES": PROFILE_FRAMES, "HAK_COPY_WORDS": COPY_WORDS}
    defines = "".join(f"#define {name} {size}\n" for name, size in sizes.items())
    ffi.cdef(f"{defines}{probe_text('profile.h')}")
    return ffi


@cache
def layout(name: str) -> struct.Struct:
    """The fields of `struct NAME` in order, nested ones in their place. Raises ValueError."""
    ffi = _header()
    kind = ffi.typeof(f"struct {name}")
    found = struct.Struct("<" + _format(kind))
    if found.size != ffi.sizeof(kind):
        raise ValueError(f"struct {name} has holes: {found.size} bytes of fields")
    return found


def _format(kind: Any) -> str:
    if kind.kind == "struct":
        return "".join(_format(field.type) for _, field in kind.fields)
    if kind.kind == "array":
        return f"{kind.length}{_CODES[kind.item.cname]}"
    return _CODES[kind.cname]


@cache
def seen_places() -> dict[str, int]:
    """Place in the array `seen` by its name in lower case: "lost_live" -> 1."""
    names = re.findall(r"^    HAK_((?:LOST|SEEN)_\w+),", probe_text("profile.h"), re.MULTILINE)
    return {name.lower(): number for number, name in enumerate(names)}
