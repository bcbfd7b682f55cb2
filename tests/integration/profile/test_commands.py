"""`hakmem report`, `diff` and `export`, as a shell runs them."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from hakmem_tools.cli import profile_report
from hakmem_tools.model.profile_records import (
    CallFrame,
    Caused,
    Header,
    Record,
    Rows,
    Symbols,
    Tick,
)
from hakmem_tools.observe.recording import ProfileWriter
from tests.unit.model.profiles import START, R, small_profile

ROOT = Path(__file__).resolve().parents[3]
HAKMEM = [sys.executable, "-c", "from hakmem_tools.cli.main import main; main()"]


def hakmem(
    directory: Path, *words: str, code: int = 0, python_path: Path | None = None
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*HAKMEM, *words],
        capture_output=True,
        text=True,
        env={
            "PATH": "/usr/bin:/bin",
            "XDG_CACHE_HOME": str(directory),
            "HOME": str(directory),
            "PYTHONPATH": str(python_path or ""),
        },
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == code, done.stderr
    return done


def recorded(path: Path, *more: Record) -> Path:
    first, *rest = small_profile()
    assert isinstance(first, Header)
    with ProfileWriter(path, first) as writer:
        writer.write([*rest, *more])
    return path


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return recorded(tmp_path / "a.hakprof")


def test_report_ranks_stacks_with_their_interval_down_to_file_and_line(
    recording: Path, tmp_path: Path
) -> None:
    done = hakmem(tmp_path, "report", str(recording))
    rows = done.stdout.splitlines()
    first = next(line for line in rows if "node_new" in line)
    assert "5.0 MiB" in first
    assert "2.4 MiB .. 9.2 MiB" in first
    assert "node_new at /src/tree.cc:12 (inlined)" in first
    served, caller = (line.strip() for line in rows[rows.index(first) + 1 :][:2])
    assert served == "[served by front 100%; class 3; caused 20 page faults]"
    assert caller == "parse at /src/parse.cc:77"
    assert "[served by stage 3 100%; class 20; caused 2 madvise calls]" in done.stdout
    assert "lost samples: 3 (the map was full: 3); truncated stacks: 16.7% of the bytes" in rows
    assert "... (it cannot be followed further)" in done.stdout
    assert "no names for /lib/libnet.so: no such file here" in done.stderr


@pytest.mark.parametrize("by", ["stack", "site", "function", "module"])
def test_report_says_of_each_site_how_long_the_kernel_was_busy_for_it(
    tmp_path: Path, by: str
) -> None:
    advised = Tick(START + 41 * 10**9, caused=(Caused(2, 8, 1, 3, 12288, None, 2_500_000),))
    path = str(recorded(tmp_path / "x", advised))
    words = ("report", path, "--by", by, "--view", "cumulative")
    assert "caused 5 madvise calls (2.5 ms)" in hakmem(tmp_path, *words).stdout
    lines = [json.loads(line) for line in hakmem(tmp_path, *words, "--json").stdout.splitlines()]
    caused = [line["caused_ns"] for line in lines[:-1]]
    assert sorted(caused, key=len) == [{}, {"madvise": 2_500_000}]
    assert lines[-1]["summary"]["caused_ns"] == {"madvise": 2_500_000}
    assert lines[-1]["summary"]["caused"] == {"page_fault": 20, "madvise": 5}


def test_where_stacks_break_off_report_says_how_to_get_the_callers(
    recording: Path, tmp_path: Path
) -> None:
    advice = "the callers of 16.7% of the bytes: stacks break off in server; built with"
    done = hakmem(tmp_path, "report", str(recording))
    assert f"missing: {advice} -fno-omit-frame-pointer" in done.stderr
    summary = json.loads(
        hakmem(tmp_path, "report", "--json", str(recording)).stdout.splitlines()[-1]
    )["summary"]
    assert any(sentence.startswith("the callers of 54.5%") for sentence in summary["missing"])
    assert summary["truncated_in"] == {"server": pytest.approx(6 / 11)}


def test_diff_and_export_say_what_was_lost_and_what_is_truncated(
    recording: Path, tmp_path: Path
) -> None:
    path = str(recording)
    trust = "lost samples: 3 (the map was full: 3); truncated stacks: 16.7% of the bytes"
    assert hakmem(tmp_path, "diff", path, path).stdout.count(trust) == 2
    assert trust in hakmem(tmp_path, "export", "--format", "collapsed", path).stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--view", "leaks", "--by", "site"), "node_new at /src/tree.cc:12 (inlined)"),
        (("--view", "cumulative", "--by", "class"), "class 20 (4096 B), stage 3"),
        (("--view", "live", "--by", "thread"), "io (8)"),
        (("--view", "live", "--by", "size"), "64 .. 79 B"),
        (("--view", "temporary", "--by", "module"), "/lib/libnet.so"),
        (("--view", "growth", "--since", "1", "--by", "function"), "node_new"),
        (("--view", "lifetimes"), "33 us .. 66 us"),
    ],
)
def test_report_has_a_view_for_each_question(
    recording: Path, tmp_path: Path, words: tuple[str, ...], expected: str
) -> None:
    done = hakmem(tmp_path, "report", str(recording), *words)
    assert expected in done.stdout
    assert "lost samples: 3" in done.stdout


def test_reports_lines_carry_the_fields_that_scripts_rely_on(
    recording: Path, tmp_path: Path
) -> None:
    done = hakmem(tmp_path, "report", "--json", str(recording))
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(line["schema_version"] == 1 and line["pid"] == 4242 for line in lines)
    first = lines[0]
    assert first["frames"][0] == {
        "function": "node_new",
        "file": "/src/tree.cc",
        "line": 12,
        "module": "/srv/app/server",
        "offset": 0x1010,
        "inlined": True,
        "note": None,
    }
    low, high = first["live_bytes_interval"]
    assert low < first["live_bytes"] == 10 * R < high
    assert (first["total_bytes"], first["samples"]) == (10 * R, 10)
    assert first["caused"] == {"page_fault": 20}
    assert lines[1]["caused_bytes"] == {"madvise": 8192}
    assert first["served"][0]["path"] == "front"
    assert [line["live_bytes"] for line in lines] == sorted(
        (line["live_bytes"] for line in lines), reverse=True
    )
    summary = lines[-1]["summary"]
    assert summary["lost_samples"] == {"the map was full": 3}
    assert 0 < summary["truncated_share"] < 1


def test_a_site_of_which_nothing_live_was_sampled_may_still_hold_some(tmp_path: Path) -> None:
    path = recorded(
        tmp_path / "x",
        Tick(START + 41 * 10**9, freed=Rows.pack([(2, 30, 2, 8192, 2 * R)])),
    )
    lines = hakmem(tmp_path, "report", "--json", str(path)).stdout.splitlines()
    row = next(r for r in map(json.loads, lines) if r["total_bytes"] == 12 * R)
    assert row["live_bytes"] == 0
    assert row["live_bytes_interval"][1] > 3 * R


def test_names_of_the_target_do_not_speak_to_the_terminal(tmp_path: Path) -> None:
    hostile = CallFrame("/lib/libnet.so", 0x500, "\x1b]0;owned\x07evil\u202e", "a\nb.c", 3)
    path = recorded(tmp_path / "x", Symbols(2, 0x500, (hostile,)))
    for words in (("report",), ("diff", str(path)), ("export", "--format", "collapsed")):
        out = hakmem(tmp_path, words[0], *words[1:], str(path)).stdout
        assert "\\x1b]0" in out
        assert "owned\\x07evil\\u202e" in out
        assert "\x1b" not in out
        assert "\u202e" not in out


def test_diff_says_what_changed_and_whether_that_is_certain(
    recording: Path, tmp_path: Path
) -> None:
    later = recorded(
        tmp_path / "b",
        Tick(START + 41 * 10**9, allocated=Rows.pack([(1, 0, 90, 90 * 64, 90 * R)])),
    )
    done = hakmem(tmp_path, "diff", str(recording), str(later))
    grown = next(line for line in done.stdout.splitlines() if "node_new" in line)
    assert grown.split()[:6] == ["5.0", "MiB", "50.0", "MiB", "45.0", "MiB"]
    assert " * " in grown
    same = next(line for line in done.stdout.splitlines() if "libnet" in line)
    assert " * " not in same
    lines = hakmem(tmp_path, "diff", "--json", str(recording), str(later)).stdout.splitlines()
    first, last = json.loads(lines[0]), json.loads(lines[-1])
    assert (first["change_bytes"], first["certain"]) == (90 * R, True)
    assert last["summary"]["before"]["lost"] == 3


def test_a_profile_does_not_differ_from_itself(recording: Path, tmp_path: Path) -> None:
    done = hakmem(tmp_path, "diff", "--json", str(recording), str(recording))
    for line in done.stdout.splitlines()[:-1]:
        row = json.loads(line)
        assert (row["change_bytes"], row["certain"]) == (0, False)


def test_export_takes_the_format_from_the_name(recording: Path, tmp_path: Path) -> None:
    for name in ("p.html", "p.folded", "p.speedscope.json", "p.pb.gz", "p.jsonl", "p.csv"):
        hakmem(tmp_path, "export", str(recording), "-o", str(tmp_path / name))
        assert (tmp_path / name).stat().st_size > 0
    page = (tmp_path / "p.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    with (tmp_path / "p.csv").open() as file:
        assert next(csv.reader(file))[0] == "site"


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("export", "{file}"), 2, "allowed are html"),
        (("export", "{file}", "--format", "svg"), 2, "'svg'"),
        (("export", "{file}", "-o", "{file}", "--format", "csv"), 2, "the file exists"),
        (("export", "/nowhere", "--format", "csv"), 2, "No such file"),
        (("export", "{other}", "--format", "csv"), 2, "no profile recording"),
        (("report", "{file}", "--since", "5", "--until", "2"), 2, "not before --until"),
        (("report", "{file}", "--since=-1"), 2, "outside 0..40.0 seconds"),
        (("report", "{file}", "--top=-1"), 2, "must be 0 or more"),
        (("report", "{file}", "--view", "leaks", "--until", "1"), 2, "no ages"),
        (("diff", "{file}"), 2, "AFTER"),
        (("diff", "{file}", "{other}"), 2, "no profile recording"),
    ],
)
def test_bad_input_is_one_line_that_says_what_is_allowed(
    recording: Path, tmp_path: Path, words: tuple[str, ...], code: int, told: str
) -> None:
    other = tmp_path / "other"
    other.write_text("something else\n")
    filled = [word.format(file=recording, other=other) for word in words]
    done = hakmem(tmp_path, *filled, code=code)
    assert told in done.stderr
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)


def test_a_torn_recording_is_reported_as_far_as_it_goes(recording: Path, tmp_path: Path) -> None:
    whole = recording.read_bytes()
    with ProfileWriter(tmp_path / "torn", Header(*_header_fields())) as writer:
        writer.write(small_profile()[1:-1])
    with (tmp_path / "torn").open("ab") as file:
        file.write(whole[-20:])
    done = hakmem(tmp_path, "report", str(tmp_path / "torn"))
    assert "node_new" in done.stdout
    assert "is torn" in done.stderr


def _header_fields() -> tuple[object, ...]:
    first = small_profile()[0]
    return tuple(getattr(first, name) for name in Header.__struct_fields__)


def test_the_page_of_report_names_every_option_of_a_profile() -> None:
    text = (ROOT / "docs" / "man" / "hakmem-report.1").read_text().replace("\\-", "-")
    for parameter in profile_report.command.params:
        for name in parameter.opts if isinstance(parameter, click.Option) else ():
            assert name in text, name


def test_without_protobuf_pprof_is_refused_with_what_to_install(
    recording: Path, tmp_path: Path
) -> None:
    (tmp_path / "google").mkdir()
    (tmp_path / "google" / "__init__.py").write_text("raise ImportError('not here')\n")
    words = ("export", "--format", "pprof", str(recording))
    done = hakmem(tmp_path, *words, code=4, python_path=tmp_path)
    assert "pip install 'hakmem[export]'" in done.stderr
    assert done.stdout == ""


def test_figures_that_no_recorder_writes_are_one_line(tmp_path: Path) -> None:
    huge = Tick(START + 41 * 10**9, allocated=Rows.pack([(1, 0, 1 << 31, 1, 1 << 62)]))
    done = hakmem(
        tmp_path, "export", "--format", "pprof", str(recorded(tmp_path / "x", huge)), code=2
    )
    assert "does not fit into pprof" in done.stderr
    assert done.stderr.count("\n") == 1
