"""From an exception to one line on stderr and an exit code; the only place that knows both.

Codes: 0 done or passed, 1 a gate failed, 2 usage, 3 inconclusive, 4 a privilege or probe is
missing, 126 and 127 as a shell, 130 on Ctrl-C.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable

import click

DONE = 0
GATE_FAILED = 1
USAGE = 2
INCONCLUSIVE = 3
MISSING = 4
INTERRUPTED = 130


class Failure(Exception):
    """A command cannot go on: one line that says what, the value, what is allowed, what next."""

    def __init__(self, message: str, exit_code: int = USAGE) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def say(message: str) -> None:
    """One line to the person at the terminal, on stderr."""
    line = " ".join(message.split("\n"))
    if sys.stderr is None:
        return
    with contextlib.suppress(OSError):  # nobody listens
        print(f"hakmem: {line}", file=sys.stderr, flush=True)


def _known(error: BaseException) -> tuple[str, int] | None:
    """Message and exit code of an error that is not a defect of ours; None for one that is."""
    from hakmem_tools.model.event_choice import UnknownEvent
    from hakmem_tools.model.settings import SettingError
    from hakmem_tools.native.header import LibraryNotFound
    from hakmem_tools.observe import source, target

    text = str(error)
    if isinstance(error, Failure | target.CannotStart):
        return text, error.exit_code
    if isinstance(error, SettingError | UnknownEvent | source.NoSuchProcess | target.CannotPreload):
        return text, USAGE
    if isinstance(error, source.TargetError | source.SourceUnavailable | LibraryNotFound):
        return text, MISSING
    if isinstance(error, source.TargetGone):
        return text, INCONCLUSIVE
    if isinstance(error, PermissionError):
        return f"{_os_error(error)}; run as its owner or as root", MISSING
    if isinstance(error, OSError):
        return _os_error(error), USAGE
    return None


def _os_error(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"


def _usage_message(error: click.UsageError) -> str:
    path = error.ctx.command_path if error.ctx else "hakmem"
    message = error.format_message().rstrip(".")
    return f"{message}; `{path} --help` shows what is allowed"


def _prepare_streams() -> None:
    """Keeps the numbers of closed standard streams from our own files, until an exec.

    And prints what a terminal of another character set cannot show in another way.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _on_terminate(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)  # through every `finally`, so that probes are detached


def run_guarded(command: Callable[[], object], *, show_traceback: bool = False) -> int:
    """Runs a command; returns its exit code, with every error told in one line."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _on_terminate)
    _prepare_streams()
    try:
        result = command()
        if sys.stdout is not None:
            sys.stdout.flush()
        return result if isinstance(result, int) and not isinstance(result, bool) else DONE
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else DONE
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has left. Python's own flush at exit must not complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return USAGE
    except click.UsageError as error:
        say(_usage_message(error))
        return USAGE
    except click.ClickException as error:
        say(error.format_message())
        return error.exit_code if error.exit_code != 1 else USAGE
    except Exception as error:
        return _tell(error, show_traceback)


def _tell(error: Exception, show_traceback: bool) -> int:
    if show_traceback:
        traceback.print_exc()
    known = _known(error)
    if known is not None:
        say(known[0])
        return known[1]
    kind = type(error).__name__
    say(f"defect: {kind}: {error}; please report it with the output of `hakmem --traceback ...`")
    return INCONCLUSIVE
