"""`hakmem report` of a profile: its views as text or JSON lines, each with its error."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hakmem_tools.cli.errors import DONE, Failure
from hakmem_tools.cli.sink import Sink

if TYPE_CHECKING:
    from hakmem_tools.model.profile import Moment, Profile

_CONTEXT = {"help_option_names": ["-h", "--help"]}
_VIEWS = ("live", "cumulative", "growth", "leaks", "temporary", "freed", "lifetimes")
_GROUPS = ("stack", "site", "function", "module", "thread", "class", "size")


@click.command(context_settings=_CONTEXT)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--view", type=click.Choice(_VIEWS), default="live", help="What to show (live).")
@click.option("--by", type=click.Choice(_GROUPS), default="stack", help="One row for each (stack).")
@click.option("--top", type=int, default=20, metavar="COUNT", help="How many rows (20; 0: all).")
@click.option("--depth", type=int, default=12, metavar="COUNT", help="Frames of a stack (12).")
@click.option("--since", type=float, metavar="SECONDS", help="From then on, from the start.")
@click.option("--until", type=float, metavar="SECONDS", help="Up to then, from the start.")
@click.option("--json", "as_json", is_flag=True, help="JSON lines.")
@click.option("-o", "path", metavar="FILE", help="Write there instead of stdout.")
@click.option("--force", is_flag=True, help="Overwrite FILE.")
def command(
    file: Path,
    view: str,
    by: str,
    top: int,
    depth: int,
    since: float | None,
    until: float | None,
    as_json: bool,
    path: str | None,
    force: bool,
) -> int:
    """Show where the memory of a recorded process comes from.

    Figures are estimates with their 95 % interval; what was lost is said with each view.
    """
    from hakmem_tools.cli.profile_file import moment, open_profile

    for name, number in (("--top", top), ("--depth", depth)):
        if number < 0:
            raise Failure(f"{name} {number}: must be 0 or more")
    profile = open_profile(file)
    during = moment(profile, since, until)
    if view == "growth" and since is None:
        during = moment(profile, 0.0, until)  # since recording began
    with Sink(path, force) as sink:
        if as_json:
            _print_json(profile, view, by, top, during, sink)
        else:
            _print_text(profile, view, by, (top, depth), during, sink)
        sink.flush()
    return DONE


def _print_json(profile: Profile, view: str, by: str, top: int, during: Moment, sink: Sink) -> None:
    """Stacks with all their figures; another view or grouping gives its own rows."""
    from hakmem_tools.cli.profile_file import asked, name_stacks
    from hakmem_tools.model.profile_join import joins
    from hakmem_tools.model.profile_lines import row_record, stack_records, summary_record
    from hakmem_tools.model.profile_views import STACK_GROUPS, Grouping, rows

    missing = name_stacks(profile)
    if (view, by) == ("live", "stack"):
        records = asked(lambda: stack_records(profile, during))
    elif view == "lifetimes":
        records = [
            {"view": view, "log2_ns": age, "bytes": round(a.weighted), "samples": a.samples}
            for age, a in asked(lambda: profile.lifetimes(during)).items()
        ]
    else:
        grouping = Grouping(profile, by)
        joined = joins(profile, during, grouping.of_stack) if by in STACK_GROUPS else {}
        made = asked(lambda: rows(profile, view, by, during))
        records = [row_record(view, by, row, joined.get(row.group)) for row in made]
    for record in records[: top or None] if (view, by) != ("live", "stack") else records:
        sink.json(record)
    sink.json(asked(lambda: summary_record(profile, during, missing)))


def _print_text(
    profile: Profile, view: str, by: str, limits: tuple[int, int], during: Moment, sink: Sink
) -> None:
    from hakmem_tools.cli.profile_file import asked, name_stacks, tell
    from hakmem_tools.cli.profile_text import lifetime_lines, view_lines
    from hakmem_tools.model.profile_trust import quality, truncation_advice
    from hakmem_tools.model.profile_views import rows

    missing: tuple[str, ...] = ()
    if view == "lifetimes":
        lines = asked(lambda: lifetime_lines(profile, during))
    else:
        if by == "stack":  # only what is shown needs names
            shown = asked(lambda: rows(profile, view, by, during))[: limits[0] or None]
            missing = name_stacks(profile, [r.group for r in shown if isinstance(r.group, int)])
        elif by in ("site", "function", "module"):
            missing = name_stacks(profile)
        made = asked(lambda: rows(profile, view, by, during))
        lines = view_lines(profile, view, by, made, limits, during)
    for line in lines:
        sink.line(line)
    sink.flush()
    about = asked(lambda: quality(profile, "freed" if view == "lifetimes" else view, during))
    tell((*profile.missing, *truncation_advice(profile, about), *missing))
