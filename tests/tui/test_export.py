"""The export writes what is shown, and never over another file."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from hakmem_top import export
from hakmem_top.moment import Moment, Watch
from tests.tui.fake_source import FakeSource


def played() -> Moment:
    watch, source = Watch("redis-server", 1.0), FakeSource(4, missing=("stacks: none",))
    watch.attached(source.missing)
    for _ in range(4):
        watch.receive(source.snapshot())
        watch.receive_events(source.events(0))
    return watch.moment()


def test_the_export_is_one_record_with_a_schema_version(tmp_path: Path) -> None:
    moment = played()
    path = export.write(moment, tmp_path)
    assert path is not None
    assert path.name == "hakmem-top-4242-1.json"
    data = msgspec.json.decode(path.read_bytes())
    assert moment.snapshot is not None
    assert data["schema_version"] == 1
    assert (data["pid"], data["time_ns"]) == (4242, moment.snapshot.time_ns)
    assert data["live_bytes"] == moment.snapshot.live_bytes
    assert data["missing"] == ["stacks: none"]
    assert len(data["events"]) == moment.events_seen


def test_the_export_can_be_read_back_as_the_same_record(tmp_path: Path) -> None:
    moment = played()
    path = export.write(moment, tmp_path)
    assert path is not None
    read = msgspec.json.decode(path.read_bytes(), type=export.Export)
    assert read.snapshot == moment.snapshot
    assert read.interval == moment.delta


def test_a_second_export_gets_the_next_number(tmp_path: Path) -> None:
    first = export.write(played(), tmp_path)
    second = export.write(played(), tmp_path)
    assert [path.name for path in (first, second) if path] == [
        "hakmem-top-4242-1.json",
        "hakmem-top-4242-2.json",
    ]


def test_nothing_is_written_before_anything_was_read(tmp_path: Path) -> None:
    assert export.write(Watch("redis-server", 1.0).moment(), tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_not_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        export.write(played(), tmp_path / "gone")
