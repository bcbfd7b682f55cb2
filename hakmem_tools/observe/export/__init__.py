"""A profile in the formats of other tools; one file per format, each a function to bytes."""

from __future__ import annotations

from collections.abc import Callable

from hakmem_tools.model.profile import Moment, Profile

#: Format -> what it is good for.
FORMATS = {
    "html": "a flame graph in one file, for any browser",
    "collapsed": "one line a stack, for flamegraph.pl and its kin",
    "speedscope": "for speedscope.app",
    "pprof": "for go tool pprof and its kin",
    "json": "every figure of every stack, as JSON lines",
    "csv": "every stack as a row, for spreadsheets",
}


def exporter(name: str) -> Callable[[Profile, str, Moment], bytes]:
    """The function of a format: (profile, view, moment) -> the file. Raises NoSuchView."""
    import importlib

    module = importlib.import_module(f"hakmem_tools.observe.export.{name}")
    found: Callable[[Profile, str, Moment], bytes] = module.export
    return found
