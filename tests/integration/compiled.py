"""Compiles the C programs of tests/programs and tests/misuse, and reads libhakmem's own report.

The reliability and misuse tests use it. It runs nothing but the compiler and judges nothing.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.integration.preload import LIMIT_S, clean_environment

FLAGS = ("-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-pthread")
# What a program does wrong on purpose is no news, and must not be optimised away.
MISUSE_FLAGS = (*FLAGS, "-fno-builtin", "-Wno-use-after-free", "-Wno-free-nonheap-object")


def compiled(source: Path, into: Path, *flags: str) -> Path:
    """The program (or, with -shared, the object) made from one C file; an error fails the test."""
    target = into / (source.stem + (".so" if "-shared" in flags else ""))
    result = subprocess.run(
        ["gcc", *(flags or FLAGS), source, "-o", target, "-ldl"],
        capture_output=True,
        text=True,
        env=clean_environment(),
        timeout=LIMIT_S,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return target


def counters(stderr: bytes) -> dict[str, int]:
    """Sums of what HAKMEM_STATS=counters printed, by name; what it left out is not there."""
    sums: dict[str, int] = {}
    for line in stderr.decode(errors="replace").splitlines():
        if not line.startswith("hakmem:"):
            continue
        for name, value in re.findall(r"(\w+)=(\d+)", line):
            sums[name] = sums.get(name, 0) + int(value)
    return sums


def without_report(stderr: bytes) -> str:
    """What else the program left on stderr."""
    lines = stderr.decode(errors="replace").splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("hakmem:"))
