"""Reads ELF files: USDT notes, build-id, file offsets; and finds the file a process has mapped.

The probe list, the BPF attacher and the contract test use it. Files may be hostile: what does
not read as ELF raises ElfError. Reads only; attaches nothing.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from typing import IO, Any, TypeVar

import msgspec

from hakmem_tools.observe.proc import Mapping, Process

_T = TypeVar("_T")
_NOTE_SECTION = ".note.stapsdt"
_BASE_SECTION = ".stapsdt.base"
_NOTE_TYPE = 3
_ARGUMENT = re.compile(r"(-?\d+)f?@(\S+)")
_PAGE_BYTES = 4096
#: What a site holds while nobody is attached; the kernel puts a breakpoint over it.
NOP = b"\x90"
BREAKPOINT = b"\xcc"


class ElfError(Exception):
    """The file does not read as ELF, or its notes do not hold up; one line."""


class UsdtArgument(msgspec.Struct, frozen=True):
    """One argument of a probe site: width in bytes, signed or not, and where it is found."""

    size_bytes: int
    signed: bool
    place: str


class UsdtSite(msgspec.Struct, frozen=True):
    """One probe site. `address` is the file's own (before relocation), `offset` in the file.

    `semaphore` is the address of its semaphore, or 0 without one.
    """

    provider: str
    name: str
    address: int
    offset: int
    semaphore: int
    semaphore_offset: int
    arguments: tuple[UsdtArgument, ...]


class ElfFile:
    """One ELF file, open for reading. Close it, or use it as a context manager."""

    def __init__(self, path: str | int) -> None:
        """Opens a path, or an open descriptor (which it then owns). Raises ElfError, OSError."""
        from elftools.common.exceptions import ELFError as ToolsError
        from elftools.elf.elffile import ELFFile

        self.path = str(path)
        # Never wait for a writer, should it be a pipe.
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = path if isinstance(path, int) else os.open(path, flags)
        self._file: IO[bytes] = os.fdopen(descriptor, "rb")
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            self._file.close()
            raise ElfError(f"{self.path} is no plain file")
        try:
            self._elf: Any = ELFFile(self._file)
        except (ToolsError, ValueError, KeyError, OSError) as error:
            self._file.close()
            raise ElfError(f"{self.path} is no ELF file: {error or 'cut short'}") from None

    def close(self) -> None:
        """Closes the file; may be called twice."""
        self._file.close()

    def __enter__(self) -> ElfFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode of the open file."""
        status = os.fstat(self._file.fileno())
        return status.st_dev, status.st_ino

    def build_id(self) -> str | None:
        """The GNU build-id in hexadecimal; None without one."""
        return self._guarded(self._build_id)

    def sites(self) -> tuple[UsdtSite, ...]:
        """Every USDT site, in the notes' order; empty without notes. Raises ElfError."""
        return self._guarded(lambda: tuple(self._sites()))

    def bytes_at(self, offset: int, count: int) -> bytes:
        """`count` bytes of the file."""
        return os.pread(self._file.fileno(), count, offset)

    def offset_of(self, address: int) -> int | None:
        """Where an address of the file is stored in it; None when no segment holds it."""
        for segment in self._elf.iter_segments("PT_LOAD"):
            start = segment["p_vaddr"]
            if start <= address < start + segment["p_filesz"]:
                return int(address - start + segment["p_offset"])
        return None

    def bias(self, mapping: Mapping) -> int:
        """What to add to this file's addresses for a process that has mapped it there."""
        for segment in self._elf.iter_segments("PT_LOAD"):
            start, size = segment["p_offset"], segment["p_filesz"]
            if start - start % _PAGE_BYTES <= mapping.offset < start + size:
                return int(mapping.start - mapping.offset - segment["p_vaddr"] + start)
        return mapping.start - mapping.offset

    def unwind_index(self) -> tuple[int, int] | None:
        """Address and bytes of the index of call frame information; None without one."""

        def find() -> tuple[int, int] | None:
            for segment in self._elf.iter_segments("PT_GNU_EH_FRAME"):
                return int(segment["p_vaddr"]), int(segment["p_filesz"])
            return None

        return self._guarded(find)

    def symbol_tables(self) -> list[tuple[bytes, bytes]]:
        """Entries and names of each symbol table, as they lie in the file. Raises ElfError."""
        return self._guarded(lambda: list(self._symbol_tables()))

    def _symbol_tables(self) -> Iterator[tuple[bytes, bytes]]:
        for section in self._elf.iter_sections():
            if section["sh_type"] in ("SHT_DYNSYM", "SHT_SYMTAB") and section["sh_entsize"]:
                data = section.data()
                whole = len(data) - len(data) % section["sh_entsize"]
                yield data[:whole], self._elf.get_section(section["sh_link"]).data()

    def _guarded(self, read: Callable[[], _T]) -> _T:
        from elftools.common.exceptions import ELFError as ToolsError
        from elftools.construct import ConstructError

        try:
            return read()
        except ElfError:
            raise
        except (ToolsError, ConstructError, ValueError, KeyError, IndexError, TypeError) as error:
            raise ElfError(f"{self.path}: its notes cannot be read: {error}") from None

    def _build_id(self) -> str | None:
        for segment in self._elf.iter_segments("PT_NOTE"):
            for note in segment.iter_notes():
                if note["n_name"] == "GNU" and note["n_type"] == "NT_GNU_BUILD_ID":
                    return str(note["n_desc"])
        return None

    def _sites(self) -> Iterator[UsdtSite]:
        section = self._elf.get_section_by_name(_NOTE_SECTION)
        if section is None:
            return
        base = self._elf.get_section_by_name(_BASE_SECTION)
        little = self._elf.little_endian
        for description in _descriptions(section.data(), little):
            yield self._site(description, base["sh_addr"] if base is not None else None, little)

    def _site(self, data: bytes, base: int | None, little: bool) -> UsdtSite:
        """A note's three addresses, then three texts. Prelink moves both by the same amount."""
        order = "little" if little else "big"
        location, noted_base, semaphore = (
            int.from_bytes(data[at : at + 8], order)  # type: ignore[arg-type]
            for at in (0, 8, 16)
        )
        texts = data[24:].split(b"\0")
        if len(data) < 24 or len(texts) < 3:
            raise ElfError(f"{self.path}: a USDT note is cut short")
        moved = 0 if base is None else base - noted_base
        address = location + moved
        offset = self.offset_of(address)
        provider, name, arguments = (text.decode("utf-8", "replace") for text in texts[:3])
        if offset is None:
            raise ElfError(f"{self.path}: probe {provider}:{name} lies outside its segments")
        return UsdtSite(
            provider=provider,
            name=name,
            address=address,
            offset=offset,
            semaphore=semaphore + moved if semaphore else 0,
            semaphore_offset=(self.offset_of(semaphore + moved) or 0) if semaphore else 0,
            arguments=tuple(parse_arguments(arguments)),
        )


def parse_arguments(text: str) -> Iterator[UsdtArgument]:
    """The arguments of a note, as gcc writes them: "8@%rdi -4@$5 8@8(%rbp)"."""
    for size, place in _ARGUMENT.findall(text):
        width = int(size)
        yield UsdtArgument(size_bytes=abs(width), signed=width < 0, place=place)


def _descriptions(data: bytes, little: bool) -> Iterator[bytes]:
    """The descriptions of the stapsdt notes in a note section; parts are 4-byte aligned."""
    order = "little" if little else "big"
    at = 0
    while at + 12 <= len(data):
        name_bytes, text_bytes, kind = (
            int.from_bytes(data[at + i : at + i + 4], order)  # type: ignore[arg-type]
            for i in (0, 4, 8)
        )
        name_end = at + 12 + name_bytes
        start = at + 12 + (name_bytes + 3 & ~3)
        if start + text_bytes > len(data):
            raise ElfError("a USDT note is longer than its section")
        if kind == _NOTE_TYPE and data[at + 12 : name_end].rstrip(b"\0") == b"stapsdt":
            yield data[start : start + text_bytes]
        at = start + (text_bytes + 3 & ~3)


# ---- the file behind a mapping ----------------------------------------------------------------


class MappedFile(msgspec.Struct, frozen=True):
    """An ELF file that a process has mapped, and a path that opens exactly that file.

    `bias` is what to add to the file's own addresses to get the process's.
    """

    path: str
    mapping: Mapping
    bias: int


def find_mapped(process: Process, provider: str = "hakmem") -> MappedFile:
    """The first mapped file with USDT sites of `provider`; libhakmem.so is tried first.

    Raises ElfError when there is none, or when it has been replaced on disk and may not be
    opened through map_files; NotPermitted, TargetGone.
    """
    reasons = []
    for mapping in _code_files(process.maps()):
        try:
            path, file = open_mapped(process, mapping)
        except ElfError as error:
            reasons.append(str(error))
            continue
        with file:
            try:
                sites = file.sites()
            except ElfError:
                continue
            if any(site.provider == provider for site in sites):
                return MappedFile(path=path, mapping=mapping, bias=file.bias(mapping))
    about = [reason for reason in reasons if "libhakmem" in reason]
    raise ElfError(
        about[0]
        if about
        else f"process {process.pid} has no file with {provider} probes mapped; "
        "start it with `hakmem run -- COMMAND`"
    )


def _code_files(mappings: list[Mapping]) -> list[Mapping]:
    """One executable mapping per file, ours first, then the program and its libraries."""
    files: dict[tuple[int, int], Mapping] = {}
    for mapping in mappings:
        if "x" in mapping.permissions and mapping.inode and mapping.path.startswith("/"):
            files.setdefault((mapping.device, mapping.inode), mapping)
    return sorted(files.values(), key=lambda row: "libhakmem" not in os.path.basename(row.path))


def open_mapped(process: Process, mapping: Mapping) -> tuple[str, ElfFile]:
    """The path and the open file of a mapping: by its name if that is still the same file.

    The name is looked up in the process's own mount namespace. Raises ElfError.
    """
    named = f"/proc/{process.pid}/root{mapping.path}"
    by_range = f"/proc/{process.pid}/map_files/{mapping.map_file}"
    same_inode = False
    try:
        file = ElfFile(named)
        if file.identity == (mapping.device, mapping.inode):
            return named, file
        same_inode = file.identity[1] == mapping.inode
        file.close()
    except (OSError, ElfError):
        pass
    try:
        return by_range, ElfFile(by_range)
    except OSError as error:
        # btrfs and overlayfs show another device in maps than in stat.
        if same_inode:
            return named, ElfFile(named)
        raise ElfError(
            f"{mapping.path} is not the file that process {process.pid} has mapped (it was "
            f"replaced), and {by_range} does not open: {error.strerror}; restart the process, "
            "or run as root"
        ) from None
