"""Operands of ELF notes, as C that reads them."""

from __future__ import annotations

import pytest

from hakmem_tools.observe.bpf.arguments import ArgumentError, parse_operand, read_statement
from hakmem_tools.observe.elf import UsdtArgument, parse_arguments


def statement(note: str) -> str:
    (argument,) = parse_arguments(note)
    return read_statement(parse_operand(argument), "x")


@pytest.mark.parametrize(
    ("note", "expected"),
    [
        ("8@%rdi", "x = (uint64_t)(uint64_t)ctx->di;"),
        ("8@%r12", "x = (uint64_t)(uint64_t)ctx->r12;"),
        ("-4@%eax", "x = (uint64_t)(int64_t)(int32_t)ctx->ax;"),
        ("4@%r8d", "x = (uint64_t)(uint32_t)ctx->r8;"),
        ("2@%bp", "x = (uint64_t)(uint16_t)ctx->bp;"),
        ("1@%sil", "x = (uint64_t)(uint8_t)ctx->si;"),
        ("1@%ah", "x = (uint64_t)(uint8_t)(ctx->ax >> 8);"),
        ("8@$7", "x = (uint64_t)(uint64_t)0x7ULL;"),
        ("-4@$-5", "x = (uint64_t)(int64_t)(int32_t)0xfffffffffffffffbULL;"),
    ],
)
def test_a_register_or_constant_becomes_one_assignment(note: str, expected: str) -> None:
    assert statement(note) == expected


@pytest.mark.parametrize(
    ("note", "address"),
    [
        ("8@(%rsp)", "ctx->sp"),
        ("8@16(%rsp)", "ctx->sp + 0x10ULL"),
        ("-4@-20(%rbp)", "ctx->bp + 0xffffffffffffffecULL"),
        ("8@8(%rax,%rbx,4)", "ctx->ax + ctx->bx * 4 + 0x8ULL"),
        ("8@(,%rcx,8)", "ctx->cx * 8"),
    ],
)
def test_memory_is_read_from_the_address_that_its_registers_form(note: str, address: str) -> None:
    text = statement(note)
    assert f"bpf_probe_read_user(&value, sizeof value, (void *)({address}))" in text


def test_memory_is_read_at_its_own_width_and_then_widened_by_its_sign() -> None:
    text = statement("-4@-20(%rbp)")
    assert "int32_t value = 0;" in text
    assert "x = (uint64_t)(int64_t)value;" in text


@pytest.mark.parametrize("place", ["%xmm0", "%ymm1", "global(%rip)", "%fs:8", "label", "%rip"])
def test_an_operand_that_bpf_cannot_read_is_refused_by_name(place: str) -> None:
    with pytest.raises(ArgumentError, match=place.strip("%").split("(")[0].split(":")[0]):
        parse_operand(UsdtArgument(8, False, place))


def test_every_general_register_is_known_in_every_width() -> None:
    for name in ("rax", "ebx", "cx", "dl", "rsi", "edi", "bp", "spl", "r9", "r10d", "r11w", "r15b"):
        assert parse_operand(UsdtArgument(8, False, f"%{name}")).kind == "register"
