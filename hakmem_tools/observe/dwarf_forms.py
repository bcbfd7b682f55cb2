"""The bytes of DWARF 2 to 5: numbers, attribute forms and abbreviations.

Used by the units and the line tables. Our own, beside pyelftools, because a first screen has
to be told in seconds: pyelftools builds an object for every entry of a unit, where this walks
over most of them by one addition. Formats: DWARF 5 standard, sections 7.5 and 7.6. What does
not hold raises ValueError or IndexError; every loop moves forward.
"""

from __future__ import annotations

import mmap

Data = bytes | mmap.mmap

NAME, LOW_PC, HIGH_PC, STMT_LIST, COMP_DIR, SIBLING = 0x03, 0x11, 0x12, 0x10, 0x1B, 0x01
ABSTRACT_ORIGIN, SPECIFICATION, RANGES, LINKAGE_NAME, MIPS_NAME = 0x31, 0x47, 0x55, 0x6E, 0x2007
CALL_FILE, CALL_LINE, DECL_FILE, DECL_LINE = 0x58, 0x59, 0x3A, 0x3B
STR_OFFSETS_BASE, ADDR_BASE, RNGLISTS_BASE = 0x72, 0x73, 0x74
SUBPROGRAM, INLINED, LEXICAL_BLOCK, NAMESPACE = 0x2E, 0x1D, 0x0B, 0x39

FORM_ADDR, FORM_STRING, FORM_INDIRECT, FORM_IMPLICIT, FORM_REF_ADDR = 0x01, 0x08, 0x16, 0x21, 0x10
FORM_SEC_OFFSET, FORM_RNGLISTX = 0x17, 0x23
FORMS_STRX = (0x1A, 0x25, 0x26, 0x27, 0x28, 0x1F02)
FORMS_ADDRX = (0x1B, 0x29, 0x2A, 0x2B, 0x2C, 0x1F01)
FORMS_UNIT_REF = (0x11, 0x12, 0x13, 0x14, 0x15)
FORM_STRP, FORM_LINE_STRP = 0x0E, 0x1F

_FIXED = {
    **{0x0B: 1, 0x05: 2, 0x06: 4, 0x07: 8, 0x1E: 16, 0x0C: 1, 0x19: 0, 0x21: 0},
    **{0x11: 1, 0x12: 2, 0x13: 4, 0x14: 8, 0x20: 8, 0x1C: 4, 0x24: 8},
    **{0x25: 1, 0x26: 2, 0x27: 3, 0x28: 4, 0x29: 1, 0x2A: 2, 0x2B: 3, 0x2C: 4},
}
_OFFSETS = frozenset((0x0E, 0x17, 0x1F, 0x1D, 0x1F20, 0x1F21))
_ULEB = frozenset((0x0F, 0x15, 0x1A, 0x1B, 0x22, 0x23, 0x1F01, 0x1F02))
_SLEB, _EXPRLOC = 0x0D, 0x18
_BLOCKS = {0x0A: 1, 0x03: 2, 0x04: 4, 0x09: 0, 0x18: 0}  # bytes of the length; 0: uleb

_MOST_ABBREVIATIONS = 1 << 20


def uleb(data: Data, at: int) -> tuple[int, int]:
    """An unsigned LEB128 number, and where it ends."""
    byte = data[at]
    at += 1
    if byte < 0x80:
        return byte, at
    value, shift = byte & 0x7F, 7
    while byte >= 0x80:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if shift > 70:
            raise ValueError("a number of too many bytes")
    return value, at


def sleb(data: Data, at: int) -> tuple[int, int]:
    """A signed LEB128 number, and where it ends."""
    start = at
    value, at = uleb(data, at)
    bits = 7 * (at - start)
    return (value - (1 << bits) if value >> (bits - 1) & 1 else value), at


def number(data: Data, at: int, size: int) -> int:
    """An unsigned little-endian number. Raises IndexError behind the end."""
    if at < 0 or at + size > len(data):
        raise IndexError("behind the end of a section")
    return int.from_bytes(data[at : at + size], "little")


def text(data: Data, at: int) -> str:
    """A string that ends with a zero byte."""
    if at < 0 or at >= len(data):
        raise IndexError("behind the end of a section")
    end = data.find(b"\0", at)
    return bytes(data[at : end if end >= 0 else len(data)]).decode("utf-8", "replace")


class Widths:
    """The sizes that a unit's header fixes."""

    def __init__(self, version: int, offset_bytes: int, address_bytes: int) -> None:
        self.version = version
        self.offset_bytes = offset_bytes
        self.address_bytes = address_bytes

    def of(self, form: int) -> int | None:
        """Bytes of a form; None where its own bytes say it."""
        if form in _FIXED:
            return _FIXED[form]
        if form in _OFFSETS or (form == FORM_REF_ADDR and self.version > 2):
            return self.offset_bytes
        if form in (FORM_ADDR, FORM_REF_ADDR):
            return self.address_bytes
        return None

    def read(self, data: Data, at: int, form: int, implicit: int = 0) -> tuple[int, int, int]:
        """(value, where it ends, form) of an attribute; of strings and blocks, their place."""
        if form == FORM_INDIRECT:
            form, at = uleb(data, at)
            if form == FORM_INDIRECT:
                raise ValueError("a form that names itself")
        if form == FORM_IMPLICIT:
            return implicit, at, form
        size = self.of(form)
        if size is not None:
            return (int.from_bytes(data[at : at + size], "little") if size else 1), at + size, form
        if form in _ULEB or form == _SLEB:
            return (*(uleb if form in _ULEB else sleb)(data, at), form)
        return at, self.skip(data, at, form), form

    def skip(self, data: Data, at: int, form: int) -> int:
        """Where an attribute of this form ends."""
        size = self.of(form)
        if size is not None:
            return at + size
        if form in _ULEB or form == _SLEB:
            return uleb(data, at)[1]
        if form == FORM_STRING:
            end = data.find(b"\0", at)
            if end < 0:
                raise IndexError("a string without its end")
            return end + 1
        if form in _BLOCKS:
            width = _BLOCKS[form]
            length, at = (number(data, at, width), at + width) if width else uleb(data, at)
            return at + length
        if form == FORM_INDIRECT:
            form, at = uleb(data, at)
            return self.skip(data, at, form if form != FORM_INDIRECT else -1)
        raise ValueError(f"an unknown form {form:#x}")


class Abbreviation:
    """The shape of an entry: tag, attributes, and how to walk over one."""

    __slots__ = ("attributes", "fixed", "has_children", "has_code", "sibling", "steps", "tag")

    def __init__(
        self, tag: int, has_children: bool, attributes: list[tuple[int, int, int]], widths: Widths
    ) -> None:
        self.tag = tag
        self.has_children = has_children
        self.attributes = attributes  # name, form, implicit value
        names = [name for name, _, _ in attributes]
        self.has_code = LOW_PC in names or RANGES in names
        self.steps = _steps([form for _, form, _ in attributes], widths)
        #: Bytes of an entry of one size, or -1; most are, and need no loop.
        self.fixed = 0 if not self.steps else self.steps[0] if len(self.steps) == 1 else -1
        self.sibling: tuple[list[int], int] | None = None
        if has_children and SIBLING in names:
            index = names.index(SIBLING)
            before = [form for _, form, _ in attributes[:index]]
            self.sibling = (_steps(before, widths), attributes[index][1])


#: A step over one LEB128 number.
STEP_LEB = -1


def walk_over(data: Data, at: int, steps: list[int], widths: Widths) -> int:
    """Where attributes end that take these steps."""
    for step in steps:
        if step >= 0:
            at += step
        elif step == STEP_LEB:
            while data[at] > 0x7F:
                at += 1
            at += 1
        elif step == -_EXPRLOC and data[at] < 0x80:
            at += 1 + data[at]
        else:
            at = widths.skip(data, at, -step)
    return at


def _steps(forms: list[int], widths: Widths) -> list[int]:
    """Positive: bytes to move on; STEP_LEB; negative: a form whose own bytes say how far."""
    steps: list[int] = []
    for form in forms:
        size = widths.of(form)
        if size is None:
            steps.append(STEP_LEB if form in _ULEB or form == _SLEB else -form)
        elif steps and steps[-1] >= 0:
            steps[-1] += size
        else:
            steps.append(size)
    return steps


class Abbreviations:
    """One table of abbreviations, read no further than it is needed."""

    def __init__(self, data: Data, at: int, widths: Widths) -> None:
        self._data = data
        self._at = at
        self._widths = widths
        self.known: dict[int, Abbreviation] = {}  # those that were read

    def get(self, code: int) -> Abbreviation:
        """Raises ValueError for a code that the table does not have."""
        while code not in self.known:
            if len(self.known) > _MOST_ABBREVIATIONS or not self._read_next():
                raise ValueError(f"no abbreviation {code}")
        return self.known[code]

    def _read_next(self) -> bool:
        data = self._data
        code, at = uleb(data, self._at)
        if code == 0:
            return False
        tag, at = uleb(data, at)
        children = data[at] != 0
        at += 1
        attributes = []
        while True:
            name, at = uleb(data, at)
            form, at = uleb(data, at)
            implicit = 0
            if form == FORM_IMPLICIT:
                implicit, at = sleb(data, at)
            if name == 0 and form == 0:
                break
            attributes.append((name, form, implicit))
        self._at = at
        self.known.setdefault(code, Abbreviation(tag, children, attributes, self._widths))
        return True
