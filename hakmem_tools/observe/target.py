"""The process that a command works on: found by its id, or started under libhakmem.

A started program keeps the environment and any LD_PRELOAD that was there. Its standard output
goes where the caller says, so that it does not mix with our data.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hakmem_tools.observe.counters import CountersSource
from hakmem_tools.observe.exit_stop import poll, stop_at_exit, wait_stopping
from hakmem_tools.observe.proc import Process
from hakmem_tools.observe.source import NoPage, NoSuchProcess, NotPermitted, TargetGone

_PAUSE_S = 0.0005
_LONGEST_PAUSE_S = 0.05
_END_GRACE_S = 3.0


class CannotStart(Exception):
    """A program did not start; `exit_code` is what a shell would return (126 or 127)."""

    def __init__(self, command: str, error: OSError) -> None:
        missing = error.errno in (errno.ENOENT, errno.ENOTDIR)
        self.exit_code = 127 if missing else 126
        what = "no such command" if missing else (error.strerror or "cannot be run").lower()
        super().__init__(f"{command}: {what}")


class CannotPreload(Exception):
    """The library's path cannot stand in LD_PRELOAD; the message says what to do."""


def preload_environment(
    library: Path, settings: Mapping[str, str], environment: Mapping[str, str]
) -> dict[str, str]:
    """`environment` with the library preloaded first and the settings added.

    Raises CannotPreload for a path with a space or colon, which LD_PRELOAD cannot name.
    """
    if any(character in str(library) for character in " :"):
        raise CannotPreload(f"{library}: LD_PRELOAD takes no path with a space or colon; move it")
    before = environment.get("LD_PRELOAD", "")
    names = [name for name in before.replace(" ", ":").split(":") if name]
    others = [name for name in names if name != str(library)]
    return {**environment, **settings, "LD_PRELOAD": ":".join([str(library), *others])}


def _restore_signals() -> None:
    """Undoes what Python ignores; handlers go back to their defaults with the exec itself."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)


def execute(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Becomes the command; does not return. Raises CannotStart."""
    _restore_signals()
    try:
        os.execvpe(command[0], list(command), environment)
    except OSError as error:
        raise CannotStart(command[0], error) from None


class Launched:
    """A program that we started. Held ones wait for release() before their first instruction."""

    def __init__(self, pid: int, gate: int | None, errors: int, command: str) -> None:
        self.pid = pid
        self.status: int | None = None
        self._gate = gate
        self._errors = errors
        self._stops_at_exit = False
        self.command = command

    def release(self) -> None:
        """Lets a held program start; returns when it has. Raises CannotStart."""
        if self._gate is not None:
            os.write(self._gate, b"g")
            os.close(self._gate)
            self._gate = None
        if self._errors < 0:
            return
        with os.fdopen(self._errors, "rb") as pipe:
            self._errors = -1
            code = pipe.read()
        if code:
            self.status = self._reap()
            raise CannotStart(self.command, OSError(int(code), os.strerror(int(code))))

    def _reap(self) -> int:
        if self._stops_at_exit:
            return wait_stopping(self.pid, lambda: None)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def poll(self) -> int | None:
        """Its exit status (negative: the signal that ended it), or None while it runs."""
        if self.status is None:
            self.status = poll(self.pid)
        return self.status

    def wait(self) -> int:
        """Waits for its end; the exit status as for poll()."""
        if self.status is None:
            self.status = self._reap()
        return self.status

    def wait_stopping(self, before_exit: Callable[[], None]) -> int:
        """Releases a held program and waits for its end; calls `before_exit` just before it.

        Where ptrace is not permitted, `before_exit` is called again and again while it runs.
        """
        self._stops_at_exit = stop_at_exit(self.pid)
        self.release()
        if self._stops_at_exit:
            self.status = wait_stopping(self.pid, before_exit)
            return self.status
        pause_s = _PAUSE_S
        while self.poll() is None:
            before_exit()
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        return self.wait()

    def end(self) -> None:
        """Asks it to end, and ends it after a grace period. Nothing if it has ended."""
        deadline = time.monotonic() + _END_GRACE_S
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.poll() is not None:
                return
            os.kill(self.pid, number)
            while self.poll() is None and (number == signal.SIGKILL or time.monotonic() < deadline):
                time.sleep(_PAUSE_S)


def launch(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    redirect: Mapping[int, int] | None = None,
    hold: bool = False,
) -> Launched:
    """Starts a program; `redirect` maps its streams (0, 1, 2) to descriptors of ours.

    With `hold`, it waits until release(): probes can be attached to its pid before it runs.
    Raises CannotStart (from release() when held).
    """
    sys.stdout.flush()
    sys.stderr.flush()
    gate_read, gate_write = os.pipe()
    errors_read, errors_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become(command, environment, redirect or {}, (gate_read, gate_write), errors_write)
    os.close(gate_read)
    os.close(errors_write)
    launched = Launched(pid, gate_write, errors_read, command[0])
    if not hold:
        launched.release()
    return launched


def _become(
    command: Sequence[str],
    environment: Mapping[str, str],
    redirect: Mapping[int, int],
    gate: tuple[int, int],
    errors: int,
) -> None:
    """The child's part: waits at the gate, then becomes the command. Does not return."""
    try:
        os.close(gate[1])
        if os.read(gate[0], 1) == b"":  # the parent has gone: nobody would watch
            os._exit(127)
        for stream, descriptor in redirect.items():
            os.dup2(descriptor, stream)
        _restore_signals()
        os.execvpe(command[0], list(command), environment)
    except OSError as error:
        os.write(errors, str(error.errno).encode())
    except BaseException:
        os.write(errors, str(errno.EINVAL).encode())
    finally:
        os.close(errors)  # before the stop at its exit: the parent waits for the pipe's end
        os._exit(127)


def check_target(pid: int) -> None:
    """Raises TargetError when the process is not there or may not be read."""
    with Process(pid) as process:
        try:
            process.maps()
        except TargetGone:
            raise NoSuchProcess(f"process {pid} has ended") from None
        except PermissionError:
            raise process.not_permitted() from None


def await_page(
    launched: Launched,
    *,
    timeout_s: float = 10.0,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> CountersSource:
    """The counters page of a program that has just been started.

    Raises NoPage when the program ends first, or shows none within `timeout_s`.
    """
    deadline = clock() + timeout_s
    reason = ""
    while clock() < deadline:
        try:
            return CountersSource(launched.pid)
        except NotPermitted:
            # A set-user-id program, or one that has just changed its user.
            raise
        except (NoPage, NoSuchProcess) as error:
            reason = str(error)
        if launched.poll() is not None:
            raise NoPage(
                f"{launched.command} ended (status {launched.status}) before its counters page "
                "could be read; HAKMEM_STATS=counters makes a short program print its counts"
            )
        sleep(_PAUSE_S)
    raise NoPage(f"{reason} (a static or set-user-id program ignores LD_PRELOAD)")
