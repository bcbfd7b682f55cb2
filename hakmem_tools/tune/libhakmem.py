"""libhakmem as the tuning way sees it: its knobs read back from a real process, its counters.

`session` hands it to the catalogues and the runner. It starts one harmless program per arm to read
the values in force; it never touches the measured one except to read its counters page.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hakmem_tools.model.descriptors import Knob
from hakmem_tools.model.event_choice import UnknownEvent, choose_events
from hakmem_tools.model.settings import SettingError, find_knob, parse_setting
from hakmem_tools.model.snapshot import Snapshot
from hakmem_tools.native.header import LibraryNotFound
from hakmem_tools.native.library import Library, open_library
from hakmem_tools.observe.counters import CountersSource
from hakmem_tools.observe.source import NoPage, NoSuchProcess, NotPermitted, TargetGone
from hakmem_tools.tune.plan import Plan, PlanError
from hakmem_tools.tune.protocols import ProbeCounter

_WAITING = "/bin/cat"  # ends when its standard input does


class LibHakmem:
    """The libhakmem.so of this installation: a `KnobSpace` and a `CountersReader`."""

    def __init__(self, library: Library) -> None:
        self._library = library

    @property
    def path(self) -> Path:
        """Where the library lies."""
        return self._library.path

    def knobs(self) -> Sequence[Knob]:
        """Every knob of the library."""
        return self._library.descriptors.knobs

    def refusal(self, asked: Mapping[str, str], env: Mapping[str, str]) -> str:
        """Why a setting would not be in force, or ''; read back from a process under `env`."""
        try:
            wanted = [
                parse_setting(self._library.descriptors, f"{name}={value}")
                for name, value in asked.items()
            ]
        except SettingError as error:
            return str(error)
        with _waiting_process(env) as process:
            try:
                source = _page_of(process)
            except (NoPage, NotPermitted) as error:
                return f"libhakmem's knobs are set, but it is not loaded: {error}"
            with source:
                effective = {(row.knob.name, row.index): row for row in source.knobs()}
        for setting in wanted:
            row = effective.get((setting.knob.name, setting.index))
            shown = setting.knob.present(setting.number)
            if row is not None and (row.refused or row.value != shown):
                return f"{setting.env}={setting.text}: {row.value} is in force, from {row.source}"
        return ""

    def probe_counter(self, plan: Plan) -> ProbeCounter | None:
        """Counts the probes that the plan's metrics name; None when they name none."""
        from hakmem_tools.tune.probe_hits import ProbeHits

        names = self.probes_of(plan)
        return ProbeHits(self._library, names) if names else None

    def probes_of(self, plan: Plan) -> list[str]:
        """The probes that the plan's metrics name; PlanError for one that the library has not."""
        asked = [metric.probe for metric in (plan.metric, *plan.also) if metric.probe]
        asked += [
            name.removeprefix("probes.") for metric in (plan.metric, *plan.also)
            for name in metric.ratio if name.startswith("probes.")
        ]  # fmt: skip
        names = sorted({name.partition("[")[0] for name in asked})
        if names:
            try:
                choose_events(",".join(names), self._library.descriptors)
            except UnknownEvent as error:
                raise PlanError(str(error).replace("--event", "probe", 1)) from None
        return names

    def open(self, pid: int) -> Page | None:
        """The counters page of a process; None while it has none."""
        try:
            return Page(CountersSource(pid))
        except (NoPage, NoSuchProcess, NotPermitted, TargetGone):
            return None


class Page:
    """One process's counters page, held beyond its end."""

    def __init__(self, source: CountersSource) -> None:
        self._source = source

    def final(self) -> Mapping[str, float]:
        """Counters by name, sums over classes; `name[class]` where a class has counted.

        Empty when the page went with its process.
        """
        try:
            return flat(self._source.final_snapshot())
        except (TargetGone, NoPage, NotPermitted):
            return {}

    def close(self) -> None:
        """Let go of the page."""
        self._source.close()


def flat(snapshot: Snapshot) -> dict[str, float]:
    """A snapshot as plain numbers by name."""
    found = {name: float(value) for name, value in snapshot.scalars.items()}
    for row in snapshot.classes:
        for name, value in row.counts.items():
            found[name] = found.get(name, 0.0) + value
            if value:
                found[f"{name}[{row.index}]"] = float(value)
    return found


def installed() -> LibHakmem | None:
    """This installation's libhakmem, or None where it is not built."""
    try:
        return LibHakmem(open_library())
    except LibraryNotFound:
        return None


def with_library(plan: Plan, base: Mapping[str, str], library: LibHakmem | None) -> Plan:
    """The plan, with libhakmem preloaded everywhere if an arm sets one of its knobs.

    A preload that the caller, the plan or an arm names is left alone. PlanError if it is needed and
    there is none.
    """
    import msgspec

    environments = [base, plan.env, *(arm.env for arm in plan.arms)]
    if any("LD_PRELOAD" in env for env in environments):
        return plan
    if not any(name.startswith(("HAKMEM_", "HAKO_")) for env in environments[1:] for name in env):
        return plan
    if library is None:
        raise PlanError(
            "an arm sets HAKMEM_* knobs, but there is no libhakmem.so; run `make build`"
        )
    return msgspec.structs.replace(plan, env={**plan.env, "LD_PRELOAD": str(library.path)})


def knob_named(library: LibHakmem, name: str) -> tuple[Knob, int | None]:
    """The knob and index that a name means; raises SettingError with the nearest names."""
    return find_knob(library._library.descriptors, name)


@contextlib.contextmanager
def _waiting_process(env: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [_WAITING], env=dict(env), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.communicate()


def _page_of(process: subprocess.Popen[bytes]) -> CountersSource:
    """The page of the waiting process, once it echoes: then its allocator has started."""
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(BrokenPipeError):
        os.write(process.stdin.fileno(), b"\n")
    os.read(process.stdout.fileno(), 1)
    return CountersSource(process.pid)
