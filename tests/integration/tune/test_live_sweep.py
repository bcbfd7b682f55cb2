"""A live sweep on a real process under libhakmem."""

from __future__ import annotations

import subprocess
from pathlib import Path

from hakmem_tools.model.trial import Phase
from hakmem_tools.observe.counters import CountersSource
from hakmem_tools.tune.store import Store
from tests.integration.observe.puppet import puppet
from tests.integration.tune.commands import command, eventually, hakmem

BUSY = """
import threading
def churn():
    while True:
        blocks = [libc.malloc(size) for size in range(16, 4096, 4)]
        for block in blocks:
            libc.free(block)
threading.Thread(target=churn, daemon=True).start()
"""


KNOB = "HAKMEM_PURGE_IDLE_MS"


def live_sweep(pid: int, sweep: Path, repeats: int) -> tuple[str | Path, ...]:
    return (
        "sweep", "--live", "-p", str(pid), "--slice", "100ms", "--repeats", str(repeats),
        "-L", KNOB, "1000,10", "--json", "-o", sweep,
    )  # fmt: skip


def setting(pid: int) -> tuple[object, str]:
    """The knob's value in the process, and where it came from."""
    with CountersSource(pid) as source:
        row = next(row for row in source.knobs() if row.knob.env == KNOB)
    return row.value, row.source


def test_live_knobs_are_switched_measured_and_put_back(tmp_path: Path) -> None:
    with puppet() as process:
        process.do(BUSY)
        said = hakmem(*live_sweep(process.pid, tmp_path / "a.sweep", 6))
        assert said.code == 0, said.err
        arm, summary = said.lines
        assert arm["arm"] == f"{KNOB}=10"
        assert arm["metric"] == "cpu_per_allocation"
        # A slice in which a busy machine kept the process from answering, or from doing anything,
        # is a failed run.
        assert arm["runs"] >= 1
        assert arm["runs"] + arm["failed_runs"] == summary["summary"]["blocks"]
        assert arm["metrics"]["rss"]["median"] > 0
        assert setting(process.pid) == (1000, "default")
    with Store.open(tmp_path / "a.sweep") as store:
        calibration = store.trials(Phase.CALIBRATE)
        assert {trial.arm for trial in calibration} == {f"{KNOB}=1000"}
        assert all(trial.ok or trial.detail for trial in store.trials())


def test_a_live_sweep_that_is_killed_leaves_no_knob_switched(tmp_path: Path) -> None:
    sweep = tmp_path / "a.sweep"
    with puppet() as process:
        process.do(BUSY)
        for _ in range(2):  # the second takes the first one's file up again
            sweeper = subprocess.Popen(
                command(*live_sweep(process.pid, sweep, 1000)), stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )  # fmt: skip
            try:
                eventually(lambda: setting(process.pid) == (10, "live"))
                sweeper.kill()
            finally:
                sweeper.kill()
                sweeper.wait()
            eventually(lambda: setting(process.pid) == (1000, "default"))


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
