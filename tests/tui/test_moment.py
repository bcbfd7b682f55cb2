"""The watch gathers snapshots and events into moments."""

from __future__ import annotations

import msgspec

from hakmem_tools.model.snapshot import Snapshot
from hakmem_top.moment import EVENT_LIMIT, HISTORY_LIMIT, Watch
from tests.tui.fake_source import SECOND_NS, FakeSource


def watch_of(seconds: int) -> tuple[Watch, FakeSource]:
    watch, source = Watch("demo", 1.0), FakeSource(seconds + 10)
    watch.attached(())
    for _ in range(seconds):
        watch.receive(source.snapshot())
    return watch, source


def started_anew(snapshot: Snapshot) -> Snapshot:
    return msgspec.structs.replace(snapshot, start_ns=snapshot.start_ns + SECOND_NS)


def test_the_first_snapshot_has_no_interval() -> None:
    watch, _ = watch_of(1)
    moment = watch.moment()
    assert moment.delta is None
    assert moment.state == "live"


def test_the_second_snapshot_is_measured_against_the_first() -> None:
    watch, _ = watch_of(2)
    delta = watch.moment().delta
    assert delta is not None
    assert delta.interval_ns == SECOND_NS


def test_the_same_snapshot_twice_changes_nothing() -> None:
    watch, _ = watch_of(3)
    before = watch.moment()
    assert before.snapshot is not None
    watch.receive(before.snapshot)
    assert watch.moment() == before


def test_counts_are_since_the_start_until_a_reset() -> None:
    watch, source = watch_of(5)
    assert watch.moment().since == watch.moment().snapshot
    watch.reset()
    watch.receive(source.snapshot())
    moment = watch.moment()
    assert moment.was_reset
    assert moment.since_s == 1.0
    assert moment.since is not None
    assert moment.snapshot is not None
    assert moment.since.total("front_pops") < moment.snapshot.total("front_pops")


def test_a_pause_freezes_the_figures_while_reading_goes_on() -> None:
    watch, source = watch_of(3)
    watch.toggle_pause()
    frozen = watch.moment()
    watch.receive(source.snapshot())
    assert frozen.state == "paused"
    assert watch.moment() == frozen
    watch.toggle_pause()
    assert len(watch.moment().history) == 4


def test_the_end_of_the_target_is_told_in_a_pause_too() -> None:
    watch, source = watch_of(3)
    watch.toggle_pause()
    watch.receive(source.snapshot())
    watch.ended("process 4242 has ended")
    moment = watch.moment()
    assert (moment.state, moment.state_reason) == ("ended", "process 4242 has ended")
    assert len(moment.history) == 3


def test_a_reset_ends_a_pause() -> None:
    watch, source = watch_of(3)
    watch.toggle_pause()
    watch.receive(source.snapshot())
    watch.reset()
    assert watch.moment().state == "live"
    assert len(watch.moment().history) == 4


def test_an_exec_starts_the_counts_anew_and_keeps_the_history() -> None:
    watch, source = watch_of(4)
    watch.reset()
    watch.receive(started_anew(source.snapshot()))
    moment = watch.moment()
    assert moment.delta is None
    assert not moment.was_reset
    assert moment.baseline == moment.snapshot
    assert len(moment.history) == 5


def test_history_and_log_are_bounded_and_the_events_dropped_from_the_log_are_counted() -> None:
    watch, source = Watch("demo", 1.0), FakeSource(HISTORY_LIMIT * 2)
    for _ in range(HISTORY_LIMIT + 500):
        watch.receive(source.snapshot())
        watch.receive_events(source.events(0))
    moment = watch.moment()
    assert len(moment.history) == HISTORY_LIMIT
    assert len(moment.events) == EVENT_LIMIT
    assert moment.events_seen > EVENT_LIMIT


def test_what_is_missing_is_named_once() -> None:
    watch, source = Watch("demo", 1.0), FakeSource(3, missing=("stacks: no frame pointers",))
    watch.attached(source.missing)
    watch.receive(source.snapshot())
    assert watch.moment().missing == ("stacks: no frame pointers",)
