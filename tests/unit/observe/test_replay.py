"""Recordings: read again as they were seen, also when they broke off or were damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
import zstandard

from hakmem_tools.model.snapshot import ClassCounts, Event, Snapshot
from hakmem_tools.observe.replay import Recorder, RecordingError, ReplaySource
from hakmem_tools.observe.source import TargetGone
from tests.unit.observe.page_bytes import TEXTS


def snapshot(number: int) -> Snapshot:
    row = ClassCounts(index=1, size_bytes=64, tier="tiny", counts={"refills": number})
    return Snapshot(
        pid=7, time_ns=number, source="bpf", version="9.8.7", mode="loud", policy_version=1,
        scalars={"mapped_bytes": 2**63 - 1}, classes=(row,), gauges=frozenset({"mapped_bytes"}),
        missing=("something: a reason",), lost=3, threads=None, rss_bytes=4096,
    )  # fmt: skip


def event(number: int) -> Event:
    return Event("refill", 7, 8, number, {"class": 1}, {"source": "slab"}, (1, 2**63), True, "c")


def record(path: Path, count: int = 3, *, close: bool = True) -> Recorder:
    recorder = Recorder(path, pid=7, command="a b", texts=TEXTS)
    for number in range(count):
        recorder.event(event(number))
        recorder.snapshot(snapshot(number))
    if close:
        recorder.close()
    return recorder


def read_all(source: ReplaySource) -> tuple[list[Snapshot], list[Event]]:
    snapshots: list[Snapshot] = []
    events: list[Event] = []
    try:
        while True:
            events.extend(source.events(5.0))
            snapshots.append(source.snapshot())
    except TargetGone:
        events.extend(source.events(0))
        return snapshots, events


def test_snapshots_and_events_come_back_as_they_were(tmp_path: Path) -> None:
    record(tmp_path / "r")
    source = ReplaySource(tmp_path / "r")
    assert read_all(source) == ([snapshot(n) for n in range(3)], [event(n) for n in range(3)])
    assert not source.truncated
    assert source.missing == ("something: a reason",)
    source.close()
    source.close()


def test_a_recording_reads_offline_with_its_own_descriptors(tmp_path: Path) -> None:
    record(tmp_path / "r")
    source = ReplaySource(tmp_path / "r")
    assert source.header.command == "a b"
    assert source.descriptors.code_text("FAIL", 1) == "soft_cap"


def test_events_belong_to_the_interval_in_which_they_were_seen(tmp_path: Path) -> None:
    record(tmp_path / "r", 2)
    source = ReplaySource(tmp_path / "r")
    source.snapshot()
    assert [e.time_ns for e in source.events(1)] == [0, 1]
    assert source.snapshot().time_ns == 1
    assert source.events(1) == []


def test_a_recorder_that_was_killed_leaves_what_it_had_seen(tmp_path: Path) -> None:
    recorder = record(tmp_path / "r", 3, close=False)
    source = ReplaySource(tmp_path / "r")
    snapshots, events = read_all(source)
    assert (len(snapshots), len(events)) == (3, 3)
    assert source.truncated
    recorder.close()


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_a_file_cut_anywhere_reads_up_to_the_cut(tmp_path: Path, kept: float) -> None:
    record(tmp_path / "r", 400)
    data = (tmp_path / "r").read_bytes()
    (tmp_path / "cut").write_bytes(data[: int(len(data) * kept)])
    source = ReplaySource(tmp_path / "cut")
    snapshots, _ = read_all(source)
    assert snapshots == [snapshot(n) for n in range(len(snapshots))]
    assert source.truncated


def test_a_recording_is_not_overwritten_unasked(tmp_path: Path) -> None:
    record(tmp_path / "r")
    with pytest.raises(FileExistsError):
        record(tmp_path / "r")
    Recorder(tmp_path / "r", pid=1, command="", texts=TEXTS, overwrite=True).close()


def compressed(text: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(text)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not zstd"),
        (b"plain text", "not zstd"),
        (compressed(b""), "its header is missing"),
        (compressed(b'{"kind":"end"}\n'), "its header is missing"),
        (compressed(b"not json\n"), "line 1"),
        (compressed(b'{"kind":"header","schema_version":1}\n'), "line 1.*missing required field"),
        (
            compressed(b'{"kind":"header","schema_version":99,"pid":1,"command":"","texts":{}}\n'),
            "schema version 99, and this tool reads up to 1",
        ),
        (
            compressed(b'{"kind":"header","schema_version":1,"pid":1,"command":"","texts":{}}\n'),
            "its descriptors do not read",
        ),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "r").write_bytes(content)
    with pytest.raises(RecordingError, match=message):
        ReplaySource(tmp_path / "r")
