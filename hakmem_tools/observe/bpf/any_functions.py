"""Finds the allocator that a process uses, and where its functions can be watched.

The file that defines `malloc`: the program itself, else the first library that was loaded with
one, else libc. Of it, every function by which memory comes and goes. Used by the profile source
for any allocator. Reads files; attaches nothing.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

import msgspec

from hakmem_tools.observe.bpf.any_code import Point, emulated_point, jump_target
from hakmem_tools.observe.elf import ElfError, ElfFile, open_mapped
from hakmem_tools.observe.proc import Mapping, Process
from hakmem_tools.observe.source import SourceUnavailable

_RDX, _RSI, _RDI = 2, 6, 7
_SIZE, _POINTER = (_RDI,), (_RDI,)
_CODE_BYTES = 96
_SYMBOL = struct.Struct("<IBBHQQ")
_FUNCTION = 2


class Kind(msgspec.Struct, frozen=True):
    """How a function takes its arguments: the registers, and C expressions of `{0}`, `{1}`.

    `body` is what the program does with them: 1 if they ask for memory, which `ask` then says.
    `frees`: the result does not matter.
    """

    name: str
    arguments: tuple[int, ...]
    body: str
    frees: bool = False


_SIZED = Kind("sized", _SIZE, "hak_asks(&ask, {0}, 0)")
_ALIGNED = Kind("aligned", (_RSI,), "hak_asks(&ask, {0}, 0)")
_CALLOC = Kind("calloc", (_RDI, _RSI), "hak_asks_calloc(&ask, {0}, {1})")
_REALLOC = Kind("realloc", (_RDI, _RSI), "hak_asks_realloc(&ask, {0}, {1})")
_MEMALIGN = Kind("posix_memalign", (_RDI, _RDX), "hak_asks(&ask, {1}, {0})")
_FREE = Kind("free", _POINTER, "hak_frees({0})", frees=True)

#: Names that an allocator may define. C++ operators count where the allocator's file has them.
FUNCTIONS: dict[str, Kind] = {
    **dict.fromkeys(("malloc", "valloc", "pvalloc", "_Znwm", "_Znam"), _SIZED),
    **dict.fromkeys(("_ZnwmRKSt9nothrow_t", "_ZnamRKSt9nothrow_t"), _SIZED),
    **dict.fromkeys(("_ZnwmSt11align_val_t", "_ZnamSt11align_val_t"), _SIZED),
    **dict.fromkeys(("aligned_alloc", "memalign"), _ALIGNED),
    "calloc": _CALLOC,
    "realloc": _REALLOC,
    "posix_memalign": _MEMALIGN,
    **dict.fromkeys(("free", "cfree", "free_sized", "sdallocx", "_ZdlPv", "_ZdaPv"), _FREE),
    **dict.fromkeys(("_ZdlPvm", "_ZdaPvm", "_ZdlPvRKSt9nothrow_t", "_ZdaPvRKSt9nothrow_t"), _FREE),
    **dict.fromkeys(("_ZdlPvSt11align_val_t", "_ZdaPvSt11align_val_t"), _FREE),
    **dict.fromkeys(("_ZdlPvmSt11align_val_t", "_ZdaPvmSt11align_val_t"), _FREE),
}


class Place(msgspec.Struct, frozen=True):
    """One function to watch. `offset` is where in the file the breakpoint goes."""

    names: tuple[str, ...]
    kind: Kind
    start: int  # the file's own address
    size: int
    offset: int
    registers: tuple[int, ...]
    emulated: bool


class AllocatorFile(msgspec.Struct, frozen=True):
    """The open file, where the process has it, and its functions. Close `descriptor`."""

    descriptor: int
    name: str
    bias: int
    identity: tuple[int, int]
    places: tuple[Place, ...]


def find_allocator(process: Process) -> AllocatorFile:
    """Raises SourceUnavailable when no mapped file defines malloc, NotPermitted, TargetGone."""
    for mapping in _candidates(process):
        try:
            path, file = open_mapped(process, mapping)
        except (ElfError, OSError):
            continue
        with file:
            found = _symbols(file)
            if "malloc" not in found or "free" not in found:
                continue
            return AllocatorFile(
                descriptor=os.open(path, os.O_RDONLY | os.O_CLOEXEC),
                name=mapping.path,
                bias=file.bias(mapping),
                identity=(mapping.device, mapping.inode),
                places=tuple(_places(file, found)),
            )
    raise SourceUnavailable(
        f"process {process.pid} has no file mapped that defines malloc and free with symbols "
        "(a stripped static program?)"
    )


def _candidates(process: Process) -> list[Mapping]:
    """Code files: the program, then libraries as loaded, which is downwards; libc last."""
    try:
        status = process.stat("exe")
        program = (status.st_dev, status.st_ino)
    except OSError:
        program = (0, 0)
    files: dict[tuple[int, int], Mapping] = {}
    for row in process.maps():
        if "x" in row.permissions and row.inode and row.path.startswith("/"):
            files.setdefault((row.device, row.inode), row)

    def order(row: Mapping) -> tuple[bool, bool, int]:
        name = os.path.basename(row.path)
        is_libc = name.startswith(("libc.", "libc-", "ld-", "ld."))
        return (row.device, row.inode) != program, is_libc, -row.start

    return sorted(files.values(), key=order)


def _symbols(file: ElfFile) -> dict[str, tuple[int, int]]:
    """Address and size of the functions that the file defines, of those that we know."""
    found: dict[str, tuple[int, int]] = {}
    for table, names in file.symbol_tables():
        for name_at, info, _, section, address, size in _SYMBOL.iter_unpack(table):
            if section == 0 or info & 0xF != _FUNCTION or address == 0:
                continue
            name = names[name_at : names.find(b"\0", name_at)].decode("ascii", "replace")
            if name in FUNCTIONS:
                found.setdefault(name, (address, size))
    return found


def _places(file: ElfFile, found: dict[str, tuple[int, int]]) -> Iterator[Place]:
    """One place for each function; what only jumps to another of them is seen there."""
    by_address: dict[int, list[str]] = {}
    for name, (address, _) in found.items():
        by_address.setdefault(address, []).append(name)
    for address, names in by_address.items():
        start = file.offset_of(address)
        if start is None:
            continue
        code = file.bytes_at(start, _CODE_BYTES)
        if jump_target(code, address) in by_address:
            continue
        kind = FUNCTIONS[names[0]]
        point = emulated_point(code, kind.arguments)
        at = point or Point(0, kind.arguments)
        yield Place(
            names=tuple(names),
            kind=kind,
            start=address,
            size=found[names[0]][1],
            offset=start + at.offset,
            registers=at.registers,
            emulated=point is not None,
        )
