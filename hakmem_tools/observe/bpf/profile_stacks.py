"""From the kernel's stacks to records: the allocator's own frames taken off, addresses as module
and offset, each module, stack and thread told once.

Used by the profile sources. What a frame is called is found out by whoever reads the records;
only the JIT's code, whose names go with the process, is not in any file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress

from hakmem_tools.model.profile_records import (
    NO_MODULE,
    NO_STACK,
    Key,
    Module,
    Record,
    Stack,
    Thread,
)
from hakmem_tools.observe.bpf.profile_kernel import Cell, RawStack
from hakmem_tools.observe.elf import ElfError, ElfFile, open_mapped
from hakmem_tools.observe.proc import Mapping, Process
from hakmem_tools.observe.source import NoSuchProcess, NotPermitted, TargetGone
from hakmem_tools.observe.symbols import ProcessSymbols
from hakmem_tools.observe.unwind import Unwinder

_DELETED = " (deleted)"

Identity = tuple[int, int]  # device and inode


class RecordBook:
    """Gives ids to what the rows of one process name. Close it."""

    def __init__(
        self,
        pid: int,
        stack_of: Callable[[int], RawStack | None],
        allocator: Identity,
        remembered: Callable[[int], list[Mapping]] | None = None,
    ) -> None:
        """`stack_of` finds a stack by the kernel's key; `allocator` is the file whose frames go."""
        self._pid = pid
        self._stack_of = stack_of
        self._allocator = allocator
        self._symbols = ProcessSymbols(pid, remembered)
        self._unwinder = Unwinder(pid, self._mapped)
        self._modules: dict[Identity, int] = {}
        self._kernel_stacks: dict[int, int] = {0: NO_STACK}
        self._stacks: dict[tuple[tuple[tuple[int, int], ...], bool, bool], int] = {}
        self._cells: dict[Cell, int] = {}
        self._keys: dict[tuple[int, int, int | None, int | None, int], int] = {}
        self._threads: set[int] = set()
        self._new: list[Record] = []

    def close(self) -> None:
        """May be called twice."""
        self._unwinder.close()
        self._symbols.close()

    def code(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Where the process's code lies now: first address and bytes, of the program and of all
        of its libraries together.
        """
        self._symbols.refresh()
        program, libraries = self._symbols.code()
        return _extent(program), _extent(libraries)

    def new_records(self) -> list[Record]:
        """What was named for the first time since the last call."""
        found, self._new = self._new, []
        return found

    def key(self, cell: Cell) -> int:
        """The id of what a row is counted by."""
        known = self._cells.get(cell)
        if known is not None:
            return known
        stack = self.stack(cell.stack)
        self.thread(cell.tid)
        identity = (stack, cell.tid, cell.size_class, cell.path, cell.bucket)
        number = self._keys.get(identity)
        if number is None:
            number = self._keys[identity] = len(self._keys)
            self._new.append(Key(number, *identity))
        self._cells[cell] = number
        return number

    def thread(self, tid: int) -> None:
        """Tells a thread's name, once."""
        if tid in self._threads:
            return
        self._threads.add(tid)
        with suppress(OSError), open(f"/proc/{self._pid}/task/{tid}/comm", "rb") as file:
            self._new.append(Thread(tid, file.read().rstrip(b"\n").decode("utf-8", "replace")))

    def stack(self, kernel_key: int) -> int:
        """The id of a stack by the kernel's key; NO_STACK for one that was lost."""
        known = self._kernel_stacks.get(kernel_key)
        if known is not None:
            return known
        raw = self._stack_of(kernel_key)
        number = NO_STACK if raw is None else self._tell(raw)
        self._kernel_stacks[kernel_key] = number
        return number

    def _tell(self, raw: RawStack) -> int:
        to_bottom = False
        if raw.start is not None:
            found, to_bottom = self._unwinder.follow(raw.start)
            raw = RawStack(raw.site, tuple(found), False)
        addresses, exact_first = self._outside(raw)
        frames, truncated = self._symbols.stack(addresses)
        places = tuple(self._place(frame.address) for frame in frames)
        identity = (places, (truncated and not to_bottom) or raw.cut, exact_first)
        number = self._stacks.get(identity)
        if number is None:
            number = self._stacks[identity] = len(self._stacks) + 1
            self._new.append(Stack(number, *identity))
        return number

    def _outside(self, raw: RawStack) -> tuple[tuple[int, ...], bool]:
        """The program's own part of a stack, and whether its first address is exact.

        Where frame pointers lead past the site, as they do from a function that has none, it
        comes first, and what is left of the walk behind it.
        """
        if raw.site in raw.addresses[1:]:
            return raw.addresses[raw.addresses.index(raw.site, 1) :], False
        kept = [index for index, address in enumerate(raw.addresses) if not self._ours(address)]
        rest = raw.addresses[kept[0] :] if kept else ()
        if raw.site:
            return (raw.site, *rest), False
        return rest, bool(kept) and kept[0] == 0

    def _mapped(self, address: int) -> Mapping | None:
        """The mapping of an address; what was mapped since is looked for."""
        mapping = self._symbols.mapping_of(address)
        if mapping is None:
            self._symbols.refresh()
            mapping = self._symbols.mapping_of(address)
        return mapping

    def _ours(self, address: int) -> bool:
        mapping = self._symbols.mapping_of(address)
        return mapping is not None and (mapping.device, mapping.inode) == self._allocator

    def _place(self, address: int) -> tuple[int, int]:
        mapping = self._symbols.mapping_of(address)
        if mapping is None or not mapping.path.startswith("/") or not mapping.inode:
            return NO_MODULE, address
        identity = (mapping.device, mapping.inode)
        number = self._modules.get(identity)
        if number is None:
            number = self._modules[identity] = len(self._modules) + 1
            self._new.append(describe_module(self._pid, number, mapping))
        return number, address - mapping.start + mapping.offset


def _extent(mappings: list[Mapping]) -> tuple[int, int]:
    if not mappings:
        return 0, 0
    start = min(mapping.start for mapping in mappings)
    return start, max(mapping.end for mapping in mappings) - start


def describe_module(pid: int, number: int, mapping: Mapping) -> Module:
    """A mapped file as a record; without a build-id where it cannot be read any more."""
    build_id = next(_build_ids(pid, mapping), None)
    return Module(
        id=number,
        path=mapping.path.removesuffix(_DELETED),
        build_id=build_id,
        device=mapping.device,
        inode=mapping.inode,
        deleted=mapping.path.endswith(_DELETED),
        root=_root(pid),
    )


def _root(pid: int) -> str:
    """Where the process's view of the files begins for us; "" if it is our own."""
    with suppress(OSError):
        theirs, ours = (os.stat(f"/proc/{who}/ns/mnt") for who in (pid, "self"))
        if (theirs.st_dev, theirs.st_ino) != (ours.st_dev, ours.st_ino):
            return f"/proc/{pid}/root"
    return ""


def _build_ids(pid: int, mapping: Mapping) -> Iterator[str | None]:
    """The build-id as the process shows the file; once that has ended, by the file's name."""
    with suppress(NoSuchProcess, NotPermitted, TargetGone, ElfError, OSError):
        with Process(pid) as process:
            _, file = open_mapped(process, mapping)
        with file:
            yield file.build_id()
    with suppress(ElfError, OSError), ElfFile(mapping.path) as file:
        if file.identity == (mapping.device, mapping.inode):
            yield file.build_id()
