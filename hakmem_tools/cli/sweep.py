"""`hakmem sweep`: measures many settings, from a spec or from lists on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hakmem_tools.cli.errors import DONE, Failure, run_guarded
from hakmem_tools.cli.sweeping import MeasuringCommand, measure, measured, show, sweep_options

if TYPE_CHECKING:
    from hakmem_tools.tune.plan import Plan

_FILE = click.Path(path_type=Path)


@click.command(cls=MeasuringCommand)
@click.argument("spec", required=False, type=_FILE)
@click.option("-L", "--list", "lists", nargs=2, multiple=True, metavar="NAME V1,V2",
              help="Values of a variable; several lists are crossed.")  # fmt: skip
@click.option("-P", "--range", "ranges", nargs=2, multiple=True, metavar="NAME LO:HI[:STEP]",
              help="A range of a variable.")  # fmt: skip
@click.option("--merge", multiple=True, type=_FILE, help="Take in another file of this sweep.")
@click.option("--show", "shown", type=_FILE, help="Report a sweep's file; measure nothing.")
@sweep_options
@click.pass_context
def command(
    context: click.Context, spec: Path | None, lists: tuple[tuple[str, str], ...],
    ranges: tuple[tuple[str, str], ...], merge: tuple[Path, ...], shown: Path | None,
    how: dict[str, Any],
) -> int:  # fmt: skip
    """Measure settings: hakmem sweep SPEC.toml, or -L NAME v1,v2 -- COMMAND [ARGS...].

    The first value of each list makes the reference. Starting the same sweep again goes on where
    it was interrupted, even by a kill.
    """
    if shown is not None:
        return _show(shown, merge, how)
    program = measured(context)
    if merge:
        raise Failure("--merge goes with --show FILE: it takes other files into that one")
    if (spec is None) == (not (lists or ranges)):
        raise Failure("give a spec file, or -L/-P with a command after --; one of the two")
    return measure(lambda: _plan(spec, lists, ranges, program), how)


def _plan(
    spec: Path | None, lists: tuple[tuple[str, str], ...], ranges: tuple[tuple[str, str], ...],
    program: tuple[str, ...],
) -> Plan:  # fmt: skip
    from hakmem_tools.tune.plan import Plan, PlanError, cross, parse_list, parse_range
    from hakmem_tools.tune.spec import parse_spec

    if spec is None:
        axes = [parse_list(*one) for one in lists] + [parse_range(*one) for one in ranges]
        return Plan(command=program, arms=cross(axes))
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


def _show(path: Path, others: tuple[Path, ...], how: dict[str, Any]) -> int:
    from hakmem_tools.tune.experiment import result_of
    from hakmem_tools.tune.store import Store, StoreError

    try:
        with Store.open(path) as store:
            for other in others:
                with Store.open(other) as taken:
                    store.merge(taken)
            result = result_of(store)
    except StoreError as error:
        raise Failure(str(error)) from None
    show(result, path, how)
    return DONE


if __name__ == "__main__":
    raise SystemExit(run_guarded(lambda: command.main(standalone_mode=False)))
