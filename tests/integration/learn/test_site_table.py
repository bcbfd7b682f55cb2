"""The table of call sites as a tool reads it from a running process, without privilege."""

from __future__ import annotations

import json

from hakmem_tools.observe.counters import CountersSource
from hakmem_tools.observe.sites import read_sites
from tests.integration.observe.puppet import puppet
from tests.integration.observe.test_bad_input import hakmem

LABELLED = """
own = ctypes.CDLL(None)
own.hak_alloc_at.restype = ctypes.c_void_p
own.hak_alloc_at.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
own.hak_free_cs.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
blocks = [own.hak_alloc_at(100, 4242) for _ in range(997)]
for block in blocks[:400]: own.hak_free_cs(block, 100)
"""


def test_a_labelled_site_is_told_exactly() -> None:
    with puppet(env={"HAKMEM_SITES": "on"}) as process, CountersSource(process.pid) as source:
        process.do(LABELLED)
        site = next(row for row in read_sites(source).sites if row.address == 4242)
        assert (site.count, site.bytes, site.max_bytes) == (997, 99_700, 100)
        assert (site.live_count, site.live_bytes) == (597, 59_700)
        assert (site.policy, site.estimated) == ("SMALL_FREQUENT", False)


def test_sampled_calls_stand_for_those_that_were_not_taken() -> None:
    with puppet(env={"HAKMEM_SITE_SAMPLE": "3"}) as process:
        process.do(LABELLED)
        with CountersSource(process.pid) as source:
            site = next(row for row in read_sites(source).sites if row.address == 4242)
        assert 990 <= site.count <= 1008
        assert site.estimated


def test_a_big_block_is_put_down_to_the_function_that_asked() -> None:
    with puppet() as process:
        process.do("blocks = [libc.malloc(3_000_000) for _ in range(11)]; libc.free(blocks[0])")
        with CountersSource(process.pid) as source:
            site = next(row for row in read_sites(source).sites if row.max_bytes == 3_000_000)
        assert (site.count, site.live_count) == (11, 10)
        assert site.module
        assert "libffi" in site.module
        done = hakmem("stat", "--sites", "--json", "-p", str(process.pid))
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        assert done.returncode == 0
        row = next(row for row in rows if row["max_bytes"] == 3_000_000)
        assert row["total_bytes"] == 33_000_000
        assert row["frames"][0]["module"] == site.module


def test_without_a_table_the_command_says_how_to_get_one() -> None:
    with puppet(env={"HAKMEM_SITES": "off"}) as process:
        done = hakmem("stat", "--sites", "-p", str(process.pid))
        assert (done.returncode, done.stdout) == (4, "")
        assert "HAKMEM_SITES" in done.stderr
        assert done.stderr.count("\n") == 1


def test_a_forked_child_keeps_an_account_of_its_own() -> None:
    with puppet(env={"HAKMEM_SITES": "on"}) as process:
        process.do(LABELLED)
        process.do(
            "ready = os.pipe()\nparent = os.getpid()\nchild = os.fork()\n"
            "if child == 0:\n"
            "    more = [own.hak_alloc_at(100, 4242) for _ in range(3)]\n"
            "    os.write(ready[1], b'r')\n"
            "    signal.pause()\n"
            "os.read(ready[0], 1)"
        )
        child = int(process.ask("child"))
        counts = []
        for pid in (child, process.pid):
            with CountersSource(pid) as source:
                counts += [row.count for row in read_sites(source).sites if row.address == 4242]
        process.do("os.kill(child, 9); os.waitpid(child, 0)")
        assert counts == [1000, 997]
