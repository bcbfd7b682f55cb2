"""`hakmem ab`, `sweep` and `report` on real programs, with good and with bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration.tune.commands import Said, hakmem, sleeper

SHORT = ("--repeats", "6")


def went_on(arm: dict[str, Any]) -> bool:
    """To the last of the SHORT repeats, or until it was decided."""
    return arm["runs"] >= 5 or (arm["runs"] > 0 and arm["verdict"] != "INCONCLUSIVE")


def one_line(said: Said, code: int, *words: str) -> None:
    """It ended with this code and one clear line that holds these words."""
    assert said.code == code, said
    lines = [line for line in said.err.splitlines() if not line.startswith("hakmem: sweep file")]
    assert len(lines) == 1, said.err
    for word in words:
        assert word in lines[0]
    assert said.out == ""


def test_ab_prints_one_json_line_per_contender_and_a_summary(tmp_path: Path) -> None:
    said = hakmem("ab", "A=1", "A=2", "A=3", *SHORT, "--json", "-o", tmp_path / "a.sweep",
                  "--", "/bin/true")  # fmt: skip
    assert said.code == 0
    *arms, summary = said.lines
    assert [arm["arm"] for arm in arms] == ["A=2", "A=3"]
    for arm in arms:
        assert {"env", "metric", "effect", "interval", "p_adjusted", "verdict", "runs",
                "failed_runs", "schema_version"} <= set(arm)  # fmt: skip
    assert summary["summary"]["reference"] == "A=1"
    assert "effect" in summary["aa"]


def test_a_clear_difference_gets_its_verdict_and_fails_the_gate(tmp_path: Path) -> None:
    program = sleeper(tmp_path, 'sleep "$S"')
    said = hakmem("ab", "S=0.01", "S=0.03", "--gate", "--json", "-o", tmp_path / "a.sweep",
                  "--", *program)  # fmt: skip
    assert said.lines[0]["verdict"] == "NO-GO"
    assert said.code == 1


def test_lists_and_ranges_are_crossed_and_each_arm_has_its_environment(tmp_path: Path) -> None:
    program = sleeper(tmp_path, 'echo "got $A$B"')
    said = hakmem("sweep", "-L", "A", "1,2", "-P", "B", "3:4", "--metric", "got=got ([0-9]+)",
                  *SHORT, "--json", "-o", tmp_path / "a.sweep", "--", *program)  # fmt: skip
    assert [arm["arm"] for arm in said.lines[:-1]] == ["A=1 B=4", "A=2 B=3", "A=2 B=4"]
    effects = [arm["effect"] for arm in said.lines[:-1]]
    assert effects == pytest.approx([14 / 13 - 1, 23 / 13 - 1, 24 / 13 - 1])


def test_an_arm_that_crashes_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    program = sleeper(tmp_path, 'test "$A" != bad || kill -SEGV $$')
    said = hakmem("ab", "A=1", "A=bad", "A=2", *SHORT, "--json", "-o", tmp_path / "a.sweep",
                  "--", *program)  # fmt: skip
    bad, good = said.lines[:2]
    assert (bad["verdict"], bad["runs"], bad["failed_runs"]) == ("INCONCLUSIVE", 0, 3)
    assert "SIGSEGV" in bad["reason"]
    assert went_on(good)
    assert "A=bad: killed by SIGSEGV" in said.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["ab", "A=1", "", "--", "true"], 2, ["arm ''", "empty"]),
        (["ab", "A=1", "--", "true"], 2, ["1 arm", "at least 2"]),
        (["ab", "A=1", "B", "--", "true"], 2, ["'B' is not NAME=VALUE"]),
        (["ab", "A=1", "A=2"], 2, ["no command to measure"]),
        (["ab", "A=1", "A=2", "--", "no-such-program"], 127, ["no-such-program", "not found"]),
        (["ab", "A=1", "A=2", "--", "/etc/passwd"], 126, ["/etc/passwd", "not executable"]),
        (["ab", "A=1", "A=2", "--metric", "x=nothing (1)", "--", "true"], 3, ["matches nothing"]),
        (["ab", "A=1", "A=2", "--metric", "x=((", "--", "true"], 2, ["metric.regex='(('"]),
        (["ab", "A=1", "A=2", "--perf", "no-such", "--", "true"], 2, ["no-such"]),
        (["ab", "A=1", "A=2", "--metric", "no-such", "--", "true"], 2, ["'no-such'", "peak_rss"]),
        (
            [
                "ab",
                "HAKMEM_MODE=fast",
                "HAKMEM_MODE=balanced",
                "--also",
                "probe:shared_fial",
                "--",
                "true",
            ],
            2,
            ["shared_fial", "did you mean shared_fail"],
        ),
        (["sweep", "-L", "A", "1,,2", "--", "true"], 2, ["empty value"]),
        (["sweep", "-P", "A", "5:1", "--", "true"], 2, ["lo <= hi"]),
        (["sweep", "no-such.toml"], 2, ["no-such.toml", "No such file"]),
        (["sweep"], 2, ["give a spec file"]),
        (["report", "no-such.sweep"], 2, ["no-such.sweep", "no such file"]),
        (["report", "/etc/passwd"], 2, ["/etc/passwd"]),
    ],
)
def test_bad_input_gets_one_clear_line(
    arguments: list[str], code: int, words: list[str], tmp_path: Path
) -> None:
    if arguments[0] != "report" and "--" in arguments:
        place = arguments.index("--")
        arguments = [*arguments[:place], "-o", str(tmp_path / "a.sweep"), *arguments[place:]]
    one_line(hakmem(*arguments), code, *words)


def test_an_unknown_knob_refuses_its_arm_with_the_nearest_name_and_the_rest_goes_on(
    tmp_path: Path,
) -> None:
    said = hakmem("ab", "HAKMEM_MODE=fast", "HAKMEM_MODE=minimal", "HAKMEM_SUPERSLAB_LQ=19",
                  *SHORT, "--json", "-o", tmp_path / "a.sweep", "--", "/bin/true")  # fmt: skip
    assert said.code == 0
    minimal, unknown = said.lines[:2]
    assert went_on(minimal)
    assert unknown["runs"] == unknown["failed_runs"] == 0
    assert "HAKMEM_SUPERSLAB_LG" in unknown["reason"]


def test_a_knob_that_does_not_take_effect_fails_its_arm(tmp_path: Path) -> None:
    said = hakmem("ab", "HAKMEM_SUPERSLAB_LG=21", "HAKMEM_SUPERSLAB_LG=64",
                  "HAKMEM_SUPERSLAB_LG=19", *SHORT, "--json", "-o", tmp_path / "a.sweep",
                  "--", "/bin/true")  # fmt: skip
    refused = said.lines[0]
    assert refused["verdict"] == "INCONCLUSIVE"
    assert "19..21" in refused["reason"] or "in force" in refused["reason"]
    assert went_on(said.lines[1])


def test_counters_probes_and_perf_events_are_measured_beside_the_metric(tmp_path: Path) -> None:
    metric = ("--metric", "cpu", "--also", "json:ops", "--also", "counted=counter:stage_2",
              "--also", "probe:stage_hit", "--also", "fails=probe:shared_fail[3]",
              "--perf", "page-faults,instructions")  # fmt: skip
    # `env` becomes the program: its own counters say nothing. Long enough for some ticks of the
    # kernel's clock, by which it tells its time from the program's.
    said = hakmem("ab", "HAKMEM_SUPERSLAB_LG=21", "HAKMEM_SUPERSLAB_LG=19", *SHORT, "--json",
                  *metric, "-o", tmp_path / "a.sweep", "--", "env", "X=1", "build/bench/c7",
                  "--waves", "400", "--threads", "2")  # fmt: skip
    assert said.code == 0, said.err
    metrics = said.lines[0]["metrics"]
    for name in ("stage_hit", "counted", "page-faults", "ops", "peak_rss", "kernel_share"):
        assert metrics[name]["median"] > 0, name
    assert metrics["fails"]["median"] == 0.0
    instructions = metrics["instructions"]
    assert instructions["median"] or instructions["missing"]
    counted = sum(metrics[f"counters.stage_{n}"]["median"] for n in ("0_5", "1", "2", "3"))
    assert metrics["stage_hit"]["median"] == pytest.approx(counted, rel=0.5)


def test_the_page_needs_nothing_beside_itself_and_report_renders_it_again(tmp_path: Path) -> None:
    sweep, page = tmp_path / "a.sweep", tmp_path / "a.html"
    hakmem("ab", "A=1", "A=2", *SHORT, "-o", sweep, "--report", page, "--", "/bin/true")
    text = page.read_text()
    assert "<svg" in text
    assert "http" not in text.replace("http://www.w3.org", "")
    again = hakmem("report", sweep, "-o", tmp_path / "b.html")
    assert again.code == 0
    assert (tmp_path / "b.html").read_text() == text
    assert hakmem("report", sweep, "--json").lines[-1]["summary"]["complete"]
    assert hakmem("report", sweep, "--format", "csv").out.startswith("phase,block,position,arm")
    assert hakmem("report", sweep, "--format", "md").out.startswith("# ")
    assert "A=2" in hakmem("report", sweep).out
    assert len(hakmem("report", sweep, "--runs", "A=2").out.splitlines()) == 7
    one_line(hakmem("report", sweep, "--runs", "B=2"), 2, "no such arm")
    one_line(hakmem("report", sweep, "-o", page), 2, "exists; --force")


def test_a_full_disk_is_one_line_and_the_runs_so_far_are_kept(full_disk: Path) -> None:
    sweep = full_disk / "a.sweep"
    program = sleeper(full_disk, "true")
    arguments = ("ab", "A=1", "A=2", "--repeats", "2000", "--precision", "0.01")
    said = hakmem(*arguments, "-o", sweep, "--", *program)
    lines = [line for line in said.err.splitlines() if "cannot write" in line]
    assert said.code == 2
    assert len(lines) == 1
    assert str(sweep) in lines[0]
    report = hakmem("report", sweep, "--json")
    assert report.lines[-1]["summary"]["complete"] is False
