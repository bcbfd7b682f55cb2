"""What can be wrong with a target, for every command: one line, the next step, the exit code.

Words that are wrong are tests/integration/observe/test_bad_input.py's; what a trace alone can meet
is test_targets.py's. Here each sort of wrong target meets each command that takes one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hakmem_tools.native.library import Library
from tests.integration.bpf.conftest import HAKMEM
from tests.integration.observe.puppet import Puppet, need_another_user, puppet
from tests.unit.observe.page_bytes import PageBytes

NO_PID = 2**22 + 1  # one more than Linux ever gives
COMMANDS = ("stat", "top --headless -n 1", "knobs --effective", "probes", "trace -d 1")
READERS = COMMANDS[:-1]
#: Root without any capability: no privilege, and yet no trouble to enter anybody's checkout.
POWERLESS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


def hakmem(
    words: str, *more: object, prefix: tuple[str, ...] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*prefix, HAKMEM, *words.split(), *map(str, more)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=os.environ | environment,
        timeout=120,
        check=False,
    )


def assert_refused(done: subprocess.CompletedProcess[str], code: int, *told: str) -> None:
    """One line of ours that says all of `told`; a sentence about tracefs may go before it."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if "tracefs" not in line]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("hakmem: ")
    for words in told:
        assert words in lines[0]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_pid_that_nobody_has_is_a_wrong_word(command: str) -> None:
    assert_refused(hakmem(command, "-p", NO_PID), 2, f"no process {NO_PID}")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_process_without_the_library_is_told_how_to_start_it(command: str) -> None:
    with puppet(preload=False) as stranger:
        done = hakmem(command, "-p", stranger.pid)
    assert_refused(done, 4, str(stranger.pid), "`hakmem run -- COMMAND`")


@pytest.fixture(scope="module")
def other_version() -> Iterator[Puppet]:
    """A process whose page says that it was written by a library of another version."""
    with puppet(preload=False) as target:
        page = PageBytes(pid=target.pid)
        page.set("abi_version", 7)
        target.do(
            "page = os.memfd_create('hakmem')\n"
            f"os.write(page, bytes.fromhex({bytes(page.data).hex()!r}))"
        )
        yield target


@pytest.mark.parametrize("command", ["stat", "top --headless -n 1", "knobs --effective"])
def test_another_version_of_the_library_is_told_with_both_numbers(
    command: str, other_version: Puppet
) -> None:
    done = hakmem(command, "-p", other_version.pid)
    assert_refused(done, 4, "ABI version 7, and this tool reads version 1")


@pytest.mark.parametrize("command", READERS)
def test_another_users_process_is_told_with_both_users(command: str) -> None:
    need_another_user()
    with puppet() as target:
        done = hakmem(command, "-p", target.pid, prefix=NOBODY)
    assert_refused(done, 4, "belongs to user 0 and may not be read by user 65534")


@pytest.mark.parametrize("command", ["trace", "top --headless -n 1 --source bpf"])
def test_without_privilege_bpf_names_the_capabilities_that_would_do(command: str) -> None:
    with puppet(prefix=POWERLESS) as target:
        done = hakmem(command, "-p", target.pid, prefix=POWERLESS)
    assert_refused(done, 4, "CAP_BPF and CAP_PERFMON", "run as root")


def test_without_privilege_the_screens_show_the_page_and_say_what_is_missing() -> None:
    with puppet(prefix=POWERLESS) as target:
        done = hakmem("top --headless -n 1 --json", "-p", target.pid, prefix=POWERLESS)
    assert done.returncode == 0, done.stderr
    (snapshot,) = (json.loads(line) for line in done.stdout.splitlines())
    assert snapshot["source"] == "counters"
    assert any("CAP_BPF" in sentence for sentence in snapshot["missing"])
    assert sum(row["refills"] for row in snapshot["classes"]) > 0


@pytest.fixture
def bare(library: Library, tmp_path: Path) -> Path:
    """The library without its probes."""
    path = tmp_path / "libhakmem.so"
    subprocess.run(["objcopy", "--remove-section=.note.stapsdt", library.path, path], check=True)
    return path


@pytest.mark.parametrize("command", ["trace -d 1", "top --headless -n 1 --source bpf"])
def test_a_running_library_without_probes_is_told(
    command: str, bare: Path, start: Callable[..., Any]
) -> None:
    done = hakmem(command, "-p", start(lib=bare).pid)
    assert_refused(done, 4, "has no file with hakmem probes", "`hakmem run -- COMMAND`")


def test_the_screens_do_without_probes(bare: Path, start: Callable[..., Any]) -> None:
    done = hakmem("top --headless -n 1 --json", "-p", start(lib=bare).pid)
    assert done.returncode == 0, done.stderr
    snapshot = json.loads(done.stdout)
    assert snapshot["source"] == "counters"
    assert any("probes" in sentence for sentence in snapshot["missing"])


def test_neither_kernel_headers_nor_a_cache_are_needed(
    workload_binary: Path, exhausted: dict[str, str]
) -> None:
    """Nothing under /lib/modules and /usr/src, and a home directory that cannot be written to."""
    hide = "for d in /lib/modules /usr/src; do [ ! -d $d ] || mount -t tmpfs none $d; done"
    settings = [word for item in exhausted.items() for word in ("--set", "=".join(item))]
    done = hakmem(
        "trace --json --event shared_fail",
        *(*settings, "--", workload_binary, 1009, 1000, 1, 0, "now"),
        prefix=("unshare", "--mount", "sh", "-c", f'{hide}; exec "$0" "$@"'),
        HOME="/proc/nowhere",
        XDG_CACHE_HOME="/proc/nowhere",
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert lines[-1]["counts"]["shared_fail"] > 500


@pytest.mark.parametrize("command", ["top --headless -i 0.05 -n 100000", "stat -i 0.05 -n 100000"])
def test_a_target_that_is_killed_while_watched_ends_the_watching(command: str) -> None:
    with puppet() as target:
        watcher = subprocess.Popen(
            [HAKMEM, *command.split(), "--json", "-p", str(target.pid)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert watcher.stdout is not None
        watcher.stdout.readline()
        target.kill()
        rest, errors = watcher.communicate(timeout=120)
    assert watcher.returncode == 3
    assert errors.splitlines()[-1] == f"hakmem: process {target.pid} has ended"
    assert "Traceback" not in errors
    assert all(json.loads(line) for line in rest.splitlines())


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -9)],
)
def test_however_top_ends_its_probes_go_and_the_target_goes_on(
    number: signal.Signals, code: int, start: Callable[..., Any],
    sites: Callable[..., Any], until: Callable[..., None],
) -> None:  # fmt: skip
    workload = start()
    memory = sites(workload)
    # A background job begins with Ctrl-C ignored; a terminal's does not.
    script = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.SIG_DFL)\n"
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    words = [HAKMEM, "top", "--headless", "-i", "0.05", "--json", "-p", str(workload.pid)]
    with subprocess.Popen(
        [sys.executable, "-c", script, *words],
        stdout=subprocess.DEVNULL,
    ) as top:
        until(memory.attached, "attached")
        top.send_signal(number)
        assert top.wait(120) == code
    until(lambda: memory.attached() == set(), "detached")
    workload.go()
    assert workload.is_alive()
