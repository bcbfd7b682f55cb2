"""A live sweep on a real process under libhakmem."""

from __future__ import annotations

from pathlib import Path

from hakmem_tools.observe.counters import CountersSource
from tests.integration.observe.puppet import puppet
from tests.integration.tune.commands import hakmem

BUSY = """
import threading
def churn():
    while True:
        blocks = [libc.malloc(size) for size in range(16, 4096, 4)]
        for block in blocks:
            libc.free(block)
threading.Thread(target=churn, daemon=True).start()
"""


def test_live_knobs_are_switched_measured_and_put_back(tmp_path: Path) -> None:
    with puppet() as process:
        process.do(BUSY)
        said = hakmem(
            "sweep", "--live", "-p", str(process.pid), "--slice", "100ms", "--repeats", "6",
            "-L", "HAKMEM_PURGE_IDLE_MS", "1000,10", "--json", "-o", tmp_path / "a.sweep",
        )  # fmt: skip
        assert said.code == 0, said.err
        arm, summary = said.lines
        assert arm["arm"] == "HAKMEM_PURGE_IDLE_MS=10"
        assert arm["metric"] == "cpu_per_allocation"
        assert 4 <= arm["runs"] <= 6  # a slice without an answer in time leaves its pair out
        assert arm["metrics"]["rss"]["median"] > 0
        assert summary["aa"]["blocks"] >= 3
        with CountersSource(process.pid) as source:
            now = {row.knob.env: row for row in source.knobs()}["HAKMEM_PURGE_IDLE_MS"]
        assert (now.value, now.source) == (1000, "default")


def test_bad_input_to_a_live_sweep_gets_one_clear_line(tmp_path: Path) -> None:
    with puppet() as process:
        live = ("sweep", "--live", "-p", str(process.pid), "-o", tmp_path / "a.sweep")
        cases = [
            ((*live, "-L", "HAKMEM_SUPERSLAB_LG", "19,21"), 3, "read at the start only"),
            ((*live, "-L", "HAKMEM_NO_SUCH", "1,2"), 3, "HAKMEM_NO_SUCH"),
            ((*live, "--slice", "soon", "-L", "HAKMEM_BATCH", "0,1"), 2, "--slice 'soon'"),
            (("sweep", "--live", "-L", "HAKMEM_BATCH", "0,1"), 2, "-p PID"),
            (("sweep", "--live", "-p", "999999", "-L", "HAKMEM_BATCH", "0,1"), 2, "999999"),
        ]
        for number, (arguments, code, words) in enumerate(cases):
            named = [tmp_path / f"{number}.sweep" if isinstance(a, Path) else a for a in arguments]
            said = hakmem(*named)
            lines = [line for line in said.err.splitlines() if "sweep file" not in line]
            assert said.code == code, said
            assert len(lines) == 1
            assert words in lines[0]
