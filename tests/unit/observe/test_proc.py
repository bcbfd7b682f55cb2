"""/proc as text, and the handle on a process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from hakmem_tools.observe.attached import parse_uprobe_events
from hakmem_tools.observe.proc import Mapping, Process, parse_maps
from hakmem_tools.observe.source import NoSuchProcess, TargetGone

MAPS = """\
7f00-8000 r-xp 00002000 fe:01 42                         /usr/lib/a b.so (deleted)
9000-a000 rw-s 00001000 00:01 7 /memfd:hakmem (deleted)
b000-c000 rw-p 00000000 00:00 0
garbage
zz-yy r-xp 0 0:0 0
"""


def test_maps_lines_are_read_with_names_that_hold_spaces() -> None:
    rows = list(parse_maps(MAPS))
    assert rows[0] == Mapping(
        0x7F00, 0x8000, "r-xp", 0x2000, os.makedev(0xFE, 1), 42, "/usr/lib/a b.so (deleted)"
    )
    assert rows[1].path == "/memfd:hakmem (deleted)"
    assert rows[1].map_file == "9000-a000"
    assert rows[2].path == ""
    assert len(rows) == 3


def test_uprobe_events_of_tracefs_are_read() -> None:
    text = "p:probe_lib/refill /usr/lib/x.so:0x43c0 class=%di\nr:g/n /a b:0x10(0x20)\nnonsense\n"
    rows = list(parse_uprobe_events(text))
    assert [(row.path, row.offsets, row.holder) for row in rows] == [
        ("/usr/lib/x.so", (0x43C0,), "probe_lib/refill")
    ]


def test_our_own_process_is_alive_and_has_threads_and_memory() -> None:
    with Process(os.getpid()) as process:
        assert process.is_alive()
        usage = process.usage()
        assert usage.threads >= 1
        assert usage.rss_bytes > 1 << 20
        assert os.getpid() in process.namespace_pids()


@pytest.mark.parametrize("pid", [2**22 + 1, 2**31 + 5, 10**30])
def test_a_number_that_is_no_process_is_told(pid: int) -> None:
    with pytest.raises(NoSuchProcess, match=f"no process {pid}"):
        Process(pid)


def test_an_ended_process_is_gone_before_and_after_it_is_reaped() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with Process(child.pid) as process:
        assert process.is_alive()
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(TargetGone):  # a zombie
            process.usage()
        with pytest.raises(NoSuchProcess, match="has ended"):
            Process(child.pid)
        child.wait()
        with pytest.raises(TargetGone):
            process.read_text("status")
    assert child.stdin is not None
    child.stdin.close()
