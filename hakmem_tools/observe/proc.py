"""One process as /proc shows it: alive or gone, its maps, descriptors, threads and memory.

A handle keeps the directory /proc/PID open, so that a process that takes over the number is
never mistaken for it. Used by the counters source, target checks and the ELF reader. Reads
only; a process never notices.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import msgspec

from hakmem_tools.observe.source import NoSuchProcess, NotPermitted, TargetGone

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Mapping(msgspec.Struct, frozen=True):
    """One line of /proc/PID/maps. `path` is as the kernel prints it, " (deleted)" included."""

    start: int
    end: int
    permissions: str
    offset: int
    device: int
    inode: int
    path: str

    @property
    def map_file(self) -> str:
        """Name of this range in /proc/PID/map_files."""
        return f"{self.start:x}-{self.end:x}"


def parse_maps(text: str) -> Iterator[Mapping]:
    """The lines of a /proc/PID/maps. Lines that do not read as one are skipped."""
    for line in text.splitlines():
        parts = line.split(None, 5)
        try:
            start, _, end = parts[0].partition("-")
            major, _, minor = parts[3].partition(":")
            yield Mapping(
                start=int(start, 16),
                end=int(end, 16),
                permissions=parts[1],
                offset=int(parts[2], 16),
                device=os.makedev(int(major, 16), int(minor, 16)),
                inode=int(parts[4]),
                path=parts[5] if len(parts) == 6 else "",
            )
        except (IndexError, ValueError):
            continue


class Usage(msgspec.Struct, frozen=True):
    """Threads and resident bytes of a process."""

    threads: int
    rss_bytes: int


class Process:
    """A handle on one process. Close it, or use it as a context manager."""

    def __init__(self, pid: int) -> None:
        """Raises NoSuchProcess."""
        self.pid = pid
        try:
            self._directory = os.open(f"/proc/{pid}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, ProcessLookupError, OverflowError):
            raise NoSuchProcess(f"no process {pid}; `pgrep -a NAME` finds process ids") from None
        try:
            self.usage()
        except TargetGone:
            self.close()
            raise NoSuchProcess(f"process {pid} has ended") from None

    def close(self) -> None:
        """Lets go of the handle; may be called twice."""
        if self._directory >= 0:
            os.close(self._directory)
            self._directory = -1

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self, name: str, flags: int = os.O_RDONLY) -> int:
        """Opens /proc/PID/NAME. Raises TargetGone, PermissionError or another OSError."""
        try:
            return os.open(name, flags | os.O_CLOEXEC, dir_fd=self._directory)
        except ProcessLookupError:
            raise self._gone() from None

    def read_text(self, name: str) -> str:
        """The text of /proc/PID/NAME. Raises TargetGone, NotPermitted."""
        try:
            descriptor = self.open(name)
            with os.fdopen(descriptor, encoding="utf-8", errors="surrogateescape") as file:
                return file.read()
        except (FileNotFoundError, ProcessLookupError):
            raise self._gone() from None
        except PermissionError:
            raise self.not_permitted() from None

    def usage(self) -> Usage:
        """Raises TargetGone, also for a process that has ended and is not yet reaped."""
        # The command's name may hold spaces and brackets: fields count from its last bracket.
        fields = self.read_text("stat").rpartition(")")[2].split()
        if len(fields) < 22 or fields[0] in "ZXx":
            raise self._gone()
        return Usage(threads=int(fields[17]), rss_bytes=int(fields[21]) * _PAGE_BYTES)

    def is_alive(self) -> bool:
        """False once the process has ended."""
        try:
            self.usage()
        except TargetGone:
            return False
        return True

    def maps(self) -> list[Mapping]:
        """Raises TargetGone, NotPermitted."""
        return list(parse_maps(self.read_text("maps")))

    def descriptors(self) -> Iterator[tuple[int, str]]:
        """Number and link text of every open file. Raises TargetGone, NotPermitted."""
        try:
            directory = self.open("fd", os.O_RDONLY | os.O_DIRECTORY)
        except PermissionError:
            raise self.not_permitted() from None
        except FileNotFoundError:
            raise self._gone() from None
        try:
            for name in os.listdir(directory):
                try:
                    yield int(name), os.readlink(name, dir_fd=directory)
                except (FileNotFoundError, ProcessLookupError):
                    continue  # closed in the meantime
                except PermissionError:
                    raise self.not_permitted() from None
        finally:
            os.close(directory)

    def stat(self, name: str) -> os.stat_result:
        """os.stat of /proc/PID/NAME, links followed. Raises OSError."""
        return os.stat(name, dir_fd=self._directory)

    def namespace_pids(self) -> frozenset[int]:
        """The numbers under which the process is known, in its own and in our namespace."""
        for line in self.read_text("status").splitlines():
            if line.startswith("NSpid:"):
                return frozenset(int(word) for word in line.split()[1:]) | {self.pid}
        return frozenset({self.pid})

    def command_line(self) -> str:
        """Its arguments, or its name where it has none (a kernel thread)."""
        words = self.read_text("cmdline").rstrip("\0").split("\0")
        return " ".join(words) if words != [""] else self.read_text("comm").strip()

    def not_permitted(self) -> NotPermitted:
        """The error for a process that we may not look into."""
        try:
            owner = self.stat(".").st_uid
        except OSError:
            return NotPermitted(f"process {self.pid} has ended")
        if owner == os.geteuid():
            return NotPermitted(
                f"process {self.pid} is protected: it may not be read even by its own user; "
                "run with CAP_SYS_PTRACE"
            )
        return NotPermitted(
            f"process {self.pid} belongs to user {owner} and may not be read by user "
            f"{os.geteuid()}; run as its user or as root"
        )

    def _gone(self) -> TargetGone:
        return TargetGone(f"process {self.pid} has ended")
