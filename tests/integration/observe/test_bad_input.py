"""Bad input to the commands: one line on stderr, the right exit code, nothing on stdout."""

from __future__ import annotations

import ctypes.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.observe.puppet import Puppet, clean_environment, need_another_user, puppet
from tests.unit.observe.page_bytes import PageBytes

HAKMEM = [sys.executable, "-c", "from hakmem_tools.cli.main import main; main()"]
NO_PID = "4194305"  # one more than Linux ever gives


def hakmem(*words: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*HAKMEM, *words],
        capture_output=True,
        text=True,
        env=clean_environment(),
        timeout=timeout_s,
        check=False,
    )


def assert_one_line(done: subprocess.CompletedProcess[str], code: int, words: str) -> None:
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("hakmem: ")
    assert words in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ("nosuch", 2, "no command 'nosuch'"),
        ("stat", 2, "no target: give -p PID or -- COMMAND"),
        ("stat --nosuch", 2, "No such option"),
        ("stat -p", 2, "requires an argument"),
        ("stat -p abc", 2, "'abc' is not a valid integer"),
        ("stat -p 0", 2, "a process id is 1 or more"),
        ("stat -p -5", 2, "a process id is 1 or more"),
        (f"stat -p {NO_PID}", 2, f"no process {NO_PID}"),
        (f"top --headless -p {NO_PID}", 2, f"no process {NO_PID}"),
        (f"probes -p {NO_PID}", 2, f"no process {NO_PID}"),
        (f"knobs --effective -p {NO_PID}", 2, f"no process {NO_PID}"),
        ("stat -p 99999999999999999999", 2, "no process 99999999999999999999"),
        ("stat -p 1 -- true", 2, "not both"),
        ("stat -p 1 --mode fast", 2, "--mode and --set are for a program that is started"),
        ("stat -i 0 -- true", 2, "-i 0: must be more than 0"),
        ("stat -i nan -- true", 2, "-i nan: must be more than 0"),
        ("stat -i inf -- true", 2, "-i inf: must be more than 0"),
        ("stat -i 5e-324 -- true", 2, "-i 4.94066e-324: must be at least 0.001"),
        ("stat -n 0 -- true", 2, "-n 0: must be more than 0"),
        ("stat -n 1.5 -- true", 2, "'1.5' is not a valid integer"),
        ("stat -- no-such-program", 127, "no-such-program: no such command"),
        ("stat -- /etc/passwd", 126, "/etc/passwd: permission denied"),
        ("top --headless -- no-such-program", 127, "no such command"),
        ("top --json -p 1", 2, "--json and -n go with --headless"),
        ("top --headless --source dtrace -p 1", 2, "'dtrace' is not one of"),
        ("run", 2, "no program to run"),
        ("run front_cap=64", 2, "no program to run"),
        ("run -- no-such-program", 127, "no-such-program: no such command"),
        ("run -- /etc/passwd", 126, "permission denied"),
        ("run --mode swift -- true", 2, "HAKMEM_MODE=swift: not understood; allowed is minimal|"),
        ("run FRONT_CPA=1 -- true", 2, "FRONT_CPA: no such knob"),
        ("run HAKMEM_FRNT_CAP=64 -- true", 2, "did you mean HAKMEM_FRONT_CAP"),
        ("run HAKMEM_FRONT_CAP=7 -- true", 2, "HAKMEM_FRONT_CAP=7: outside 8..4096 blocks"),
        ("run HAKMEM_FRONT_CAP=many -- true", 2, "not understood; allowed is 8..4096 blocks"),
        ("run --set front_cap -- true", 2, "front_cap: expected NAME=VALUE"),
        ("run --lib /no/such.so -- true", 4, "--lib /no/such.so: no such file"),
        ("run --lib /etc/passwd -- true", 4, "does not load"),
        ("stat --set TINY_CAP=1 -- true", 2, "no such knob"),
        ("stat --set HAKMEM_TINY_CAP_C32=1 -- true", 2, "index 32 outside 0..31"),
        ("knobs --effective", 2, "--effective needs a process"),
        ("knobs --lib /etc/passwd", 4, "does not load"),
        ("probes --lib /no/such.so", 4, "no such file"),
        ("doctor extra", 2, "unexpected extra argument"),
    ],
)
def test_bad_words_are_told_in_one_line(words: str, code: int, told: str) -> None:
    assert_one_line(hakmem(*words.split()), code, told)


def test_a_library_that_is_not_ours_is_refused() -> None:
    other = Path("/lib/x86_64-linux-gnu") / (ctypes.util.find_library("m") or "libm.so.6")
    assert_one_line(hakmem("knobs", "--lib", str(other)), 4, "is no libhakmem.so")


@pytest.fixture(scope="module")
def stranger() -> Iterator[Puppet]:
    with puppet(preload=False) as target:
        yield target


@pytest.mark.parametrize("words", ["stat", "top --headless", "knobs --effective", "probes"])
def test_a_process_without_libhakmem_is_told(words: str, stranger: Puppet) -> None:
    done = hakmem(*words.split(), "-p", str(stranger.pid))
    lines = [line for line in done.stderr.splitlines() if "tracefs" not in line]
    done.stderr = "\n".join([*lines, ""])
    assert_one_line(done, 4, "does not run libhakmem; start it with `hakmem run -- COMMAND`")


def _show(target: Puppet, content: bytes, path: Path) -> None:
    path.write_bytes(content)
    target.do(f"page = os.memfd_create('hakmem')\nos.write(page, open({str(path)!r}, 'rb').read())")


def test_a_process_with_another_abi_version_is_told_what_to_use(tmp_path: Path) -> None:
    with puppet(preload=False) as target:
        page = PageBytes(pid=target.pid)
        page.set("abi_version", 7)
        _show(target, bytes(page.data), tmp_path / "page")
        done = hakmem("stat", "-p", str(target.pid))
    assert_one_line(done, 4, "ABI version 7, and this tool reads version 1")


@pytest.mark.parametrize(
    ("field", "value"),
    [("class_count", 2**32 - 1), ("block_bytes", 1), ("probes_text_offset", 2**64 - 1)],
)
def test_a_hostile_page_is_told_in_one_line(tmp_path: Path, field: str, value: int) -> None:
    with puppet(preload=False) as target:
        page = PageBytes(pid=target.pid)
        page.set(field, value)
        _show(target, bytes(page.data), tmp_path / "page")
        done = hakmem("stat", "-p", str(target.pid))
    assert_one_line(done, 4, "its counters page cannot be used")


def test_an_empty_file_under_the_pages_name_is_no_page() -> None:
    with puppet(preload=False) as target:
        target.do("page = os.memfd_create('hakmem')")
        assert_one_line(hakmem("stat", "-p", str(target.pid)), 4, "does not run libhakmem")


def test_another_users_process_is_told_with_both_users() -> None:
    need_another_user()
    with puppet() as target:
        drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        done = subprocess.run(
            [*drop, *HAKMEM, "stat", "-p", str(target.pid)],
            capture_output=True,
            text=True,
            check=False,
            env=clean_environment(),
        )
    assert_one_line(done, 4, "belongs to user 0 and may not be read by user 65534")


def test_a_static_program_is_told_that_it_ignores_the_library(tmp_path: Path) -> None:
    source, program = tmp_path / "static.c", tmp_path / "static"
    source.write_text("int main(void) { return 0; }\n")
    subprocess.run(["gcc", "-static", "-o", program, source], check=True)
    assert_one_line(hakmem("stat", "--", str(program)), 4, "ignores LD_PRELOAD")


def test_a_target_that_ends_while_watched_gives_what_was_seen() -> None:
    with puppet() as target:
        command = [*HAKMEM, "top", "--headless", "--json", "-i", "0.05", "-n", "100000"]
        watcher = subprocess.Popen(
            [*command, "-p", str(target.pid)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment(),
        )
        assert watcher.stdout is not None
        assert watcher.stdout.readline().startswith('{"schema_version":1')
        target.kill()
        rest, errors = watcher.communicate(timeout=60)
    assert watcher.returncode == 3
    assert errors == f"hakmem: process {target.pid} has ended\n"
    assert rest.endswith("}\n")


def test_ctrl_c_ends_the_watching_and_leaves_the_target_running() -> None:
    with puppet() as target:
        watcher = subprocess.Popen(
            [*HAKMEM, "top", "--headless", "--json", "-i", "0.05", "-p", str(target.pid)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment(),
        )
        assert watcher.stdout is not None
        watcher.stdout.readline()
        watcher.send_signal(signal.SIGINT)
        _, errors = watcher.communicate(timeout=60)
        assert watcher.returncode == 130
        assert errors == ""
        assert target.ask("1 + 1") == "2"


def test_ctrl_c_leaves_a_program_that_was_started_running_and_says_so() -> None:
    watcher = subprocess.Popen(
        [*HAKMEM, "top", "--headless", "--json", "-i", "0.05", "--", "sleep", "1000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )
    assert watcher.stdout is not None
    pid = json.loads(watcher.stdout.readline())["pid"]
    try:
        watcher.send_signal(signal.SIGINT)
        assert watcher.wait(timeout=60) == 130
        assert watcher.stderr is not None
        assert watcher.stderr.readline() == f"hakmem: sleep (pid {pid}) goes on\n"
        os.kill(pid, 0)
    finally:
        os.kill(pid, signal.SIGKILL)
        watcher.communicate()


def test_a_reader_that_leaves_is_no_error() -> None:
    with puppet() as target:
        watcher = subprocess.Popen(
            [*HAKMEM, "top", "--headless", "--json", "-i", "0.01", "-p", str(target.pid)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment(),
        )
        assert watcher.stdout is not None
        assert watcher.stderr is not None
        watcher.stdout.readline()
        watcher.stdout.close()
        assert watcher.wait(timeout=60) == 141
        assert watcher.stderr.read() == ""
        watcher.stderr.close()
