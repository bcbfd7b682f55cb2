"""From a Moment to figures: rates, shares, hit rate, alarms, and what is missing."""

from __future__ import annotations

import msgspec
import pytest

from hakmem_tools.model.snapshot import ClassCounts, Event, Snapshot
from hakmem_top import edges, panels, present
from hakmem_top.lines import Line, text_of
from hakmem_top.moment import Moment, Watch
from hakmem_top.present_events import EventRows
from hakmem_top.units import MISSING
from tests.tui.fake_source import GAUGES, NO_PRIVILEGE, SECOND_NS, FakeSource

COUNTERS = ("front_pops", "refills", "stage_0_5", "stage_1", "stage_2", "stage_3", "shared_fail")


def snapshot(second: int, counts: dict[str, int], **scalars: int) -> Snapshot:
    """One class of 64 bytes with these counts; everything else is zero."""
    row = ClassCounts(
        index=3, size_bytes=64, tier="tiny", counts={**dict.fromkeys(COUNTERS, 0), **counts}
    )
    return Snapshot(
        pid=1,
        time_ns=second * SECOND_NS,
        source="bpf",
        version="0.1.0",
        mode="balanced",
        policy_version=1,
        scalars={"integrity_errors": 0, "foreign_frees": 0, "mapped_bytes": 0, **scalars},
        classes=(row,),
        gauges=GAUGES,
        rss_bytes=1 << 20,
    )


def moment_of(*snapshots: Snapshot) -> Moment:
    watch = Watch("demo", 1.0)
    watch.attached(())
    for each in snapshots:
        watch.receive(each)
    return watch.moment()


def played(seconds: int, **more: object) -> Moment:
    watch, source = Watch("demo", 1.0), FakeSource(seconds, **more)  # type: ignore[arg-type]
    watch.attached(source.missing)
    for _ in range(seconds):
        watch.receive(source.snapshot())
        watch.receive_events(source.events(0))
    return watch.moment()


def texts(lines: list[Line]) -> str:
    return "\n".join(text_of(line) for line in lines)


def test_a_rate_is_the_difference_over_the_interval() -> None:
    moment = moment_of(snapshot(1, {"refills": 10}), snapshot(3, {"refills": 40}))
    assert present.rate(moment, "refills").value == 15.0


def test_a_rate_is_unknown_before_the_second_snapshot_and_says_why() -> None:
    measured = present.rate(moment_of(snapshot(1, {"refills": 10})), "refills")
    assert measured.value is None
    assert measured.why == present.NO_INTERVAL


def test_a_counter_that_the_library_does_not_keep_is_unknown_and_not_zero() -> None:
    moment = moment_of(snapshot(1, {}), snapshot(2, {}))
    for measured in (present.total(moment.snapshot, "adopts"), present.rate(moment, "adopts")):
        assert measured.value is None
        assert "adopts" in measured.why


def test_the_hit_rate_takes_the_refills_off_the_pops() -> None:
    moment = moment_of(snapshot(1, {}), snapshot(2, {"front_pops": 200, "refills": 3}))
    assert present.front_hit_rate(moment.delta).value == pytest.approx(197 / 200)


def test_the_hit_rate_of_an_idle_interval_is_unknown() -> None:
    moment = moment_of(snapshot(1, {"front_pops": 5}), snapshot(2, {"front_pops": 5}))
    measured = present.front_hit_rate(moment.delta)
    assert (measured.value, measured.why) == (None, present.NO_ALLOCATIONS)


def test_used_is_live_over_mapped_bytes() -> None:
    now = snapshot(1, {"front_pops": 64}, mapped_bytes=64 * 128)
    assert present.used(now).value == 0.5


def test_used_is_unknown_while_nothing_is_mapped() -> None:
    assert present.used(snapshot(1, {})) == present.Measured(None, present.NOTHING_MAPPED)


def test_the_shares_of_the_stages_add_up_to_one() -> None:
    moment = moment_of(
        snapshot(1, {}), snapshot(2, {"stage_0_5": 1, "stage_1": 7, "stage_2": 1, "stage_3": 1})
    )
    rows = present.stage_rows(moment)
    assert [(row.stage, row.share.value) for row in rows] == [
        ("0.5", 0.1),
        ("1", 0.7),
        ("2", 0.1),
        ("3", 0.1),
    ]


def test_there_are_no_shares_without_an_acquire() -> None:
    rows = present.stage_rows(moment_of(snapshot(1, {})))
    assert {row.share for row in rows} == {present.Measured(None, present.NO_ACQUIRES)}


def test_growth_is_since_the_baseline() -> None:
    moment = moment_of(snapshot(1, {"front_pops": 10}), snapshot(2, {"front_pops": 30}))
    assert present.growth(moment, lambda s: s.live_bytes).value == 20 * 64


def test_an_alarm_tells_now_from_before() -> None:
    quiet, first = snapshot(1, {}), snapshot(2, {"shared_fail": 3})
    later = snapshot(3, {"shared_fail": 3})
    levels = [
        present.alarms(moment_of(*seen))[0].level
        for seen in ((quiet,), (quiet, first), (quiet, first, later))
    ]
    assert levels == ["ok", "now", "past"]


def test_the_alarm_of_shared_fail_names_the_worst_classes_first() -> None:
    note = present.alarms(played(30, failing=True))[0].note
    assert note.startswith("legacy served C1")
    assert "C11" in note
    assert "C12" in note


def test_lost_events_raise_their_own_alarm() -> None:
    watch = Watch("demo", 1.0)
    for second, lost in ((1, 0), (2, 7)):
        watch.receive(msgspec.structs.replace(snapshot(second, {}), lost=lost))
    alarm = present.alarms(watch.moment())[-1]
    assert (alarm.name, alarm.level, alarm.count.value) == ("lost events", "now", 7)


def test_lost_events_are_unknown_where_there_are_no_events() -> None:
    alarm = present.alarms(played(3, name="counters", missing=NO_PRIVILEGE))[-1]
    assert (alarm.level, alarm.count.value) == ("unknown", None)


def test_a_counter_that_goes_back_for_a_moment_gives_no_negative_rate() -> None:
    moment = moment_of(snapshot(1, {"refills": 10}), snapshot(2, {"refills": 8}))
    assert present.rate(moment, "refills").value == 0.0


def test_a_class_without_a_counter_shows_it_as_unknown() -> None:
    row = present.class_rows(moment_of(snapshot(1, {}), snapshot(2, {})))[0]
    assert (row.drains, row.mapped_bytes, row.active_slots) == (None, None, None)
    assert row.refills == 0.0


def test_reasons_name_the_sources_own_first_and_each_once() -> None:
    reasons = present.reasons(played(1, name="counters", missing=NO_PRIVILEGE, busy=False))
    assert reasons[: len(NO_PRIVILEGE)] == list(NO_PRIVILEGE)
    assert len(reasons) == len(set(reasons))
    assert present.NO_EVENTS not in reasons


def test_nothing_is_missing_from_a_full_source() -> None:
    moment = played(3)
    assert present.reasons(moment) == []
    assert "nothing is missing" in text_of(edges.status(moment, 80))


def test_every_unknown_figure_is_drawn_as_the_placeholder() -> None:
    drawn = texts(panels.memory(moment_of(snapshot(1, {})), 78, 5))
    assert MISSING in drawn.splitlines()[3]
    drawn = texts(panels.traffic(moment_of(snapshot(1, {})), 38, 7))
    assert all(MISSING in row for row in drawn.splitlines())


@pytest.mark.parametrize("width", [80, 100, 200])
def test_the_status_line_is_one_line_and_points_to_the_rest(width: int) -> None:
    line = text_of(edges.status(played(3, name="counters", missing=NO_PRIVILEGE), width))
    assert len(line) == width
    assert line.startswith(" missing: events and stacks")
    assert line.rstrip().endswith("(+1 more: ?)")


@pytest.mark.parametrize("name", ["memory", "traffic", "pool", "alarm_rows"])
@pytest.mark.parametrize("size", [(38, 7), (78, 5), (116, 11), (60, 1), (20, 3)])
def test_panels_fill_exactly_the_size_they_are_given(name: str, size: tuple[int, int]) -> None:
    width, height = size
    rows = getattr(panels, name)(played(30, failing=True), width, height)
    assert len(rows) <= height
    assert {len(text_of(row)) for row in rows} == {width}


@pytest.mark.parametrize("name", ["memory", "traffic", "pool", "alarm_rows"])
def test_panels_draw_before_anything_was_read(name: str) -> None:
    assert getattr(panels, name)(Watch("demo", 1.0).moment(), 78, 6)


def test_the_header_gives_way_from_its_end_so_that_the_command_stays() -> None:
    moment = played(3)
    wide, narrow = text_of(edges.facts(moment, 200)), text_of(edges.facts(moment, 62))
    assert "threads 6" in wide
    assert "watched 2s" in wide
    for text in (wide, narrow):
        assert "demo  pid 4242  mode balanced  hakmem 0.1.0  source BPF" in text
    assert "threads" not in narrow


def event(**args: int) -> Event:
    return Event(event="shared_fail", pid=1, tid=2, time_ns=2 * SECOND_NS, args=args)


def rows_of(*events: Event) -> list[object]:
    watch = Watch("demo", 1.0)
    watch.receive(snapshot(1, {}))
    watch.receive_events(events)
    rows = EventRows(watch.moment())
    return [rows.at(position) for position in range(len(rows.keys))]


def test_an_event_names_class_reason_cap_and_the_top_of_its_stack() -> None:
    fail = msgspec.structs.replace(
        event(**{"class": 7, "reason": 1, "active": 2, "cap": 2}),
        texts={"reason": "soft_cap"},
        stack=(0x7F00_0000_1234, 0x5555),
    )
    (row,) = rows_of(fail)
    shown = {
        name: getattr(row, name)
        for name in ("class_label", "reason", "detail", "brief", "stack_top", "at_s", "alarming")
    }
    assert shown == {
        "class_label": "C7",
        "reason": "soft_cap",
        "detail": "active 2 cap 2",
        "brief": "soft_cap 2/2",
        "stack_top": "0x7f0000001234",
        "at_s": 1.0,
        "alarming": True,
    }


def test_got_is_a_count_in_a_refill_and_an_address_in_an_integrity_error() -> None:
    refill, broken = event(got=64), event(got=0x7F00_0000_1234)
    details = [getattr(row, "detail") for row in rows_of(refill, broken)]  # noqa: B009
    assert details == ["got 0x7f0000001234", "got 64"]
