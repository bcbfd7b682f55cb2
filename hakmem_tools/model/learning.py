"""What a process has learnt, read off a Snapshot: state, arms, ratings, moves.

For the learning screen of hakmem-top and for scripts. Pure. A library without these counters
gives None, never zeros.
"""

from __future__ import annotations

from typing import Any

import msgspec

from hakmem_tools.model.descriptors import Descriptors
from hakmem_tools.model.snapshot import Snapshot

#: The mmap threshold of arm 0, in bytes; each further arm doubles it.
FIRST_THRESHOLD_BYTES = 64 << 10
_ARMS = 6
_CODES = "LEARNING"


class Arm(msgspec.Struct, frozen=True):
    """One mmap threshold on the ladder. `p99_ns` is None while it was never measured."""

    index: int
    threshold_bytes: int
    rating: int | None
    p99_ns: int | None
    in_force: bool
    on_trial: bool


class PoolCap(msgspec.Struct, frozen=True):
    """A Mid or Large class's pool: refills it served and did not; `hit_rate` None without any."""

    class_index: int
    size_bytes: int
    tier: str
    hits: int
    misses: int

    @property
    def hit_rate(self) -> float | None:
        asked = self.hits + self.misses
        return self.hits / asked if asked else None


class Learning(msgspec.Struct, frozen=True):
    """The learning section of a Snapshot. `active` says that a learner thread has run.

    Counts are of the snapshot: totals, or of the interval for a delta. `state` is learn, frozen,
    canary or off.
    """

    state: str
    active: bool
    policy_version: int
    arms: tuple[Arm, ...]
    windows: int
    samples: int
    lost: int
    confirmed: int
    rolled_back: int
    cap_moves: int
    front_moves: int
    drain_permille: int | None
    pools: tuple[PoolCap, ...]

    @property
    def arm_in_force(self) -> Arm:
        return next(arm for arm in self.arms if arm.in_force)


def learning_of(snapshot: Snapshot, descriptors: Descriptors) -> Learning | None:
    """The learning section; None when the process's library does not count it."""
    counts = snapshot.scalars
    if "learn_state" not in counts:
        return None
    state = descriptors.code_text(_CODES, counts["learn_state"])
    in_force, on_trial = counts["learn_arm"], counts["learn_candidate"]
    return Learning(
        state=state,
        active=bool(counts["elo_rating_0"]),
        policy_version=snapshot.policy_version,
        arms=tuple(
            Arm(
                index=index,
                threshold_bytes=FIRST_THRESHOLD_BYTES << index,
                rating=counts.get(f"elo_rating_{index}") or None,
                p99_ns=counts.get(f"arm_p99_{index}") or None,
                in_force=index == in_force,
                on_trial=state == "canary" and index == on_trial,
            )
            for index in range(_ARMS)
        ),
        windows=counts["learn_windows"],
        samples=counts["learn_samples"],
        lost=counts["learn_lost"],
        confirmed=counts["learn_confirmed"],
        rolled_back=counts["learn_rolled_back"],
        cap_moves=counts["cap_moves"],
        front_moves=counts["front_moves"],
        drain_permille=counts["drain_permille"] or None,
        pools=tuple(
            PoolCap(
                row.index, row.size_bytes, row.tier, row.get("pool_hits"), row.get("pool_misses")
            )
            for row in snapshot.classes
            if row.tier != "tiny" and row.get("pool_hits") + row.get("pool_misses") > 0
        ),
    )


def learning_record(learning: Learning) -> dict[str, Any]:
    """The section as a JSON line has it."""
    return {
        **msgspec.to_builtins(learning),
        "pools": [
            {**msgspec.to_builtins(pool), "hit_rate": pool.hit_rate} for pool in learning.pools
        ],
    }
