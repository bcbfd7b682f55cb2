"""`hakmem run`: becomes a program under libhakmem, with a mode and knobs."""

from __future__ import annotations

import re

import click

from hakmem_tools.cli.errors import Failure
from hakmem_tools.cli.target_options import CONTEXT, start_environment, start_options

_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")


@click.command(context_settings=CONTEXT)
@start_options
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def command(
    words: tuple[str, ...], mode: str | None, settings: tuple[str, ...], lib: str | None
) -> None:
    """Start a program under libhakmem: hakmem run [NAME=VALUE...] -- COMMAND [ARGS...].

    A NAME is a knob's variable or its table name (`hakmem knobs`). hakmem becomes the program:
    its exit code, signals and streams are the program's own.
    """
    from hakmem_tools.observe.target import execute

    count = next((i for i, word in enumerate(words) if not _ASSIGNMENT.match(word)), len(words))
    program = words[count + 1 :] if words[count : count + 1] == ("--",) else words[count:]
    if not program or not program[0]:
        raise Failure("no program to run: hakmem run [NAME=VALUE...] -- COMMAND")
    execute(program, start_environment(mode, (*settings, *words[:count]), lib))
