"""Profile recordings: written, torn, damaged, read again."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakmem_tools.model.profile import Profile
from hakmem_tools.model.profile_records import End, Header, Key, Rows, Stack, Tick
from hakmem_tools.observe.recording import MAGIC, ProfileWriter, RecordingError, read_profile
from tests.unit.model.profiles import R, header, small_profile


def record(path: Path) -> Path:
    first, *rest = small_profile()
    assert isinstance(first, Header)
    with ProfileWriter(path, first) as writer:
        for item in rest:
            writer.write([item])
    return path


def test_a_recording_reads_as_what_was_written(tmp_path: Path) -> None:
    written, read = Profile.of(small_profile()), read_profile(record(tmp_path / "a.hakprof"))
    assert read.header == written.header
    assert (read.stacks, read.keys, read.frames) == (written.stacks, written.keys, written.frames)
    assert (read.modules, read.threads) == (written.modules, written.threads)
    assert (read.ticks, read.end, read.broken) == (written.ticks, written.end, None)


def test_a_recording_cut_anywhere_reads_up_to_its_last_whole_frame_and_says_so(
    tmp_path: Path,
) -> None:
    data = record(tmp_path / "a.hakprof").read_bytes()
    torn = tmp_path / "torn.hakprof"
    readable, refusals = 0, set()
    for length in range(len(MAGIC), len(data)):
        torn.write_bytes(data[:length])
        try:
            profile = read_profile(torn)
        except RecordingError as error:
            refusals.add(str(error).partition(": ")[2].partition(";")[0])
            continue
        readable += 1
        assert profile.end is None or length == len(data)
        assert profile.missing
    assert readable > len(data) // 3
    assert refusals == {"its header is missing"}


def test_a_recorder_that_was_killed_between_two_frames_leaves_a_note_too(tmp_path: Path) -> None:
    with ProfileWriter(tmp_path / "a.hakprof", header()) as writer:
        writer.write([Tick(200)])
    profile = read_profile(tmp_path / "a.hakprof")
    assert profile.broken is None
    assert any("did not end in order" in sentence for sentence in profile.missing)


@given(st.data())
def test_a_damaged_recording_is_told_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("damaged")
    raw = bytearray(record(directory / "a.hakprof").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    (directory / "a.hakprof").write_bytes(raw)
    try:
        told = read_profile(directory / "a.hakprof").broken
    except RecordingError as error:
        told = str(error)
    assert "\n" not in (told or "")


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"{}\n", MAGIC])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(RecordingError):
        read_profile(tmp_path / "x")


def test_a_recording_of_a_later_tool_is_refused(tmp_path: Path) -> None:
    ProfileWriter(tmp_path / "x", header(schema_version=99)).close()
    with pytest.raises(RecordingError, match="schema version 99"):
        read_profile(tmp_path / "x")


def test_a_frame_that_unpacks_to_too_much_is_not_unpacked(tmp_path: Path) -> None:
    with ProfileWriter(tmp_path / "x", header()) as writer:
        writer.write([End(1, "z" * (65 << 20))])
    profile = read_profile(tmp_path / "x")
    assert profile.broken is not None
    assert "too large" in profile.broken


def test_columns_of_different_lengths_are_noticed(tmp_path: Path) -> None:
    with ProfileWriter(tmp_path / "x", header()) as writer:
        writer.write([Tick(1, Rows(key=b"123", age=b"1"))])
        writer.write([Tick(2)])
    profile = read_profile(tmp_path / "x")
    assert profile.ticks == []
    assert profile.broken is not None


def test_an_existing_file_is_kept_unless_asked(tmp_path: Path) -> None:
    record(tmp_path / "x")
    with pytest.raises(FileExistsError):
        ProfileWriter(tmp_path / "x", header())
    ProfileWriter(tmp_path / "x", header(), overwrite=True).close()
    assert read_profile(tmp_path / "x").ticks == []


def test_ten_minutes_of_a_busy_server_stay_below_20_mb(tmp_path: Path) -> None:
    """600 ticks; 2000 samples and as many frees a second from 3000 keys in 1500 stacks."""
    dice = random.Random(5)
    sizes = [16 << dice.randrange(12) for _ in range(3000)]
    with ProfileWriter(tmp_path / "x", header()) as writer:
        for index in range(1500):
            depth = dice.randrange(8, 40)
            frames = tuple((dice.randrange(1, 9), dice.randrange(1 << 22)) for _ in range(depth))
            writer.write([Stack(index, frames)])
        writer.write([Key(i, i % 1500, i % 16, 3, 0, 20) for i in range(3000)])
        for tick in range(60):  # a tenth: the rest is alike

            def rows(ages: int) -> Rows:
                sums: dict[tuple[int, int], list[int]] = {}
                for _ in range(2000):
                    key = min(2999, int(dice.expovariate(1 / 400)))
                    age = dice.randrange(ages)
                    row = sums.setdefault((key, age), [0, 0, 0])
                    row[0] += 1
                    row[1] += sizes[key]
                    row[2] += R + sizes[key] // 2
                return Rows.pack([(key, age, *row) for (key, age), row in sums.items()])

            writer.write([Tick(tick, rows(1), rows(12))])
    assert writer.written_bytes * 10 < 20e6
    assert len(read_profile(tmp_path / "x").ticks) == 60
