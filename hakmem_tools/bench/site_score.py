"""Runs the workload of labelled call sites and reads what the allocator took each for.

`hakmem bench --sites` shows it. The process is held at its end while its table is read from the
counters page, as any tool would. It judges nothing: model/site_score does.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from hakmem_tools.model.site_score import Confusion, Judged, confusion_of
from hakmem_tools.observe.counters import CountersSource
from hakmem_tools.observe.sites import read_sites
from hakmem_tools.observe.source import TargetError

PROGRAM = "sites"
MODES = ("balanced", "learning")
#: How a site is known, and how the workload names such functions.
WAYS = {"labelled calls": "labelled_", "return addresses": "plain_"}
TIMEOUT_SECONDS = 60.0


class SiteScoreError(Exception):
    """The workload cannot be scored; the text says in one line why."""


class _Label(msgspec.Struct):
    function: str
    label: str


class _Line(msgspec.Struct):
    sites: list[_Label]
    labelled_calls: bool


def score_sites(library: str, programs: Path, mode: str) -> dict[str, Confusion]:
    """The confusion matrix of each of WAYS in this mode. Raises SiteScoreError."""
    environment = {**os.environ, "LD_PRELOAD": library, "HAKMEM_MODE": mode, "HAKMEM_LOG": "off"}
    with _held(programs / PROGRAM, environment) as (pid, line):
        try:
            labels = msgspec.json.decode(line, type=_Line)
        except msgspec.DecodeError as error:
            raise SiteScoreError(f"{PROGRAM}: its line is not the workload's: {error}") from None
        if not labels.labelled_calls:
            raise SiteScoreError(f"{PROGRAM}: {library} has no hak_alloc_cs, or was not loaded")
        try:
            with CountersSource(pid) as source:
                table = read_sites(source)
        except TargetError as error:
            raise SiteScoreError(f"{PROGRAM}: {error}") from None
    if table.missing:
        raise SiteScoreError(f"{PROGRAM}: {table.missing[0]}")
    inferred = {site.function: site.policy for site in table.sites if site.function}
    judged = [
        Judged(site.function, site.label, inferred.get(site.function)) for site in labels.sites
    ]
    return {
        way: confusion_of(site for site in judged if site.function.startswith(prefix))
        for way, prefix in WAYS.items()
    }


@contextmanager
def _held(program: Path, environment: dict[str, str]) -> Iterator[tuple[int, bytes]]:
    """The workload at its end, and its first line; it goes when this does."""
    try:
        child = subprocess.Popen(
            [program, "--hold"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
    except OSError as error:
        raise SiteScoreError(f"cannot start {program}: {error.strerror}") from None
    limit = threading.Timer(TIMEOUT_SECONDS, child.kill)
    limit.start()
    with child:
        try:
            assert child.stdout is not None
            first, second = child.stdout.readline(), child.stdout.readline()
            if not second:
                raise SiteScoreError(f"{program}: ended before its work was done")
            yield child.pid, first
        finally:
            limit.cancel()
            child.kill()
