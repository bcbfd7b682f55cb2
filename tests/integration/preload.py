"""Runs a program with and without libhakmem, for the tests that compare the two.

The integration tests use it. It compares nothing itself and knows no program.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Another allocator can stand in, to tell a fault of a test from a fault of the library.
LIBRARY = Path(os.environ.get("HAK_TEST_PRELOAD", ROOT / "build" / "libhakmem.so"))
LIMIT_S = 240  # a hang ends the test; no verdict depends on it


@dataclass(frozen=True)
class Outcome:
    """What a program left behind; `loaded` names the programs that ran with the library."""

    code: int
    stdout: bytes
    stderr: bytes
    loaded: frozenset[str] = frozenset()


def clean_environment() -> dict[str, str]:
    """The environment without anybody's allocator, knobs, locale or git configuration."""
    dropped = ("HAKMEM_", "HAKO_", "LD_", "PYTHON", "GIT_", "NODE_OPTIONS", "LC_", "LANG")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return kept | {"LC_ALL": "C.UTF-8", "TZ": "UTC", "GIT_CONFIG_GLOBAL": "/dev/null"}


def preloaded_environment(report: Path | None = None) -> dict[str, str]:
    """The clean environment with the library in it; the dynamic loader reports into `report`.*"""
    environment = clean_environment() | {"LD_PRELOAD": str(LIBRARY)}
    if report is not None:
        environment |= {"LD_DEBUG": "files", "LD_DEBUG_OUTPUT": str(report)}
    return environment


def run(
    argv: Sequence[str | Path],
    *,
    preload: bool,
    cwd: Path,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
) -> Outcome:
    """One run to its end; `env` is laid over the clean environment."""
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "loader"
        environment = preloaded_environment(report) if preload else clean_environment()
        ended = subprocess.run(
            [str(word) for word in argv],
            input=stdin,
            cwd=cwd,
            env=environment | dict(env or {}),
            capture_output=True,
            timeout=LIMIT_S,
            check=False,
        )
        loaded = programs_with_library(report.parent) if preload else frozenset()
    return Outcome(ended.returncode, ended.stdout, ended.stderr, loaded)


def programs_with_library(reports: Path) -> frozenset[str]:
    """Base names of the programs whose loader report says that it started the library."""
    names = set()
    for report in reports.iterdir():
        library_started = False  # anew for each program: one that execs has them in one report
        for line in report.read_text(errors="replace").splitlines():
            if line.endswith(f"calling init: {LIBRARY}"):
                library_started = True
            elif match := re.search(r"initialize program: (\S+)", line):
                if library_started:
                    names.add(Path(match[1]).name)
                library_started = False
    return frozenset(names)


def first_difference(one: bytes, other: bytes) -> str:
    """The first line in which two outputs differ, for a message that fits a screen."""
    pairs = zip(one.splitlines(), other.splitlines(), strict=False)
    for number, (left, right) in enumerate(pairs, start=1):
        if left != right:
            return f"line {number}: {left[:200]!r} without, {right[:200]!r} with the library"
    return f"{len(one)} bytes without, {len(other)} bytes with the library"
