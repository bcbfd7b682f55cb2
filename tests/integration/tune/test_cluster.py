"""A sweep over two hosts (network and host-name spaces of their own), one of which is killed."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from hakmem_tools.model.trial import Phase, Trial
from hakmem_tools.tune.plan import Plan, block_order
from hakmem_tools.tune.store import Store, holds_data
from tests.integration.tune.commands import LIMIT_S, command, eventually, hakmem, sleeper

BIN = Path(sys.executable).parent


class Cluster:
    """A dask scheduler here and workers in spaces of their own; all are ended with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stack = contextlib.ExitStack()
        self._scheduler_file = folder / "scheduler.json"
        self._start(
            [BIN / "dask", "scheduler", "--host", "0.0.0.0", "--port", "0", "--no-dashboard",
             "--scheduler-file", self._scheduler_file]
        )  # fmt: skip
        eventually(lambda: self._scheduler_file.exists() and bool(self._address()))

    @property
    def address(self) -> str:
        """Where the scheduler is, from here."""
        return f"tcp://127.0.0.1:{self._port}"

    @property
    def _port(self) -> int:
        return int(self._address().rpartition(":")[2])

    def _address(self) -> str:
        with contextlib.suppress(OSError, ValueError):
            return str(json.loads(self._scheduler_file.read_text())["address"])
        return ""

    def add_host(self, number: int) -> subprocess.Popen[bytes]:
        """A worker whose host is called host-NUMBER and has an address of its own."""
        space, net = f"hakmem-test-{os.getpid()}-{number}", f"10.213.{number}"
        here, there = f"hk{os.getpid() % 100000}h{number}", f"hk{os.getpid() % 100000}t{number}"
        run("ip", "netns", "add", space)
        self._stack.callback(run, "ip", "netns", "del", space)
        run("ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", space)
        run("ip", "addr", "add", f"{net}.1/24", "dev", here)
        run("ip", "link", "set", here, "up")
        run("ip", "-n", space, "addr", "add", f"{net}.2/24", "dev", there)
        run("ip", "-n", space, "link", "set", there, "up")
        run("ip", "-n", space, "link", "set", "lo", "up")
        worker = f"hostname host-{number}; exec {BIN}/dask worker tcp://{net}.1:{self._port}"
        worker += f" --no-nanny --nthreads 1 --host {net}.2 --no-dashboard"
        return self._start(["ip", "netns", "exec", space, "unshare", "--uts", "sh", "-c", worker])

    def _start(self, arguments: Sequence[str | Path]) -> subprocess.Popen[bytes]:
        log = self._stack.enter_context((self.folder / f"dask-{len(arguments)}.log").open("ab"))
        process = subprocess.Popen(arguments, stdout=log, stderr=log, cwd=self.folder)
        self._stack.callback(end, process)
        return process

    def close(self) -> None:
        self._stack.close()


def run(*arguments: str) -> None:
    subprocess.run(arguments, check=True, timeout=LIMIT_S)


def end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait(LIMIT_S)


@pytest.fixture(name="cluster")
def a_cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path)
    try:
        yield cluster
    finally:
        cluster.close()


def stored(sweep: Path) -> list[Trial]:
    if not holds_data(sweep):
        return []
    with Store.open(sweep) as store:
        return store.trials()


def test_a_host_killed_in_the_middle_costs_no_run_and_no_run_counts_twice(
    cluster: Cluster, tmp_path: Path
) -> None:
    sweep, log = tmp_path / "a.sweep", tmp_path / "log"
    program = sleeper(tmp_path, f'sleep 0.02; echo "$A" >>{log}')
    workers = [cluster.add_host(1), cluster.add_host(2)]
    process = subprocess.Popen(
        command("ab", "A=1", "A=2", "A=3", "--repeats", "14", "--precision", "0.01",
                "--scheduler", cluster.address, "--json", "-o", sweep, "--", *program),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    hosts_seen: set[str] = set()

    def both_have_measured() -> bool:
        if process.poll() is not None:
            raise AssertionError(process.communicate())
        hosts_seen.update(t.host for t in stored(sweep) if t.key.phase == Phase.MEASURE)
        return len(hosts_seen) == 2

    try:
        eventually(both_have_measured)
        os.kill(workers[0].pid, signal.SIGKILL)
        out, err = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, err
    summary = json.loads(out.splitlines()[-1])["summary"]
    assert summary["complete"]
    assert summary["blocks"] == 14
    assert {host.partition("/")[0] for host in summary["hosts"]} == {"host-1", "host-2"}
    with Store.open(sweep) as store:
        check_blocks(store.plan, store)
        trials = store.trials()
    # The program ran once for each stored run, and beyond that only for the block that was lost.
    ran = collections.Counter(log.read_text().split())
    kept = collections.Counter(trial.arm.partition("=")[2] for trial in trials)
    assert not kept - ran
    assert sum((ran - kept).values()) <= 3


def test_a_search_runs_on_the_hosts_of_a_cluster_as_well(cluster: Cluster, tmp_path: Path) -> None:
    program = sleeper(tmp_path, 'sleep "0.0$X"')
    cluster.add_host(1)
    said = hakmem(
        "tune", "-L", "X", "1,3", "--trials", "2", "--repeats", "6", "--max-time", "20",
        "--scheduler", cluster.address, "-o", tmp_path / "study", "--json", "--", *program,
        env={"X": "5"},
    )  # fmt: skip
    assert said.code == 0, said.err
    hosts = {trial.host for trial in stored(tmp_path / "study" / "rung-1-1.sweep")}
    assert {host.partition("/")[0] for host in hosts} == {"host-1"}


def check_blocks(plan: Plan, store: Store) -> None:
    """Every block is whole, in its planned order, and on one host."""
    for phase in Phase:
        trials = store.trials(phase)
        for block in store.blocks(phase):
            mine = [trial for trial in trials if trial.key.block == block.number]
            assert tuple(trial.arm for trial in mine) == block.arms
            assert [trial.key.position for trial in mine] == list(range(len(block.arms)))
            assert {trial.host for trial in mine} == {block.host}
            assert all(trial.ok for trial in mine)
            active = sorted(set(block.arms) - {plan.reference.name})
            if phase is Phase.MEASURE:
                assert sorted(block.arms) == sorted(block_order(plan, phase, block.number, active))


def test_a_scheduler_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    for address, words in (("nonsense", "tcp://HOST:8786"), ("tcp://127.0.0.1:9", "refused")):
        said = hakmem(
            "ab", "A=1", "A=2", "--scheduler", address, "-o", tmp_path / "a", "--", "true"
        )
        assert said.code == 2
        assert said.err.startswith(f"hakmem: --scheduler {address}: ")
        assert words in said.err
        assert len(said.err.splitlines()) == 1
