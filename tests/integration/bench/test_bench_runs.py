"""The workloads and the runner, for real: a few operations each, no claim about speed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from hakmem_tools.bench.callgrind import count_instructions
from hakmem_tools.bench.measure import MeasureError, measure, run_held
from hakmem_tools.bench.peers import PROJECT, Peer, find_peers
from hakmem_tools.bench.results import Document
from hakmem_tools.bench.rows import ROWS, Row

GLIBC = Peer("glibc", None, None)
FEW = {"repeat": 2, "buffers": 10, "rounds": 9, "lives": 5, "waves": 3, "bursts": 5}


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workloads, built afresh."""
    build = tmp_path_factory.mktemp("build")
    subprocess.run(
        ["make", "-s", "-f", "bench/workloads.mk", f"BUILD={build}"], cwd=PROJECT, check=True
    )
    return build / "bench"


@pytest.fixture(scope="session")
def jemalloc() -> Peer:
    (peer,), missing = find_peers(["jemalloc"])
    assert not missing
    return peer


def few(row: Row) -> Row:
    count = FEW.get(row.count_flag, 20_000)
    return msgspec.structs.replace(row, count=count, processes=min(2, row.processes))


MAIN = """
import signal, sys
from hakmem_tools.cli.main import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job begins with it ignored
main()
"""


def hakmem_bench(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """The command as a user runs it, under the one error guard."""
    return subprocess.run(
        [sys.executable, "-c", MAIN, "bench", *arguments],
        capture_output=True,
        text=True,
        cwd=PROJECT,
    )


def script(folder: Path, body: str) -> list[str]:
    path = folder / "program"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return [str(path)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_gives_the_same_checksum_under_two_allocators(
    row: Row, programs: Path, jemalloc: Peer
) -> None:
    first = measure(few(row), GLIBC, programs, round_=0, position=0, arm="glibc")
    second = measure(few(row), jemalloc, programs, round_=0, position=1, arm="jemalloc")
    assert (first.failure, second.failure) == (None, None)
    assert first.checksum == second.checksum
    assert first.ops == second.ops
    assert first.ops is not None
    assert first.ops > 0
    assert first.peak_rss_bytes is not None
    assert first.peak_rss_bytes > 500_000
    assert first.minor_faults is not None
    assert first.minor_faults > 0


@pytest.mark.parametrize("name", sorted({row.program for row in ROWS}))
def test_a_workload_explains_itself_and_refuses_what_it_does_not_know(
    name: str, programs: Path
) -> None:
    program = str(programs / name)
    shown = subprocess.run([program, "--help"], capture_output=True, text=True)
    assert shown.returncode == 0
    assert "--threads" in shown.stdout
    for wrong in (["--frobs", "1"], ["--threads", "0"], ["--threads"], ["12"], ["--threads", "9x"]):
        refused = subprocess.run([program, *wrong], capture_output=True, text=True)
        assert refused.returncode == 2
        assert len(refused.stderr.splitlines()) == 1


def test_the_peak_is_the_childs_own_and_not_that_of_its_parent(programs: Path) -> None:
    ballast = bytearray(64 << 20)
    for at in range(0, len(ballast), 4096):
        ballast[at] = 1
    row = few(next(row for row in ROWS if row.name == "pair64"))
    run = measure(row, GLIBC, programs, round_=0, position=0, arm="glibc")
    assert run.peak_rss_bytes is not None
    assert run.peak_rss_bytes < 16 << 20


def test_a_preload_that_takes_no_effect_fails_the_run(programs: Path, tmp_path: Path) -> None:
    broken = tmp_path / "libbroken.so"
    broken.write_bytes(b"not a library")
    row = few(next(row for row in ROWS if row.name == "pair64"))
    peer = Peer("broken", str(broken), None)
    run = measure(row, peer, programs, round_=0, position=0, arm="broken")
    assert run.seconds is None
    assert run.failure is not None
    assert run.failure.startswith("the preload took no effect: libbroken.so is not in")


def test_a_program_that_fails_is_a_run_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(MeasureError, match="exit status 3: out of cheese"):
        run_held(script(tmp_path, "echo out of cheese >&2; exit 3"), None)
    with pytest.raises(MeasureError, match="killed by SIGKILL"):
        run_held(script(tmp_path, "kill -KILL $$"), None)
    with pytest.raises(MeasureError, match="printed nothing"):
        run_held(script(tmp_path, "exit 0"), None)
    with pytest.raises(MeasureError, match="not a workload's"):
        run_held(script(tmp_path, "echo hello; read x; exit 0"), None)
    with pytest.raises(MeasureError, match="cannot start"):
        run_held([str(tmp_path / "absent")], None)


def test_a_program_that_hangs_is_killed_and_leaves_no_process(tmp_path: Path) -> None:
    body = f"echo $$ > {tmp_path}/pid; exec tail -f /dev/null"
    with pytest.raises(MeasureError, match="out of time"):
        run_held(script(tmp_path, body), None, timeout_seconds=2.0)
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIG_DFL)


def test_a_program_that_says_much_at_its_end_is_not_blocked(tmp_path: Path) -> None:
    line = '{"workload":"w","threads":1,"ops":1,"seconds":1,"ops_per_second":1,"checksum":1}'
    body = f"echo '{line}'; read x; head -c 300000 /dev/zero >&2"
    assert run_held(script(tmp_path, body), None).output.ops == 1


def test_two_rounds_of_a_tiny_row_make_a_table_and_files(
    programs: Path, jemalloc: Peer, tmp_path: Path
) -> None:
    arguments = [
        "--rows", "pair64", "--peers", "glibc,jemalloc", "--rounds", "2", "--quick",
        "--programs", str(programs), "-o", str(tmp_path / "r.json"), "-o", str(tmp_path / "r.csv"),
    ]  # fmt: skip
    done = hakmem_bench(arguments)
    assert done.returncode == 0, done.stderr
    assert "A/A of glibc" in done.stdout
    assert any(line.startswith("pair64 ") for line in done.stdout.splitlines())
    kept = msgspec.json.decode((tmp_path / "r.json").read_bytes(), type=Document)
    assert [run.arm for run in kept.runs] == ["glibc", "jemalloc", "glibc", "jemalloc"]
    assert kept.failed_runs == 0
    assert kept.peers["jemalloc"]["sha256"]
    assert len((tmp_path / "r.csv").read_text().splitlines()) == 5
    again = hakmem_bench(arguments)
    assert again.returncode == 2
    assert "--force overwrites it" in again.stderr


def test_ctrl_c_ends_it_with_130_and_keeps_the_rounds_that_were_done(
    programs: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "r.json"
    arguments = ["--rows", "pair64", "--peers", "glibc", "--rounds", "1000", "--quick", "--no-aa"]
    command = [sys.executable, "-c", MAIN, "bench", *arguments]
    with subprocess.Popen(
        [*command, "--programs", str(programs), "-o", str(kept)],
        cwd=PROJECT, text=True, stderr=subprocess.PIPE,
    ) as running:  # fmt: skip
        assert running.stderr is not None
        for line in running.stderr:
            if "round 2 of 1000 done" in line:
                break
        running.send_signal(signal.SIGINT)
        assert running.wait(timeout=60) == 130
    found = msgspec.json.decode(kept.read_bytes(), type=Document)
    assert found.rounds_done >= 1
    assert len(found.runs) == found.rounds_done


def test_json_output_is_lines_of_json_alone(programs: Path) -> None:
    done = hakmem_bench(
        ["--rows", "pair64", "--peers", "glibc", "--rounds", "1", "--quick", "--no-aa", "--json",
         "--programs", str(programs)],
    )  # fmt: skip
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [record["record"] for record in records] == ["machine", "row", "summary"]


def test_an_absent_peer_is_one_line_and_the_rest_goes_on(programs: Path, tmp_path: Path) -> None:
    broken = tmp_path / "libbroken.so"
    broken.write_bytes(b"not a library")
    done = hakmem_bench(
        ["--rows", "pair64", "--peers", f"glibc,broken={broken}", "--rounds", "1", "--quick",
         "--no-aa", "--programs", str(programs)],
    )  # fmt: skip
    assert done.returncode == 3
    assert "pair64 under broken: 1 of 1 runs failed" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rows", "nope"], "no row matches 'nope'"),
        (["--peers", "nope"], "unknown peer 'nope'"),
        (["-o", "x.txt"], "must end in .json or .csv"),
        (["-o", "/nowhere/x.json"], "no file can be written there"),
        (["--callgrind", "-o", "x.json"], "-o writes times"),
    ],
)
def test_a_wrong_argument_is_a_usage_error(
    arguments: list[str], message: str, programs: Path
) -> None:
    done = hakmem_bench([*arguments, "--programs", str(programs)])
    assert done.returncode == 2
    assert message in done.stderr


def test_missing_workloads_say_how_to_build_them(tmp_path: Path) -> None:
    done = hakmem_bench(["--programs", str(tmp_path)])
    assert done.returncode == 2
    assert "not built; run `make workloads`" in done.stderr


def test_callgrind_counts_the_same_instructions_again(programs: Path) -> None:
    assert shutil.which("valgrind"), "valgrind is one of the project's packages"
    row = next(row for row in ROWS if row.name == "pair64")
    first = count_instructions(row, GLIBC, programs)
    second = count_instructions(row, GLIBC, programs)
    assert first.failure is None
    assert first.per_operation is not None
    assert first.per_operation == pytest.approx(second.per_operation, abs=0.05)
    assert 10 < first.per_operation < 500
