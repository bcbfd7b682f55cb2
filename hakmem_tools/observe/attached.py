"""Who has put uprobes on a file: as far as the kernel tells us.

Used by `hakmem probes`. Three places know: BPF links, perf events with a program (which belong
to the process that holds them), and tracefs. What may not be read is named with its reason.
For one process the answer does not need privilege: an attached site holds a breakpoint.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from hakmem_tools.observe.bpf_call import Attachment, link_attachment, link_ids, task_attachment
from hakmem_tools.observe.elf import BREAKPOINT, NOP, MappedFile, UsdtSite
from hakmem_tools.observe.proc import Process

_TRACEFS = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")


class Attached(msgspec.Struct, frozen=True):
    """Every uprobe found, and one sentence for each place that could not be asked."""

    attachments: tuple[Attachment, ...]
    missing: tuple[str, ...]

    def at(self, identity: tuple[int, int], offset: int) -> list[Attachment]:
        """Those on one site of the file with this device and inode."""
        return [
            row
            for row in self.attachments
            if offset in row.offsets and _identity(row.path) == identity
        ]


def find_attached() -> Attached:
    """Asks the kernel about all uprobes of the machine. Never raises for lack of privilege."""
    found: list[Attachment] = []
    missing: list[str] = []
    for ask, what in ((_links, "BPF links"), (_tracefs, "tracefs uprobes")):
        try:
            found += ask()
        except OSError as error:
            missing.append(f"{what}: {error.strerror or error}")
    return Attached(tuple(found), tuple(missing))


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _links() -> list[Attachment]:
    links = [row for number in link_ids() if (row := link_attachment(number)) is not None]
    holders, events = _scan_descriptors()
    links = [
        msgspec.structs.replace(row, holder=holders.get(row.link_id or 0, "")) for row in links
    ]
    known = {(row.path, row.offsets) for row in links}
    return links + [row for row in events if (row.path, row.offsets) not in known]


def _scan_descriptors() -> tuple[dict[int, str], list[Attachment]]:
    """Which process holds which link, and the uprobes behind perf events."""
    holders: dict[int, str] = {}
    events: list[Attachment] = []
    for pid, descriptor, link in _all_descriptors():
        if link == "anon_inode:bpf_link":
            number = _link_id(pid, descriptor)
            if number is not None:
                holders.setdefault(number, _who(pid))
        elif link == "anon_inode:[perf_event]":
            event = task_attachment(pid, descriptor)
            if event is not None:
                events.append(msgspec.structs.replace(event, holder=_who(pid)))
    return holders, events


def _all_descriptors() -> Iterator[tuple[int, int, str]]:
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        directory = f"/proc/{entry}/fd"
        try:
            for name in os.listdir(directory):
                yield int(entry), int(name), os.readlink(f"{directory}/{name}")
        except OSError:
            continue  # ended, or not ours


def _link_id(pid: int, descriptor: int) -> int | None:
    try:
        lines = Path(f"/proc/{pid}/fdinfo/{descriptor}").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, value = line.partition(":")
        if name == "link_id":
            return int(value)
    return None


def _who(pid: int) -> str:
    try:
        return f"{Path(f'/proc/{pid}/comm').read_text().strip()} (pid {pid})"
    except OSError:
        return f"pid {pid}"


def _tracefs() -> list[Attachment]:
    for root in _TRACEFS:
        path = Path(root, "uprobe_events")
        if path.exists():
            return list(parse_uprobe_events(path.read_text()))
    raise OSError(2, "tracefs is not mounted (mount -t tracefs tracefs /sys/kernel/tracing)")


def parse_uprobe_events(text: str) -> Iterator[Attachment]:
    """The lines of tracefs's uprobe_events: "p:group/name /path:0xoffset arguments"."""
    for line in text.splitlines():
        words = line.split()
        if len(words) < 2:
            continue
        path, _, offset = words[1].rpartition(":")
        digits = offset.partition("(")[0]  # a reference counter may follow in brackets
        try:
            yield Attachment("tracefs", path, (int(digits, 16),), holder=words[0].partition(":")[2])
        except ValueError:
            continue


def breakpoint_at(process: Process, mapped: MappedFile, site: UsdtSite) -> bool | None:
    """Whether somebody is attached to a site in this process.

    None when its memory says neither, or may not be read (Yama permits it to root and parents
    only). Raises TargetGone.
    """
    try:
        descriptor = process.open("mem")
    except PermissionError:
        return None
    try:
        byte = os.pread(descriptor, 1, mapped.bias + site.address)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return {NOP: False, BREAKPOINT: True}.get(byte)
