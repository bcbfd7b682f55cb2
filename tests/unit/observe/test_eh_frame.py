"""Call frame information: our rules are those of pyelftools, and a stack is followed by them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from elftools.dwarf.callframe import FDE
from elftools.elf.elffile import ELFFile

from hakmem_tools.native.library import open_library
from hakmem_tools.observe.eh_frame import RBP, RSP, Rule, UnwindTable
from hakmem_tools.observe.elf import ElfError, ElfFile
from hakmem_tools.observe.unwind import StackWords, follow

FILES = ("/usr/bin/python3", "/lib/x86_64-linux-gnu/libc.so.6", "libhakmem")
FUNCTIONS = 60


def rows(path: str) -> Iterator[tuple[int, dict[Any, Any]]]:
    """Address and row of some functions' tables, by pyelftools."""
    with open(path, "rb") as file:
        entries = ELFFile(file).get_dwarf_info().EH_CFI_entries()
        functions = [entry for entry in entries if isinstance(entry, FDE)]
        for entry in random.Random(1).sample(functions, min(FUNCTIONS, len(functions))):
            table = {row["pc"]: row for row in entry.get_decoded().table}  # the last one counts
            yield from table.items()


@pytest.mark.parametrize("name", FILES)
def test_every_rule_is_the_one_that_pyelftools_reads(name: str) -> None:
    path = str(open_library().path) if name == "libhakmem" else str(Path(name).resolve())
    checked = 0
    with ElfFile(path) as file:
        table = UnwindTable(file)
        for address, row in rows(path):
            saved = {
                register: rule.arg
                if (rule := row.get(register)) and rule.type == "OFFSET"
                else None
                for register in (RBP, 16)
            }
            expected = None
            if row["cfa"].expr is None:
                expected = Rule(row["cfa"].reg, row["cfa"].offset, saved[16], saved[RBP])
            assert table.rule_at(address) == expected, hex(address)
            checked += 1
        assert table.rule_at(0) is None
        assert table.rule_at(1 << 60) is None
    assert checked > FUNCTIONS


def test_a_file_that_is_cut_short_is_an_error_and_no_crash(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(Path("/usr/bin/python3").resolve().read_bytes()[:4096])
    with ElfFile(str(plain)) as file, pytest.raises(ElfError):
        UnwindTable(file)


PUSHED = Rule(RSP, 24, -8, None)  # two words on top of the return address
WITH_RBP = Rule(RBP, 16, -8, -16)
BOTTOM = Rule(RSP, 8, None, None)


def test_a_stack_is_followed_over_frames_with_and_without_rbp_to_its_bottom() -> None:
    rules = {100: PUSHED, 199: WITH_RBP, 299: PUSHED, 399: BOTTOM}
    words = {1016: 200, 1096: 300, 1088: 5000, 1100 + 20: 400}
    start = StackWords(ip=100, sp=1000, bp=1088, words=words)
    assert follow(start, rules.get) == ([100, 200, 300, 400], True)


def test_a_stack_breaks_off_where_a_word_or_a_rule_is_missing() -> None:
    start = StackWords(ip=100, sp=1000, bp=0, words={1016: 200})
    assert follow(start, {100: PUSHED, 199: PUSHED}.get) == ([100, 200], False)
    assert follow(start, {100: PUSHED}.get) == ([100, 200], False)
    assert follow(start, {}.get) == ([100], False)


def test_a_stack_that_leads_back_to_itself_is_not_followed_for_ever() -> None:
    start = StackWords(ip=100, sp=1000, bp=984, words={992: 101, 984: 984})
    assert follow(start, lambda _: WITH_RBP) == ([100], False)
