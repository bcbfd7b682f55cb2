"""The counters source on real processes: counts, execs, forks, daemons, ends."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from hakmem_tools.model.snapshot import Snapshot
from hakmem_tools.observe.counters import CountersSource
from hakmem_tools.observe.source import NoPage, NotPermitted, TargetGone
from tests.integration.observe.puppet import need_another_user, puppet
from tests.unit.observe.page_bytes import PageBytes

#: A size that the interpreter itself hardly ever asks for, and a prime number of blocks.
SIZE, COUNT = 21_000, 997
ALLOCATE = f"blocks = [libc.malloc({SIZE}) for _ in range({COUNT})]"
FREE = "for block in blocks: libc.free(block)"


def live(snapshot: Snapshot, size: int = SIZE) -> int:
    """Live blocks of the class that serves `size`."""
    return next(row for row in snapshot.classes if row.size_bytes >= size).live_blocks


def test_blocks_are_counted_exactly_while_the_process_runs() -> None:
    with puppet() as target, CountersSource(target.pid) as source:
        before = source.snapshot()
        target.do(ALLOCATE)
        between = source.snapshot()
        target.do(FREE)
        after = source.snapshot()
    assert live(between) - live(before) == COUNT
    assert live(after) == live(before)
    assert between.source == "counters"
    assert between.threads == 1
    assert between.rss_bytes is not None
    assert between.mapped_bytes > COUNT * SIZE


def test_counts_of_ended_threads_stay() -> None:
    script = (
        f"def work(): libc.free(libc.malloc({SIZE}))\n"
        "threads = [threading.Thread(target=work) for _ in range(37)]\n"
        "for t in threads: t.start()\n"
        "for t in threads: t.join()\n"
    )
    with puppet() as target, CountersSource(target.pid) as source:
        before = source.snapshot()
        target.do(script)
        delta = source.snapshot().delta(before)
    row = next(row for row in delta.classes if row.size_bytes >= SIZE)
    assert row.live_blocks == 0
    assert delta.total("threads_started") == 37
    assert delta.total("threads_ended") == 37


def test_sums_hold_while_threads_come_and_go() -> None:
    """No snapshot may count an ending thread's block twice, or not at all."""
    script = (
        "def churn():\n"
        "    while not stop:\n"
        f"        thread = threading.Thread(target=lambda: libc.free(libc.malloc({SIZE})))\n"
        "        thread.start(); thread.join()\n"
        "stop = False\n"
        "churner = threading.Thread(target=churn); churner.start()\n"
    )
    with puppet() as target, CountersSource(target.pid) as source:
        target.do(script)
        earlier = source.snapshot()
        for _ in range(300):
            now = source.snapshot()
            delta = now.delta(earlier)
            if not any("exact sums" in sentence for sentence in now.missing + earlier.missing):
                assert delta.total("threads_started") >= 0
                assert delta.total("threads_ended") >= 0
                assert delta.total("refills") >= 0
            earlier = now
        target.do("stop = True; churner.join()")


def test_effective_knobs_come_with_their_sources() -> None:
    env = {"HAKMEM_MODE": "minimal", "HAKMEM_TINY_CAP_C7": "820", "HAKMEM_FRONT_CAP": "7"}
    with puppet(env=env) as target, CountersSource(target.pid) as source:
        settings = {s.knob.env_name(s.index): s for s in source.knobs()}
        mode = source.snapshot().mode
    assert mode == "minimal"
    assert (settings["HAKMEM_TINY_CAP_C7"].value, settings["HAKMEM_TINY_CAP_C7"].source) == (
        820,
        "env",
    )
    assert settings["HAKMEM_TINY_CAP_C6"].source == "default"
    assert (settings["HAKMEM_FRONT"].value, settings["HAKMEM_FRONT"].source) == (0, "mode")
    refused = settings["HAKMEM_FRONT_CAP"]
    assert (refused.value, refused.refused) == (8, True)


def test_a_process_that_starts_another_program_is_followed() -> None:
    with puppet() as target, CountersSource(target.pid) as source:
        first = source.snapshot()
        target.become("input()")
        second = source.snapshot()
    assert second.start_ns > first.start_ns
    assert second.pid == first.pid


def test_a_process_that_leaves_libhakmem_by_an_exec_is_gone() -> None:
    with puppet() as target, CountersSource(target.pid, sleep=lambda _: None) as source:
        target.become("input()", environment={})
        with pytest.raises(TargetGone, match="does not run libhakmem"):
            source.snapshot()


def test_a_forked_child_has_a_page_of_its_own() -> None:
    with puppet() as target:
        target.do(
            "reading, writing = os.pipe()\n"
            "child = os.fork()\n"
            f"if child == 0:\n"
            f"    blocks = [libc.malloc({SIZE}) for _ in range({COUNT})]\n"
            "    os.write(writing, b'x'); signal.pause()\n"
            "os.read(reading, 1)"
        )
        child = int(target.ask("child"))
        with CountersSource(target.pid) as parents, CountersSource(child) as childs:
            parent_live, child_live = live(parents.snapshot()), live(childs.snapshot())
            assert childs.layout.forked_from == target.pid
        target.do("os.kill(child, signal.SIGKILL); os.waitpid(child, 0)")
    assert child_live - parent_live == COUNT


def test_a_daemon_that_closes_all_its_files_is_still_read() -> None:
    with puppet() as target:
        with CountersSource(target.pid) as source:
            assert source.page_path.startswith(f"/proc/{target.pid}/fd/")
            before = live(source.snapshot())
            target.do("os.closerange(3, 5000)")
            target.do(ALLOCATE)
            assert live(source.snapshot()) - before == COUNT
            assert not source.page_path.startswith(f"/proc/{target.pid}/fd/")
        with CountersSource(target.pid) as anew:
            assert live(anew.snapshot()) - before == COUNT


def test_a_closed_page_is_read_through_memory_where_map_files_is_not_permitted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from hakmem_tools.observe.proc import Process

    real_open = Process.open

    def without_map_files(self: Process, name: str, flags: int = os.O_RDONLY) -> int:
        if name.startswith("map_files/"):
            raise PermissionError(1, "Operation not permitted")
        return real_open(self, name, flags)

    monkeypatch.setattr(Process, "open", without_map_files)
    with puppet() as target:
        target.do("os.closerange(3, 5000)")
        with CountersSource(target.pid) as source:
            assert source.page_path == ""
            before = source.snapshot()
            target.do(ALLOCATE)
            assert live(source.snapshot()) - live(before) == COUNT
            assert next(k.knob.name for k in source.knobs()) == "mode"
            target.kill()
            with pytest.raises(TargetGone):
                source.snapshot()
            with pytest.raises(TargetGone, match="its last counts with it"):
                source.final_snapshot()


def test_the_last_counts_outlive_the_process() -> None:
    with puppet() as target, CountersSource(target.pid) as source:
        before = live(source.snapshot())
        target.do(ALLOCATE)
        target.kill()
        with pytest.raises(TargetGone, match=f"process {target.pid} has ended"):
            source.snapshot()
        final = source.final_snapshot()
    assert live(final) - before == COUNT
    assert final.threads is None
    assert final.rss_bytes is None


def test_a_stopped_process_is_read() -> None:
    with puppet() as target, CountersSource(target.pid) as source:
        os.kill(target.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, target.pid, os.WSTOPPED)
        assert source.snapshot().classes
        os.kill(target.pid, signal.SIGCONT)


def test_a_process_without_the_library_says_how_to_start_it() -> None:
    with puppet(preload=False) as target, pytest.raises(NoPage, match="does not run libhakmem"):
        CountersSource(target.pid)


def test_a_process_that_hides_its_page_is_told_apart() -> None:
    with (
        puppet(env={"HAKMEM_PAGE": "0"}) as target,
        pytest.raises(NoPage, match="has not allocated yet, or was started with HAKMEM_PAGE=0"),
    ):
        CountersSource(target.pid)


def test_a_page_of_another_process_is_not_taken_for_its_own(tmp_path: Path) -> None:
    (tmp_path / "page").write_bytes(bytes(PageBytes(pid=1).data))
    with puppet(preload=False) as target:
        target.do(
            "page = os.memfd_create('hakmem')\n"
            f"os.write(page, open({str(tmp_path / 'page')!r}, 'rb').read())"
        )
        with pytest.raises(NoPage, match="does not run libhakmem"):
            CountersSource(target.pid)


def test_a_page_that_is_truncated_while_it_is_watched_ends_the_watching(tmp_path: Path) -> None:
    with puppet(preload=False) as target:
        (tmp_path / "page").write_bytes(bytes(PageBytes(pid=target.pid).data))
        target.do(
            "page = os.memfd_create('hakmem')\n"
            f"os.write(page, open({str(tmp_path / 'page')!r}, 'rb').read())"
        )
        with CountersSource(target.pid) as source:
            assert source.version == "9.8.7"
            assert source.snapshot().mode == "loud"
            target.do("os.ftruncate(page, 5000)")
            source.snapshot()
            target.do("os.ftruncate(page, 10)")
            with pytest.raises(TargetGone, match="its header ends after 10"):
                source.snapshot()


def test_a_page_whose_thread_never_finishes_retiring_is_read_with_a_word_on_it(
    tmp_path: Path,
) -> None:
    with puppet(preload=False) as target:
        page = PageBytes(pid=target.pid)
        page.set("retire_seq", 3)
        (tmp_path / "page").write_bytes(bytes(page.data))
        target.do(
            "page = os.memfd_create('hakmem')\n"
            f"os.write(page, open({str(tmp_path / 'page')!r}, 'rb').read())"
        )
        with CountersSource(target.pid, sleep=lambda _: None) as source:
            assert any("exact sums" in sentence for sentence in source.snapshot().missing)


def test_another_users_process_is_refused_with_both_users() -> None:
    need_another_user()
    with puppet(prefix=["setpriv", "--reuid=65534", "--clear-groups", "--regid=65534"]) as target:
        # Root may look; a user who is neither may not.
        with CountersSource(target.pid) as source:
            assert source.snapshot().classes
        child = os.fork()
        if child == 0:
            os.setresgid(65533, 65533, 65533)
            os.setresuid(65533, 65533, 65533)
            try:
                CountersSource(target.pid)
            except NotPermitted as error:
                told = "belongs to user 65534" in str(error) and "by user 65533" in str(error)
                os._exit(0 if told else 1)
            except BaseException:
                os._exit(2)
            os._exit(3)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_the_same_user_reads_without_any_privilege() -> None:
    need_another_user()
    with puppet(prefix=["setpriv", "--reuid=65534", "--clear-groups", "--regid=65534"]) as target:
        child = os.fork()
        if child == 0:
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            try:
                with CountersSource(target.pid) as source:
                    os._exit(0 if source.snapshot().classes else 1)
            except BaseException:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
