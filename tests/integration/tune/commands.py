"""Calls the sweep commands as a user does: own process, own files, everything told on exit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

LIMIT_S = 120


class Said(NamedTuple):
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Standard output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


def command(*arguments: str | Path) -> list[str]:
    """The command line of `hakmem ARGUMENTS`."""
    return [str(Path(sys.executable).with_name("hakmem")), *map(str, arguments)]


def hakmem(*arguments: str | Path, env: dict[str, str] | None = None) -> Said:
    """Run `hakmem ARGUMENTS` to its end."""
    done = subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=LIMIT_S, check=False,
        env={**os.environ, **(env or {})},
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return Said(done.returncode, done.stdout, done.stderr)


def sleeper(folder: Path, body: str) -> Sequence[str]:
    """A shell script with this body, as a command."""
    path = folder / "program.sh"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return [str(path)]


def eventually(true: Callable[[], bool]) -> None:
    """Return once it holds; fail after a long time."""
    never = threading.Event()
    for _ in range(100 * LIMIT_S):
        if true():
            return
        never.wait(0.01)
    raise AssertionError("it never came true")
