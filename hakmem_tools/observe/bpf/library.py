"""The library file that a process runs, opened once: notes are read and probes attached through
the same descriptor, so that no file put in its place in between is ever attached to.

Used by the watch. Finds and reads; attaches nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

from hakmem_tools.observe.elf import ElfError, ElfFile, UsdtSite, find_mapped
from hakmem_tools.observe.proc import Process
from hakmem_tools.observe.source import SourceUnavailable
from hakmem_tools.observe.symbols import SymbolTable, file_symbols

_ENDBR64 = b"\xf3\x0f\x1e\xfa"
_FUNCTION_ALIGNMENT = 16


class LibraryFile:
    """An open library with its probe sites. Close it; attached probes do not need it."""

    def __init__(self, descriptor: int, name: str) -> None:
        """Takes over the descriptor. Raises SourceUnavailable when it has no readable notes."""
        self.descriptor = descriptor
        self.name = name
        try:
            with ElfFile(os.dup(descriptor)) as file:
                self.sites: tuple[UsdtSite, ...] = file.sites()
                self.build_id = file.build_id()
        except (ElfError, OSError) as error:
            self.close()
            raise SourceUnavailable(str(error)) from None
        self._symbols: SymbolTable = file_symbols(descriptor)

    def close(self) -> None:
        """May be called twice."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def __enter__(self) -> LibraryFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode of the open file."""
        status = os.fstat(self.descriptor)
        return status.st_dev, status.st_ino

    def opens_function(self, site: UsdtSite) -> bool:
        """Whether a site is its function's first instruction: the return address is on top.

        Told by the symbol table; in a stripped file, by the alignment of functions.
        """
        skipped = site.address
        if os.pread(self.descriptor, len(_ENDBR64), site.offset - len(_ENDBR64)) == _ENDBR64:
            skipped -= len(_ENDBR64)
        found = self._symbols.find(site.address)
        if found is not None:
            return found[1] in (skipped, site.address)
        return skipped % _FUNCTION_ALIGNMENT == 0


def open_library_file(path: Path | str) -> LibraryFile:
    """The library at a path, for a program that has not mapped it yet."""
    try:
        return LibraryFile(os.open(path, os.O_RDONLY | os.O_CLOEXEC), str(path))
    except OSError as error:
        raise SourceUnavailable(f"{path}: {error.strerror}") from None


def open_mapped_library(pid: int, provider: str = "hakmem") -> LibraryFile:
    """The very file with a provider's probes that a process has mapped, wherever it lies now.

    Raises SourceUnavailable without one, NoSuchProcess, NotPermitted, TargetGone.
    """
    with Process(pid) as process:
        try:
            found = find_mapped(process, provider)
            descriptor = os.open(found.path, os.O_RDONLY | os.O_CLOEXEC)
        except ElfError as error:
            raise SourceUnavailable(str(error)) from None
        except OSError as error:
            raise SourceUnavailable(
                f"{found.mapping.path} of process {pid} does not open: {error.strerror}"
            ) from None
        status = os.fstat(descriptor)
        same = (status.st_dev, status.st_ino) == (found.mapping.device, found.mapping.inode)
        if not same and "/map_files/" not in found.path:
            os.close(descriptor)
            raise SourceUnavailable(
                f"{found.mapping.path} was replaced while it was being opened; try again"
            )
        return LibraryFile(descriptor, found.mapping.path)
