"""The README's C7 experiment, run as it stands there."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
#: The workload built by `make workloads`, which `make test` has done before.
_BLOCK = re.search(
    r"^make workloads\n(export .*\n)\n"
    r"(HAKMEM_SS_EMPTY_REUSE=0 .*\n)(HAKMEM_SS_EMPTY_REUSE=1 .*\n)```",
    (ROOT / "README.md").read_text(),
    re.MULTILINE,
)
assert _BLOCK is not None, "the README's experiment has another form than this test expects"
EXPORT, WITHOUT_REUSE, WITH_REUSE = _BLOCK.groups()


def shell(command: str) -> subprocess.CompletedProcess[str]:
    environment = {name: v for name, v in os.environ.items() if not name.startswith("HAKMEM_")}
    return subprocess.run(
        ["bash", "-c", EXPORT + command],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def test_without_reuse_each_fallback_is_a_line_with_class_reason_active_cap_and_thread() -> None:
    done = shell(WITHOUT_REUSE)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    told = re.compile(
        r" *\d+\.\d{6}  c7/\d+ +shared_fail +class=7 reason=soft_cap active=(\d+) cap=150$"
    )
    active = [int(match[1]) for line in lines if (match := told.match(line))]
    assert len(active) == len(lines) > 1000
    assert min(active) >= 150
    assert f"shared_fail {len(lines)}; {len(lines)} shown, 0 lost" in done.stderr


def test_the_same_events_as_json_name_their_thread_and_end_with_exact_counts() -> None:
    done = shell(WITHOUT_REUSE.replace("hakmem trace ", "hakmem trace --json "))
    assert done.returncode == 0, done.stderr
    *events, summary = (json.loads(line) for line in done.stdout.splitlines())
    assert {(e["event"], e["class"], e["reason"], e["cap"]) for e in events} == {
        ("shared_fail", 7, "soft_cap", 150)
    }
    assert len({event["tid"] for event in events}) > 100  # four threads in each of 100 waves
    assert summary["event"] == "summary"
    assert summary["counts"] == {"shared_fail": len(events) + summary["lost"]}


def test_with_reuse_there_is_none() -> None:
    done = shell(WITH_REUSE)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "no events" in done.stderr
