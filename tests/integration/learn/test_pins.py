"""What somebody has set, in the environment or by a tool, the learner leaves alone."""

from __future__ import annotations

import json
import time

import pytest

from hakmem_tools.observe.counters import CountersSource
from hakmem_tools.observe.live_knobs import reset_knobs, set_knob
from hakmem_tools.observe.page import KnobSetting
from tests.integration.learn.test_learning import (
    BEST_IS_512K,
    LIMIT_S,
    is_frozen,
    learning,
    run_until,
)
from tests.integration.observe.puppet import Puppet
from tests.integration.observe.test_bad_input import hakmem

#: Blocks of every class, and buffers that grow: something to learn about each setting.
EVERYTHING = """
for _ in range(20):
    blocks = [libc.malloc(size) for size in range(2100, 60000, 97)]
    for block in blocks: libc.free(block)
for _ in range(50):
    size, block = 20, libc.malloc(20)
    while size < 30000:
        size = size * 6 // 5
        block = libc.realloc(block, size)
    libc.free(block)
"""
PINNED = {
    "HAKMEM_W_MAX_MID": ("1.75", 1.75),
    "HAKMEM_W_MAX_LARGE": ("1.3", 1.3),
    "HAKMEM_MID_DYN1": ("13312", 13312),
    "HAKMEM_REALLOC_SLACK": ("0.1", 0.1),
    "HAKMEM_MMAP_THRESHOLD": ("300000", 300000),
    "HAKMEM_CAP_MID": ("77", 77),
    "HAKMEM_CAP_LARGE": ("9", 9),
    "HAKMEM_FRONT_CAP": ("48", 48),
}


def knob(source: CountersSource, name: str) -> KnobSetting:
    return next(row for row in source.knobs() if name in (row.knob.name, row.knob.env))


def windows(process: Puppet, source: CountersSource, work: str, count: int) -> dict[str, int]:
    """Runs `work` until so many more windows have ended; the counters."""
    first = source.snapshot().scalars["learn_windows"]
    return run_until(process, source, work, lambda now: now["learn_windows"] >= first + count)


def test_a_knob_of_the_environment_stays_what_it_is_while_others_are_learnt() -> None:
    given = {name: text for name, (text, _) in PINNED.items()}
    with learning(HAKMEM_LEARN_MIN_SAMPLES="16", **given) as (process, source):
        counts = windows(process, source, f"{EVERYTHING}\n{BEST_IS_512K}", 60)
        for name, (_, value) in PINNED.items():
            row = knob(source, name)
            assert row.value == pytest.approx(value)
            assert (row.source, row.learned) == ("env", False)
            assert row.pinned
        assert counts["learn_samples"] == counts["cap_moves"] == counts["front_moves"] == 0
        assert counts["learn_arm"] == 3  # the arm of 300000 bytes


def test_the_same_work_moves_those_settings_when_nobody_has_set_them() -> None:
    with learning(HAKMEM_LEARN_MIN_SAMPLES="16") as (process, source):
        windows(process, source, EVERYTHING, 1)
        moved: set[str] = set()
        end = time.monotonic() + LIMIT_S
        while not moved >= {"w_max_mid", "realloc_slack"} and time.monotonic() < end:
            process.do(EVERYTHING)
            moved |= {row.knob.name for row in source.knobs() if row.learned}
        assert moved >= {"w_max_mid", "realloc_slack"}
        assert not any(row.pinned for row in source.knobs() if row.learned)


def test_a_threshold_that_a_tool_sets_while_it_is_learnt_stands_until_it_is_taken_back() -> None:
    with learning() as (process, source):
        run_until(process, source, BEST_IS_512K, is_frozen)
        assert knob(source, "mmap_threshold").learned
        assert set_knob(source, "mmap_threshold=128K", wait_s=20).answered
        counts = windows(process, source, BEST_IS_512K, 10)
        row = knob(source, "mmap_threshold")
        assert (row.value, row.source, row.learned, row.pinned) == (131072, "live", False, True)
        assert counts["learn_arm"] == 1
        assert reset_knobs(source, "mmap_threshold", wait_s=20).answered
        counts = windows(process, source, BEST_IS_512K, 5)
        assert counts["learn_arm"] == 3
        assert (knob(source, "mmap_threshold").value, knob(source, "mmap_threshold").pinned) == (
            512 << 10,
            False,
        )


@pytest.mark.parametrize("assignment", ["w_max_mid=2.5", "realloc_slack=0.75"])
def test_a_setting_on_trial_that_a_tool_sets_stands(assignment: str) -> None:
    name, text = assignment.split("=")
    with learning(HAKMEM_LEARN_MIN_SAMPLES="16") as (process, source):
        windows(process, source, EVERYTHING, 10)
        assert set_knob(source, assignment, wait_s=20).answered
        for _ in range(10):
            windows(process, source, EVERYTHING, 2)
            assert (knob(source, name).value, knob(source, name).pinned) == (float(text), True)


def test_a_process_that_does_not_learn_has_nothing_learned() -> None:
    with learning(HAKMEM_MODE="balanced") as (process, source):
        process.do(EVERYTHING)
        assert not any(row.learned for row in source.knobs())


def test_the_command_tells_what_is_the_learners_and_what_is_pinned() -> None:
    with learning(HAKMEM_W_MAX_MID="1.5") as (process, source):
        run_until(process, source, BEST_IS_512K, is_frozen)
        done = hakmem("knobs", "--effective", "--json", "-p", str(process.pid))
        rows = {row["name"]: row for row in map(json.loads, done.stdout.splitlines())}
        told = {name: (rows[name]["source"], rows[name]["learned"], rows[name]["pinned"])
                for name in ("mmap_threshold", "w_max_mid", "bigcache_cap")}  # fmt: skip
        assert told == {
            "mmap_threshold": ("live", True, False),
            "w_max_mid": ("env", False, True),
            "bigcache_cap": ("default", False, False),
        }
        text = hakmem("knobs", "--effective", "-p", str(process.pid)).stdout.splitlines()
        line = next(line for line in text if line.startswith("HAKMEM_MMAP_THRESHOLD"))
        assert line.split()[1:6] == ["524288", "live", "(by", "the", "learner)"]
