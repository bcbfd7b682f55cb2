"""`hakmem report`: reads a recorded file again, whatever kind it is.

A sweep's file goes to `report_sweep`, everything else to the profile's reader; each has its own
options, so this one only looks at the first bytes and hands the arguments on.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import click

from hakmem_tools.cli.errors import DONE, Failure, run_guarded

_SQLITE = b"SQLite format 3\x00"
_SWEEP = "hakmem_tools.cli.report_sweep"
_PROFILE = "hakmem_tools.cli.profile_report"
_HELP = "Read a recorded file again. What it holds is told by its first bytes."


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="FILE [OPTIONS]")
@click.pass_context
def command(context: click.Context, arguments: tuple[str, ...]) -> Any:
    """Read a recorded file again, of a profile or of a sweep: hakmem report FILE [OPTIONS].

    What the file holds is told by its first bytes; each kind has options of its own.
    """
    module = _reader(arguments)
    if module is None:
        return _print_help(context)
    reader: click.Command = importlib.import_module(module).command
    with reader.make_context("report", list(arguments), parent=context.parent) as inner:
        return reader.invoke(inner)


def _print_help(context: click.Context) -> int:
    """Without a file: what each kind of file has to offer."""
    click.echo(f"Usage: {context.command_path} FILE [OPTIONS]\n\n  {_HELP}")
    for title, module in (
        ("A profile (of `hakmem profile`)", _PROFILE),
        ("A sweep (of `hakmem sweep`, `ab` or `tune`)", _SWEEP),
    ):
        reader: click.Command = importlib.import_module(module).command
        with click.Context(reader, info_name="report", parent=context.parent) as inner:
            _, _, text = reader.get_help(inner).partition("\n\n")  # without its own usage line
            click.echo(f"\n{title}:\n\n{text}")
    return DONE


def _reader(arguments: tuple[str, ...]) -> str | None:
    """The module that reads the file among the arguments; None for help alone."""
    files = [Path(one) for one in arguments if not one.startswith("-") and Path(one).is_file()]
    if not files:
        if {"-h", "--help"} & set(arguments):
            return None
        named = [one for one in arguments if not one.startswith("-")]
        raise Failure(f"{named[0]}: no such file" if named else "no file: hakmem report FILE")
    with files[0].open("rb") as file:
        return _SWEEP if file.read(len(_SQLITE)) == _SQLITE else _PROFILE


if __name__ == "__main__":
    raise SystemExit(run_guarded(lambda: command.main(standalone_mode=False)))
