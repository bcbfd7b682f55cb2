"""The runner on real processes: what it measures, what it survives, what it leaves alone."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hakmem_tools.model.trial import Arm, Phase, Status, Trial, TrialKey
from hakmem_tools.tune import perf
from hakmem_tools.tune.extract import extract
from hakmem_tools.tune.metric import Metric
from hakmem_tools.tune.plan import Limits, Plan, Server
from hakmem_tools.tune.runner import Runner
from hakmem_tools.tune.watchdog import Watchdog

KEY = TrialKey(Phase.MEASURE, 0, 0)
PYTHON = (sys.executable, "-I", "-S", "-c")
ARMS = (Arm("a", {"ARM": "first value"}), Arm("b", {}))


def run(command: tuple[str, ...], arm: Arm = ARMS[0], **fields: object) -> Trial:
    plan = Plan(command=command, arms=ARMS, **fields)  # type: ignore[arg-type]
    with Runner(plan, host="here") as runner:
        return runner.run(arm, KEY)


def test_a_run_has_times_faults_and_memory() -> None:
    code = "x = bytearray(64 << 20)\nfor i in range(0, len(x), 4096): x[i] = 1"
    trial = run((*PYTHON, code))
    assert trial.status is Status.OK
    assert trial.metrics["peak_rss"] > 64 << 20
    assert 0 < trial.metrics["user"] + trial.metrics["system"] <= 2 * trial.metrics["wall"] + 0.1
    assert trial.metrics["minor_faults"] > 64  # it touched 64 MiB
    assert 0 <= trial.metrics["kernel_share"] <= 1


def test_the_arm_reaches_the_command_with_spaces_and_all() -> None:
    metric = Metric(name="n", regex="value=(.*)=")
    code = "import os; print('value=%d=' % len(os.environ['ARM']))"
    assert run((*PYTHON, code), metric=metric).metrics["n"] == len("first value")


def test_the_arms_environment_never_touches_the_shell_that_starts_it() -> None:
    # A preload that cannot load makes every dynamic program complain once: here just the command.
    arm = Arm("a", {"LD_PRELOAD": "/nonexistent/lib.so"})
    trial = run((*PYTHON, "raise SystemExit(3)"), arm)
    assert trial.detail.count("preloaded") == 1


def test_memory_of_a_small_program_is_not_the_runners_own() -> None:
    ballast = bytearray(200 << 20)
    for place in range(0, len(ballast), 4096):
        ballast[place] = 1
    gate = (*PYTHON, "import select; select.select([], [], [], 0.2)")
    trial = run(gate)
    assert trial.metrics["peak_rss"] < 60 << 20
    assert trial.rss
    del ballast


def test_a_crash_is_a_failed_trial_that_names_the_signal() -> None:
    trial = run((*PYTHON, "import os; os.kill(os.getpid(), 11)"))
    assert (trial.status, trial.exit_code) == (Status.FAILED, -11)
    assert "SIGSEGV" in trial.detail


def test_an_exit_status_comes_with_the_last_word_of_the_program() -> None:
    trial = run((*PYTHON, "import sys; sys.exit('no such table')"))
    assert trial.status is Status.FAILED
    assert trial.detail == "exit status 1: no such table"


def test_a_timeout_kills_the_group_that_was_started_and_nothing_else(tmp_path: Path) -> None:
    bystander = subprocess.Popen([*PYTHON, "import signal; signal.pause()"])
    try:
        code = (
            "import os, signal\n"
            "child = os.fork()\n"
            f"if child: open({str(tmp_path / 'pid')!r}, 'w').write(str(child))\n"
            "signal.pause()"
        )
        trial = run((*PYTHON, code), limits=Limits(run_timeout=0.5))
        assert trial.status is Status.TIMEOUT
        assert trial.metrics["wall"] >= 0.5
        assert _gone(int((tmp_path / "pid").read_text()))
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def _gone(pid: int) -> bool:
    """Whether a process has ended, waiting for it through a pidfd."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    with os.fdopen(descriptor, "rb", buffering=0) as end:
        import select

        return bool(select.select([end], [], [], 20)[0])


def test_a_process_left_behind_does_not_outlive_its_run(tmp_path: Path) -> None:
    code = (
        "import os, signal\n"
        "child = os.fork()\n"
        "if child == 0: signal.pause()\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child))"
    )
    assert run((*PYTHON, code)).status is Status.OK
    assert _gone(int((tmp_path / "pid").read_text()))


def test_a_metric_that_never_matches_fails_the_run_with_one_line() -> None:
    trial = run((*PYTHON, "print('hello')"), metric=Metric(name="ops", regex="ops (.*)"))
    assert trial.status is Status.FAILED
    assert trial.detail == "metric ops: 'ops (.*)' matches nothing in the output"


def test_a_metric_that_is_only_reported_may_be_missing() -> None:
    trial = run(
        (*PYTHON, "print('ops 5')"),
        metric=Metric(name="ops", regex="ops (.*)", better="higher"),
        also=(Metric(name="hits", json_path="a.0"),),
    )
    assert trial.metrics["ops"] == 5
    assert trial.missing["hits"] == "metric hits: the output holds no JSON"


@pytest.mark.parametrize(
    ("metric", "output", "expected"),
    [
        (Metric(name="m", regex="x=(\\S+)"), "x=1\nx=2,000.5\n", 2000.5),
        (Metric(name="m", regex="x=(\\S+)"), "x=fast", "metric m: 'fast' is not a number"),
        (Metric(name="m", json_path="a.1.b"), '{"a": [0, {"b": 7}]}', 7.0),
        (Metric(name="m", json_path="a"), 'text\n{"a": 1}\n{"a": 3}\nend', 3.0),
        (Metric(name="m", json_path="a.b"), '{"a": 1}', "metric m: no 'b' in the JSON at 'a.b'"),
        (Metric(name="m", json_path="a"), '{"a": true}', "metric m: 'True' is not a number"),
        (Metric(name="m", json_path="a"), '{"a": "inf"}', "metric m: 'inf' is not a number"),
    ],
)
def test_numbers_are_taken_from_output(metric: Metric, output: str, expected: object) -> None:
    assert extract(metric, output) == expected


def test_software_counters_count_and_hardware_ones_are_numbers_or_missing_with_a_reason() -> None:
    code = "x = bytearray(40 << 20)"
    events = ("task-clock", "page-faults", "instructions")
    trial = run((*PYTHON, code), perf_events=events)
    assert trial.metrics["page-faults"] > 100
    assert 0 < trial.metrics["task-clock"] < 20
    # Either the machine counts instructions, and then a lot of them, or it says why it does not.
    counted = trial.metrics.get("instructions")
    assert counted is None or counted > 1e6
    assert (counted is None) == ("instructions" in trial.missing)


def test_counters_follow_children() -> None:
    code = "import os\nif os.fork() == 0:\n x = bytearray(80 << 20); os._exit(0)\nos.wait()"
    small = run((*PYTHON, code.replace("80 << 20", "1")), perf_events=("page-faults",))
    large = run((*PYTHON, code), perf_events=("page-faults",))
    assert large.metrics["page-faults"] > small.metrics["page-faults"]


def test_an_unknown_perf_event_is_named_with_those_that_are_known() -> None:
    with pytest.raises(ValueError, match=r"'instrs'.*instructions"):
        perf.check_events(["instrs"])
    perf.check_events(["instructions:u"])


SERVER = (
    "import socket, sys, signal\n"
    "listener = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
    "print('ready', flush=True)\n"
    "while True:\n"
    "    peer, _ = listener.accept()\n"
    "    with peer:\n"
    "        data = peer.recv(10)\n"
    "        if data == b'die': sys.exit(4)\n"
    "        if data: peer.sendall(b'ops 42')\n"
)
LOAD = (
    "import socket, sys\n"
    "peer = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
    "peer.sendall(sys.argv[2].encode())\n"
    "print(peer.recv(100).decode()); sys.exit(0)"
)
OPS = Metric(name="ops", regex="ops (.*)", better="higher")


@pytest.fixture
def port() -> int:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as probe:
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("ready", ["port", "regex"])
def test_a_server_is_started_loaded_and_stopped(port: int, ready: str) -> None:
    server = Server(
        command=(*PYTHON, SERVER, str(port)),
        ready_port=port if ready == "port" else 0,
        ready_regex="^ready" if ready == "regex" else "",
    )
    trial = run((*PYTHON, LOAD, str(port), "go"), server=server, metric=OPS)
    assert (trial.status, trial.detail) == (Status.OK, "")
    assert trial.metrics["ops"] == 42
    with pytest.raises(OSError, match=r"refused|111"):
        socket.create_connection(("127.0.0.1", port), 0.5)


def test_a_server_that_ends_under_load_is_a_failed_trial(port: int) -> None:
    server = Server(command=(*PYTHON, SERVER, str(port)), ready_regex="ready")
    load = LOAD.replace("sys.exit(0)", "import signal; signal.pause()")
    trial = run((*PYTHON, load, str(port), "die"), server=server, metric=OPS)
    assert trial.status is Status.FAILED
    assert "ended under load" in trial.detail


def test_a_server_that_never_answers_and_a_taken_port_are_said_in_one_line(port: int) -> None:
    silent = Server(
        command=(*PYTHON, "import signal; signal.pause()"), ready_port=port, ready_seconds=0.2
    )
    assert "not ready after 0.2 s" in run(("true",), server=silent, metric=OPS).detail
    with contextlib.closing(socket.create_server(("127.0.0.1", port))):
        assert "taken" in run(("true",), server=silent, metric=OPS).detail


def test_the_watchdog_ends_what_a_killed_runner_leaves() -> None:
    victim = subprocess.Popen([*PYTHON, "import signal; signal.pause()"], process_group=0)
    done = subprocess.Popen([*PYTHON, "import signal; signal.pause()"], process_group=0)
    try:
        watchdog = Watchdog()
        watchdog.watch(victim.pid)
        watchdog.watch(done.pid)
        watchdog.forget(done.pid)
        watchdog.close()
        assert victim.wait(20) == -signal.SIGKILL
        assert done.poll() is None
    finally:
        for process in (victim, done):
            process.kill()
            process.wait()
