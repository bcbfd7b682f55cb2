"""The records behind the JSON lines: the fields that scripts rely on."""

from __future__ import annotations

from hakmem_tools.model.lines import rates, snapshot_record
from hakmem_tools.model.snapshot import ClassCounts, Snapshot


def snapshot(time_ns: int, refills: int, slots: int = 3) -> Snapshot:
    counts = {
        "stage_0_5": 1, "stage_1": 2, "stage_2": 3, "stage_3": 4, "shared_fail": 5,
        "refills": refills, "drains": 6, "front_pops": 100, "front_pushes": 90,
        "active_slots": slots, "mapped_class_bytes": 65536,
    }  # fmt: skip
    return Snapshot(
        pid=7,
        time_ns=time_ns,
        source="counters",
        version="1",
        mode="balanced",
        policy_version=0,
        scalars={"mapped_bytes": 2097152, "big_live_bytes": 0},
        classes=(ClassCounts(index=7, size_bytes=64, tier="tiny", counts=counts),),
        gauges=frozenset({"mapped_bytes", "big_live_bytes", "active_slots", "mapped_class_bytes"}),
        missing=("events: none",),
    )


def test_a_class_has_the_fields_of_the_specification() -> None:
    row = snapshot_record(snapshot(1, 10))["classes"][0]
    assert row["class"] == 7
    assert row["size_bytes"] == 64
    assert row["stages"] == {"0.5": 1, "1": 2, "2": 3, "3": 4}
    assert (row["shared_fail"], row["refills"], row["drains"]) == (5, 10, 6)
    assert (row["live_bytes"], row["mapped_bytes"]) == (640, 65536)


def test_a_line_says_its_source_what_is_missing_and_the_totals() -> None:
    record = snapshot_record(snapshot(1, 10))
    assert record["source"] == "counters"
    assert record["missing"] == ["events: none"]
    assert record["totals"]["refills"] == 10
    assert record["totals"]["mapped_bytes"] == 2097152
    assert record["totals"]["live_bytes"] == 640
    assert record["threads"] is None


def test_rates_are_of_counters_only_and_absent_before_an_interval() -> None:
    first, second = snapshot(10**9, 10), snapshot(3 * 10**9, 50, slots=9)
    assert rates(None) is None
    found = rates(second.delta(first))
    assert found is not None
    assert found["refills"] == 20.0
    assert "active_slots" not in found
    assert "mapped_bytes" not in found
