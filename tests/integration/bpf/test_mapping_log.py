"""The log of mappings tells of programs that have ended before anybody looked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hakmem_tools.observe.bpf.mapping_log import MappingLog
from hakmem_tools.observe.target import launch


def test_a_program_that_has_ended_is_remembered_with_the_code_that_it_mapped() -> None:
    launched = launch(["/bin/true"], dict(os.environ), hold=True)
    with MappingLog(launched.pid) as log:
        launched.release()
        launched.wait()
        mappings = log.mappings(launched.pid)
        assert log.lost == 0
    program = os.stat(os.path.realpath("/bin/true"))
    (own,) = [m for m in mappings if m.inode == program.st_ino and m.device == program.st_dev]
    assert own.start < own.end
    assert "x" in own.permissions
    assert any("libc" in Path(m.path).name for m in mappings)
    assert mappings == sorted(mappings, key=lambda m: m.start)


def test_an_exec_forgets_what_was_mapped_before_it() -> None:
    """The held child is this very interpreter: nothing of it may be left after the exec."""
    launched = launch(["/bin/sh", "-c", "exec /bin/true"], dict(os.environ), hold=True)
    with MappingLog(launched.pid) as log:
        launched.release()
        launched.wait()
        names = {Path(m.path).name for m in log.mappings(launched.pid)}
        assert log.has_mapped(Path(os.path.realpath("/bin/sh")).name)
    assert "true" in names
    assert Path(os.path.realpath("/bin/sh")).name not in names


@pytest.mark.parametrize("exec_cpu", [0, 1])
def test_the_records_of_several_cpus_are_put_in_order(exec_cpu: int) -> None:
    """The exec is recorded by one CPU and what is mapped after it by another, either first."""
    assert {0, 1} <= os.sched_getaffinity(0), "needs CPUs 0 and 1"
    after = (
        f"import os; os.sched_setaffinity(0, {{{1 - exec_cpu}}});"
        " import ctypes; ctypes.CDLL('libm.so.6'); ctypes.CDLL('libutil.so.1')"
    )
    before = (
        f"import os; os.sched_setaffinity(0, {{{exec_cpu}}});"
        f" os.execv('/usr/bin/python3', ['python3', '-S', '-c', {after!r}])"
    )
    launched = launch(["/usr/bin/python3", "-S", "-c", before], dict(os.environ), hold=True)
    with MappingLog(launched.pid) as log:
        launched.release()
        launched.wait()
        names = {Path(m.path).name for m in log.mappings(launched.pid)}
    assert any(name.startswith("python3") for name in names)
    assert "libutil.so.1" in names


def test_a_forked_child_has_its_parents_mappings() -> None:
    script = (
        "import os, sys\nchild = os.fork()\nif child:\n    os.waitpid(child, 0)\n    print(child)"
    )
    read, write = os.pipe()
    launched = launch(
        ["/usr/bin/python3", "-S", "-c", script], dict(os.environ), hold=True, redirect={1: write}
    )
    os.close(write)
    with MappingLog(launched.pid) as log, os.fdopen(read) as said:
        launched.release()
        child = int(said.read())
        launched.wait()
        inherited = {(m.start, m.path) for m in log.mappings(child)}
        own = {(m.start, m.path) for m in log.mappings(launched.pid)}
    assert inherited
    assert inherited <= own
