"""`hakmem report` for a sweep's file: renders it, takes in others, or lists the runs of an arm."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hakmem_tools.cli.errors import DONE, Failure
from hakmem_tools.cli.output import print_line, table

if TYPE_CHECKING:
    from hakmem_tools.model.trial import Trial

_FILE = click.Path(path_type=Path)
_FORMATS = {"text": "terminal", "md": "markdown", "json": "json", "csv": "csv", "html": "html"}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("file", type=_FILE)
@click.option("--format", "form", type=click.Choice(list(_FORMATS)), default=None,
              help="How to render it; by default what -o ends with, or text.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--merge", multiple=True, type=_FILE, help="Take in another file of this sweep.")
@click.option("--runs", metavar="ARM", help="List every run of an arm instead.")
@click.option("-o", "--output", type=_FILE, help="Write to a file.")
@click.option("--force", is_flag=True, help="Replace the file named with -o.")
def command(
    file: Path, form: str | None, as_json: bool, merge: tuple[Path, ...], runs: str | None,
    output: Path | None, force: bool,
) -> int:  # fmt: skip
    """Render a sweep's file: text, Markdown, JSON lines, CSV of all runs, or one HTML page."""
    from hakmem_tools.tune.experiment import result_of
    from hakmem_tools.tune.report import render
    from hakmem_tools.tune.store import Store, StoreError

    if output is not None and output.exists() and not force:
        raise Failure(f"{output}: exists; --force replaces it")
    form = "json" if as_json else form or (output.suffix.lstrip(".") if output else "text")
    kind = _FORMATS.get("text" if form == "txt" else form)
    if kind is None:
        raise Failure(f"-o {output}: say --format; allowed are {', '.join(_FORMATS)}")
    try:
        with Store.open(file) as store:
            for other in merge:
                with Store.open(other) as taken:
                    store.merge(taken)
            trials = store.trials()
            if runs is not None:
                return _list_runs(runs, [arm.name for arm in store.plan.arms], trials)
            text = render(kind, result_of(store), trials, store.plan.rules)
    except StoreError as error:
        raise Failure(str(error)) from None
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text)
    return DONE


def _list_runs(arm: str, arms: list[str], trials: list[Trial]) -> int:
    if arm not in arms:
        raise Failure(f"--runs {arm!r}: no such arm; allowed are {', '.join(arms)}")
    rows = []
    for trial in trials:
        if trial.arm == arm:
            wall = f"{trial.metrics['wall']:.6f}" if "wall" in trial.metrics else "–"
            rows.append([trial.key.phase, str(trial.key.block), str(trial.key.position),
                         trial.host, str(trial.status), wall, trial.detail])  # fmt: skip
    heads = ["PHASE", "BLOCK", "PLACE", "HOST", "STATUS", "WALL", "DETAIL"]
    for line in table(heads, rows):
        print_line(line)
    return DONE
