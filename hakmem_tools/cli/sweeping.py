"""What `sweep`, `ab` and `tune` share: their options, progress on stderr, results on stdout."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from hakmem_tools.cli.errors import DONE, INCONCLUSIVE, INTERRUPTED, USAGE, Failure, say
from hakmem_tools.cli.interrupt import asked_to_stop

if TYPE_CHECKING:
    from hakmem_tools.tune.experiment import Progress
    from hakmem_tools.tune.plan import Plan
    from hakmem_tools.tune.result import SweepResult

_SUFFIXES = {".html": "html", ".md": "markdown", ".json": "json", ".csv": "csv", ".txt": "terminal"}
_FILE = click.Path(path_type=Path)


_REST = "hakmem.measured"
_MEASURING = (
    "max_time", "repeats", "precision", "until", "timeout", "metric", "also", "better", "perf",
    "seed", "scheduler", "gate", "as_json",
)  # fmt: skip
_FILES = ("report", "output", "force")


class MeasuringCommand(click.Command):
    """A command that measures another one: what stands after the first -- is not read as ours."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        place = args.index("--") if "--" in args else len(args)
        ctx.meta[_REST] = tuple(args[place + 1 :])
        return super().parse_args(ctx, args[:place])


def measured(context: click.Context) -> tuple[str, ...]:
    """The command after --, empty when there is none."""
    rest: tuple[str, ...] = context.meta.get(_REST, ())
    return rest


def measuring_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options of every command that measures arms; they arrive as one dictionary `how`."""

    @click.option("--max-time", type=click.FloatRange(0.1), help="Seconds to measure at most.")
    @click.option("--repeats", type=click.IntRange(5), help="Blocks to measure at most.")
    @click.option("--precision", type=click.FloatRange(0.01, 100), help="Stop at +- so many %.")
    @click.option("--until", type=click.Choice(["verdict", "difference", "precision"]))
    @click.option("--timeout", type=click.FloatRange(0.01), help="Seconds for one run at most.")
    @click.option(
        "--metric",
        metavar="METRIC",
        help="What is compared: wall, cpu, peak_rss, ...;"
        " NAME=REGEX or json:PATH of the output; counter:NAME; probe:NAME.",
    )
    @click.option("--also", metavar="METRIC", multiple=True, help="Report this as well.")
    @click.option("--better", type=click.Choice(["lower", "higher"]), help="Which is better.")
    @click.option("--perf", metavar="EVENT[,EVENT]", help="Counters, as `perf list` names them.")
    @click.option("--seed", type=click.IntRange(0), help="Seed of the random order.")
    @click.option("--gate", is_flag=True, help="Exit 1 on a NO-GO, 3 when it cannot be told.")
    @click.option("--scheduler", metavar="ADDRESS", help="Run on a dask cluster: tcp://HOST:8786.")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
    @functools.wraps(function)
    def wrapped(**given: Any) -> Any:
        return function(how={name: given.pop(name) for name in _MEASURING}, **given)

    return wrapped


def sweep_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Those, and the options of the commands that make one sweep; in the same dictionary."""

    @click.option("--report", type=_FILE, multiple=True, help="Also write .html .md .json .csv.")
    @click.option("-o", "--output", type=_FILE, help="The sweep's file; taken up if not complete.")
    @click.option("--force", is_flag=True, help="Replace the files named with -o and --report.")
    @functools.wraps(function)
    def with_files(how: dict[str, Any], **given: Any) -> Any:
        return function(how={**how, **{name: given.pop(name) for name in _FILES}}, **given)

    return measuring_options(with_files)


def adjusted(plan: Plan, how: dict[str, Any]) -> Plan:
    """The plan with what the command line says about limits, metric and counters."""
    from hakmem_tools.tune.metric import parse_metric
    from hakmem_tools.tune.plan import PlanError

    fields = {"max_time": "max_time", "repeats": "blocks", "until": "until",
              "timeout": "run_timeout"}  # fmt: skip
    limits = {to: how[name] for name, to in fields.items() if how[name] is not None}
    if how["precision"] is not None:
        limits["precision"] = how["precision"] / 100
    changes: dict[str, Any] = {"limits": msgspec.structs.replace(plan.limits, **limits)}
    if how["metric"] is not None:
        changes["metric"] = parse_metric(how["metric"], how["better"])
    elif how["better"]:
        changes["metric"] = msgspec.structs.replace(plan.metric, better=how["better"])
    if how["also"]:
        changes["also"] = (*plan.also, *(parse_metric(one) for one in how["also"]))
    if how["perf"] is not None:
        changes["perf_events"] = tuple(one for one in how["perf"].split(",") if one)
        if not changes["perf_events"]:
            raise PlanError(f"--perf {how['perf']!r}: no event; write instructions,page-faults")
    if how["seed"] is not None:
        changes["seed"] = how["seed"]
    return msgspec.structs.replace(plan, **changes)


def measure(make: Callable[[], Plan], how: dict[str, Any], need: str | None = None) -> int:
    """Conduct a plan and print its result; returns the exit code."""
    from hakmem_tools.tune import cluster, libhakmem, session

    check_reports(how)
    with failures(), asked_to_stop() as stopping:
        plan, path = adjusted(make(), how), how["output"]
        shared: dict[str, Any] = {
            "force": how["force"], "observe": Teller(), "stopping": stopping,
            "opened": lambda opened: say(f"sweep file: {opened.path}"),
        }  # fmt: skip
        if how["scheduler"]:
            result, path = cluster.run(plan, path, how["scheduler"], **shared)
        else:
            result, path = session.run(plan, path, library=libhakmem.installed(), **shared)
        stopped = stopping() and not result.complete
    return conclude(result, path, how, stopped, need)


def conclude(
    result: SweepResult, path: Path, how: dict[str, Any], stopped: bool, need: str | None = None
) -> int:
    """Print the result, and say what follows from it; returns the exit code."""
    show(result, path, how)
    if stopped:
        say(f"stopped; the same command goes on with {path}")
        return INTERRUPTED
    return exit_code(result, how["gate"], need)


@contextlib.contextmanager
def failures() -> Iterator[None]:
    """Turns what a sweep cannot go on with into one line and its exit code."""
    from hakmem_tools.tune import experiment, plan, session, store

    try:
        yield
    except (plan.PlanError, store.StoreError) as error:
        raise Failure(str(error), USAGE) from None
    except session.CommandError as error:
        raise Failure(str(error), error.exit_code) from None
    except experiment.ExperimentError as error:
        raise Failure(str(error), INCONCLUSIVE) from None


def exit_code(result: SweepResult, gated: bool, need: str | None) -> int:
    """What a command ends with: 0, or what the verdicts say when a gate is asked for."""
    from hakmem_tools.tune.verdict import Kind, gate

    if not gated:
        return DONE
    return gate([arm.verdict for arm in result.arms], Kind(need) if need else None)


def check_reports(how: dict[str, Any]) -> None:
    """Failure for a report that could not be written, before anything is measured."""
    for path in how["report"]:
        if path.suffix not in _SUFFIXES:
            raise Failure(f"--report {path}: allowed endings are {', '.join(_SUFFIXES)}")
        if path.exists() and not how["force"]:
            raise Failure(f"--report {path}: exists; --force replaces it")


def show(result: SweepResult, path: Path, how: dict[str, Any]) -> None:
    """Print the result, and write the reports asked for."""
    from hakmem_tools.tune.report import render
    from hakmem_tools.tune.store import Store

    click.echo(render("json" if how["as_json"] else "terminal", result), nl=False)
    if how["report"]:
        with Store.open(path) as store:
            trials, rules = store.trials(), store.plan.rules
        for target in how["report"]:
            target.write_text(render(_SUFFIXES[target.suffix], result, trials, rules))


class Teller:
    """Tells progress: a line that changes on a terminal, and one line per look elsewhere."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet  # no line per look where there is no terminal
        self._terminal = sys.stderr.isatty()
        self._told: set[tuple[str, str]] = set()

    def __call__(self, progress: Progress) -> None:
        left = "" if progress.left is None else f", at most {progress.left:.0f} s left"
        text = f"{progress.phase}: block {progress.blocks} of at most {progress.horizon}{left}"
        settled = [
            f"{arm} {state.verdict.kind}" for arm, state in progress.states.items() if state.done
        ]
        text += f"; {', '.join(settled)}" if settled else ""
        if self._terminal:
            end = "\n" if progress.phase == "measure" and not progress.active else ""
            print(f"\r\x1b[K{text[:160]}", end=end, file=sys.stderr, flush=True)
        elif progress.trial is None and not self._quiet:
            say(text)
        self._tell_failure(progress)

    def _tell_failure(self, progress: Progress) -> None:
        """Once for each way in which an arm fails; a reference that only fails ends the sweep."""
        trial = progress.trial
        if trial is None or trial.ok or progress.phase == "calibrate":
            return
        if (trial.arm, trial.detail) not in self._told:
            self._told.add((trial.arm, trial.detail))
            lead = "\r\x1b[K" if self._terminal else ""
            print(lead, end="", file=sys.stderr)
            say(f"{trial.arm}: {trial.detail}")
