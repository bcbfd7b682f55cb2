"""The units and entries of .debug_info: which function covers an address, and what was inlined.

Walks only the units that somebody asks about. Sections are given by name as bytes (.debug_info
and so on; missing ones are empty). Knows DWARF 2 to 5 with all their ways to write ranges and
strings; code in split files (.dwo) has no entries here. Raises ValueError or IndexError for
what does not hold, as dwarf_forms does.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Mapping

from hakmem_tools.observe import dwarf_forms as f
from hakmem_tools.observe.dwarf_forms import (
    Abbreviations,
    Data,
    Widths,
    number,
    text,
    uleb,
    walk_over,
)

Attributes = dict[int, tuple[int, int]]  # name -> form, value
Range = tuple[int, int]

_MOST_DEPTH = 200
_MOST_HOPS = 8


class Unit:
    """One unit of .debug_info; its abbreviations and bases are read when they are needed."""

    def __init__(self, info: Info, start: int) -> None:
        data = info.section(".debug_info")
        length, at = number(data, start, 4), start + 4
        offset_bytes = 4
        if length == 0xFFFFFFFF:
            length, at, offset_bytes = number(data, at, 8), at + 8, 8
        self.start = start
        self.end = at + length
        if self.end > len(data) or length < 7:
            raise ValueError("a unit that is longer than its section")
        version, at = number(data, at, 2), at + 2
        kind = 1
        if version >= 5:
            kind, address_bytes, at = data[at], data[at + 1], at + 2
            abbreviations, at = number(data, at, offset_bytes), at + offset_bytes
            at += {2: 8 + offset_bytes, 6: 8 + offset_bytes, 4: 8, 5: 8}.get(kind, 0)
        else:
            abbreviations, at = number(data, at, offset_bytes), at + offset_bytes
            address_bytes, at = data[at], at + 1
        self.known = 2 <= version <= 5 and kind in (1, 3, 4) and address_bytes in (4, 8)
        self.widths = Widths(version, offset_bytes, address_bytes)
        self.first = at
        self._info = info
        self._abbreviations_at = abbreviations
        self._root: Attributes | None = None
        self._functions: list[tuple[int, int, int]] | None = None

    @property
    def abbreviations(self) -> Abbreviations:
        """The unit's table, shared with those that name the same one."""
        return self._info.abbreviations(self._abbreviations_at, self.widths)

    @property
    def root(self) -> Attributes:
        """The attributes of the unit's own entry."""
        if self._root is None:
            self._root = {}  # its strings and addresses may need its own bases, read right here
            self._root.update(self.attributes(self.first))
        return self._root

    def base(self, name: int) -> int:
        """A base offset that the root gives; 0 without it."""
        return self.root.get(name, (0, 0))[1]

    def attributes(self, at: int) -> Attributes:
        """All attributes of the entry at an offset. Empty for a null entry."""
        data = self._info.section(".debug_info")
        code, at = uleb(data, at)
        found: Attributes = {}
        if code:
            for name, form, implicit in self.abbreviations.get(code).attributes:
                value, at, form = self.widths.read(data, at, form, implicit)
                found[name] = (form, value)
        return found

    def string(self, form: int, value: int) -> str | None:
        """An attribute's text; None for one that lies in another file."""
        section = self._info.section
        if form == f.FORM_STRING:
            return text(section(".debug_info"), value)
        if form == f.FORM_STRP:
            return text(section(".debug_str"), value)
        if form == f.FORM_LINE_STRP:
            return text(section(".debug_line_str"), value)
        if form in f.FORMS_STRX:
            width = self.widths.offset_bytes
            at = (self.base(f.STR_OFFSETS_BASE) or 2 * width) + value * width
            return text(section(".debug_str"), number(section(".debug_str_offsets"), at, width))
        return None

    def address(self, form: int, value: int) -> int:
        """An attribute's address."""
        if form in f.FORMS_ADDRX:
            width = self.widths.address_bytes
            at = (self.base(f.ADDR_BASE) or 8) + value * width
            return number(self._info.section(".debug_addr"), at, width)
        return value

    def ranges(self, attributes: Attributes) -> list[Range]:
        """The addresses that an entry covers, as half-open ranges."""
        if f.RANGES in attributes:
            from hakmem_tools.observe.dwarf_ranges import range_list

            return range_list(self, self._info, *attributes[f.RANGES])
        if f.LOW_PC not in attributes:
            return []
        low = self.address(*attributes[f.LOW_PC])
        form, high = attributes.get(f.HIGH_PC, (f.FORM_ADDR, low + 1))
        if form == f.FORM_ADDR or form in f.FORMS_ADDRX:
            return [(low, self.address(form, high))]
        return [(low, low + high)]

    def functions(self) -> list[tuple[int, int, int]]:
        """(start, end, entry) of every function with code, sorted."""
        if self._functions is None:
            found = sorted(self._find_functions(everywhere=False))
            self._functions = found or sorted(self._find_functions(everywhere=True))
        return self._functions

    def function_at(self, address: int) -> int | None:
        """The entry of the function that covers an address."""
        functions = self.functions()
        index = bisect.bisect_right(functions, (address, 1 << 64, 0)) - 1
        if index < 0 or address >= functions[index][1]:
            return None
        return functions[index][2]

    def _find_functions(self, *, everywhere: bool) -> Iterator[tuple[int, int, int]]:
        """Looks into namespaces, where compilers put them, or else into all entries."""
        for at, tag, has_code in self.walk(self.first, None if everywhere else (f.NAMESPACE,)):
            if tag == f.SUBPROGRAM and has_code:
                for low, high in self.ranges(self.attributes(at)):
                    if low < high and low:
                        yield low, high, at

    def walk(self, root: int, into: tuple[int, ...] | None) -> Iterator[tuple[int, int, bool]]:
        """(offset, tag, has code) of the entries below one; enters those of a tag in `into`."""
        data, end, widths = self._info.section(".debug_info"), self.end, self.widths
        table = self.abbreviations
        known, get = table.known, table.get
        code, at = uleb(data, root)
        shape = get(code)
        at = walk_over(data, at, shape.steps, widths)
        if not shape.has_children:
            return
        depth, passed_over = 1, 0  # passed_over: levels of a subtree that nobody wants
        # A unit has some hundred thousand entries: no call for one where none is needed.
        while depth and at < end:
            start = at
            code = data[at]
            at += 1
            if code > 0x7F:
                code, at = uleb(data, start)
            if code == 0:
                if passed_over:
                    passed_over -= 1
                else:
                    depth -= 1
                continue
            shape = known.get(code) or get(code)
            if passed_over:
                enter = False
            else:
                yield start, shape.tag, shape.has_code
                enter = into is None or shape.tag in into
            if shape.sibling is not None and not enter:
                at = self._sibling(data, at, *shape.sibling)
                if at <= start:
                    raise ValueError("a sibling that lies before its entry")
                continue
            if shape.fixed >= 0:
                at += shape.fixed
            else:
                at = walk_over(data, at, shape.steps, widths)
            if shape.has_children:
                if enter:
                    depth += 1
                else:
                    passed_over += 1

    def _sibling(self, data: Data, at: int, steps: list[int], form: int) -> int:
        at = walk_over(data, at, steps, self.widths)
        value, _, form = self.widths.read(data, at, form)
        return value + self.start if form in f.FORMS_UNIT_REF else value

    def inlined_at(self, function: int, address: int) -> list[Attributes]:
        """The inlined calls in a function that cover an address, outermost first."""
        calls: list[Attributes] = []
        at = function
        for _ in range(_MOST_DEPTH):
            inner = self._child_that_covers(at, address)
            if inner is None:
                break
            at, tag, attributes = inner
            if tag == f.INLINED:
                calls.append(attributes)
        return calls

    def _child_that_covers(self, parent: int, address: int) -> tuple[int, int, Attributes] | None:
        for at, tag, has_code in self.walk(parent, ()):
            if tag in (f.INLINED, f.LEXICAL_BLOCK) and has_code:
                attributes = self.attributes(at)
                if any(low <= address < high for low, high in self.ranges(attributes)):
                    return at, tag, attributes
        return None

    def name_of(self, attributes: Attributes) -> str | None:
        """The linkage name of an entry, else its name, through what it stands for."""
        unit, plain = self, None
        for _ in range(_MOST_HOPS):
            for attribute in (f.LINKAGE_NAME, f.MIPS_NAME):
                if attribute in attributes:
                    return unit.string(*attributes[attribute])
            if plain is None and f.NAME in attributes:
                plain = unit.string(*attributes[f.NAME])
            target = attributes.get(f.ABSTRACT_ORIGIN) or attributes.get(f.SPECIFICATION)
            if target is None:
                break
            form, value = target
            if form in f.FORMS_UNIT_REF:
                attributes = unit.attributes(unit.start + value)
            elif form == f.FORM_REF_ADDR:
                unit = self._info.unit_holding(value)
                attributes = unit.attributes(value)
            else:
                break  # in a type unit or another file
        return plain


class Info:
    """All of one file's debug information, by section name."""

    def __init__(self, sections: Mapping[str, Data]) -> None:
        self._sections = sections
        self._tables: dict[tuple[int, int, int, int], Abbreviations] = {}
        self._starts: list[int] | None = None
        self._units: dict[int, Unit] = {}

    def section(self, name: str) -> Data:
        """The bytes of a section; none for one that is missing."""
        return self._sections.get(name, b"")

    def abbreviations(self, at: int, widths: Widths) -> Abbreviations:
        """The table at an offset of .debug_abbrev."""
        key = (at, widths.version, widths.offset_bytes, widths.address_bytes)
        if key not in self._tables:
            self._tables[key] = Abbreviations(self.section(".debug_abbrev"), at, widths)
        return self._tables[key]

    def unit_starts(self) -> list[int]:
        """Where each unit begins, in order."""
        if self._starts is None:
            data, at = self.section(".debug_info"), 0
            self._starts = []
            while at + 11 < len(data):
                length = number(data, at, 4)
                head = 4
                if length == 0xFFFFFFFF:
                    length, head = number(data, at + 4, 8), 12
                self._starts.append(at)
                at += head + max(length, 1)
        return self._starts

    def unit(self, start: int) -> Unit:
        """The unit that begins at an offset."""
        if start not in self._units:
            self._units[start] = Unit(self, start)
        return self._units[start]

    def unit_holding(self, at: int) -> Unit:
        """The unit in which an offset lies."""
        starts = self.unit_starts()
        return self.unit(starts[max(0, bisect.bisect_right(starts, at) - 1)])
