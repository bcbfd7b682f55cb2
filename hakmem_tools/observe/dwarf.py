"""Debug information of one ELF file: from an address to functions, files, lines, inlined calls.

Opens the file with pyelftools, which finds and unpacks its sections, and asks dwarf_units and
dwarf_lines, which read only what is needed for the addresses asked about. Files may be hostile:
what does not hold is as good as missing, and `damaged` says so in one line.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from typing import IO, Any

import msgspec
import zstandard

from hakmem_tools.observe import dwarf_forms as f
from hakmem_tools.observe.dwarf_forms import Data
from hakmem_tools.observe.dwarf_lines import LineTable
from hakmem_tools.observe.dwarf_ranges import UnitIndex
from hakmem_tools.observe.dwarf_units import Attributes, Info, Unit

_NAMES = tuple(
    ".debug_" + name
    for name in (
        *("info", "abbrev", "aranges", "line", "line_str", "str", "str_offsets"),
        *("addr", "ranges", "rnglists"),
    )
)
_SHF_COMPRESSED = 0x800
_SHT_NOBITS = "SHT_NOBITS"
_CHDR = struct.Struct("<IIQQ")
_MOST_UNPACKED_BYTES = 2 << 30
_DAMAGE = (ValueError, IndexError, KeyError, TypeError, OverflowError, RecursionError, struct.error)


class Place(msgspec.Struct, frozen=True):
    """One function at an address. `inlined`: its code lies in the place that follows."""

    function: str | None
    file: str | None
    line: int | None
    inlined: bool


class DebugInfo:
    """The debug information of an open file. Close it, or use it as a context manager."""

    def __init__(self, path: str) -> None:
        """Raises OSError. A file without debug information has no places."""
        self.damaged: str | None = None
        self._path = path
        self._tables: dict[int, LineTable | None] = {}
        self._map: mmap.mmap | None = None
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            sections = self._read(file)
        self._info = Info(sections)
        self._index = UnitIndex(self._info)
        self.empty = not sections.get(".debug_info")

    def close(self) -> None:
        """Lets go of the file; may be called twice."""
        self._info = Info({})
        self._tables.clear()
        if self._map is not None:
            self._map = None  # unmapped with its last section

    def __enter__(self) -> DebugInfo:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def places(self, address: int) -> tuple[Place, ...]:
        """What lies at an address of the file, innermost first; empty where nothing is known."""
        try:
            unit = self._index.find(address)
            return () if unit is None or not unit.known else tuple(self._places(unit, address))
        except _DAMAGE as error:
            self._note(error)
            return ()

    def _places(self, unit: Unit, address: int) -> list[Place]:
        table = self._table(unit)
        file, line = table.find(address) if table else (None, None)
        function = unit.function_at(address)
        if function is None:
            return [Place(None, file, line, False)] if file else []
        calls = unit.inlined_at(function, address)
        places = []
        for call in reversed(calls):
            places.append(Place(unit.name_of(call), file, line, True))
            file, line = self._call_site(table, call)
        places.append(Place(unit.name_of(unit.attributes(function)), file, line, False))
        return places

    def _call_site(
        self, table: LineTable | None, call: Attributes
    ) -> tuple[str | None, int | None]:
        index, line = (call.get(name, (0, 0))[1] for name in (f.CALL_FILE, f.CALL_LINE))
        return (table.file(index) if table else None), line or None

    def _table(self, unit: Unit) -> LineTable | None:
        """The unit's line table; None without one, or when it does not hold."""
        at = unit.root.get(f.STMT_LIST)
        if at is None:
            return None
        if at[1] not in self._tables:
            try:
                self._tables[at[1]] = LineTable(self._info, unit, at[1])
            except _DAMAGE as error:
                self._note(error)
                self._tables[at[1]] = None
        return self._tables[at[1]]

    def _note(self, error: Exception) -> None:
        if self.damaged is None:
            reason = " ".join(str(error).split()) or type(error).__name__
            self.damaged = f"{self._path}: its debug information does not hold: {reason}"

    def _read(self, file: IO[bytes]) -> dict[str, Data]:
        """The debug sections: views of the mapped file, or unpacked bytes."""
        from elftools.common.exceptions import ELFError
        from elftools.construct import ConstructError
        from elftools.elf.elffile import ELFFile

        found: dict[str, Data] = {}
        try:
            elf: Any = ELFFile(file)
            if elf.elfclass != 64 or not elf.little_endian:
                return {}
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            for section in elf.iter_sections():
                name = section.name.replace(".zdebug_", ".debug_")
                if name in _NAMES and section["sh_type"] != _SHT_NOBITS:
                    at, size = section["sh_offset"], section["sh_size"]
                    raw = self._map[at : at + size]
                    packed = section["sh_flags"] & _SHF_COMPRESSED
                    if section.name != name:
                        found[name] = _unpack(1, raw[12:], int.from_bytes(raw[4:12], "big"))
                    else:
                        found[name] = _unpacked(raw) if packed else raw
        except (ELFError, ConstructError, OSError, zlib.error, zstandard.ZstdError, *_DAMAGE) as e:
            self._note(e)
        return found


def _unpacked(raw: bytes) -> bytes:
    kind, _, size, _ = _CHDR.unpack_from(raw)
    return _unpack(kind, raw[_CHDR.size :], size)


def _unpack(kind: int, packed: bytes, size: int) -> bytes:
    if size > _MOST_UNPACKED_BYTES:
        raise ValueError(f"a section that unpacks to {size} bytes")
    if kind == 1:
        return zlib.decompressobj().decompress(packed, size)
    if kind == 2:
        return zstandard.ZstdDecompressor().decompress(packed, max_output_size=size)
    raise ValueError(f"a section packed in an unknown way ({kind})")
