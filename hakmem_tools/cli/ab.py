"""`hakmem ab`: compares settings, the first being the reference, and gives verdicts."""

from __future__ import annotations

from typing import Any

import click

from hakmem_tools.cli.errors import Failure, run_guarded
from hakmem_tools.cli.sweeping import MeasuringCommand, measure, measured, sweep_options


@click.command(cls=MeasuringCommand)
@click.argument("arms", nargs=-1, type=click.UNPROCESSED)
@sweep_options
@click.pass_context
def command(context: click.Context, arms: tuple[str, ...], how: dict[str, Any]) -> int:
    """Compare environments: hakmem ab 'A=1' 'A=2' [OPTIONS] -- COMMAND [ARGS...].

    The first arm is the reference; '-' is the environment as it is.
    """
    from hakmem_tools.tune.plan import Plan, distinct_names, parse_arm

    program = measured(context)
    if not program:
        raise Failure("no command to measure: hakmem ab 'A=1' 'A=2' -- COMMAND")
    return measure(
        lambda: Plan(command=program, arms=distinct_names([parse_arm(one) for one in arms])), how
    )


if __name__ == "__main__":
    raise SystemExit(run_guarded(lambda: command.main(standalone_mode=False)))
