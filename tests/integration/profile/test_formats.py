"""What `hakmem export` writes, read back by those who define the formats, or by the standards."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
from pathlib import Path

import pytest

from hakmem_tools.model.profile import WHOLE, Moment, NoSuchView, Profile
from hakmem_tools.model.profile_records import CallFrame, Symbols
from hakmem_tools.observe.export import FORMATS, exporter
from tests.unit.model.profiles import START, R, small_profile

MIB = 1 << 20


def written(form: str, view: str = "live", during: Moment = WHOLE) -> bytes:
    return exporter(form)(Profile.of(small_profile()), view, during)


def go_pprof(path: Path, *arguments: str) -> str:
    """Go's own pprof, which shares no code with us."""
    done = subprocess.run(
        ["go", "tool", "pprof", "-symbolize=none", *arguments, str(path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "HOME": str(path.parent), "PPROF_TMPDIR": str(path.parent)},
    )
    return done.stdout


@pytest.fixture
def pprof_file(tmp_path: Path) -> Path:
    path = tmp_path / "profile.pb.gz"
    path.write_bytes(written("pprof"))
    return path


def test_go_tool_pprof_reads_the_four_sample_types_with_our_figures(pprof_file: Path) -> None:
    raw = go_pprof(pprof_file, "-raw")
    assert (
        "alloc_objects/count alloc_space/bytes inuse_objects/count inuse_space/bytes[dflt]" in raw
    )
    assert f"{10 * R // 64} {10 * R} {10 * R // 64} {10 * R}: 1 2" in " ".join(raw.split())
    assert f"{12 * R // 4096} {12 * R} {2 * R // 4096} {2 * R}: 3 2 4" in " ".join(raw.split())


def test_go_tool_pprof_ranks_functions_as_we_do(pprof_file: Path) -> None:
    lines = go_pprof(pprof_file, "-top", "-sample_index=inuse_space", "-unit=B").splitlines()
    flat = {line.split()[5]: line.split()[0] for line in lines if line.split()[1:2] != ["flat%"]
            and line.strip()[:1].isdigit()}  # fmt: skip
    assert flat["node_new"] == f"{5 * MIB}B"
    assert flat["libnet.so+0x500"] == f"{MIB}B"


def test_go_tool_pprof_shows_lines_inlined_calls_labels_and_what_was_lost(
    pprof_file: Path,
) -> None:
    traces = go_pprof(pprof_file, "-traces", "-lines")
    assert "/src/tree.cc:12 (inline)" in traces
    assert "class:  3" in traces
    assert "path:  front" in traces
    assert "[truncated]" in traces
    assert "lost samples: 3" in traces
    assert "truncated stacks: 54.5% of the bytes" in traces


def test_pprof_names_the_program_and_its_build(pprof_file: Path) -> None:
    assert f"/srv/app/server {'aa' * 20}" in go_pprof(pprof_file, "-raw")


def test_collapsed_stacks_are_lines_of_frames_and_bytes() -> None:
    lines = written("collapsed").decode().splitlines()
    assert lines == [
        f"main;parse;node_new {5 * MIB}",
        f"[truncated];main;libnet.so+0x500 {MIB}",
    ]


def test_a_name_cannot_forge_a_frame_or_a_line() -> None:
    profile = Profile.of(small_profile())
    frame = CallFrame("/x", 0, "a;b\nmain 99\x1b[2J")
    profile.add(Symbols(2, 0x500, (frame,)))
    lines = exporter("collapsed")(profile, "live", WHOLE).decode().splitlines()
    assert lines[1] == f"[truncated];main;a:b\\nmain 99\\x1b[2J {MIB}"


def test_speedscope_gets_one_profile_for_each_view() -> None:
    page = json.loads(written("speedscope"))
    assert page["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    assert [profile["name"] for profile in page["profiles"]] == [
        "live bytes",
        "cumulative bytes",
        "temporary bytes",
        "leaks bytes",
    ]
    assert "(lost samples: 3 (the map was full: 3); truncated stacks: 16.7% of" in page["name"]
    for profile in page["profiles"]:
        assert len(profile["samples"]) == len(profile["weights"])
        assert sum(profile["weights"]) == profile["endValue"]
        frames = page["shared"]["frames"]
        assert all(0 <= index < len(frames) for sample in profile["samples"] for index in sample)
    first = page["profiles"][0]["samples"][0]
    assert [page["shared"]["frames"][index]["name"] for index in first] == [
        "main",
        "parse",
        "node_new",
    ]


def test_csv_has_a_row_for_each_stack() -> None:
    rows = list(csv.DictReader(io.StringIO(written("csv").decode())))
    assert [row["site"] for row in rows] == [
        "node_new at /src/tree.cc:12 (inlined)",
        "libnet.so+0x500",
        "(lost: the map was full)",
    ]
    assert [row["truncated"] for row in rows] == ["0", "1", ""]
    assert (rows[2]["live_bytes"], rows[2]["samples"]) == ("", "3")
    assert rows[0]["live_bytes"] == str(5 * MIB)
    assert int(rows[0]["live_bytes_low"]) < 5 * MIB < int(rows[0]["live_bytes_high"])
    assert rows[1]["stack"] == "libnet.so+0x500 <- main at /src/main.cc:5"


def test_a_cell_is_never_a_formula() -> None:
    profile = Profile.of(small_profile())
    profile.add(Symbols(2, 0x500, (CallFrame("", 0, "=cmd()"),)))
    assert "'=cmd()" in exporter("csv")(profile, "live", WHOLE).decode()


def test_json_lines_are_those_of_report() -> None:
    first, second, last = (json.loads(line) for line in written("json").splitlines())
    assert first["live_bytes"] >= second["live_bytes"] >= last["live_bytes"] == 0
    assert first["frames"][0]["function"] == "node_new"
    assert last["summary"]["lost_samples"] == {"the map was full": 3}


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_a_profile_without_samples_is_a_valid_file(form: str) -> None:
    empty = Profile.of(small_profile()[:9])
    assert exporter(form)(empty, "live", WHOLE) is not None


@pytest.mark.parametrize("form", ["collapsed", "speedscope", "html"])
def test_a_view_that_was_not_recorded_is_refused(form: str) -> None:
    with pytest.raises(NoSuchView, match="no ages"):
        written(form, "leaks", Moment(None, START + 10**9))
