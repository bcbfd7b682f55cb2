"""`hakmem tune`: searches settings of a program for a better one, and verifies what it finds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from hakmem_tools.cli.errors import DONE, INTERRUPTED, Failure, run_guarded, say
from hakmem_tools.cli.interrupt import asked_to_stop
from hakmem_tools.cli.output import print_json, print_line, table
from hakmem_tools.cli.sweeping import (
    MeasuringCommand,
    Teller,
    adjusted,
    exit_code,
    failures,
    measured,
    measuring_options,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from hakmem_tools.model.trial import Trial
    from hakmem_tools.tune.plan import Plan
    from hakmem_tools.tune.result import SweepResult
    from hakmem_tools.tune.search import Outcome
    from hakmem_tools.tune.space import Space

_SHOWN = 10


@click.command(cls=MeasuringCommand)
@click.option("-k", "--knob", "knobs", multiple=True, metavar="KNOB",
              help="Search a libhakmem knob over all that it may be.")  # fmt: skip
@click.option("-L", "--list", "lists", nargs=2, multiple=True, metavar="NAME V1,V2",
              help="Search these values of a variable.")  # fmt: skip
@click.option("-P", "--range", "ranges", nargs=2, multiple=True, metavar="NAME LO:HI[:STEP]",
              help="Search a range of a variable.")  # fmt: skip
@click.option("--trials", type=click.IntRange(2, 2000), default=27, show_default=True,
              help="Settings to try.")  # fmt: skip
@click.option("--sampler", type=click.Choice(["auto", "random", "tpe"]), default="auto",
              help="Where settings come from; tpe is Optuna's.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path),
              help="The study's folder; taken up if it holds one.")  # fmt: skip
@click.option("--force", is_flag=True, help="Begin the study in that folder anew.")
@measuring_options
@click.pass_context
def command(
    context: click.Context, knobs: tuple[str, ...], lists: tuple[tuple[str, str], ...],
    ranges: tuple[tuple[str, str], ...], trials: int, sampler: str, output: Path | None,
    force: bool, how: dict[str, Any],
) -> int:  # fmt: skip
    """Search for a better setting: hakmem tune -k KNOB ... [OPTIONS] -- COMMAND [ARGS...].

    Settings are compared with the default; the best third goes on, with three times the runs. The
    winner is verified with fresh runs. -o names the folder of the study; `hakmem apply` takes it.
    """
    from hakmem_tools.tune import libhakmem, samplers, search, study
    from hakmem_tools.tune.plan import Plan

    program = measured(context)
    if not program:
        raise Failure("no command to measure: hakmem tune -k KNOB -- COMMAND")
    library = libhakmem.installed()
    with failures(), asked_to_stop() as stopping:
        space = _space(knobs, lists, ranges, library)
        plan = adjusted(Plan(command=program, arms=()), how)
        folder = _folder(output, plan, space)
        if force:
            study.clear(folder)
        say(f"study: {folder}; {space.size} settings, {min(trials, space.size)} to try")
        wanted = search.Search(plan=plan, space=space, trials=trials)
        source = samplers.sampler_named(sampler, space, plan.seed)
        try:
            measure = _measure(library, how["scheduler"], stopping)
            outcome = search.conduct(wanted, folder, source, measure, say)
        except search.Stopped:
            say(f"stopped; the same command with -o {folder} goes on")
            return INTERRUPTED
        study.save(folder, plan, outcome)
    _show(outcome, folder, how["as_json"])
    if how["gate"] and outcome.verification is not None:
        return exit_code(outcome.verification, True, "GO")
    return DONE


def _space(
    knobs: tuple[str, ...], lists: tuple[tuple[str, str], ...], ranges: tuple[tuple[str, str], ...],
    library: Any,
) -> Space:  # fmt: skip
    from hakmem_tools.tune.libhakmem import knob_named
    from hakmem_tools.tune.plan import PlanError, parse_list, parse_range
    from hakmem_tools.tune.space import Axis, axis_of_knob, space_of

    axes = []
    for name in knobs:
        if library is None:
            raise PlanError(f"-k {name}: there is no libhakmem.so; run `make build`")
        knob, index = knob_named(library, name)
        axes.append(axis_of_knob(knob, knob.env_name(index)))
    for name, text in lists:
        found, values = parse_list(name, text)
        axes.append(Axis(found, tuple(values), ordered=False))
    for name, text in ranges:
        found, values = parse_range(name, text)
        axes.append(Axis(found, tuple(values)))
    return space_of(axes)


def _folder(named: Path | None, plan: Plan, space: Space) -> Path:
    """The study's folder: the one named, or one called by what is searched."""
    import hashlib

    if named is None:
        from platformdirs import user_state_path

        what = msgspec.json.encode((plan.command, plan.metric, space), order="deterministic")
        name = hashlib.sha256(what).hexdigest()[:16]
        named = user_state_path("hakmem") / "studies" / name
    if named.exists() and not named.is_dir():
        raise Failure(f"-o {named}: a study needs a folder, and this is a file")
    named.mkdir(parents=True, exist_ok=True)
    return named


def _measure(library: Any, scheduler: str | None, stopping: Callable[[], bool]) -> Any:
    """Conducts one plan of the search; a sweep that is complete is only read."""
    from hakmem_tools.tune import cluster, session
    from hakmem_tools.tune.experiment import result_of
    from hakmem_tools.tune.store import Store

    def conducted(plan: Plan, path: Path) -> SweepResult:
        told: dict[str, Any] = {"observe": Teller(quiet=True), "stopping": stopping}
        if scheduler:
            return cluster.run(plan, path, scheduler, **told)[0]
        return session.run(plan, path, library=library, **told)[0]

    def measure(plan: Plan, path: Path) -> tuple[SweepResult, list[Trial]] | None:
        plan = cluster.placed(plan) if scheduler else session.prepare(plan, os.environ, library)
        if not session.is_complete(plan, path) and not conducted(plan, path).complete:
            return None
        with Store.open(path) as store:
            return result_of(store), store.trials()

    return measure


def _show(outcome: Outcome, folder: Path, as_json: bool) -> None:
    from hakmem_tools.tune.report import words

    if as_json:
        for candidate in outcome.candidates:
            print_json(msgspec.to_builtins(candidate))
        verified = outcome.verification
        print_json({
            "winner": msgspec.to_builtins(outcome.winner),
            "verification": msgspec.to_builtins(verified.arms[0]) if verified else None,
            "study": str(folder),
        })  # fmt: skip
        return
    rows = [
        [words.percent(one.effect), str(one.pairs), str(one.rung), one.arm]
        for one in outcome.candidates[:_SHOWN]
    ]
    for line in table(["EFFECT", "PAIRS", "RUNG", "SETTING"], rows):
        print_line(line)
    if outcome.winner is None or outcome.verification is None:
        print_line("no setting looks better than the default")
        return
    arm = outcome.verification.arms[0]
    print_line(f"winner: {outcome.winner.name}")
    print_line(f"verified with fresh runs: {arm.verdict}: {arm.reason}")
    print_line(f"to use it: hakmem apply {folder}")


if __name__ == "__main__":
    raise SystemExit(run_guarded(lambda: command.main(standalone_mode=False)))
