"""`hakmem sweep`: measures many settings, from a spec or from lists on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hakmem_tools.cli.errors import Failure, run_guarded
from hakmem_tools.cli.sweeping import MeasuringCommand, measure, measured, sweep_options

if TYPE_CHECKING:
    from hakmem_tools.model.trial import Arm
    from hakmem_tools.tune.plan import Plan

_FILE = click.Path(path_type=Path)


@click.command(cls=MeasuringCommand)
@click.argument("spec", required=False, type=_FILE)
@click.option("-L", "--list", "lists", nargs=2, multiple=True, metavar="NAME V1,V2",
              help="Values of a variable; several lists are crossed.")  # fmt: skip
@click.option("-P", "--range", "ranges", nargs=2, multiple=True, metavar="NAME LO:HI[:STEP]",
              help="A range of a variable.")  # fmt: skip
@click.option("--live", is_flag=True, help="Switch live knobs of a running process.")
@click.option("-p", "--pid", type=click.IntRange(1), help="The process for --live.")
@click.option("--slice", "slice_text", default="2s", metavar="SECONDS", show_default=True,
              help="Length of a slice of --live.")  # fmt: skip
@sweep_options
@click.pass_context
def command(
    context: click.Context, spec: Path | None, lists: tuple[tuple[str, str], ...],
    ranges: tuple[tuple[str, str], ...], live: bool, pid: int | None, slice_text: str,
    how: dict[str, Any],
) -> int:  # fmt: skip
    """Measure settings: hakmem sweep SPEC.toml, or -L NAME v1,v2 -- COMMAND [ARGS...].

    The first value of each list makes the reference. Starting the same sweep again goes on where
    it was interrupted, even by a kill. With --live -p PID, live knobs of a running process are
    switched in random slices, and put back at the end.
    """
    program = measured(context)
    if live:
        from hakmem_tools.cli.sweep_live import measure_live

        if spec is not None or program:
            raise Failure("--live takes its process from -p PID: no spec, no -- COMMAND")
        return measure_live(pid, slice_text, lambda: _axes(lists, ranges), how)
    if pid is not None:
        raise Failure("-p PID goes with --live; a sweep that starts its program takes -- COMMAND")
    if (spec is None) == (not (lists or ranges)):
        raise Failure("give a spec file, or -L/-P with a command after --; one of the two")
    return measure(lambda: _plan(spec, lists, ranges, program), how)


def _plan(
    spec: Path | None, lists: tuple[tuple[str, str], ...], ranges: tuple[tuple[str, str], ...],
    program: tuple[str, ...],
) -> Plan:  # fmt: skip
    from hakmem_tools.tune.plan import Plan, PlanError
    from hakmem_tools.tune.spec import parse_spec

    if spec is None:
        return Plan(command=program, arms=_axes(lists, ranges))
    if program:
        raise PlanError("the spec names the command; leave out -- COMMAND")
    try:
        return parse_spec(spec.read_text())
    except OSError as error:
        raise PlanError(f"{spec}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise PlanError(f"{spec}: not UTF-8 text") from None
    except PlanError as error:
        raise PlanError(f"{spec}: {error}") from None


def _axes(
    lists: tuple[tuple[str, str], ...], ranges: tuple[tuple[str, str], ...]
) -> tuple[Arm, ...]:
    from hakmem_tools.tune.plan import cross, parse_list, parse_range

    return cross([parse_list(*one) for one in lists] + [parse_range(*one) for one in ranges])


if __name__ == "__main__":
    raise SystemExit(run_guarded(lambda: command.main(standalone_mode=False)))
