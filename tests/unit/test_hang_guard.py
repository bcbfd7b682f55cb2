"""A test that hangs is failed, and what it had started is ended."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from tests.hang_guard import begin_run, limited, now_s, started_by_us

HOLDER = "import subprocess; subprocess.Popen(['sleep', '600'], start_new_session=True)"


@pytest.fixture
def output() -> Iterator[io.TextIOWrapper]:
    with open(os.devnull, "w") as stream:
        yield stream


def test_a_wait_for_a_strangers_child_ends_with_the_limit(output: io.TextIOWrapper) -> None:
    """Its grandchild keeps the pipe open after the child has gone, in a session of its own."""
    began_s = now_s()
    told = r"(?s)ended \d+.*sleep 600"
    with (  # noqa: PT012  the wait is what is tested
        pytest.raises(pytest.fail.Exception, match=told),
        limited("this", output, limit_s=3),
        subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE) as child,
    ):
        child.wait()
        child.communicate()
        raise AssertionError("the pipe ended early")
    _, left = psutil.wait_procs(started_by_us(began_s), timeout=10)  # a kill takes a moment
    assert left == []


def test_what_is_within_the_limit_goes_on_and_the_limit_around_it_holds(
    output: io.TextIOWrapper,
) -> None:
    around = signal.getitimer(signal.ITIMER_REAL)[0]
    with limited("this", output, limit_s=7):
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 7
    assert 7 < signal.getitimer(signal.ITIMER_REAL)[0] <= around


def test_processes_of_before_the_block_are_left_alone() -> None:
    with subprocess.Popen(["sleep", "600"]) as earlier:
        try:
            assert earlier.pid in {process.pid for process in started_by_us()}
            assert earlier.pid not in {process.pid for process in started_by_us(now_s() + 1)}
        finally:
            earlier.kill()


def test_a_marked_process_is_found_after_its_parent_has_gone() -> None:
    begin_run()
    subprocess.run([sys.executable, "-c", HOLDER], check=True)
    orphans = [process for process in started_by_us() if process.cmdline() == ["sleep", "600"]]
    for orphan in orphans:
        orphan.kill()
    assert len(orphans) == 1
