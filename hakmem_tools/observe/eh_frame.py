"""Call frame information: how to get from a function's frame to its caller's.

Compilers write it for every function of x86-64 (.eh_frame), with frame pointers or without, and
stripping leaves it. Found by the index that the linker makes of it (.eh_frame_hdr), a function at
a time. Sources: Linux Standard Base Core 5.0, 10.6; DWARF 5, 6.4; System V ABI for AMD64, 3.7.
Used by unwind.py. Files may be hostile: what does not hold up has no rule. Evaluates no DWARF
expressions.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Callable

import msgspec

from hakmem_tools.observe.elf import ElfFile

RBP, RSP, RETURN_ADDRESS = 6, 7, 16
#: A table of 4-byte offsets from the index itself: what every linker writes.
_INDEX_ENCODINGS = (0x03, 0x3B)
_PC_RELATIVE_4 = 0x1B
_MOST_RECORD_BYTES = 1 << 16


class Rule(msgspec.Struct, frozen=True):
    """Where a caller's frame is, at one instruction.

    The frame's address (CFA) is a register plus `offset`; the return address and the caller's rbp
    lie so many bytes from it. `return_at` None: nobody called this. `rbp_at` None: rbp still is
    the caller's.
    """

    register: int
    offset: int
    return_at: int | None
    rbp_at: int | None


class UnwindTable:
    """The rules of one file; addresses are the file's own. It stays the caller's, and open."""

    def __init__(self, file: ElfFile) -> None:
        """Empty for a file without an index."""
        self._file = file
        self._known: dict[int, Rule | None] = {}
        self._starts: tuple[int, ...] = ()
        self._records: tuple[int, ...] = ()
        found = file.unwind_index()
        if found is not None:
            self._read_index(*found)

    def _read_index(self, address: int, size: int) -> None:
        data = self._at(address, size)
        if len(data) < 12 or (data[2], data[3]) != _INDEX_ENCODINGS:
            return
        (count,) = struct.unpack_from("<I", data, 8)
        count = min(count, (len(data) - 12) // 8)
        pairs = struct.unpack_from(f"<{2 * count}i", data, 12)
        self._starts = tuple(address + start for start in pairs[::2])
        self._records = tuple(address + record for record in pairs[1::2])

    def _at(self, address: int, count: int) -> bytes:
        offset = self._file.offset_of(address)
        return b"" if offset is None else self._file.bytes_at(offset, count)

    def rule_at(self, address: int) -> Rule | None:
        """The rule at an instruction; None where there is none that can be followed."""
        if address not in self._known:
            try:
                self._known[address] = self._rule_at(address)
            except (struct.error, IndexError, ValueError):
                self._known[address] = None
        return self._known[address]

    def _rule_at(self, address: int) -> Rule | None:
        place = bisect_right(self._starts, address) - 1
        if place < 0:
            return None
        at = self._records[place]
        function = _Bytes(self._record(at))
        common_at = at + 4 - function.number("<I")
        common = _Common(self._record(common_at))
        if common.pointer_encoding != _PC_RELATIVE_4:
            return None
        start = at + 8 + function.number("<i")
        length = function.number("<I")
        if not start <= address < start + length:
            return None
        if common.has_data:
            function.skip(function.unsigned())
        state = _State()
        _run(common.program, common, state, lambda: False)
        state.initial = (dict(state.saved), state.register, state.offset)
        location = start

        def passed(step: int = 0) -> bool:
            nonlocal location
            location += step
            return location > address

        _run(function, common, state, passed)
        return state.rule()

    def _record(self, at: int) -> bytes:
        """The content of a record behind its length; 64-bit ones do not occur in programs."""
        (length,) = struct.unpack("<I", self._at(at, 4))
        if not 4 <= length <= _MOST_RECORD_BYTES:
            raise ValueError("no such record")
        return self._at(at + 4, length)


class _Bytes:
    """Reads numbers one after the other. Raises struct.error, IndexError behind the end."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def number(self, form: str) -> int:
        (value,) = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return int(value)

    def unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def signed(self) -> int:
        start = self.at
        value = self.unsigned()
        bits = 7 * (self.at - start)
        return value - (1 << bits) if value >> (bits - 1) else value

    def skip(self, count: int) -> None:
        self.at += count

    @property
    def is_over(self) -> bool:
        return self.at >= len(self.data)


class _Common:
    """What the functions of a file share (CIE)."""

    def __init__(self, data: bytes) -> None:
        read = _Bytes(data)
        if read.number("<I") != 0:
            raise ValueError("no common record")
        read.skip(1)  # the version
        end = data.index(b"\0", read.at)
        letters = data[read.at : end].decode("latin-1")
        read.at = end + 1
        self.code_step, self.data_step = read.unsigned(), read.signed()
        read.unsigned()  # the column of the return address: always 16
        self.has_data = letters.startswith("z")
        self.pointer_encoding = 0
        if self.has_data:
            size = read.unsigned()
            behind = read.at + size
            for letter in letters[1:]:
                if letter == "R":
                    self.pointer_encoding = data[read.at]
                    read.skip(1)
                elif letter == "P":
                    encoding = data[read.at]
                    read.skip(1 + {0: 8, 2: 2, 3: 4, 4: 8}[encoding & 7])
                elif letter == "L":
                    read.skip(1)
            read.at = behind
        self.program = read


class _State:
    """Rules as a program sets them; `saved` holds offsets from the CFA, None: undefined."""

    def __init__(self) -> None:
        self.register, self.offset = -1, 0
        self.saved: dict[int, int | None] = {}
        self.initial: tuple[dict[int, int | None], int, int] = ({}, -1, 0)
        self.kept: list[tuple[dict[int, int | None], int, int]] = []

    def rule(self) -> Rule | None:
        if self.register not in (RBP, RSP) or RETURN_ADDRESS not in self.saved:
            return None
        return Rule(self.register, self.offset, self.saved[RETURN_ADDRESS], self.saved.get(RBP))

    def restore(self, register: int) -> None:
        self.saved.pop(register, None)
        if register in self.initial[0]:
            self.saved[register] = self.initial[0][register]


_ADVANCES = {0x02: "<B", 0x03: "<H", 0x04: "<I"}


def _run(read: _Bytes, common: _Common, state: _State, passed: Callable[..., bool]) -> None:
    """Runs a program until it is over, or its location has passed what is asked about."""
    while not read.is_over:
        code = read.data[read.at]
        read.skip(1)
        kind, low = code >> 6, code & 0x3F
        if kind == 1 or code in _ADVANCES:
            step = low if kind == 1 else read.number(_ADVANCES[code])
            if passed(step * common.code_step):
                return
        elif kind == 2:
            state.saved[low] = read.unsigned() * common.data_step
        elif kind == 3:
            state.restore(low)
        else:
            _set(code, read, common, state)


def _set(code: int, read: _Bytes, common: _Common, state: _State) -> None:
    """One instruction that is not packed. Raises ValueError for one that is not followed."""
    match code:
        case 0x00:  # nop
            pass
        case 0x05:  # offset_extended
            register = read.unsigned()
            state.saved[register] = read.unsigned() * common.data_step
        case 0x06:  # restore_extended
            state.restore(read.unsigned())
        case 0x07:  # undefined
            state.saved[read.unsigned()] = None
        case 0x08:  # same_value
            state.saved.pop(read.unsigned(), None)
        case 0x0A:  # remember_state
            state.kept.append((dict(state.saved), state.register, state.offset))
        case 0x0B:  # restore_state
            state.saved, state.register, state.offset = state.kept.pop()
        case 0x0C:  # def_cfa
            state.register, state.offset = read.unsigned(), read.unsigned()
        case 0x0D:  # def_cfa_register
            state.register = read.unsigned()
        case 0x0E:  # def_cfa_offset
            state.offset = read.unsigned()
        case 0x0F:  # def_cfa_expression
            state.register = -1
            read.skip(read.unsigned())
        case 0x10 | 0x16:  # expression, val_expression
            state.saved.pop(read.unsigned(), None)
            read.skip(read.unsigned())
        case 0x11:  # offset_extended_sf
            register = read.unsigned()
            state.saved[register] = read.signed() * common.data_step
        case 0x12:  # def_cfa_sf
            state.register, state.offset = read.unsigned(), read.signed() * common.data_step
        case 0x13:  # def_cfa_offset_sf
            state.offset = read.signed() * common.data_step
        case 0x2E:  # GNU_args_size
            read.unsigned()
        case _:
            raise ValueError(f"instruction {code:#x}")
