"""The commands on real processes: what they print, and to which stream."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from typing import Any

import pytest

from hakmem_tools.observe.attached import breakpoint_at
from hakmem_tools.observe.elf import ElfFile, find_mapped
from hakmem_tools.observe.proc import Process
from tests.integration.observe.puppet import INTERPRETER, clean_environment, library_path, puppet
from tests.integration.observe.test_bad_input import HAKMEM, hakmem

SIZE, COUNT = 21_000, 997
ALLOCATE = f"blocks = [libc.malloc({SIZE}) for _ in range({COUNT})]"
PROGRAM = (
    "import ctypes; libc = ctypes.CDLL(None); libc.malloc.restype = ctypes.c_void_p; "
    f"blocks = [libc.malloc({SIZE}) for _ in range({COUNT})]; print('its own words')"
)


def json_lines(text: str) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
    assert all(line["schema_version"] == 1 for line in lines)
    return lines


def class_of(record: dict[str, Any], size: int = SIZE) -> dict[str, Any]:
    found: dict[str, Any] = next(r for r in record["classes"] if r["size_bytes"] >= size)
    return found


# ---- run ----


def test_run_becomes_the_program_with_its_settings_and_exit_code() -> None:
    done = hakmem(
        "run", "-m", "minimal", "tiny_cap_7=820", "HAKMEM_FRONT_CAP=64", "--",
        "sh", "-c", "echo $HAKMEM_MODE $HAKMEM_TINY_CAP_C7 $HAKMEM_FRONT_CAP $LD_PRELOAD; exit 9",
    )  # fmt: skip
    assert done.stdout == f"minimal 820 64 {library_path()}\n"
    assert done.stderr == ""
    assert done.returncode == 9


def test_run_keeps_the_words_of_the_program_as_they_are() -> None:
    done = hakmem("run", "front_cap=9", "printf", "%s|", "-n", "--")
    assert done.stdout == "-n|--|"


def test_run_leaves_signals_to_the_program() -> None:
    done = hakmem("run", "--", "sh", "-c", "kill -USR1 $$")
    assert done.returncode == -signal.SIGUSR1


# ---- stat ----


def test_stat_counts_a_started_program_to_its_end() -> None:
    done = hakmem("stat", "--json", "--", INTERPRETER, "-c", PROGRAM)
    assert done.returncode == 0
    (record,) = json_lines(done.stdout)
    assert class_of(record)["live_bytes"] >= COUNT * SIZE
    assert record["interval_ns"] is None
    assert "its own words" in done.stderr


def test_stat_catches_the_shortest_program() -> None:
    for _ in range(5):
        done = hakmem("stat", "--", "ls", "-d", "/")
        assert done.returncode == 0, done.stderr
        assert "libhakmem" in done.stdout


def test_stat_counts_the_program_behind_a_chain_of_execs() -> None:
    done = hakmem(
        "stat", "--json", "--", "env", "A=1", "sh", "-c", f'exec {INTERPRETER} -c "$0"', PROGRAM
    )
    (record,) = json_lines(done.stdout)
    assert class_of(record)["live_bytes"] >= COUNT * SIZE


def test_stat_tells_a_failed_programs_status() -> None:
    done = hakmem("stat", "--", "sh", "-c", "exit 3")
    assert done.returncode == 0
    assert "sh ended with status 3" in done.stderr


def test_stat_prints_counts_of_a_running_process_now() -> None:
    with puppet() as target:
        target.do(ALLOCATE)
        done = hakmem("stat", "--json", "-p", str(target.pid))
        text = hakmem("stat", "-p", str(target.pid))
    (record,) = json_lines(done.stdout)
    assert record["pid"] == target.pid
    assert class_of(record)["live_bytes"] >= COUNT * SIZE
    assert record["totals"]["live_bytes"] >= COUNT * SIZE
    assert text.stdout.startswith(f"pid {target.pid}, libhakmem ")
    assert text.stderr == ""


def test_stat_over_intervals_prints_differences() -> None:
    with puppet() as target:
        target.do(ALLOCATE)
        done = hakmem("stat", "--json", "-i", "0.05", "-n", "3", "-p", str(target.pid))
    records = json_lines(done.stdout)
    assert len(records) == 3
    assert all(record["interval_ns"] > 0 for record in records)
    assert all(record["totals"]["refills"] == 0 for record in records)


# ---- top --headless ----


def test_top_headless_prints_the_fields_that_scripts_rely_on() -> None:
    with puppet() as target:
        done = hakmem(
            "top", "--headless", "-n", "3", "-i", "0.05", "--json", "--source", "counters",
            "-p", str(target.pid),
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    records = json_lines(done.stdout)
    assert len(records) == 3
    for record in records:
        assert record["source"] == "counters"
        assert any("events" in sentence for sentence in record["missing"])
        assert record["pid"] == target.pid
        assert record["time_ns"] > 0
        for row in record["classes"]:
            assert set(row["stages"]) == {"0.5", "1", "2", "3"}
            assert {
                "class", "size_bytes", "shared_fail", "refills", "drains", "live_bytes",
                "mapped_bytes",
            } <= set(row)  # fmt: skip
    assert records[0]["rates"] is None
    assert records[1]["rates"]["refills"] >= 0


def test_top_headless_ends_the_program_that_it_started() -> None:
    done = hakmem("top", "--headless", "-n", "1", "--json", "--", "sleep", "1000")
    pid = json_lines(done.stdout)[0]["pid"]
    assert done.returncode == 0
    assert f"sleep (pid {pid}) ended, since this command started it" in done.stderr
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_started_programs_words_go_to_stderr() -> None:
    done = hakmem(
        "top", "--headless", "--json", "-i", "0.05", "--", "sh", "-c", "echo noise; sleep 0.2"
    )
    assert "noise" in done.stderr
    json_lines(done.stdout)


# ---- knobs ----

KNOB_FIELDS = {
    "name", "env", "aliases", "type", "unit", "default", "min", "max", "scope", "doc",
}  # fmt: skip


def test_knobs_prints_every_knob_with_the_fields_that_scripts_rely_on() -> None:
    records = {r["name"]: r for r in json_lines(hakmem("knobs", "--json").stdout)}
    assert all(set(record) >= KNOB_FIELDS for record in records.values())
    assert records["tiny_geometry"]["default"] == "fine"
    assert records["tiny_geometry"]["min"] is None
    assert records["superslab_lg"]["min"] == 19
    assert records["front_cap"]["aliases"] != []


def test_knobs_effective_says_what_a_process_runs_with() -> None:
    with puppet(env={"HAKMEM_MODE": "minimal", "HAKMEM_TINY_CAP_C7": "820"}) as target:
        words = ["knobs", "--effective", "--json", "-p", str(target.pid)]
        records = json_lines(hakmem(*words).stdout)
        everything = json_lines(hakmem(*words, "--all").stdout)
    by_env = {record["env"]: record for record in records}
    assert by_env["HAKMEM_MODE"]["value"] == "minimal"
    assert by_env["HAKMEM_FRONT"]["value"] == 0
    assert by_env["HAKMEM_FRONT"]["source"] == "mode"
    assert by_env["HAKMEM_TINY_CAP_C7"]["value"] == 820
    assert by_env["HAKMEM_TINY_CAP_C7"]["source"] == "env"
    assert by_env["HAKMEM_TINY_CAP_C<n>"]["source"] == "default"
    assert "HAKMEM_TINY_CAP_C6" not in by_env
    assert "HAKMEM_TINY_CAP_C6" in {record["env"] for record in everything}


# ---- probes ----


def test_probes_prints_every_probe_with_its_arguments_and_place() -> None:
    done = hakmem("probes", "--json")
    records = {record["name"]: record for record in json_lines(done.stdout)}
    fail = records["shared_fail"]
    assert fail["provider"] == "hakmem"
    assert fail["args"] == ["class", "reason", "active", "cap"]
    assert int(fail["address"], 16) > 0
    assert fail["semaphore"] is None
    assert fail["attached"] is False


def test_probes_tells_who_is_attached_to_a_process() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to attach a probe")
    with puppet() as target:
        script = f"usdt:{library_path()}:hakmem:refill {{ @++; }}"
        tracer = subprocess.Popen(
            ["bpftrace", "-p", str(target.pid), "-e", script],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=clean_environment(),
        )
        try:
            await_breakpoint(target.pid, "refill", tracer)
            done = hakmem("probes", "--json", "-p", str(target.pid))
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.wait()
        records = {record["name"]: record for record in json_lines(done.stdout)}
        assert records["refill"]["attached"] is True
        assert "bpftrace" in records["refill"]["attached_by"][0]["holder"]
        assert records["drain"]["attached"] is False
        after = json_lines(hakmem("probes", "--json", "-p", str(target.pid)).stdout)
        assert not any(record["attached"] for record in after)


def await_breakpoint(pid: int, name: str, tracer: subprocess.Popen[bytes]) -> None:
    """Returns when the site is attached; fails when the tracer ends, or after a minute."""
    deadline = time.monotonic() + 60
    with Process(pid) as process:
        mapped = find_mapped(process)
        with ElfFile(mapped.path) as file:
            site = next(site for site in file.sites() if site.name == name)
        while not breakpoint_at(process, mapped, site):
            assert tracer.poll() is None, "the tracer has ended"
            assert time.monotonic() < deadline, "the tracer has not attached"
            os.sched_yield()


def test_a_replaced_library_is_still_read_through_its_mapping(tmp_path: Any) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to open a file that is no longer there")
    copy = tmp_path / "libhakmem.so"
    copy.write_bytes(library_path().read_bytes())
    with puppet(preload=False, env={"LD_PRELOAD": str(copy)}) as target:
        copy.unlink()
        copy.write_bytes(b"another file")
        with Process(target.pid) as process:
            mapped = find_mapped(process)
        assert "map_files" in mapped.path
        records = json_lines(hakmem("probes", "--json", "-p", str(target.pid)).stdout)
        assert all(record["address"] for record in records)


# ---- doctor ----


def test_doctor_tries_every_part_and_says_how_to_mend_it() -> None:
    done = hakmem("doctor", "--json")
    records = {record["name"]: record for record in json_lines(done.stdout)}
    assert records["library"]["status"] == "ok"
    assert records["probes"]["status"] == "ok"
    assert records["counters page"]["status"] == "ok"
    failed = [record for record in records.values() if record["status"] == "failed"]
    assert done.returncode == (4 if failed else 0)
    assert all(record["remedy"] for record in failed)
    assert done.stderr == ""


def test_doctor_without_a_library_says_how_to_build_it() -> None:
    done = subprocess.run(
        [*HAKMEM, "doctor", "--lib", "/no/such.so", "--json"],
        capture_output=True,
        text=True,
        check=False,
        env=clean_environment(),
    )
    assert done.returncode == 4
    first = json_lines(done.stdout)[0]
    assert (first["name"], first["status"], first["remedy"]) == ("library", "failed", "make build")
