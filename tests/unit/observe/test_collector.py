"""The collector with a clock and a source of the test's own."""

from __future__ import annotations

from collections.abc import Sequence

from hakmem_tools.model.snapshot import ClassCounts, Event, Snapshot
from hakmem_tools.observe.collector import Collector
from hakmem_tools.observe.source import TargetGone


class Scene:
    """A clock and a source in one: events() lets time pass, each snapshot counts one more."""

    name = "scene"
    missing: tuple[str, ...] = ()

    def __init__(self, *, ends_after: int = 1000, slow_s: float = 0.0, execs_at: int = -1) -> None:
        self.now_s = 100.0
        self.taken_at: list[float] = []
        self._ends_after = ends_after
        self._slow_s = slow_s
        self._execs_at = execs_at

    def clock(self) -> float:
        return self.now_s

    def snapshot(self) -> Snapshot:
        if len(self.taken_at) >= self._ends_after:
            raise TargetGone("process 7 has ended")
        self.taken_at.append(round(self.now_s, 6))
        self.now_s += self._slow_s
        return self._make(len(self.taken_at))

    def final_snapshot(self) -> Snapshot:
        return self._make(50)

    def events(self, timeout_s: float) -> Sequence[Event]:
        self.now_s += timeout_s
        return [Event("refill", 7, 7, int(self.now_s), {})] if timeout_s else []

    def close(self) -> None:
        pass

    def _make(self, count: int) -> Snapshot:
        row = ClassCounts(index=0, size_bytes=8, tier="tiny", counts={"refills": count})
        return Snapshot(
            pid=7, time_ns=int(self.now_s * 1e9), source="scene", version="1", mode="m",
            policy_version=0, scalars={}, classes=(row,), gauges=frozenset(),
            start_ns=1 if len(self.taken_at) <= self._execs_at or self._execs_at < 0 else 2,
        )  # fmt: skip


def test_samples_come_at_once_and_then_on_the_grid() -> None:
    scene = Scene()
    samples = list(Collector(scene, 0.5, clock=scene.clock).samples(4))
    assert scene.taken_at == [100.0, 100.5, 101.0, 101.5]
    assert samples[0].delta is None
    assert [s.delta.total("refills") for s in samples[1:] if s.delta] == [1, 1, 1]
    assert all(len(s.events) == 1 for s in samples[1:])


def test_turns_missed_by_a_slow_source_are_left_out() -> None:
    scene = Scene(slow_s=1.2)
    list(Collector(scene, 0.5, clock=scene.clock).samples(3))
    assert scene.taken_at == [100.0, 101.5, 103.0]


def test_a_target_that_ends_gives_one_final_sample_and_its_reason() -> None:
    scene = Scene(ends_after=2)
    collector = Collector(scene, 1.0, clock=scene.clock)
    samples = list(collector.samples(10))
    assert [s.final for s in samples] == [False, False, True]
    assert samples[-1].delta is not None
    assert samples[-1].delta.total("refills") == 48
    assert collector.ended == "process 7 has ended"


def test_a_target_that_was_never_seen_gives_no_sample() -> None:
    scene = Scene(ends_after=0)
    collector = Collector(scene, 1.0, clock=scene.clock)
    assert list(collector.samples(3)) == []
    assert collector.ended is not None


def test_no_difference_is_taken_across_an_exec() -> None:
    scene = Scene(execs_at=2)
    samples = list(Collector(scene, 1.0, clock=scene.clock).samples(4))
    assert [s.delta is None for s in samples] == [True, False, True, False]


def test_an_interval_of_zero_does_not_wait() -> None:
    scene = Scene(ends_after=3)
    assert len(list(Collector(scene, 0, clock=scene.clock).samples())) == 4
    assert scene.taken_at == [100.0, 100.0, 100.0]
