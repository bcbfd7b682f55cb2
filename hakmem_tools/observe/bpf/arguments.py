"""Where a probe's arguments are at its site: the operands of an ELF note, as C for BPF.

A note says, for each argument, its width and its assembler operand: `8@%rdi`, `-4@16(%rsp)`,
`8@$3`. The compiler chooses them anew with each build, so they are read from the library that
is attached to, never assumed. Used by the generator. Pure; x86-64.
"""

from __future__ import annotations

import re

import msgspec

from hakmem_tools.observe.elf import UsdtArgument


class ArgumentError(ValueError):
    """An operand that this module cannot read; the message names it."""


class Operand(msgspec.Struct, frozen=True):
    """One argument: `width` bytes, sign-extended or not, as a register, constant or memory."""

    width: int
    signed: bool
    kind: str  # "register", "constant" or "memory"
    register: str = ""  # pt_regs field of the register, or of a memory operand's base
    shift: int = 0  # 8 for the high byte of a register (%ah)
    index: str = ""
    scale: int = 1
    value: int = 0  # a constant, or a memory operand's displacement


_CONSTANT = re.compile(r"\$(?P<value>-?(?:0x[0-9a-fA-F]+|\d+))")
_MEMORY = re.compile(
    r"(?P<displacement>-?(?:0x[0-9a-fA-F]+|\d+))?"
    r"\((?P<base>%\w+)?(?:,(?P<index>%\w+)(?:,(?P<scale>[1248]))?)?\)"
)


def _registers() -> dict[str, tuple[str, int]]:
    """Assembler name -> (field of pt_regs, shift), for every way to name a register."""
    names: dict[str, tuple[str, int]] = {}
    for letter in "abcd":
        names |= {f"{form}{letter}x": (f"{letter}x", 0) for form in ("r", "e", "")}
        names |= {f"{letter}l": (f"{letter}x", 0), f"{letter}h": (f"{letter}x", 8)}
    for field in ("si", "di", "bp", "sp"):
        names |= {f"{form}{field}": (field, 0) for form in ("r", "e", "")}
        names[f"{field}l"] = (field, 0)
    for number in range(8, 16):
        names |= {f"r{number}{form}": (f"r{number}", 0) for form in ("", "d", "w", "b")}
    return names


_REGISTERS = _registers()


def parse_operand(argument: UsdtArgument) -> Operand:
    """The operand behind an argument of a note. Raises ArgumentError."""
    place, width, signed = argument.place, argument.size_bytes, argument.signed
    if constant := _CONSTANT.fullmatch(place):
        return Operand(width, signed, "constant", value=int(constant["value"], 0))
    if place.startswith("%"):
        field, shift = _register(place)
        return Operand(width, signed, "register", register=field, shift=shift)
    memory = _MEMORY.fullmatch(place)
    if memory is None or not (memory["base"] or memory["index"]):
        raise ArgumentError(
            f"probe argument {place!r}: neither a register, a constant nor memory behind a register"
        )
    return Operand(
        width,
        signed,
        "memory",
        register=_register(memory["base"])[0] if memory["base"] else "",
        index=_register(memory["index"])[0] if memory["index"] else "",
        scale=int(memory["scale"] or 1),
        value=int(memory["displacement"] or "0", 0),
    )


def _register(name: str) -> tuple[str, int]:
    try:
        return _REGISTERS[name.removeprefix("%")]
    except KeyError:
        raise ArgumentError(f"probe argument {name!r}: BPF cannot read this register") from None


def read_statement(operand: Operand, target: str) -> str:
    """C that puts the argument into `target`, a uint64_t, from `struct pt_regs *ctx`.

    A narrow argument is widened as its sign says. Memory that cannot be read gives 0, as the
    kernel leaves it.
    """
    narrow = f"{'' if operand.signed else 'u'}int{8 * operand.width}_t"
    widen = "(uint64_t)(int64_t)" if operand.signed else "(uint64_t)"
    if operand.kind == "constant":
        return f"{target} = {widen}({narrow}){_literal(operand.value)};"
    if operand.kind == "register":
        source = f"ctx->{operand.register}"
        if operand.shift:
            source = f"({source} >> {operand.shift})"
        return f"{target} = {widen}({narrow}){source};"
    return (
        f"{{ {narrow} value = 0; "
        f"bpf_probe_read_user(&value, sizeof value, (void *)({_address(operand)})); "
        f"{target} = {widen}value; }}"
    )


def _literal(value: int) -> str:
    return f"{value & (1 << 64) - 1:#x}ULL"


def _address(operand: Operand) -> str:
    terms = [f"ctx->{operand.register}"] if operand.register else []
    if operand.index:
        terms.append(f"ctx->{operand.index} * {operand.scale}")
    if operand.value:
        terms.append(_literal(operand.value))
    return " + ".join(terms)
