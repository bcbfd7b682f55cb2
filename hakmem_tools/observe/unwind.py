"""Follows a stack by call frame information, from the words of it that somebody kept.

For code without frame pointers, which is most of what distributions build. A frame needs two
words at most: its return address, and rbp where the next rule asks for it. Used by the profile
sources. Knows nothing of names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

import msgspec

from hakmem_tools.observe.eh_frame import RBP, Rule, UnwindTable
from hakmem_tools.observe.elf import ElfError, ElfFile, open_mapped
from hakmem_tools.observe.proc import Mapping as MappedRange
from hakmem_tools.observe.proc import Process
from hakmem_tools.observe.source import NoSuchProcess, NotPermitted, TargetGone

_MOST_FRAMES = 256
_Finder = Callable[[int], MappedRange | None]


class StackWords(msgspec.Struct, frozen=True):
    """A thread at one moment: registers, and some words of its stack by their address."""

    ip: int
    sp: int
    bp: int
    words: Mapping[int, int]


def follow(start: StackWords, rule_at: Callable[[int], Rule | None]) -> tuple[list[int], bool]:
    """The instruction and the return addresses behind it, and whether the bottom was reached."""
    addresses, pc, sp, bp = [start.ip], start.ip, start.sp, start.bp
    while len(addresses) < _MOST_FRAMES:
        # A return address follows the call, which may be a function's last instruction.
        rule = rule_at(pc if len(addresses) == 1 else pc - 1)
        if rule is None:
            return addresses, False
        if rule.return_at is None:
            return addresses, True
        frame = (bp if rule.register == RBP else sp) + rule.offset
        caller = start.words.get(frame + rule.return_at)
        if caller is None or frame <= sp:
            return addresses, False
        if rule.rbp_at is not None:
            bp = start.words.get(frame + rule.rbp_at, 0)
        pc, sp = caller, frame
        addresses.append(caller)
    return addresses, False


class Unwinder:
    """The rules of all files of one process. Close it."""

    def __init__(self, pid: int, mapping_of: _Finder) -> None:
        """`mapping_of` tells what is mapped at an address."""
        self._pid, self._mapping_of = pid, mapping_of
        self._files: dict[tuple[int, int], tuple[ElfFile, UnwindTable] | None] = {}

    def follow(self, start: StackWords) -> tuple[list[int], bool]:
        """See follow()."""
        return follow(start, self._rule_at)

    def _rule_at(self, address: int) -> Rule | None:
        mapping = self._mapping_of(address)
        if mapping is None or not mapping.inode or "x" not in mapping.permissions:
            return None
        key = (mapping.device, mapping.inode)
        if key not in self._files:
            self._files[key] = self._open(mapping)
        opened = self._files[key]
        if opened is None:
            return None
        file, table = opened
        return table.rule_at(address - file.bias(mapping))

    def _open(self, mapping: MappedRange) -> tuple[ElfFile, UnwindTable] | None:
        with suppress(NoSuchProcess, NotPermitted, TargetGone, ElfError, OSError):
            with Process(self._pid) as process:
                _, file = open_mapped(process, mapping)
            try:
                return file, UnwindTable(file)
            except BaseException:
                file.close()
                raise
        return None

    def close(self) -> None:
        """Closes all files; may be called twice."""
        for opened in self._files.values():
            if opened is not None:
                opened[0].close()
        self._files.clear()
