"""Stops a program that we started just before it ends, so that its last counts can be read.

A zombie's /proc/PID/fd is empty: without this, a program that lives for a millisecond ends
before its page is found. Uses ptrace on its first thread for nothing but the exit stop; signals
and job control pass through. When we die, the kernel lets the program go on.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable

_SEIZE = 0x4206
_LISTEN = 0x4208
_CONT = 7
_DETACH = 17
_OPTION_TRACE_EXIT = 0x40
_EVENT_EXIT = 6
_EVENT_STOP = 128
_WAIT_ALL = 0x40000000  # __WALL: a main thread that has become a non-leader's tracee, too
_ENDED = (os.CLD_EXITED, os.CLD_KILLED, os.CLD_DUMPED)
_GROUP_STOPS = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)


def _ptrace(request: int, pid: int, data: int) -> bool:
    call = ctypes.CDLL(None, use_errno=True).ptrace
    call.restype = ctypes.c_long
    call.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    return bool(call(request, pid, None, data) == 0)


def stop_at_exit(pid: int) -> bool:
    """Asks for the stop; False where ptrace is not permitted. wait_stopping() must follow."""
    return _ptrace(_SEIZE, pid, _OPTION_TRACE_EXIT)


def poll(pid: int) -> int | None:
    """Its exit status, or None while it runs; one that is stopped for nobody is let go.

    For a program whose wait_stopping() was interrupted; for any other child, a plain poll.
    """
    stop = _next_change(pid, os.WNOHANG)
    if stop is None:
        return None
    if stop.si_code in _ENDED:
        return _reap(pid)
    _let_go(pid, stop)
    return None


def wait_stopping(pid: int, before_exit: Callable[[], None]) -> int:
    """Waits for the end of a program under stop_at_exit(); calls `before_exit` at its stop.

    Returns the exit status, negative for a signal. On an exception (Ctrl-C) the program goes on,
    once poll() has been called until it has ended.
    """
    while True:
        stop = _next_change(pid, 0)
        assert stop is not None, "a wait without WNOHANG returns a change"
        if stop.si_code in _ENDED:
            return _reap(pid)
        number, event = stop.si_status & 0xFF, stop.si_status >> 8
        if event == _EVENT_EXIT:
            try:
                before_exit()
            finally:
                _let_go(pid, stop)
        elif event == _EVENT_STOP:
            # A group stop lasts until SIGCONT; any other such stop is the tracer's own.
            _ptrace(_LISTEN if number in _GROUP_STOPS else _CONT, pid, 0)
        else:
            _ptrace(_CONT, pid, number)


def _next_change(pid: int, flags: int) -> os.waitid_result | None:
    """The program's stop or end, left in place: an interrupt before we act on it loses nothing.

    The kernel forgets a stop when a request resumes the program, and an end when it is reaped.
    """
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | _WAIT_ALL | flags)


def _reap(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, _WAIT_ALL)[1])


def _let_go(pid: int, stop: os.waitid_result) -> None:
    """Ends the tracing of a stopped program; a signal it was stopped for passes."""
    _ptrace(_DETACH, pid, 0 if stop.si_status >> 8 else stop.si_status)
