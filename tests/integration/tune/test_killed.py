"""A sweep killed by SIGKILL at random moments, and started again until it is complete."""

from __future__ import annotations

import collections
import contextlib
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from hakmem_tools.model.trial import Phase
from hakmem_tools.tune.store import Store, holds_data
from tests.integration.tune.commands import LIMIT_S, command, sleeper

KILLS = 5
Run = tuple[str, int, int, int]  # phase, block, place, start


@pytest.mark.parametrize("seed", [1, 2])
def test_after_kills_at_random_moments_no_run_is_lost_or_repeated(
    seed: int, tmp_path: Path
) -> None:
    sweep, log = tmp_path / "a.sweep", tmp_path / "log"
    log.touch()
    program = sleeper(tmp_path, f'sleep 0.005; echo "$A" >>{log}')
    arguments = command(
        "ab", "A=1", "A=2", "A=3", "--repeats", "12", "--precision", "0.01", "-o", sweep,
        "--", *program,
    )  # fmt: skip
    dice = random.Random(seed)
    kept: set[Run] = set()
    killed = 0
    while True:
        process = subprocess.Popen(
            arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
        )
        if killed == KILLS:
            _, said = process.communicate(timeout=LIMIT_S)
            assert process.returncode == 0, said
            break
        wait_for_runs(process, log, runs_of(log) + dice.randrange(9), dice.uniform(0, 0.02))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        killed += 1
        kept = still_there(sweep, kept)
    with Store.open(sweep) as store:
        trials = store.trials()
        planned = {
            (phase, block.number, place): arm
            for phase in Phase
            for block in store.blocks(phase)
            for place, arm in enumerate(block.arms)
        }
        assert store.get("complete", bool)
        assert 4 <= len(store.blocks(Phase.MEASURE)) <= 12  # fewer once every arm is decided
    still_there(sweep, kept)
    # Every planned run is there, once, as its own arm.
    found = {(t.key.phase, t.key.block, t.key.position): t.arm for t in trials}
    assert found == planned
    assert len(trials) == len(planned)
    assert all(trial.ok for trial in trials)
    # What was run beyond that are only the runs that a kill cut short: one each at most.
    ran = collections.Counter(log.read_text().split())
    stored = collections.Counter(trial.arm.partition("=")[2] for trial in trials)
    assert not stored - ran
    assert sum((ran - stored).values()) <= killed


def runs_of(log: Path) -> int:
    return len(log.read_text().split())


def wait_for_runs(process: subprocess.Popen[bytes], log: Path, runs: int, more_s: float) -> None:
    """Until the log has so many runs, and a moment more: somewhere within a run or between two."""
    end_ns = time.monotonic_ns() + int(LIMIT_S * 1e9)
    while runs_of(log) < runs:
        assert process.poll() is None, "the sweep ended before it could be killed"
        assert time.monotonic_ns() < end_ns
        time.sleep(0.001)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(more_s)


def still_there(
    sweep: Path, kept: set[tuple[str, int, int, int]]
) -> set[tuple[str, int, int, int]]:
    """All runs of the file, by place and start; none of those known before has gone or changed."""
    if not holds_data(sweep):
        assert not kept
        return kept
    with Store.open(sweep) as store:
        keys = {(t.key.phase, t.key.block, t.key.position, t.started_ns) for t in store.trials()}
    assert kept <= keys
    return keys
