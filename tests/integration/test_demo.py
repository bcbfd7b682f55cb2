"""`make demo` shows a live server under libhakmem, and nothing of it stays behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 120


@contextmanager
def demo(**environment: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [ROOT / "scripts" / "demo", "--headless"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def await_gone(processes: list[psutil.Process]) -> None:
    end = time.monotonic() + LIMIT_S
    while [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]:
        assert time.monotonic() < end, f"still running: {processes}"
        time.sleep(0.02)  # between two looks at the condition


def test_the_headless_demo_prints_five_snapshots_and_ends_its_server() -> None:
    with demo() as process:
        out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, err
    snapshots = [json.loads(line) for line in out.splitlines()]
    assert len(snapshots) == 5
    server = int(re.findall(r"pid (\d+)", err)[0])
    assert {snapshot["pid"] for snapshot in snapshots} == {server}
    assert {snapshot["schema_version"] for snapshot in snapshots} == {1}
    assert sum(entry["refills"] for entry in snapshots[-1]["classes"]) > 0
    assert not psutil.pid_exists(server)


def test_without_redis_the_demo_watches_a_python_program(tmp_path: Path) -> None:
    with demo(PATH=str(tmp_path)) as process:
        out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, err
    assert "no redis-server here" in err
    assert len(out.splitlines()) == 5


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_demo_that_is_ended_early_leaves_no_process(
    ending: signal.Signals, tmp_path: Path
) -> None:
    with demo(TMPDIR=str(tmp_path)) as process:
        assert process.stdout is not None
        process.stdout.readline()
        started = psutil.Process(process.pid).children(recursive=True)
        assert "redis-server" in {child.name() for child in started}
        process.send_signal(ending)
        process.wait(LIMIT_S)
        await_gone(started)
