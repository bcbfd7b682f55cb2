"""Address ranges of DWARF: the lists that entries refer to, and which unit holds an address.

The index comes from .debug_aranges where the compiler wrote it, and from the units' own
entries for the rest (clang and rustc write none); those are read only when they are needed.
"""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING

from hakmem_tools.observe import dwarf_forms as f
from hakmem_tools.observe.dwarf_forms import number, uleb

if TYPE_CHECKING:
    from hakmem_tools.observe.dwarf_units import Info, Range, Unit

_MOST_RANGES = 1 << 16


def range_list(unit: Unit, info: Info, form: int, value: int) -> list[Range]:
    """The ranges that a DW_AT_ranges attribute names."""
    if unit.widths.version < 5:
        return _ranges(unit, info, value)
    section = info.section(".debug_rnglists")
    if form == f.FORM_RNGLISTX:
        base, width = unit.base(f.RNGLISTS_BASE), unit.widths.offset_bytes
        value = base + number(section, base + value * width, width)
    return _rnglists(unit, info, value)


def _unit_base(unit: Unit) -> int:
    low = unit.root.get(f.LOW_PC)
    return unit.address(*low) if low else 0


def _ranges(unit: Unit, info: Info, at: int) -> list[Range]:
    """DWARF 2 to 4: pairs of addresses, an all-ones one sets the base, two zeros end it."""
    data, width = info.section(".debug_ranges"), unit.widths.address_bytes
    base, ones = _unit_base(unit), (1 << 8 * width) - 1
    found: list[Range] = []
    while len(found) < _MOST_RANGES:
        low, high = number(data, at, width), number(data, at + width, width)
        at += 2 * width
        if low == 0 and high == 0:
            break
        if low == ones:
            base = high
        else:
            found.append((base + low, base + high))
    return found


def _rnglists(unit: Unit, info: Info, at: int) -> list[Range]:
    """DWARF 5, section 2.17.3."""
    data, width = info.section(".debug_rnglists"), unit.widths.address_bytes
    base = _unit_base(unit)
    found: list[Range] = []

    def indexed(value: int) -> int:
        return unit.address(f.FORMS_ADDRX[0], value)

    while len(found) < _MOST_RANGES:
        kind, at = data[at], at + 1
        if kind == 0:  # end of list
            break
        if kind in (1, 2, 3, 4):
            first, at = uleb(data, at)
            if kind == 1:  # base_addressx
                base = indexed(first)
                continue
            second, at = uleb(data, at)
            if kind == 2:  # startx_endx
                found.append((indexed(first), indexed(second)))
            elif kind == 3:  # startx_length
                start = indexed(first)
                found.append((start, start + second))
            else:  # offset_pair
                found.append((base + first, base + second))
            continue
        first, at = number(data, at, width), at + width
        if kind == 5:  # base_address
            base = first
        elif kind == 6:  # start_end
            found.append((first, number(data, at, width)))
            at += width
        elif kind == 7:  # start_length
            length, at = uleb(data, at)
            found.append((first, first + length))
        else:
            raise ValueError(f"an unknown kind of range {kind}")
    return found


class UnitIndex:
    """Which unit holds an address."""

    def __init__(self, info: Info) -> None:
        self._info = info
        self._listed: set[int] = set()
        self._ranges = sorted(self._from_aranges())
        self._complete = False

    def find(self, address: int) -> Unit | None:
        """The unit whose code covers an address; None where none does."""
        start = self._find(address)
        if start is None and not self._complete:
            self._complete = True
            self._ranges = sorted(self._ranges + self._from_roots())
            start = self._find(address)
        return None if start is None else self._info.unit(start)

    def _find(self, address: int) -> int | None:
        index = bisect.bisect_right(self._ranges, (address, 1 << 64, 0)) - 1
        # Ranges of two units may touch, and bad ones overlap: look back a little.
        for low, high, start in reversed(self._ranges[max(0, index - 8) : index + 1]):
            if low <= address < high:
                return start
        return None

    def _from_aranges(self) -> list[tuple[int, int, int]]:
        data, at = self._info.section(".debug_aranges"), 0
        found: list[tuple[int, int, int]] = []
        while at + 12 <= len(data):
            try:
                at = self._set(at, found)
            except (ValueError, IndexError):
                break  # what was read until here serves
        return found

    def _set(self, at: int, found: list[tuple[int, int, int]]) -> int:
        """One set of .debug_aranges; where the next one begins."""
        data, begin = self._info.section(".debug_aranges"), at
        length, at, width = number(data, at, 4), at + 4, 4
        if length == 0xFFFFFFFF:
            length, at, width = number(data, at, 8), at + 8, 8
        end = at + length
        at += 2
        unit, at = number(data, at, width), at + width
        size = data[at]
        at += 2
        if size not in (4, 8) or length < 8:
            raise ValueError("a set of aranges that does not hold")
        at += -(at - begin) % (2 * size)
        known = False
        while at + 2 * size <= min(end, len(data)):
            low, count = number(data, at, size), number(data, at + size, size)
            at += 2 * size
            if count == 0:
                if low == 0:
                    break
                continue
            if low:
                found.append((low, low + count, unit))
                known = True
        if known:
            self._listed.add(unit)
        return end

    def _from_roots(self) -> list[tuple[int, int, int]]:
        found: list[tuple[int, int, int]] = []
        for start in self._info.unit_starts():
            if start in self._listed:
                continue
            try:
                unit = self._info.unit(start)
                if unit.known:
                    ranges = unit.ranges(unit.root)
                    found += [(low, high, start) for low, high in ranges if 0 < low < high]
            except (ValueError, IndexError):
                continue
        return found
