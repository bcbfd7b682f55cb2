"""The learning section of a Snapshot."""

from __future__ import annotations

import msgspec

from hakmem_tools.model.descriptors import Code, Descriptors
from hakmem_tools.model.learning import learning_of, learning_record
from hakmem_tools.model.snapshot import ClassCounts, Snapshot

WORDS = ("learn", "frozen", "canary", "off")
DESCRIPTORS = Descriptors(
    knobs=(), modes=(), counters=(), probes=(),
    codes=tuple(Code("LEARNING", word.upper(), i, word, word) for i, word in enumerate(WORDS)),
)  # fmt: skip
COUNTS = {
    "learn_state": 2, "learn_arm": 3, "learn_candidate": 4, "learn_windows": 40,
    "learn_samples": 1000, "learn_lost": 3, "learn_confirmed": 1, "learn_rolled_back": 2,
    "cap_moves": 5, "front_moves": 6, "drain_permille": 500,
    **{f"elo_rating_{i}": 1500 + i for i in range(6)},
    **{f"arm_p99_{i}": 100 * i for i in range(6)},
}  # fmt: skip


def snapshot(scalars: dict[str, int]) -> Snapshot:
    counts = {"pool_hits": 3, "pool_misses": 1}
    return Snapshot(
        pid=1, time_ns=1, source="counters", version="1", mode="learning", policy_version=9,
        scalars=scalars, gauges=frozenset(),
        classes=(ClassCounts(0, 8, "tiny", counts), ClassCounts(1, 4096, "mid", counts),
                 ClassCounts(2, 8192, "mid", {})),
    )  # fmt: skip


def test_a_canary_has_an_arm_in_force_and_one_on_trial() -> None:
    learning = learning_of(snapshot(COUNTS), DESCRIPTORS)
    assert learning is not None
    assert (learning.state, learning.active, learning.policy_version) == ("canary", True, 9)
    assert learning.arm_in_force.threshold_bytes == 512 << 10
    assert [arm.index for arm in learning.arms if arm.on_trial] == [4]
    assert [arm.p99_ns for arm in learning.arms] == [None, 100, 200, 300, 400, 500]


def test_only_pools_that_were_asked_are_shown_with_their_hit_rate() -> None:
    learning = learning_of(snapshot(COUNTS), DESCRIPTORS)
    assert learning is not None
    assert [(pool.size_bytes, pool.hit_rate) for pool in learning.pools] == [(4096, 0.75)]
    assert learning_record(learning)["pools"][0]["hit_rate"] == 0.75


def test_a_process_that_does_not_learn_has_no_ratings() -> None:
    resting = COUNTS | {f"elo_rating_{i}": 0 for i in range(6)} | {"learn_state": 1}
    learning = learning_of(snapshot(resting), DESCRIPTORS)
    assert learning is not None
    assert not learning.active
    assert {arm.rating for arm in learning.arms} == {None}
    assert not any(arm.on_trial for arm in learning.arms)
    msgspec.json.encode(learning_record(learning))


def test_a_library_without_these_counters_has_no_section() -> None:
    assert learning_of(snapshot({}), DESCRIPTORS) is None
