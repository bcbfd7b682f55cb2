"""From addresses of a process to functions: its maps, and the symbol tables of its files.

Used for the stacks of events. Knows modules, offsets and function names; file and line stay
None until somebody asks the debug information for them. Reads ELF tables by struct, since
pyelftools needs seconds where this needs milliseconds. A snapshot of the maps is kept, so that
stacks of a process that has just ended can still be told.
"""

from __future__ import annotations

import bisect
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache

import msgspec

from hakmem_tools.observe.proc import Mapping, Process
from hakmem_tools.observe.source import NoSuchProcess, NotPermitted, TargetGone

_SHT_SYMTAB, _SHT_DYNSYM = 2, 11
_FUNCTION_TYPES = (2, 10)  # STT_FUNC, STT_GNU_IFUNC
_PT_LOAD = 1
_ELF_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
#: A stack that reaches one of these is whole.
BOTTOMS = frozenset(
    ("main", "_start", "__libc_start_main", "start_thread", "clone", "clone3", "__clone")
)


class Frame(msgspec.Struct, frozen=True):
    """One address of a stack. `offset` is the module's own address of it, as addr2line takes it.

    `function` is None where no symbol covers the address.
    """

    address: int
    module: str
    offset: int
    function: str | None = None
    function_offset: int = 0
    file: str | None = None
    line: int | None = None

    @property
    def text(self) -> str:
        """For people: function+offset (module), or module+offset, or the bare address."""
        name = os.path.basename(self.module)
        if self.function is not None:
            return f"{self.function}+{self.function_offset:#x} ({name})"
        return f"{name}+{self.offset:#x}" if name else f"{self.address:#x}"


class SymbolTable:
    """The functions of one ELF file, by address; empty for a file without symbols."""

    def __init__(self, read: Callable[[int, int], bytes]) -> None:
        """`read(offset, count)` gives bytes of the file; anything but ELF64 has no symbols."""
        self._segments: list[tuple[int, int, int]] = []  # file offset, bytes, address
        found: dict[int, tuple[int, str]] = {}
        try:
            header = _ELF_HEADER.unpack(read(0, _ELF_HEADER.size))
            if header[0][:6] == b"\x7fELF\x02\x01":
                self._segments = list(_segments(read, header))
                for start, size, name in _functions(read, header):
                    if size >= found.get(start, (-1, ""))[0]:
                        found[start] = (size, name)
        except (struct.error, ValueError, IndexError):
            pass  # cut short or hostile: what was read until here serves
        self._starts = sorted(found)
        self._found = found

    def __len__(self) -> int:
        return len(self._starts)

    def address_of(self, file_offset: int) -> int:
        """The file's own address of an offset in it; the offset itself outside of segments."""
        for start, size, address in self._segments:
            if start <= file_offset < start + size:
                return file_offset - start + address
        return file_offset

    def find(self, address: int) -> tuple[str, int] | None:
        """Name and start of the function that covers an address; None without one."""
        index = bisect.bisect_right(self._starts, address) - 1
        if index < 0:
            return None
        start = self._starts[index]
        size, name = self._found[start]
        # Assembly often gives no size: such a function goes on to the next one.
        end = start + size if size else self._segment_end(start)
        return (name, start) if address < end else None

    def _segment_end(self, address: int) -> int:
        for _, size, start in self._segments:
            if start <= address < start + size:
                return start + size
        return address


def _segments(
    read: Callable[[int, int], bytes], header: tuple[int, ...]
) -> Iterator[tuple[int, int, int]]:
    at, size, count = header[5], header[9], header[10]
    for index in range(count):
        kind, _, offset, address, _, in_file, _, _ = _SEGMENT.unpack(
            read(at + index * size, _SEGMENT.size)
        )
        if kind == _PT_LOAD:
            yield offset, in_file, address


def _functions(
    read: Callable[[int, int], bytes], header: tuple[int, ...]
) -> Iterator[tuple[int, int, str]]:
    at, size, count = header[6], header[11], header[12]
    sections = [
        _SECTION.unpack_from(read(at + index * size, _SECTION.size)) for index in range(count)
    ]
    for section in sections:
        if section[1] not in (_SHT_SYMTAB, _SHT_DYNSYM):
            continue
        names_at = sections[section[6]]
        names = read(names_at[4], names_at[5])
        table = read(section[4], section[5] // _SYMBOL.size * _SYMBOL.size)
        for name, info, _, where, value, length in _SYMBOL.iter_unpack(table):
            if where != 0 and info & 0xF in _FUNCTION_TYPES:
                end = names.find(b"\0", name)
                yield value, length, names[name:end].decode("utf-8", "replace")


def file_symbols(descriptor: int) -> SymbolTable:
    """The symbols of an open file; the descriptor stays the caller's. Cached by identity."""
    status = os.fstat(descriptor)
    key = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
    return _cached(key, _Reader(descriptor))


class _Reader:
    """Equal to every other one, so that only the key decides in the cache."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __call__(self, offset: int, count: int) -> bytes:
        if count < 0 or offset < 0 or count > 1 << 30:
            raise ValueError("no such part of a file")
        return os.pread(self.descriptor, count, offset)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Reader)

    def __hash__(self) -> int:
        return 0


@lru_cache(maxsize=256)
def _cached(_key: tuple[int, int, int, int], read: _Reader) -> SymbolTable:
    return SymbolTable(read)


class ProcessSymbols:
    """Tells the addresses of one process. Close it, or use it as a context manager."""

    def __init__(self, pid: int, remembered: Callable[[int], list[Mapping]] | None = None) -> None:
        """Never fails: a process that cannot be looked into has bare addresses only.

        `remembered` gives the mappings of a process that has ended, where somebody noted them.
        """
        self.pid = pid
        self._remembered = remembered
        self._process: Process | None
        try:
            self._process = Process(pid)
        except (NoSuchProcess, NotPermitted):
            self._process = None
        self._mappings: list[Mapping] = []
        self._starts: list[int] = []
        self._tables: dict[tuple[int, int], SymbolTable | None] = {}
        self.refresh()

    def close(self) -> None:
        """Lets go of the process; may be called twice."""
        if self._process is not None:
            self._process.close()

    def __enter__(self) -> ProcessSymbols:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def refresh(self) -> None:
        """Takes the maps anew; keeps the old ones when the process has ended."""
        mappings: list[Mapping] = []
        with suppress(TargetGone, NotPermitted, OSError):
            mappings = self._process.maps() if self._process is not None else []
        if not mappings and self._remembered is not None:
            mappings = self._remembered(self.pid)
        if mappings:
            self._mappings = mappings
            self._starts = [mapping.start for mapping in mappings]

    def code(self) -> tuple[list[Mapping], list[Mapping]]:
        """The executable parts of the program's own file, and of all other files."""
        parts = [m for m in self._mappings if "x" in m.permissions and m.path.startswith("/")]
        own = self._program_file()
        return (
            [part for part in parts if (part.device, part.inode) == own],
            [part for part in parts if (part.device, part.inode) != own],
        )

    def _program_file(self) -> tuple[int, int] | None:
        """Device and inode of the first mapped file: the program's, which lies lowest."""
        first = next((m for m in self._mappings if m.path.startswith("/")), None)
        return None if first is None else (first.device, first.inode)

    def mapping_of(self, address: int) -> Mapping | None:
        """The mapping that holds an address, of the last snapshot."""
        index = bisect.bisect_right(self._starts, address) - 1
        if index >= 0 and address < self._mappings[index].end:
            return self._mappings[index]
        return None

    def stack(self, addresses: Sequence[int]) -> tuple[tuple[Frame, ...], bool]:
        """The frames of a stack, innermost first, and whether it breaks off before its bottom.

        It breaks off at the first address that is no code, which is where the caller keeps no
        frame pointer.
        """
        frames: list[Frame] = []
        for index, address in enumerate(addresses):
            mapping = self._code_at(address)
            if mapping is None and self._mappings:
                break
            # A return address follows the call: the call itself is what the frame is about.
            frames.append(self._frame(address, mapping, before=index > 0))
        return tuple(frames), not any(frame.function in BOTTOMS for frame in frames)

    def _code_at(self, address: int) -> Mapping | None:
        mapping = self.mapping_of(address)
        if mapping is None:
            self.refresh()
            mapping = self.mapping_of(address)
        return mapping if mapping is not None and "x" in mapping.permissions else None

    def _frame(self, address: int, mapping: Mapping | None, *, before: bool) -> Frame:
        if mapping is None:
            return Frame(address, "", address)
        in_file = address - mapping.start + mapping.offset
        table = self._table(mapping)
        if table is None:
            return Frame(address, mapping.path, in_file)
        own = table.address_of(in_file)
        found = table.find(own - 1 if before else own)
        if found is None:
            return Frame(address, mapping.path, own)
        return Frame(address, mapping.path, own, found[0], own - found[1])

    def _table(self, mapping: Mapping) -> SymbolTable | None:
        """The mapped file's symbols; None for what is no file, or not the same one any more."""
        if not mapping.path.startswith("/") or mapping.inode == 0:
            return None
        key = (mapping.device, mapping.inode)
        if key not in self._tables:
            self._tables[key] = self._read_table(mapping)
        return self._tables[key]

    def _read_table(self, mapping: Mapping) -> SymbolTable | None:
        for path in (
            f"/proc/{self.pid}/map_files/{mapping.map_file}",
            f"/proc/{self.pid}/root{mapping.path}",
            mapping.path,
        ):
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            except OSError:
                continue
            try:
                status = os.fstat(descriptor)
                same = (status.st_dev, status.st_ino) == (mapping.device, mapping.inode)
                if same or "/map_files/" in path:
                    return file_symbols(descriptor)
            finally:
                os.close(descriptor)
        return None
