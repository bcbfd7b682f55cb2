"""A Source that plays a seeded script: the same snapshots and events every time.

Used by the TUI's tests and by replay_app.py. It invents a process with the mission's eight
`pow2` classes and a few of the mid pools. Counters obey the formula for live blocks of
counters.def.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence

from hakmem_tools.model.snapshot import ClassCounts, Event, Snapshot
from hakmem_tools.observe.source import TargetGone

PID = 4242
SECOND_NS = 1_000_000_000
START_NS = 5_000 * SECOND_NS

SIZES = (16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048, 4096, 8192, 32768, 65536)

GAUGES = frozenset(
    {
        "mapped_bytes",
        "superslabs",
        "big_live_bytes",
        "big_live_blocks",
        "active_slots",
        "peak_slots",
        "empty_slots",
        "mapped_class_bytes",
    }
)

NO_PRIVILEGE = (
    "events and stacks: BPF needs CAP_BPF and CAP_PERFMON, this user has neither; "
    "run as root, or setcap cap_bpf,cap_perfmon+ep on the interpreter",
    "probe counts of other tools: not kept by the counters page",
)

_SLAB = 65536


def _tier(size: int) -> str:
    return "tiny" if size <= 2048 else "mid"


class World:
    """The invented process: `step` lets a second pass."""

    def __init__(
        self, seed: int = 7, busy: bool = True, failing: bool = False, learning: str = ""
    ) -> None:
        self._learning = learning
        self._random = random.Random(seed)
        self._busy = busy
        self._failing = failing
        self._second = 0
        self._counts = [dict.fromkeys(_CLASS_COUNTERS, 0) for _ in SIZES]
        self._scalars = dict.fromkeys(_SCALARS, 0)
        self._scalars["threads_started"] = 5 if busy else 1

    def step(self) -> None:
        """One second of traffic."""
        self._second += 1
        if not self._busy:
            return
        for index, size in enumerate(SIZES):
            self._step_class(index, size)
        self._scalars["lock_waits"] += self._random.randrange(40)
        self._scalars["big_maps"] += 2
        self._scalars["bigcache_hits"] += 3 + self._random.randrange(5)
        self._scalars["big_unmaps"] += 1
        self._scalars["big_live_blocks"] += 1
        self._scalars["big_live_bytes"] += 1 << 20
        mapped = sum(counts["mapped_class_bytes"] for counts in self._counts)
        slabs = -(-mapped // (2 << 20)) + 2
        self._scalars["superslab_maps"] += max(0, slabs - self._scalars["superslabs"])
        self._scalars["superslabs"] = slabs
        self._scalars["mapped_bytes"] = slabs * (2 << 20) + self._scalars["big_live_bytes"]

    def _step_class(self, index: int, size: int) -> None:
        counts = self._counts[index]
        if index in (4, 8):
            return  # classes that this program never uses
        if self._learning and size > 2048:
            asked = 900 // (index - 10)
            missed = asked * (3 + index % 4) // 12
            counts["pool_hits"] = counts.get("pool_hits", 0) + asked - missed
            counts["pool_misses"] = counts.get("pool_misses", 0) + missed
            counts["peak_slots"] = 240 - 20 * (index - 11)
        wave = 1 + 0.4 * ((self._second % 12) / 12)
        allocs = int(wave * self._random.uniform(0.9, 1.1) * 900_000 / (index + 1) ** 1.6)
        held = counts["front_pops"] - counts["front_pushes"] - counts["remote_frees"]
        want = (1 << 20) * (4 + index % 5) * (3 if self._second % 24 < 14 else 2) // (size + 64)
        frees = max(0, allocs - (want - held) // 4)
        remote = frees // 50
        counts["front_pops"] += allocs
        counts["front_pushes"] += frees - remote
        counts["remote_frees"] += remote
        refills = max(1, allocs // 220)
        counts["refills"] += refills
        counts["refilled"] += refills * 64
        counts["drains"] += max(1, allocs // 260)
        counts["drained"] += max(1, allocs // 260) * 60
        counts["remote_drains"] += remote // 12
        counts["remote_drained"] += remote
        live = counts["front_pops"] - counts["front_pushes"] - counts["remote_frees"]
        slots = max(-(-live * size // _SLAB) + 1, counts["active_slots"] - 2)
        acquired = max(0, slots - counts["active_slots"]) + self._random.randrange(4)
        counts["stage_1"] += acquired * 7 // 10
        counts["stage_0_5"] += acquired // 5
        counts["stage_2"] += acquired - acquired * 7 // 10 - acquired // 5
        counts["stage_3"] += 1 if self._second % 9 == index % 9 else 0
        counts["slab_empties"] += self._random.randrange(3)
        counts["active_slots"] = slots
        counts["empty_slots"] = 2 + self._random.randrange(6)
        counts["mapped_class_bytes"] = (slots + counts["empty_slots"]) * _SLAB
        if self._failing and size in (1024, 2048) and self._second % 3 == 0:
            counts["shared_fail"] += 40 + self._random.randrange(9)

    def snapshot(self, source: str, missing: Sequence[str], lost: int = 0) -> Snapshot:
        """The counters now."""
        live = sum(
            (c["front_pops"] - c["front_pushes"] - c["remote_frees"]) * size
            for c, size in zip(self._counts, SIZES, strict=True)
        )
        return Snapshot(
            pid=PID,
            time_ns=START_NS + self._second * SECOND_NS,
            source=source,
            version="0.1.0",
            mode="balanced",
            policy_version=3,
            scalars={**self._scalars, **learner(self._learning, self._second)},
            classes=tuple(
                ClassCounts(index=i, size_bytes=size, tier=_tier(size), counts=dict(counts))
                for i, (size, counts) in enumerate(zip(SIZES, self._counts, strict=True))
            ),
            gauges=GAUGES,
            missing=tuple(missing),
            lost=lost,
            threads=6 if self._busy else 1,
            rss_bytes=None if source == "replay" else int(live * 1.06) + (9 << 20),
        )

    def events(self) -> list[Event]:
        """The rare events of this second."""
        if not self._busy:
            return []
        now = START_NS + self._second * SECOND_NS
        out = []
        for number in range(self._random.randrange(1, 4)):
            out.append(self._event(now - number * 137_000_000))
        return sorted(out, key=lambda event: event.time_ns)

    def learner_events(self) -> list[Event]:
        """What the learner did in this second."""
        now, out = START_NS + self._second * SECOND_NS, []
        if self._learning and self._second % 2 == 0:
            out.append(Event("elo_select", PID, PID + 9, now, {"arm": 3, "rating": 1623}))
        if self._learning and self._second % 10 == 0:
            texts = {"from": "frozen", "to": "canary"}
            out.append(Event("lifecycle", PID, PID + 9, now, {"from": 1, "to": 2}, texts))
            out.append(Event("policy_publish", PID, PID + 9, now, {"version": self._second // 10}))
        return out

    def _event(self, time_ns: int) -> Event:
        tid = PID + self._random.randrange(1, 6)
        base = 0x7F3A_1200_0000
        stack = tuple(base + self._random.randrange(1 << 20) for _ in range(9))
        if self._failing and self._random.random() < 0.6:
            return Event(
                event="shared_fail",
                pid=PID,
                tid=tid,
                time_ns=time_ns,
                args={"class": 12, "reason": 1, "active": 64, "cap": 64},
                texts={"reason": "soft_cap"},
                stack=stack,
                truncated=True,
                comm="worker",
            )
        kind = self._random.choice(("superslab_map", "slab_empty", "publish"))
        args = {
            "superslab_map": {"address": base + (1 << 21), "bytes": 2 << 20},
            "slab_empty": {"class": 6, "superslab": base, "slab": 17},
            "publish": {"class": 3, "superslab": base},
        }[kind]
        return Event(
            event=kind, pid=PID, tid=tid, time_ns=time_ns, args=args, stack=stack, comm="worker"
        )


_SCALARS = (
    "mapped_bytes", "superslabs", "superslab_maps", "superslab_unmaps", "big_live_bytes",
    "big_live_blocks", "bigcache_hits", "batch_flushes", "big_maps", "big_unmaps", "lock_waits",
    "integrity_errors",
    "threads_started", "threads_ended", "purged_bytes", "foreign_frees",
)  # fmt: skip

_CLASS_COUNTERS = (
    "front_pops", "front_pushes", "refills", "refilled", "drains", "drained", "stage_0_5",
    "stage_1", "stage_2", "stage_3", "shared_fail", "legacy_allocs", "legacy_frees",
    "direct_allocs", "direct_frees", "remote_frees", "remote_drains", "remote_drained",
    "slab_empties", "publishes", "adopts", "active_slots", "empty_slots", "mapped_class_bytes",
)  # fmt: skip


#: The descriptors of the invented library: the pictures owe nothing to the tables of ours.
TEXTS = {
    "knobs": (
        "name\tenv\taliases\ttype\tchoices\tunit\tdefault\tmin\tmax\tscope\tcount\tdoc\n"
        "mode\tHAKMEM_MODE\t\tenum\tfast|balanced\t\t1\t0\t1\tboot\t1\tpreset of knob values\n"
    ),
    "modes": "mode\tknob\tvalue\n",
    "counters": "name\tshape\tunit\tkind\tdoc\n"
    + "".join(
        f"{name}\t{shape}\t{'bytes' if name.endswith('bytes') else 'events'}"
        f"\t{'gauge' if name in GAUGES else 'counter'}\tan invented counter\n"
        for shape, names in (("scalar", _SCALARS), ("class", _CLASS_COUNTERS))
        for name in names
    ),
    "probes": "provider\tname\targs\tdoc\nhakmem\tshared_fail\tclass reason active cap\ta fail\n",
    "codes": "group\tname\tvalue\ttext\tmeaning\nFAIL\tSOFT_CAP\t1\tsoft_cap\tthe cap\n",
}


def learner(state: str, second: int) -> dict[str, int]:
    """The learner's scalars; none without a state."""
    if not state:
        return {}
    ratings = (1432, 1478, 1561, 1623, 1502, 1404)
    p99 = (5210, 4480, 3120, 2890, 3640, 0 if state == "learn" else 8800)
    return {
        "learn_state": ("learn", "frozen", "canary", "off").index(state),
        "learn_arm": 3,
        "learn_candidate": 2 if state == "canary" else 3,
        "learn_windows": second,
        "learn_samples": second * 1210,
        "learn_lost": 0,
        "learn_confirmed": 1,
        "learn_rolled_back": 2 if state != "learn" else 0,
        "cap_moves": second // 3,
        **{f"elo_rating_{arm}": rating for arm, rating in enumerate(ratings)},
        **{f"arm_p99_{arm}": value for arm, value in enumerate(p99)},
    }


class FakeSource:
    """Plays `seconds` of a World; then it repeats the last snapshot, or the target ends."""

    def __init__(
        self,
        seconds: int,
        *,
        name: str = "bpf",
        missing: Sequence[str] = (),
        seed: int = 7,
        busy: bool = True,
        failing: bool = False,
        learning: str = "",
        lost: int = 0,
        ends: bool = False,
        breaks: Exception | None = None,
    ) -> None:
        self.name = name
        self.missing = tuple(missing)
        self.closed = threading.Event()
        self._world = World(seed, busy, failing, learning)
        self._left = seconds
        self._lost = lost
        self._ends = ends
        self._breaks = breaks
        self._events: list[Event] = []

    @property
    def played(self) -> bool:
        """Whether the script is at its end and only repeats."""
        return self._left == 0 and not self._events and not self._ends and self._breaks is None

    def snapshot(self) -> Snapshot:
        """The next snapshot of the script."""
        if self._left == 0:
            if self._ends:
                raise TargetGone(f"process {PID} has ended")
            if self._breaks is not None:
                raise self._breaks
        else:
            self._left -= 1
            self._world.step()
            if self.name != "counters":
                self._events.extend(self._world.events())
                self._events.extend(self._world.learner_events())
        return self._world.snapshot(self.name, self.missing, self._lost)

    def events(self, timeout_s: float) -> Sequence[Event]:
        """The events since the last call."""
        out, self._events = self._events, []
        return out

    def close(self) -> None:
        """Notes that it was closed."""
        self.closed.set()


class FastPace:
    """Time that jumps: each wait passes at once, so that a script plays without waiting."""

    def __init__(self, source: FakeSource | None = None) -> None:
        """With a source, the pace rests when its script is played: a busy poller slows tests."""
        self._now = 0.0
        self._source = source

    def now(self) -> float:
        """Seconds since the start."""
        return self._now

    def wait(self, wake: threading.Event, seconds: float) -> None:
        """Passes the time, at once while there is script left."""
        self._now += seconds
        if self._source is not None and self._source.played:
            wake.wait(1.0)
