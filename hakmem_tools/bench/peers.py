"""The allocators to compare: where their libraries are, which version they are.

`conduct` puts each under the workloads by LD_PRELOAD; glibc is the program without any. Finding
means looking at files: no library is loaded, no package is installed.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sysconfig
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import msgspec

from hakmem_tools.native.header import LIBRARY_NAME, LibraryNotFound, find_library

OURS = "hakmem"
MINIMAL = "hakmem-minimal"  # built with BENCH_MINIMAL=1
FLOOR = "floor"  # bench/floor.c: what the workload alone takes
DEFAULT_PEERS = ("glibc", "mimalloc", "jemalloc", "tcmalloc", OURS)
KNOWN_PEERS = (*DEFAULT_PEERS, MINIMAL, FLOOR)
PROJECT = Path(__file__).resolve().parents[2]

_DEBIAN = {  # peer: file name, package
    "jemalloc": ("libjemalloc.so.2", "libjemalloc2"),
    "tcmalloc": ("libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"),
}
_HOW_TO_GET = {
    "mimalloc": "pip install cmeel-mimalloc",
    "jemalloc": "apt-get install libjemalloc2",
    "tcmalloc": "apt-get install libtcmalloc-minimal4",
    OURS: "make build",
    MINIMAL: "make build BENCH_MINIMAL=1",
    FLOOR: "make workloads",
}


class Peer(msgspec.Struct, frozen=True):
    """An allocator: its name, the library to preload (None for glibc) and its version if known."""

    name: str
    library: str | None
    version: str | None

    @property
    def ours(self) -> bool:
        """Whether this is a build of hakmem or the floor, and so never the best peer."""
        return self.name in (OURS, FLOOR) or self.name.startswith(f"{OURS}-")

    def describe(self) -> dict[str, str | None]:
        """What a result keeps of it: no path of the machine, but the library's fingerprint."""
        fingerprint = None
        if self.library is not None:
            fingerprint = hashlib.sha256(Path(self.library).read_bytes()).hexdigest()[:16]
        file = None if self.library is None else Path(self.library).name
        return {"version": self.version, "file": file, "sha256": fingerprint}


def find_peers(names: Iterable[str]) -> tuple[list[Peer], list[str]]:
    """The peers that are here, and for each that is not one line on how to get it.

    A name is one of `KNOWN_PEERS`, or `NAME=LIBRARY` for any other library. Raises ValueError for
    an unknown name and for a library that does not exist: those were asked for by hand.
    """
    found: list[Peer] = []
    missing: list[str] = []
    for name in dict.fromkeys(names):
        given, separator, path = name.partition("=")
        if separator:
            found.append(_given_library(given, path))
        elif name not in KNOWN_PEERS:
            known = ", ".join(KNOWN_PEERS)
            raise ValueError(f"unknown peer {name!r}; known are {known}, or NAME=LIBRARY.so")
        elif peer := _find(name):
            found.append(peer)
        else:
            missing.append(f"{name}: not found, left out ({_HOW_TO_GET[name]})")
    return found, missing


def _given_library(name: str, path: str) -> Peer:
    library = Path(path).resolve()
    if not name or not library.is_file():
        raise ValueError(f"{name}={path}: no such file; give NAME=LIBRARY.so")
    return Peer(name, str(library), None)


def _find(name: str) -> Peer | None:
    if name == "glibc":
        return Peer(name, None, os.confstr("CS_GNU_LIBC_VERSION"))
    if name == "mimalloc":
        return _find_mimalloc()
    if name in _DEBIAN:
        return _find_debian(name)
    library = _own_library(name)
    return None if library is None else Peer(name, str(library), _hakmem_version())


_BUILT = {  # besides the library itself
    MINIMAL: Path("minimal", LIBRARY_NAME),
    FLOOR: Path("bench", "libfloor.so"),
}


def _own_library(name: str) -> Path | None:
    if name in _BUILT:
        library = PROJECT / "build" / _BUILT[name]
        return library if library.is_file() else None
    try:
        return find_library().resolve()
    except LibraryNotFound:
        return None


def _find_mimalloc() -> Peer | None:
    """mimalloc 3.4 from the Python package `cmeel-mimalloc`; the distribution's 2.0 is no peer."""
    try:
        package = metadata.distribution("cmeel-mimalloc")
    except metadata.PackageNotFoundError:
        return None
    for file in package.files or ():
        if file.name == "libmimalloc.so":
            return Peer("mimalloc", str(Path(str(file.locate())).resolve()), package.version)
    return None


def _find_debian(name: str) -> Peer | None:
    file, package = _DEBIAN[name]
    multiarch = sysconfig.get_config_var("MULTIARCH") or "x86_64-linux-gnu"
    for folder in (f"/usr/lib/{multiarch}", "/usr/lib64", "/usr/lib", "/usr/local/lib"):
        library = Path(folder, file)
        if library.is_file():
            return Peer(name, str(library.resolve()), _package_version(package))
    return None


def _package_version(package: str) -> str | None:
    command = ["dpkg-query", "--show", "--showformat=${Version}", package]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None if answer.returncode == 0 else None


def _hakmem_version() -> str | None:
    try:
        return metadata.version("hakmem")
    except metadata.PackageNotFoundError:
        return None
