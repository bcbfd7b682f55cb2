"""A process that does what a test tells it: Python statements on its standard input.

It runs under libhakmem unless told otherwise. Each do() returns when its statements are done,
so that no test has to wait for anything.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from hakmem_tools.native.header import find_library

_LOOP = """
import ctypes, json, os, signal, sys, threading
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
scope = globals()
print("ready", flush=True)
for line in sys.stdin:
    exec(json.loads(line), scope)
    print("done", flush=True)
"""
#: Debian's own interpreter: the same allocations on every machine, and not our virtual environment.
INTERPRETER = "/usr/bin/python3"


class Puppet:
    """One such process; killed at the end of `with`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.pid = process.pid
        self._expect("ready")

    def do(self, statements: str) -> None:
        """Runs the statements in the process and waits for their end."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(statements) + "\n")
        self.process.stdin.flush()
        self._expect("done")

    def ask(self, expression: str) -> str:
        """The value of an expression in the process, as text without newlines."""
        self.do(f"print({expression}, end=' ')")
        return self._last_words

    def become(self, script: str, environment: Mapping[str, str] | None = None) -> None:
        """Turns it into another interpreter, running `script`, under the same process id.

        Returns when the script has started; it must go on until it is killed.
        """
        words = [INTERPRETER, "-c", f"print('become', flush=True)\n{script}"]
        call = f"os.execve({INTERPRETER!r}, {words!r}, "
        call += "os.environ)" if environment is None else f"{dict(environment)!r})"
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(call) + "\n")
        self.process.stdin.flush()
        self._expect("become")

    def kill(self) -> None:
        """Ends it and reaps it."""
        self.process.kill()
        self.process.wait()

    def _expect(self, word: str) -> None:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.endswith(f"{word}\n"), f"the process said {line!r} and not {word!r}"
        self._last_words = line.removesuffix(f"{word}\n").strip()


@contextlib.contextmanager
def puppet(
    *, preload: bool = True, env: Mapping[str, str] | None = None, prefix: Sequence[str] = ()
) -> Iterator[Puppet]:
    """A puppet under libhakmem (with `preload`), started through the command `prefix`."""
    environment = clean_environment() | dict(env or {})
    if preload:
        environment["LD_PRELOAD"] = str(library_path())
    command = [*prefix, INTERPRETER, "-u", "-c", _LOOP]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        yield Puppet(process)
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def clean_environment() -> dict[str, str]:
    """Our environment without anybody's knobs, allocator or interpreter settings."""
    dropped = ("HAKMEM_", "HAKO_", "LD_", "PYTHON")
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)}


def need_another_user() -> None:
    """Skips the test where no other user can run what is in this checkout."""
    if os.geteuid() != 0:
        pytest.skip("needs root to become another user")
    drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    if subprocess.run([*drop, "test", "-r", library_path(), "-a", "-x", sys.executable]).returncode:
        pytest.skip("another user may not enter this checkout")


def library_path() -> Path:
    """The library under test."""
    return find_library()
