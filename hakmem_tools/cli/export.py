"""`hakmem export`: a recorded profile in another tool's format."""

from __future__ import annotations

from pathlib import Path

import click

from hakmem_tools.cli.errors import DONE, MISSING, Failure, say
from hakmem_tools.cli.sink import Sink

_FORMATS = ("html", "collapsed", "speedscope", "pprof", "json", "csv")
_VIEWS = ("live", "cumulative", "leaks", "temporary", "freed")
_ENDINGS = {
    ".html": "html",
    ".htm": "html",
    ".folded": "collapsed",
    ".collapsed": "collapsed",
    ".txt": "collapsed",
    ".pb.gz": "pprof",
    ".pprof": "pprof",
    ".speedscope.json": "speedscope",
    ".jsonl": "json",
    ".json": "json",
    ".csv": "csv",
}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(_FORMATS), help="By default what -o ends with.")
@click.option("--view", type=click.Choice(_VIEWS), default="live", help="What to show (live).")
@click.option("--since", type=float, metavar="SECONDS", help="From then on, from the start.")
@click.option("--until", type=float, metavar="SECONDS", help="Up to then, from the start.")
@click.option("-o", "path", metavar="FILE", help="Write there instead of stdout.")
@click.option("--force", is_flag=True, help="Overwrite FILE.")
def command(
    file: Path,
    form: str | None,
    view: str,
    since: float | None,
    until: float | None,
    path: str | None,
    force: bool,
) -> int:
    """Convert the profile in FILE: a flame graph page, or a file for another tool."""
    from hakmem_tools.cli.profile_file import asked, moment, name_stacks, open_profile, tell
    from hakmem_tools.model.plain_text import plain
    from hakmem_tools.model.profile_trust import quality, truncation_advice, trust_text
    from hakmem_tools.observe.export import exporter
    from hakmem_tools.observe.export.pprof import NoProtobuf

    form = form or _by_ending(path)
    with Sink(path, force) as sink:
        profile = open_profile(file)
        during = moment(profile, since, until)
        missing = name_stacks(profile)
        try:
            data = asked(lambda: exporter(form)(profile, view, during))
        except NoProtobuf as error:
            raise Failure(str(error), MISSING) from None
        except (ValueError, OverflowError) as error:  # figures that no recorder writes
            raise Failure(f"{file}: does not fit into {form}: {error}") from None
        sink.raw(data)
        sink.flush()
    about = quality(profile, view, during)
    say(f"{file}: {plain(trust_text(about))}")
    tell((*profile.missing, *truncation_advice(profile, about), *missing))
    return DONE


def _by_ending(path: str | None) -> str:
    for ending, form in _ENDINGS.items():
        if path is not None and path.endswith(ending):
            return form
    raise Failure(f"no --format, and none by the name of -o; allowed are {', '.join(_FORMATS)}")
