"""What a cluster's worker does for a sweep: gets its host ready, and runs whole blocks.

`cluster` sends these functions to dask workers; plans and runs travel as JSON. Two workers on one
host never measure at the same time: a lock file of the host sees to that.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from hakmem_tools.model.trial import Trial, TrialKey
from hakmem_tools.tune import catalogues, libhakmem, session
from hakmem_tools.tune.experiment import ExperimentError, set_up
from hakmem_tools.tune.machine import MachineState, inspect
from hakmem_tools.tune.plan import Plan, PlanError
from hakmem_tools.tune.store import Block

LOCK_NAME = "hakmem-measuring.lock"


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """A host before its first block; `problem` says in one line why it cannot take part."""

    hostname: str
    machine: MachineState
    refused: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    problem: str = ""


def get_ready(plan_text: bytes) -> bytes:
    """Check the command, run the setup, read the knobs back; a `Readiness` as JSON."""
    plan = msgspec.json.decode(plan_text, type=Plan)
    host, state = socket.gethostname(), inspect()
    try:
        with _alone():
            plan, library = _prepared(plan)
            if plan.setup:
                set_up(plan)
            found = catalogues.verify(plan, os.environ, library)
    except (PlanError, session.CommandError, ExperimentError, OSError) as error:
        return msgspec.json.encode(Readiness(hostname=host, machine=state, problem=str(error)))
    return msgspec.json.encode(
        Readiness(hostname=host, machine=state, refused=found.refused, notes=found.notes)
    )


def run_block(plan_text: bytes, block_text: bytes, host: str) -> bytes:
    """Every run of a block, in its order, as JSON; `host` is the name that the runs carry."""
    block = msgspec.json.decode(block_text, type=Block)
    plan, library = _prepared(msgspec.json.decode(plan_text, type=Plan))
    arms = {arm.name: arm for arm in plan.arms}
    trials: list[Trial] = []
    with _alone(), session.runner_of(plan, os.environ, library, host) as runner:
        for position, name in enumerate(block.arms):
            key = TrialKey(block.phase, block.number, position)
            trials.append(runner.run(arms[name], key))
    return msgspec.json.encode(trials)


def _prepared(plan: Plan) -> tuple[Plan, libhakmem.LibHakmem | None]:
    """The plan as this host can run it, with the libhakmem that is installed here."""
    library = libhakmem.installed()
    if not Path(plan.cwd).is_dir():
        raise PlanError(f"cwd={plan.cwd}: no such directory on this host")
    plan = session.prepare(plan, os.environ, library)
    session.check_command(plan, os.environ)
    return plan, library


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Hold the host's lock; it falls with the process, however that ends."""
    path = Path(tempfile.gettempdir()) / LOCK_NAME
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
