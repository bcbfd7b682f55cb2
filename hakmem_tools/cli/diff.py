"""`hakmem diff`: what changed from one profile to another, site by site, with its error."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hakmem_tools.cli.errors import DONE, Failure
from hakmem_tools.cli.output import human_bytes, table
from hakmem_tools.cli.sink import Sink

if TYPE_CHECKING:
    from hakmem_tools.model.profile import Profile
    from hakmem_tools.model.profile_diff import Change

_VIEWS = ("live", "cumulative", "leaks", "temporary", "freed")
_GROUPS = ("stack", "site", "function", "module", "size")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.option("--view", type=click.Choice(_VIEWS), default="live", help="What to compare (live).")
@click.option("--by", type=click.Choice(_GROUPS), default="site", help="One row for each (site).")
@click.option("--top", type=int, default=20, metavar="COUNT", help="How many rows (20; 0: all).")
@click.option("--json", "as_json", is_flag=True, help="JSON lines.")
@click.option("-o", "path", metavar="FILE", help="Write there instead of stdout.")
@click.option("--force", is_flag=True, help="Overwrite FILE.")
def command(
    before: Path,
    after: Path,
    view: str,
    by: str,
    top: int,
    as_json: bool,
    path: str | None,
    force: bool,
) -> int:
    """Compare the profiles in BEFORE and AFTER, the largest change first.

    A change is marked where its 95 % interval leaves out zero.
    """
    from hakmem_tools.cli.profile_file import asked, name_stacks, open_profile, tell
    from hakmem_tools.model.profile_diff import change_record, changes, diff_summary

    if top < 0:
        raise Failure(f"--top {top}: must be 0 or more")
    with Sink(path, force) as sink:
        profiles = open_profile(before), open_profile(after)
        missing = [sentence for profile in profiles for sentence in name_stacks(profile)]
        found = asked(lambda: changes(*profiles, view, by))
        told = [sentence for profile in profiles for sentence in profile.missing] + missing
        if as_json:
            for change in found[: top or None]:
                sink.json(change_record(view, by, change))
            sink.json(asked(lambda: diff_summary(*profiles, view, told)))
        else:
            for name, profile in zip((before, after), profiles, strict=True):
                sink.line(_side(str(name), profile, view))
            for line in ["", *_lines(found, view, top)]:
                sink.line(line)
        sink.flush()
    if not as_json:
        tell(dict.fromkeys(told))
    return DONE


def _side(name: str, profile: Profile, view: str) -> str:
    """What one of the two holds, and how far it can be trusted."""
    from hakmem_tools.cli.profile_text import interval_text
    from hakmem_tools.model.plain_text import plain
    from hakmem_tools.model.profile_trust import quality, trust_text
    from hakmem_tools.model.profile_views import total

    about, whole = quality(profile, view), total(profile, view)
    return plain(
        f"{name}: {view} {human_bytes(round(whole.value))} (95 %: {interval_text(whole)}), from "
        f"{about.samples} samples; {trust_text(about)}"
    )


def _lines(found: list[Change], view: str, top: int) -> list[str]:
    from hakmem_tools.model.plain_text import plain

    if not found:
        return [f"no samples in view {view} of either"]
    rows = [
        [
            human_bytes(round(change.before)),
            human_bytes(round(change.after)),
            f"{human_bytes(round(change.estimate.value))}{' *' if change.certain else ''}",
            f"{human_bytes(round(change.estimate.low))} .. "
            f"{human_bytes(round(change.estimate.high))}",
            plain(change.label),
        ]
        for change in found[: top or None]
    ]
    lines = table(("before", "after", "change", "95 % interval", "where"), rows)
    return [*lines, "", "* the interval leaves out zero"]
