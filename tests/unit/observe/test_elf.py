"""USDT notes: arguments as compilers write them, and files that are no ELF."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hakmem_tools.observe.elf import ElfError, ElfFile, UsdtArgument, parse_arguments

PROGRAM = Path("/bin/true").resolve()


def read_notes(path: str | int) -> None:
    with ElfFile(path) as file:
        file.sites()
        file.build_id()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("8@%rdi", [(8, False, "%rdi")]),
        ("-4@$5 8@8(%rbp)", [(4, True, "$5"), (8, False, "8(%rbp)")]),
        ("8@-16(%rsp,%rbx,8) 1@%al", [(8, False, "-16(%rsp,%rbx,8)"), (1, False, "%al")]),
        ("8f@%xmm0", [(8, False, "%xmm0")]),
    ],
)
def test_arguments_are_read_as_compilers_write_them(
    text: str, expected: list[tuple[int, bool, str]]
) -> None:
    assert list(parse_arguments(text)) == [UsdtArgument(*row) for row in expected]


def test_a_program_without_notes_has_no_sites_but_a_build_id() -> None:
    with ElfFile(str(PROGRAM)) as file:
        assert file.sites() == ()
        build_id = file.build_id()
    assert build_id is not None
    assert int(build_id, 16)


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"#!/bin/sh\n", b"\x7fELF" + bytes(60)])
def test_what_is_no_elf_file_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ElfError) as caught:
        read_notes(str(path))
    assert "\n" not in str(caught.value)


def test_a_pipe_under_the_name_of_a_library_does_not_stop_us(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "lib.so")
    with pytest.raises(ElfError, match="is no plain file"):
        ElfFile(str(tmp_path / "lib.so"))


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_a_damaged_library_is_read_or_refused(data: st.DataObject, damaged_copy: bytearray) -> None:
    copy = bytearray(damaged_copy)
    for _ in range(data.draw(st.integers(1, 20))):
        copy[data.draw(st.integers(0, 400))] = data.draw(st.integers(0, 255))
    descriptor = os.memfd_create("damaged")
    os.write(descriptor, bytes(copy))
    with contextlib.suppress(ElfError):
        read_notes(descriptor)


@pytest.fixture(scope="module")
def damaged_copy() -> bytearray:
    return bytearray(PROGRAM.read_bytes())
