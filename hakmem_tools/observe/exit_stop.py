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
_GROUP_STOPS = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)


def _ptrace(request: int, pid: int, data: int) -> bool:
    call = ctypes.CDLL(None, use_errno=True).ptrace
    call.restype = ctypes.c_long
    call.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    return bool(call(request, pid, None, data) == 0)


def stop_at_exit(pid: int) -> bool:
    """Asks for the stop; False where ptrace is not permitted. wait_stopping() must follow."""
    return _ptrace(_SEIZE, pid, _OPTION_TRACE_EXIT)


def let_go(pid: int, status: int) -> None:
    """Ends the tracing of a program that waitpid() has just found stopped; its signal passes."""
    _ptrace(_DETACH, pid, 0 if status >> 16 else os.WSTOPSIG(status))


def wait_stopping(pid: int, before_exit: Callable[[], None]) -> int:
    """Waits for the end of a program under stop_at_exit(); calls `before_exit` at its stop.

    Returns the exit status, negative for a signal. On an exception (Ctrl-C) the program goes on.
    """
    while True:
        _, status = os.waitpid(pid, _WAIT_ALL)
        if not os.WIFSTOPPED(status):
            return os.waitstatus_to_exitcode(status)
        number, event = os.WSTOPSIG(status), status >> 16
        if event == _EVENT_EXIT:
            try:
                before_exit()
            finally:
                let_go(pid, status)
        elif event == _EVENT_STOP:
            # A group stop lasts until SIGCONT; any other such stop is the tracer's own.
            _ptrace(_LISTEN if number in _GROUP_STOPS else _CONT, pid, 0)
        else:
            _ptrace(_CONT, pid, number)
