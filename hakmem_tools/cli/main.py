"""The `hakmem` command: finds a subcommand's file by its name and runs it under one error guard.

A command is a module hakmem_tools.cli.NAME with a click command called `command`. Its module is
imported when it is called for, so that `hakmem --help` stays quick and no command pays for
another's libraries.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence

import click

from hakmem_tools.cli.errors import run_guarded

#: Every command there may be, in the order of a working day; listed where its module exists.
COMMANDS = {
    "run": "Start a program under libhakmem, with a mode and knobs.",
    "top": "Watch a process live (--headless for scripts).",
    "stat": "Print the counters, now or over an interval.",
    "trace": "Stream rare events: shared_fail, integrity and others.",
    "profile": "Record where allocations come from.",
    "report": "Read a sweep's or a profile's file again.",
    "diff": "Compare two profiles.",
    "export": "Convert a profile for other tools.",
    "knobs": "List every knob, or a process's effective ones.",
    "probes": "List every probe, and what is attached.",
    "ab": "Compare two settings, with verdicts.",
    "sweep": "Compare many settings, with verdicts.",
    "tune": "Search the knob space for a better setting.",
    "apply": "Put a winning setting to work, and check it again.",
    "bench": "Run the benchmark scenarios against other allocators.",
    "doctor": "Tell what works on this machine, and how to mend what does not.",
}


class CommandGroup(click.Group):
    """Loads subcommands by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in COMMANDS if importlib.util.find_spec(_module_name(name))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = importlib.import_module(_module_name(cmd_name)).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name]) for name in self.list_commands(ctx)])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            raise click.UsageError(f"no command {args[0]!r}{self._nearest(ctx, args[0])}", ctx)
        return super().resolve_command(ctx, args)

    def _nearest(self, ctx: click.Context, name: str) -> str:
        import difflib

        close = difflib.get_close_matches(name, self.list_commands(ctx), n=2)
        return f" (did you mean {' or '.join(close)}?)" if close else ""


def _module_name(command: str) -> str:
    return f"hakmem_tools.cli.{command}"


def _print_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            click.echo(f"hakmem {version('hakmem')}")
        except PackageNotFoundError:
            click.echo("hakmem (not installed)")
        ctx.exit()


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version and exit.",
)
@click.option("--traceback", is_flag=True, expose_value=False, help="Show where an error arose.")
def group() -> None:
    """An allocator that explains itself: start, watch, trace and tune programs under libhakmem.

    A target is -p PID, or -- COMMAND to start one. Each command has a manual page:
    man hakmem-COMMAND.
    """


def run_command(arguments: Sequence[str]) -> int:
    """Runs `hakmem ARGUMENTS`; returns its exit code. Never raises for bad input."""

    def invoke() -> object:
        with group.make_context("hakmem", list(arguments)) as context:
            return group.invoke(context)

    return run_guarded(invoke, show_traceback="--traceback" in arguments[:1])


def main() -> None:
    """Entry point `hakmem`."""
    sys.exit(run_command(sys.argv[1:]))


def top_main() -> None:
    """Entry point `hakmem-top`, the same as `hakmem top`."""
    sys.exit(run_command(["top", *sys.argv[1:]]))
