"""Programs that we start: their environment, their streams, their end."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from hakmem_tools.observe.target import (
    CannotPreload,
    CannotStart,
    launch,
    preload_environment,
)

LIBRARY = Path("/opt/libhakmem.so")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "/opt/libhakmem.so"),
        ("/lib/a.so", "/opt/libhakmem.so:/lib/a.so"),
        ("/lib/a.so /lib/b.so", "/opt/libhakmem.so:/lib/a.so:/lib/b.so"),
        ("/lib/a.so:/opt/libhakmem.so", "/opt/libhakmem.so:/lib/a.so"),
    ],
)
def test_a_preload_that_was_there_is_kept_behind_ours(before: str, after: str) -> None:
    environment = preload_environment(LIBRARY, {"HAKMEM_MODE": "fast"}, {"LD_PRELOAD": before})
    assert environment == {"LD_PRELOAD": after, "HAKMEM_MODE": "fast"}


@pytest.mark.parametrize("path", ["/opt/my lib/libhakmem.so", "/opt/a:b/libhakmem.so"])
def test_a_path_that_ld_preload_cannot_name_is_refused(path: str) -> None:
    with pytest.raises(CannotPreload, match="no path with a space or colon"):
        preload_environment(Path(path), {}, {})


@pytest.mark.parametrize(
    ("command", "code"),
    [("no-such-command-here", 127), ("/etc/passwd", 126), ("/etc", 126), ("/etc/passwd/x", 127)],
)
def test_a_program_that_does_not_start_ends_as_in_a_shell(command: str, code: int) -> None:
    with pytest.raises(CannotStart, match=command) as caught:
        launch([command], dict(os.environ))
    assert caught.value.exit_code == code


def test_a_held_program_that_does_not_start_is_told_at_its_release() -> None:
    launched = launch(["no-such-command-here"], dict(os.environ), hold=True)
    with pytest.raises(CannotStart, match="no such command"):
        launched.wait_stopping(lambda: None)
    assert launched.poll() == 127


def test_a_held_program_waits_for_its_release() -> None:
    reading, writing = os.pipe()
    launched = launch(["echo", "hello"], dict(os.environ), redirect={1: writing}, hold=True)
    os.close(writing)
    os.set_blocking(reading, False)
    with pytest.raises(BlockingIOError):
        os.read(reading, 1)
    assert launched.poll() is None
    os.set_blocking(reading, True)
    launched.release()
    assert os.read(reading, 100) == b"hello\n"
    assert launched.wait() == 0
    os.close(reading)


def test_a_program_is_stopped_just_before_its_end() -> None:
    launched = launch(["sh", "-c", "exit 7"], dict(os.environ), hold=True)
    seen = []
    status = launched.wait_stopping(lambda: seen.append(os.listdir(f"/proc/{launched.pid}/fd")))
    assert status == 7
    assert "0" in seen[-1]


def test_signals_reach_a_program_that_will_be_stopped_at_its_end() -> None:
    script = (
        "import os, signal; signal.signal(10, lambda *_: os._exit(5)); os.kill(os.getpid(), 10)"
    )
    launched = launch([sys.executable, "-c", script], dict(os.environ), hold=True)
    assert launched.wait_stopping(lambda: None) == 5
    launched = launch(["sh", "-c", "kill -TERM $$"], dict(os.environ), hold=True)
    assert launched.wait_stopping(lambda: None) == -signal.SIGTERM


def test_a_program_can_be_ended_when_reading_at_its_stop_has_failed() -> None:
    launched = launch(["true"], dict(os.environ), hold=True)

    def fail() -> None:
        raise RuntimeError("cannot be read")

    with pytest.raises(RuntimeError):
        launched.wait_stopping(fail)
    launched.end()
    assert launched.status is not None


def test_an_interrupted_wait_lets_the_programs_signals_through() -> None:
    script = "kill -USR1 $PPID; kill -TERM $$; exit 6"
    launched = launch(["sh", "-c", script], dict(os.environ), hold=True)
    before = signal.signal(signal.SIGUSR1, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            launched.wait_stopping(lambda: None)
    finally:
        signal.signal(signal.SIGUSR1, before)
    while launched.poll() is None:
        os.sched_yield()
    assert launched.status == -signal.SIGTERM


def test_a_program_stopped_by_job_control_goes_on_when_continued() -> None:
    script = "(while ! grep -q '^State:.*[tT]' /proc/$$/status; do :; done; kill -CONT $$) &"
    launched = launch(["sh", "-c", f"{script} kill -STOP $$; exit 4"], dict(os.environ), hold=True)
    assert launched.wait_stopping(lambda: None) == 4


def test_a_started_program_gets_back_the_signals_that_python_ignores() -> None:
    script = "trap - PIPE; grep '^SigIgn' /proc/$$/status"
    reading, writing = os.pipe()
    launched = launch(["sh", "-c", script], dict(os.environ), redirect={1: writing})
    os.close(writing)
    with os.fdopen(reading) as pipe:
        ignored = int(pipe.read().split()[1], 16)
    assert launched.wait() == 0
    assert not ignored & 1 << (signal.SIGPIPE - 1)


def test_ending_a_program_that_ignores_the_request_still_ends_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hakmem_tools.observe.target._END_GRACE_S", 0.05)
    reading, writing = os.pipe()
    script = "trap '' TERM; echo ready; while :; do sleep 1; done"
    launched = launch(["sh", "-c", script], dict(os.environ), redirect={1: writing})
    assert os.read(reading, 6) == b"ready\n"
    launched.end()
    assert launched.status == -signal.SIGKILL
    launched.end()
    os.close(reading)
    os.close(writing)
