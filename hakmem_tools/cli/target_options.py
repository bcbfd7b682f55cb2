"""The target of a command: `-p PID`, or `-- COMMAND` started under libhakmem.

Gives commands one decorator and one context manager; what a process is and how it starts is
observe/target.py's business.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from hakmem_tools.cli.errors import Failure, say

if TYPE_CHECKING:
    from hakmem_tools.observe.counters import CountersSource
    from hakmem_tools.observe.open import Wanted
    from hakmem_tools.observe.source import Source

_MOST = 365 * 86400
_LEAST = 0.001
CONTEXT = {"allow_interspersed_args": False}


class TargetSpec(msgspec.Struct, frozen=True):
    """What the command line says about the target."""

    pid: int | None
    command: tuple[str, ...]
    mode: str | None
    settings: tuple[str, ...]
    lib: str | None

    def __bool__(self) -> bool:
        return self.pid is not None or bool(self.command)


class OpenTarget(msgspec.Struct, frozen=True):
    """A running target; `launched` is the program when this command started it."""

    pid: int
    launched: Any = None

    @property
    def title(self) -> str:
        """Its command line, for people."""
        from hakmem_tools.observe.proc import Process
        from hakmem_tools.observe.source import TargetGone

        try:
            with Process(self.pid) as process:
                return process.command_line()
        except TargetGone:
            return f"process {self.pid}"


def start_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--mode, --set and --lib: how a program is started under libhakmem."""
    for option in (
        click.option("--lib", metavar="FILE", help="The libhakmem.so to use."),
        click.option("--set", "settings", metavar="NAME=VALUE", multiple=True, help="Set a knob."),
        click.option("-m", "--mode", metavar="MODE", help="Preset of knob values."),
    ):
        function = option(function)
    return function


def target_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the target's options; the function gets them as one `target: TargetSpec`."""
    return _with_target(function, required=True)


def optional_target_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same, where no target means the library; an absent target is false."""
    return _with_target(function, required=False)


def _with_target(function: Callable[..., Any], *, required: bool) -> Callable[..., Any]:
    @functools.wraps(function)
    def with_spec(
        *,
        pid: int | None,
        command: tuple[str, ...],
        mode: str | None,
        settings: tuple[str, ...],
        lib: str | None,
        **others: Any,
    ) -> Any:
        spec = TargetSpec(pid, command, mode, settings, lib)
        _check(spec, required)
        return function(target=spec, **others)

    decorated = click.argument("command", nargs=-1, type=click.UNPROCESSED)(
        start_options(with_spec)
    )
    pid_option = click.option("-p", "--pid", type=int, metavar="PID", help="Watch this process.")
    return pid_option(decorated)


def _check(spec: TargetSpec, required: bool) -> None:
    if spec.pid is not None and spec.command:
        raise click.UsageError("give -p PID or -- COMMAND, not both")
    if spec.command and not spec.command[0]:
        raise click.UsageError("the command after -- is an empty word")
    if required and not spec:
        raise click.UsageError("no target: give -p PID or -- COMMAND")
    if spec.pid is not None and spec.pid < 1:
        raise click.UsageError(f"-p {spec.pid}: a process id is 1 or more")
    if not spec.command and (spec.mode is not None or spec.settings):
        raise click.UsageError("--mode and --set are for a program that is started: -- COMMAND")


def start_environment(
    mode: str | None, settings: tuple[str, ...], lib: str | None
) -> dict[str, str]:
    """Our environment with libhakmem preloaded and the settings checked and added."""
    from hakmem_tools.model.settings import settings_environment
    from hakmem_tools.native.library import open_library
    from hakmem_tools.observe.target import preload_environment

    library = open_library(lib)
    wanted = [f"HAKMEM_MODE={mode}"] if mode is not None else []
    variables = settings_environment(library.descriptors, [*wanted, *settings])
    return preload_environment(Path(library.path), variables, os.environ)


@contextmanager
def open_target(
    spec: TargetSpec, *, redirect: Mapping[int, int] | None = None, hold: bool = False
) -> Iterator[OpenTarget]:
    """The running target. A started program's stdout goes to our stderr, unless redirected.

    What this command started ends with it, save on Ctrl-C, which leaves it running.
    """
    # Imported before anything starts: a short program must not end while we import.
    from hakmem_tools.observe import counters  # noqa: F401
    from hakmem_tools.observe.target import check_target, launch

    if spec.pid is not None:
        check_target(spec.pid)
        yield OpenTarget(spec.pid)
        return
    environment = start_environment(spec.mode, spec.settings, spec.lib)
    redirect = {1: sys.stderr.fileno()} if redirect is None else redirect
    with ending_with_us(launch(spec.command, environment, redirect=redirect, hold=hold)) as opened:
        yield opened


@contextmanager
def ending_with_us(launched: Any) -> Iterator[OpenTarget]:
    """A program that this command started: it ends with it, save on Ctrl-C."""
    try:
        yield OpenTarget(launched.pid, launched)
    except KeyboardInterrupt:
        if launched.poll() is None:
            say(f"{launched.command} (pid {launched.pid}) goes on")
        raise
    except BaseException:
        launched.end()
        raise
    if launched.poll() is None:
        launched.end()
        say(f"{launched.command} (pid {launched.pid}) ended, since this command started it")


def opened_counters(target: OpenTarget) -> CountersSource:
    """The target's CountersSource, awaiting its page when the program has just been started."""
    from hakmem_tools.observe.counters import CountersSource
    from hakmem_tools.observe.target import await_page

    if target.launched is not None:
        return await_page(target.launched)
    return CountersSource(target.pid)


def opened_source(target: OpenTarget, want: Wanted = "auto") -> Source:
    """The best source for the target, or the one asked for."""
    from hakmem_tools.observe.open import open_source

    return open_source(target.pid, want, page=opened_counters(target))


def positive(name: str, value: float) -> None:
    """Raises Failure unless a millisecond <= value <= a year of seconds (or so many turns)."""
    if not 0 < value <= _MOST:
        raise Failure(f"{name} {value:g}: must be more than 0 and at most {_MOST}")
    if value < _LEAST:
        raise Failure(f"{name} {value:g}: must be at least {_LEAST:g}")
