"""Where in a function an x86-64 breakpoint is cheap, as long as the arguments are in place.

The kernel emulates push, nop, jumps and calls (0.65 microseconds a hit); anything else it steps
through one by one (9). So a probe moves from the entry over instructions that leave the stack
pointer alone, to the first one that is emulated, and reads the arguments where they are by then.
Used for `--allocator any`. Pure; an instruction that it does not know ends the search.
"""

from __future__ import annotations

import msgspec

_SEARCHED_BYTES = 64
_STACK_POINTER = 4
_ENDBR64 = b"\xf3\x0f\x1e\xfa"
_SEGMENT_PREFIXES = (0x64, 0x65)
_WIDE = 8  # REX.W


class Instruction(msgspec.Struct, frozen=True):
    """Length in bytes, the register that it writes (None: none, or memory), and, for a move of
    all 64 bits from register to register, the one that it reads.
    """

    length: int
    writes: int | None
    moves: int | None = None


class Point(msgspec.Struct, frozen=True):
    """Bytes from the function's start, and the registers that hold the arguments there."""

    offset: int
    registers: tuple[int, ...]


def emulated_point(code: bytes, arguments: tuple[int, ...]) -> Point | None:
    """The first emulated instruction; None when an argument or the stack has moved before it.

    `arguments` are the numbers of the registers that hold them at the start.
    """
    held = [[argument] for argument in arguments]  # registers with a copy, in order
    at = 0
    while at < min(len(code), _SEARCHED_BYTES):
        if is_emulated(code, at):
            return Point(at, tuple(copies[0] for copies in held))
        found = _decode(code, at)
        if found is None or found.writes == _STACK_POINTER:
            return None
        for copies in held:
            moved = found.moves in copies
            if found.writes in copies:
                copies.remove(found.writes)
            if moved and found.writes is not None:
                copies.append(found.writes)
            if not copies:
                return None
        at += found.length
    return None


def jump_target(code: bytes, address: int) -> int | None:
    """Where a function that is nothing but a jump leads to; None for any other."""
    if code[:4] == _ENDBR64:
        code, address = code[4:], address + 4
    if len(code) < 5 or code[0] != 0xE9:
        return None
    return address + 5 + int.from_bytes(code[1:5], "little", signed=True)


def is_emulated(code: bytes, at: int) -> bool:
    """Whether the kernel emulates the instruction there."""
    first, second = code[at], code[at + 1] if at + 1 < len(code) else 0
    if first == 0x41:  # push of r8 to r15
        return 0x50 <= second <= 0x57
    near_jump = first == 0x0F and 0x80 <= second <= 0x8F
    return (
        first in (0x90, 0xE8, 0xE9, 0xEB)
        or near_jump
        or 0x50 <= first <= 0x57
        or (0x70 <= first <= 0x7F)
    )


def _decode(code: bytes, at: int) -> Instruction | None:
    """One instruction that neither branches nor touches the stack; None for any other."""
    if code[at : at + 4] == _ENDBR64:
        return Instruction(4, None)
    start, rex = at, 0
    try:
        while code[at] in _SEGMENT_PREFIXES:
            at += 1
        if code[at] & 0xF0 == 0x40:
            rex = code[at]
            at += 1
        opcode = code[at]
        at += 1
        if 0xB8 <= opcode <= 0xBF:  # mov of a constant
            size = 8 if rex & 8 else 4
            return Instruction(at + size - start, (opcode & 7) | (rex & 1) << 3)
        if (opcode < 0x40 and opcode & 7 in (4, 5)) or opcode in (0xA8, 0xA9):  # rax, constant
            compares = opcode >= 0x38
            return Instruction(at + (4 if opcode & 1 else 1) - start, None if compares else 0)
        return _with_operand(code, start, at, opcode, rex)
    except IndexError:
        return None


def _with_operand(code: bytes, start: int, at: int, opcode: int, rex: int) -> Instruction | None:
    """An instruction with a ModRM byte at `at`."""
    mode, reg, low = code[at] >> 6, code[at] >> 3 & 7, code[at] & 7
    form = _form(opcode, reg)
    if form is None:
        return None
    destination, constant = form
    writes: int | None = None
    if destination == "reg":
        writes = reg | (rex & 4) << 1
    elif destination == "operand" and mode == 3:
        writes = low | (rex & 1) << 3
    at += 1
    if mode != 3 and low == 4:  # a SIB byte
        if mode == 0 and code[at] & 7 == 5:
            at += 4
        at += 1
    if mode == 1:
        at += 1
    elif mode == 2 or (mode == 0 and low == 5):
        at += 4
    moves = None
    if mode == 3 and rex & _WIDE and opcode in (0x89, 0x8B):
        moves = reg | (rex & 4) << 1 if opcode == 0x89 else low | (rex & 1) << 3
    return Instruction(at + constant - start, writes, moves)


def _form(opcode: int, reg: int) -> tuple[str, int] | None:
    """What an instruction writes ("reg", "operand" or ""), and the bytes of its constant."""
    if opcode < 0x40 and opcode & 7 < 4:  # add, or, adc, sbb, and, sub, xor, cmp
        compares = opcode >= 0x38
        return ("" if compares else "reg" if opcode & 2 else "operand"), 0
    if opcode in (0x80, 0x81, 0x83):
        return ("" if reg == 7 else "operand"), 4 if opcode == 0x81 else 1
    if opcode in (0x84, 0x85):
        return "", 0
    if opcode in (0x88, 0x89):
        return "operand", 0
    if opcode in (0x63, 0x8A, 0x8B, 0x8D):
        return "reg", 0
    if opcode in (0xC1, 0xC0):
        return "operand", 1
    if opcode in (0xC6, 0xC7):
        return "operand", 1 if opcode == 0xC6 else 4
    if opcode in (0xF6, 0xF7) and reg in (0, 1):  # test with a constant
        return "", 1 if opcode == 0xF6 else 4
    return None
