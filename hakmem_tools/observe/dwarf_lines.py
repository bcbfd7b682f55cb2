"""The line tables of .debug_line, DWARF 2 to 5: from an address to a file and a line.

A table is run once, when its unit is asked about (DWARF 5 standard, section 6.2). Raises
ValueError or IndexError for what does not hold; rows are bounded.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator

from hakmem_tools.observe import dwarf_forms as f
from hakmem_tools.observe.dwarf_forms import Data, Widths, number, sleb, text, uleb
from hakmem_tools.observe.dwarf_units import Info, Unit

_MOST_ROWS = 2_000_000
_MOST_FILES = 1 << 20
_PATH, _DIRECTORY = 1, 2  # DW_LNCT


class LineTable:
    """The rows of one unit's program, and the names of its files."""

    def __init__(self, info: Info, unit: Unit, at: int) -> None:
        self._info = info
        self._unit = unit
        data = info.section(".debug_line")
        length, at = number(data, at, 4), at + 4
        width = 4
        if length == 0xFFFFFFFF:
            length, at, width = number(data, at, 8), at + 8, 8
        self._end = min(at + length, len(data))
        version, at = number(data, at, 2), at + 2
        if not 2 <= version <= 5:
            raise ValueError(f"a line table of version {version}")
        self._widths = Widths(version, width, unit.widths.address_bytes)
        if version >= 5:
            self._widths.address_bytes, at = data[at], at + 2
        header, at = number(data, at, width), at + width
        program = at + header
        self._step, at = data[at], at + (2 if version >= 4 else 1)
        self._line_base = data[at + 1] - 256 if data[at + 1] > 127 else data[at + 1]
        self._line_range, self._opcode_base = data[at + 2], data[at + 3]
        if self._line_range == 0 or self._opcode_base == 0:
            raise ValueError("a line table without a range of lines")
        self._lengths = bytes(data[at + 4 : at + 3 + self._opcode_base])
        at += 3 + self._opcode_base
        self._directories: list[str] = []
        self._files: list[tuple[str, int]] = []
        (self._files_5 if version >= 5 else self._files_2)(data, at)
        self._addresses: list[int] = []
        self._places: list[tuple[int, int]] = []  # file, line; (-1, 0): behind a sequence
        self._run(data, program)

    def find(self, address: int) -> tuple[str | None, int | None]:
        """File and line of an address; None for what the table does not say."""
        index = bisect.bisect_right(self._addresses, address) - 1
        if index < 0 or self._places[index][0] < 0:
            return None, None
        file, line = self._places[index]
        return self.file(file), line or None

    def file(self, index: int) -> str | None:
        """The path of a file of this table, joined with its directory; None out of range."""
        if self._widths.version < 5:
            index -= 1
        if not 0 <= index < len(self._files):
            return None
        name, directory = self._files[index]
        if name.startswith("/"):
            return name
        where = self._directory(directory)
        return f"{where}/{name}" if where else name

    def _directory(self, index: int) -> str:
        own = self._unit.root.get(f.COMP_DIR)
        unit_directory = (self._unit.string(*own) or "") if own else ""
        if self._widths.version < 5:
            if index == 0:
                return unit_directory
            index -= 1
        if not 0 <= index < len(self._directories):
            return unit_directory
        found = self._directories[index]
        if found.startswith("/") or not unit_directory:
            return found
        return f"{unit_directory}/{found}" if found else unit_directory

    def _files_2(self, data: Data, at: int) -> None:
        while data[at]:
            name = text(data, at)
            at = data.find(b"\0", at) + 1
            self._directories.append(name)
            self._bounded(self._directories)
        at += 1
        while data[at]:
            name = text(data, at)
            at = data.find(b"\0", at) + 1
            directory, at = uleb(data, at)
            at = uleb(data, uleb(data, at)[1])[1]
            self._files.append((name, directory))
            self._bounded(self._files)

    def _files_5(self, data: Data, at: int) -> None:
        for is_file in (False, True):
            count, at = data[at], at + 1
            formats = []
            for _ in range(count):
                content, at = uleb(data, at)
                form, at = uleb(data, at)
                formats.append((content, form))
            entries, at = uleb(data, at)
            for _ in range(entries if formats else 0):
                name, directory = "", 0
                for content, form in formats:
                    value, at, form = self._widths.read(data, at, form)
                    if content == _PATH:
                        name = self._string(data, form, value)
                    elif content == _DIRECTORY:
                        directory = value
                if is_file:
                    self._files.append((name, directory))
                else:
                    self._directories.append(name)
                self._bounded(self._files)

    def _bounded(self, entries: list[str] | list[tuple[str, int]]) -> None:
        if len(entries) > _MOST_FILES:
            raise ValueError("a line table of too many files")

    def _string(self, data: Data, form: int, value: int) -> str:
        if form == f.FORM_STRING:
            return text(data, value)
        return self._unit.string(form, value) or ""

    def _run(self, data: Data, at: int) -> None:
        rows: list[tuple[int, int, int, int]] = []
        for number_of_row, row in enumerate(self._rows(data, at)):
            if number_of_row > _MOST_ROWS:
                raise ValueError("a line table of too many rows")
            rows.append((row[0], number_of_row, row[1], row[2]))
        # Where one sequence ends and another begins, the beginning counts.
        rows.sort(key=lambda row: (row[0], row[2] >= 0, row[1]))
        self._addresses = [row[0] for row in rows]
        self._places = [(row[2], row[3]) for row in rows]

    def _rows(self, data: Data, at: int) -> Iterator[tuple[int, int, int]]:
        """(address, file, line) as the program appends them; file -1 ends a sequence."""
        base, line_base, line_range = self._opcode_base, self._line_base, self._line_range
        step, end = self._step, self._end
        constant = (255 - base) // line_range * step
        address, file, line = 0, 1, 1
        dead = False  # a sequence at address 0 is code that the linker threw away
        while at < end:
            opcode, at = data[at], at + 1
            if opcode >= base:
                opcode -= base
                address += opcode // line_range * step
                line += line_base + opcode % line_range
                if not dead:
                    yield address, file, line
            elif opcode == 1:  # copy
                if not dead:
                    yield address, file, line
            elif opcode == 2:  # advance_pc
                moved, at = uleb(data, at)
                address += moved * step
            elif opcode == 3:  # advance_line
                moved, at = sleb(data, at)
                line += moved
            elif opcode == 4:  # set_file
                file, at = uleb(data, at)
            elif opcode == 8:  # const_add_pc
                address += constant
            elif opcode == 9:  # fixed_advance_pc
                address += number(data, at, 2)
                at += 2
            elif opcode == 0:
                length, at = uleb(data, at)
                kind = data[at] if length else 0
                if kind == 1:  # end_sequence
                    if not dead:
                        yield address, -1, 0
                    address, file, line, dead = 0, 1, 1, False
                elif kind == 2:  # set_address
                    address = number(data, at + 1, min(8, length - 1))
                    dead = address == 0
                at += length
            else:  # column, flags and what a later standard adds: walk over its operands
                for _ in range(self._lengths[opcode - 1]):
                    at = uleb(data, at)[1]
