"""Finds the files that name a module's addresses: the module itself, and its debug file.

The module may have been deleted or replaced since it was mapped, or live in another mount
namespace: it counts only if its build-id (or, without one, its inode) is the recorded one.
A debug file is looked for by build-id and by .gnu_debuglink, as gdb does, in the target's view
first and in ours second; it counts only with the same build-id or the right CRC-32.
"""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Iterator

import msgspec

from hakmem_tools.model.profile_records import Module
from hakmem_tools.observe.elf import ElfError, ElfFile

DEBUG_ROOT = "/usr/lib/debug"
_PIECE = 1 << 20


class ModuleFiles(msgspec.Struct, frozen=True):
    """Paths that open, or None. `note` says why the module itself has no names: one phrase."""

    module: str | None
    debug: str | None
    build_id: str | None
    note: str = ""


def find_files(module: Module, pid: int | None = None) -> ModuleFiles:
    """The files of a module; `pid` is the process that maps it, while it still runs."""
    note = ""
    found: tuple[str, str | None] | None = None
    for path in _places(module, pid):
        try:
            with ElfFile(path) as file:
                build_id, identity = file.build_id(), file.identity
        except (ElfError, OSError):
            continue
        if _is_same(module, build_id, identity, path):
            found = (path, build_id)
            break
        note = "replaced on disk"
    build_id = found[1] if found else module.build_id
    debug = _debug_file(module, found[0] if found else None, build_id)
    if found or debug:
        note = ""
    elif not note:
        note = "deleted" if module.deleted else "no such file here"
    return ModuleFiles(found[0] if found else None, debug, build_id, note)


def _places(module: Module, pid: int | None) -> Iterator[str]:
    if pid is not None:
        yield from _map_files(module, pid)
        yield f"/proc/{pid}/root{module.path}"
    if module.root:
        yield module.root + module.path
    yield module.path


def _map_files(module: Module, pid: int) -> Iterator[str]:
    """The mapping itself, which still opens a file that was deleted or replaced."""
    from hakmem_tools.observe.proc import parse_maps

    try:
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
    except OSError:
        return
    for mapping in parse_maps(text):
        path = mapping.path.removesuffix(" (deleted)")
        same_file = (mapping.device, mapping.inode) == (module.device, module.inode)
        if mapping.inode and (same_file or (not module.inode and path == module.path)):
            yield f"/proc/{pid}/map_files/{mapping.map_file}"
            return


def _is_same(module: Module, build_id: str | None, identity: tuple[int, int], path: str) -> bool:
    if module.build_id is not None:
        return build_id == module.build_id
    if "/map_files/" in path or not module.inode:
        return True
    # Overlay file systems show another device in maps than in stat.
    return identity[1] == module.inode


def _debug_file(module: Module, path: str | None, build_id: str | None) -> str | None:
    roots = [module.root + DEBUG_ROOT, DEBUG_ROOT] if module.root else [DEBUG_ROOT]
    for root in roots:
        if build_id is not None and len(build_id) > 2 and build_id.isalnum():
            candidate = f"{root}/.build-id/{build_id[:2]}/{build_id[2:]}.debug"
            if _has_build_id(candidate, build_id):
                return candidate
    return None if path is None else _linked(module, path, roots)


def _has_build_id(path: str, build_id: str) -> bool:
    try:
        with ElfFile(path) as file:
            return file.build_id() == build_id
    except (ElfError, OSError):
        return False


def _linked(module: Module, path: str, roots: list[str]) -> str | None:
    """The file that .gnu_debuglink names, if its CRC-32 is the one that is written there."""
    link = debug_link(path)
    if link is None:
        return None
    name, crc = link
    directory = os.path.dirname(module.path)
    for candidate in (
        os.path.join(os.path.dirname(path), name),
        f"{module.root}{directory}/{name}",
        f"{module.root}{directory}/.debug/{name}",
        *(f"{root}{directory}/{name}" for root in roots),
    ):
        try:
            if not os.path.samefile(candidate, path) and _crc(candidate) == crc:
                return candidate
        except OSError:
            continue
    return None


def debug_link(path: str) -> tuple[str, int] | None:
    """Name and CRC-32 in a file's .gnu_debuglink; None without one."""
    from elftools.common.exceptions import ELFError
    from elftools.construct import ConstructError
    from elftools.elf.elffile import ELFFile

    try:
        with open(path, "rb") as file:
            section = ELFFile(file).get_section_by_name(".gnu_debuglink")
            data = section.data() if section is not None else b""
    except (OSError, ELFError, ConstructError, ValueError, KeyError, TypeError, IndexError):
        return None
    name, _, rest = data.partition(b"\0")
    text = name.decode("utf-8", "replace")
    # The file lies beside the module: a name with a slash or nothing in it is no name.
    if len(rest) < 4 or not text or "/" in text or text in (".", ".."):
        return None
    return text, int.from_bytes(data[-4:], "little")


def _crc(path: str) -> int:
    value = 0
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path} is no plain file")  # the target may have laid a device there
        while piece := file.read(_PIECE):
            value = zlib.crc32(piece, value)
    return value
