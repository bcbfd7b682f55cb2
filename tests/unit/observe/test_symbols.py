"""Symbol tables by struct, and a process's own addresses."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakmem_tools.observe.symbols import ProcessSymbols, SymbolTable, file_symbols

SOURCE = """
__attribute__((noinline)) int inner(int x) { return x * 3 + 1; }
__attribute__((noinline)) int outer(int x) { return inner(x) + 2; }
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("symbols")
    (directory / "two.c").write_text(SOURCE)
    path = directory / "libtwo.so"
    subprocess.run(["gcc", "-O1", "-fPIC", "-shared", "-o", path, directory / "two.c"], check=True)
    return path


def reader(data: bytes) -> Callable[[int, int], bytes]:
    return lambda offset, count: data[offset : offset + max(0, count)]


def test_a_function_is_found_by_any_of_its_addresses(library: Path) -> None:
    table = SymbolTable(reader(library.read_bytes()))
    nm = subprocess.run(["nm", library], check=True, capture_output=True, text=True).stdout
    address = next(int(line.split()[0], 16) for line in nm.splitlines() if line.endswith(" inner"))
    assert table.find(address) == ("inner", address)
    assert table.find(address + 1) == ("inner", address)


def test_an_address_outside_of_functions_has_none(library: Path) -> None:
    table = SymbolTable(reader(library.read_bytes()))
    assert table.find(0) is None
    assert table.find(1 << 40) is None


def test_what_is_no_elf_has_no_symbols() -> None:
    assert len(SymbolTable(reader(b"#!/bin/sh\n"))) == 0
    assert len(SymbolTable(reader(b""))) == 0


@given(st.data())
def test_a_damaged_file_never_raises(library: Path, data: st.DataObject) -> None:
    raw = bytearray(library.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(0, 63))] = data.draw(st.integers(0, 255))
    SymbolTable(reader(bytes(raw)))


def test_one_file_is_read_once(library: Path) -> None:
    descriptor = os.open(library, os.O_RDONLY)
    try:
        assert file_symbols(descriptor) is file_symbols(descriptor)
    finally:
        os.close(descriptor)


def test_an_address_of_a_loaded_library_is_told_with_module_and_offset(library: Path) -> None:
    loaded = ctypes.CDLL(str(library))
    address = ctypes.cast(loaded.outer, ctypes.c_void_p).value
    assert address is not None
    with ProcessSymbols(os.getpid()) as symbols:
        (frame,), truncated = symbols.stack([address + 4])
    assert (frame.function, frame.function_offset) == ("outer", 4)
    assert frame.module == str(library)
    assert truncated


def test_a_return_address_just_behind_a_function_belongs_to_the_call_before_it(
    library: Path,
) -> None:
    loaded = ctypes.CDLL(str(library))
    inner = ctypes.cast(loaded.inner, ctypes.c_void_p).value
    outer = ctypes.cast(loaded.outer, ctypes.c_void_p).value
    assert inner is not None
    assert outer is not None
    with ProcessSymbols(os.getpid()) as symbols:
        frames, _ = symbols.stack([inner, outer + 1])
    assert [frame.function for frame in frames] == ["inner", "outer"]


def test_a_stack_breaks_off_at_the_first_address_that_is_no_code(library: Path) -> None:
    loaded = ctypes.CDLL(str(library))
    inner = ctypes.cast(loaded.inner, ctypes.c_void_p).value
    assert inner is not None
    with ProcessSymbols(os.getpid()) as symbols:
        frames, truncated = symbols.stack([inner, 0x10, inner])
    assert len(frames) == 1
    assert truncated


def test_a_process_that_is_gone_has_bare_addresses() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    with ProcessSymbols(child.pid) as symbols:
        (frame,), truncated = symbols.stack([0x1234])
    assert frame.text == "0x1234"
    assert truncated
