"""Asks the dynamic loader: what a program would load, and which tunables its libc has.

`catalogues` uses it. The loader is run with `--list` and `--list-tunables`, which start no program;
the measured command itself is never executed here.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

_SECONDS = 10.0
_FALLBACK = "/bin/true"


class Loaded(NamedTuple):
    """Libraries by name as the loader finds them, and what it complained about, line by line."""

    libraries: Mapping[str, str]
    complaints: tuple[str, ...]


class Tunable(NamedTuple):
    """A glibc tunable: value in force and range as the loader prints them (None: no number)."""

    name: str
    value: int | None
    minimum: int | None
    maximum: int | None


def loader_of(program: str, path: str | None = None) -> tuple[str, str]:
    """The program's loader and the program itself, as full paths.

    For a script or a static program (which have none) the loader of /bin/true stands in.
    """
    found = shutil.which(program, path=path)
    for candidate in (found, _FALLBACK):
        interpreter = _interpreter(candidate) if candidate else None
        if candidate and interpreter:
            return interpreter, candidate
    raise FileNotFoundError(f"no dynamic loader found, not even that of {_FALLBACK}")


def loaded(program: str, env: Mapping[str, str]) -> Loaded:
    """What the program would load under `env`, LD_PRELOAD included."""
    loader, full = loader_of(program, env.get("PATH"))
    done = _ask([loader, "--list", full], env)
    libraries = dict(re.findall(r"^\s*(\S+) => (\S+) \(", done.stdout, re.MULTILINE))
    # A preload given by path is printed without an arrow.
    for direct in re.findall(r"^\s*(/\S+) \(", done.stdout, re.MULTILINE):
        libraries.setdefault(Path(direct).name, direct)
    complaints = tuple(line.strip() for line in done.stderr.splitlines() if line.strip())
    return Loaded(libraries, complaints)


def tunables(program: str, env: Mapping[str, str]) -> dict[str, Tunable]:
    """Tunables of the program's libc, values in force under `env`; empty for another libc."""
    loader, _ = loader_of(program, env.get("PATH"))
    clean = {name: value for name, value in env.items() if name != "LD_PRELOAD"}
    done = _ask([loader, "--list-tunables"], clean)
    found = {}
    pattern = r"^(\S+):(?: (\S+))?(?: \(min: (\S+), max: (\S+)\))?$"
    for name, value, low, high in re.findall(pattern, done.stdout, re.MULTILINE):
        found[name] = Tunable(name, _integer(value), _integer(low), _integer(high))
    return found


def run_quietly(command: list[str], env: Mapping[str, str]) -> str:
    """Run a harmless program under `env`; everything it and its allocator print."""
    done = _ask(command, env)
    return done.stdout + done.stderr


def _ask(command: list[str], env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=dict(env), capture_output=True, text=True, errors="replace",
        timeout=_SECONDS, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def _interpreter(path: str) -> str | None:
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        with open(path, "rb") as file:
            for segment in ELFFile(file).iter_segments("PT_INTERP"):
                return bytes(segment.data()).rstrip(b"\0").decode()
    except (OSError, ELFError):
        return None
    return None


def _integer(text: str) -> int | None:
    try:
        return int(text, 0)
    except ValueError:
        return None
