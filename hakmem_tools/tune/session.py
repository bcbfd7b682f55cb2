"""One call from a plan to a result: finds or makes the sweep file, and conducts the experiment.

The commands and the terminal UI use it. It knows where sweep files live and when one is taken up
again; what it runs and what that means is for others.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from hakmem_tools.model.trial import Arm
from hakmem_tools.tune import catalogues
from hakmem_tools.tune.experiment import Experiment, Observer
from hakmem_tools.tune.libhakmem import LibHakmem, with_library
from hakmem_tools.tune.perf import check_events
from hakmem_tools.tune.plan import Plan, PlanError, check
from hakmem_tools.tune.result import SweepResult
from hakmem_tools.tune.runner import Runner
from hakmem_tools.tune.store import Store, StoreError


class CommandError(RuntimeError):
    """The command cannot be started; `exit_code` is what a shell would return."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def default_path(plan: Plan, folder: Path | None = None) -> Path:
    """Where a sweep without a file name is kept: named by what it measures."""
    if folder is None:
        from platformdirs import user_state_path

        folder = user_state_path("hakmem") / "sweeps"
    return folder / f"{plan.fingerprint}.sweep"


def open_store(plan: Plan, path: Path | None, *, force: bool = False) -> Store:
    """The sweep's file: taken up again if it is not complete, else a new one.

    A complete file under the default name is moved aside; one that the caller named is replaced
    only by `force`. StoreError if the file belongs to another experiment.
    """
    named = path is not None
    path = path if path is not None else default_path(plan)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from None
    if path.exists() and path.stat().st_size:
        store = Store.open(path)
        same = store.plan.fingerprint == plan.fingerprint
        if same and not force and not store.get("complete", bool):
            return store
        store.close()
        if named and not force:
            why = "is complete" if same else "holds another experiment"
            raise StoreError(f"{path}: {why}; give another name, or --force to replace it")
        if named:
            path.unlink()
        else:
            path.replace(_aside(path))
    return Store.create(path, plan)


def _aside(path: Path) -> Path:
    number = 1
    while (moved := path.with_suffix(f".{number}.sweep")).exists():
        number += 1
    return moved


def check_command(plan: Plan, base: Mapping[str, str]) -> None:
    """CommandError unless what the plan starts can be started."""
    programs = [plan.command[0], *((plan.server.command[0],) if plan.server else ())]
    for program in programs:
        where = str(Path(plan.cwd) / program) if "/" in program else program
        if shutil.which(where, path=base.get("PATH")):
            continue
        if Path(where).exists():
            raise CommandError(f"{program}: not executable", 126)
        raise CommandError(f"{program}: command not found", 127)


def prepare(plan: Plan, base: Mapping[str, str], library: LibHakmem | None) -> Plan:
    """The plan, checked, and with libhakmem preloaded where its knobs are set."""
    plan = with_library(check(plan), base, library)
    try:
        check_events(plan.perf_events)
    except ValueError as error:
        raise PlanError(str(error)) from None
    return plan


def run(
    plan: Plan,
    path: Path | None,
    *,
    library: LibHakmem | None,
    force: bool = False,
    observe: Observer = lambda progress: None,
    stopping: Callable[[], bool] = lambda: False,
    opened: Callable[[Store], None] = lambda store: None,
    base: Mapping[str, str] | None = None,
) -> tuple[SweepResult, Path]:
    """Conduct a plan to its end, or until `stopping`; the result and the file that holds it.

    Raises PlanError, CommandError, StoreError and ExperimentError, each one line.
    """
    base = dict(os.environ if base is None else base)
    plan = prepare(plan, base, library)
    check_command(plan, base)
    with open_store(plan, path, force=force) as store:
        opened(store)
        # The file's own plan counts: a sweep that is taken up again keeps its limits and seed.
        plan = store.plan
        counters = library if _uses_libhakmem(plan, base) else None
        with Runner(plan, base=base, counters=counters) as runner:
            result = Experiment(
                store,
                runner,
                verify=lambda plan: catalogues.verify(plan, base, library),
                observe=observe,
                stopping=stopping,
            ).conduct()
        return result, store.path


def _uses_libhakmem(plan: Plan, base: Mapping[str, str]) -> bool:
    """Whether some arm runs under libhakmem, so that its counters are worth looking for."""
    arms = (*plan.arms, Arm("", {}))
    preloads = [{**base, **plan.env, **arm.env}.get("LD_PRELOAD", "") for arm in arms]
    return any("libhakmem" in preload for preload in preloads)
