"""The plan of a benchmark: its rows, its arms and their order; and what a document says."""

from __future__ import annotations

import csv
import io
import itertools
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from hakmem_tools.bench import conduct as conduct_module
from hakmem_tools.bench.callgrind import InstructionCount, parse_total
from hakmem_tools.bench.conduct import aa_arms, arms_of, conduct, order
from hakmem_tools.bench.export import count_lines, csv_text, json_lines, write_results
from hakmem_tools.bench.machine import describe_machine
from hakmem_tools.bench.measure import MeasureError, Run
from hakmem_tools.bench.peers import Peer, find_peers
from hakmem_tools.bench.results import Document, Setup, analyse_aa, build_document
from hakmem_tools.bench.rows import ROWS, Row, select_rows
from hakmem_tools.bench.table import document_lines, instruction_lines

PEERS = [Peer("glibc", None, "2.36"), Peer("mimalloc", None, "3.4"), Peer("hakmem", None, "0.1")]
JSON, MIR = select_rows(["json", "mir"])


def document(runs: list[Run], rows: list[Row] | None = None) -> Document:
    setup = Setup(rows or [JSON], PEERS, ["jemalloc: not found"], 5, False, {"cpu": "a cpu"})
    return build_document(setup, None, runs, 5, [0.1, 0.1, 0.1])


def some_runs(hakmem_seconds: float = 0.5) -> list[Run]:
    seconds = {"glibc": 2.0, "mimalloc": 1.0, "hakmem": hakmem_seconds}
    return [
        Run(row="json", arm=arm, round=r, position=0, ops=10, seconds=one, peak_rss_bytes=1 << 20)
        for r in range(5)
        for arm, one in seconds.items()
    ]


def test_every_arm_runs_once_a_round_in_every_row() -> None:
    steps = list(order([JSON, MIR], arms_of(PEERS), 4))
    seen = Counter((step.round, step.row.name, step.arm.name) for step in steps)
    assert set(seen.values()) == {1}
    assert len(seen) == 4 * 2 * 3
    assert [step.position for step in steps] == list(range(24))


def test_over_rounds_every_arm_stands_in_every_place() -> None:
    arms = arms_of(PEERS)
    places: dict[str, set[int]] = {}
    for round_ in range(6):
        row_steps = [s for s in order([JSON], arms, 6) if s.round == round_]
        for place, step in enumerate(row_steps):
            places.setdefault(step.arm.name, set()).add(place)
    assert all(found == {0, 1, 2} for found in places.values())


def test_an_arm_does_not_always_follow_the_same_other() -> None:
    steps = list(order([JSON], arms_of(PEERS), 4))
    before = {(a.arm.name, b.arm.name) for a, b in itertools.pairwise(steps)}
    assert ("glibc", "mimalloc") in before
    assert ("mimalloc", "glibc") in before


def test_a_wrong_checksum_fails_the_run_and_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    sums = {"glibc": 7, "mimalloc": 7, "hakmem": 8}

    def fake(row: Row, peer: Peer, programs: Path, **where: object) -> Run:
        identity = {"round": where["round_"], "position": where["position"], "arm": where["arm"]}
        return Run(row=row.name, seconds=1.0, checksum=sums[peer.name], **identity)  # type: ignore[arg-type]

    monkeypatch.setattr(conduct_module, "measure", fake)
    told: list[tuple[int, int]] = []
    runs = conduct(
        [JSON], arms_of(PEERS), 2, Path(), after_round=lambda n, rs: told.append((n, len(rs)))
    )
    failed = [run for run in runs if run.failure]
    assert [run.arm for run in failed] == ["hakmem", "hakmem"]
    assert failed[0].failure == "checksum 8, but the row's first run had 7"
    assert told == [(1, 3), (2, 6)]


def test_the_aa_stage_pairs_an_allocator_with_itself() -> None:
    arms = aa_arms(PEERS[0])
    assert [arm.name for arm in arms] == ["glibc", "glibc again"]
    runs = [
        Run(row="json", arm=arm.name, round=r, position=0, seconds=1.0 + 0.5 * i)
        for r in range(5)
        for i, arm in enumerate(arms)
    ]
    aa = analyse_aa(runs, "glibc")
    assert aa.rows["json"].estimate == 1.5
    assert aa.outside == 1


def test_row_names_are_unique_and_patterns_choose_among_them() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert [row.name for row in select_rows(["tiny"])] == ["tiny_1", "tiny_2"]
    assert [row.name for row in select_rows(["vm"])] == ["vm_x10", "vm_x100"]
    assert [row.name for row in select_rows(["mir", "json"])] == ["json", "mir"]
    assert [row.name for row in select_rows(["realloc"])] == ["realloc"]
    assert len(select_rows(["larson_*"])) == 6


def test_a_pattern_that_matches_no_row_names_the_rows_there_are() -> None:
    with pytest.raises(ValueError, match=r"no row matches 'jason'; the rows are json, mir"):
        select_rows(["json", "jason"])


def test_a_quick_row_does_a_tenth_and_a_cold_row_a_tenth_of_its_processes() -> None:
    assert JSON.quick().count == JSON.count // 10
    (cold,) = select_rows(["vm_x100"])
    assert (cold.quick().count, cold.quick().processes) == (100, cold.processes // 10)


def test_an_unknown_peer_is_refused_and_a_library_by_hand_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown peer 'dlmalloc'"):
        find_peers(["dlmalloc"])
    with pytest.raises(ValueError, match="no such file"):
        find_peers([f"mine={tmp_path}/none.so"])
    library = tmp_path / "lib.so"
    library.write_bytes(b"x")
    (peer,), missing = find_peers([f"mine={library}"])
    assert (peer.name, peer.library, missing) == ("mine", str(library), [])
    assert str(tmp_path) not in str(peer.describe())


def test_only_builds_of_hakmem_are_ours() -> None:
    assert Peer("hakmem", None, None).ours
    assert Peer("hakmem-minimal", None, None).ours
    assert not Peer("hakmalloc", None, None).ours


def test_the_table_shows_hakmem_against_the_best_peer_with_its_interval() -> None:
    text = "\n".join(document_lines(document(some_runs())))
    assert "json   2.00      1.00  0.50 [0.50, 0.50]" in text
    assert "geometric mean of time to the best peer 0.50 [0.50, 0.50] in the main rows" in text
    assert "points, scenarios: hakmem 3, mimalloc 2, glibc 1" in text


def test_rows_that_lose_are_named() -> None:
    lost = document(some_runs(hakmem_seconds=1.5))
    assert lost.ours["hakmem"].rows_slower == ["json"]
    assert "above the best peer, interval and all: json" in "\n".join(document_lines(lost))


def test_another_build_is_also_compared_with_the_default_one() -> None:
    minimal = Peer("hakmem-minimal", None, "0.1")
    setup = Setup([JSON], [*PEERS, minimal], [], 5, False, {})
    runs = some_runs() + [
        Run(row="json", arm=minimal.name, round=r, position=0, seconds=0.49) for r in range(5)
    ]
    found = build_document(setup, None, runs, 5, [0.0, 0.0, 0.0])
    assert found.ours["hakmem"].time_to_default is None
    text = "\n".join(document_lines(found))
    assert "hakmem-minimal: geometric mean of time to hakmem 0.980 [0.980, 0.980]" in text


def test_what_is_missing_is_a_dash_and_the_failure_is_told() -> None:
    failure = "the preload took no effect"
    runs = [*some_runs(), Run(row="mir", arm="hakmem", round=0, position=0, failure=failure)]
    lines = list(document_lines(document(runs, [JSON, MIR])))
    assert any(line.split() == ["mir", "-", "-", "-", "-", "-"] for line in lines)
    assert f"mir under hakmem: 1 of 1 runs failed; the first: {failure}" in lines


def test_json_lines_carry_the_schema_version_and_end_with_a_summary() -> None:
    lines = [msgspec.json.decode(line) for line in json_lines(document(some_runs()))]
    assert [line["record"] for line in lines] == ["machine", "row", "summary"]
    assert {line["schema_version"] for line in lines} == {1}
    assert lines[1]["ours"]["hakmem"]["estimate"] == 0.5


def test_files_hold_every_run_and_an_old_file_is_replaced_whole(tmp_path: Path) -> None:
    found = document(
        [*some_runs(), Run(row="json", arm="hakmem", round=9, position=0, failure="x")]
    )
    path = tmp_path / "out.json"
    path.write_text("old")
    write_results(found, path)
    assert len(msgspec.json.decode(path.read_bytes(), type=Document).runs) == 16
    rows = list(csv.DictReader(io.StringIO(csv_text(found.runs))))
    assert len(rows) == 16
    assert (rows[-1]["seconds"], rows[-1]["failure"]) == ("", "x")
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.json"]


def test_the_machines_description_gives_a_reason_for_what_it_lacks() -> None:
    described = describe_machine({"HAKMEM_MODE": "fast", "HOME": "/root"})
    missing = described["missing"]
    assert isinstance(missing, dict)
    assert described["environment"] == {"HAKMEM_MODE": "fast"}
    assert all((described[key] is None) == (key in missing) for key in ("governor", "cpu"))


def test_callgrinds_total_is_read_and_its_absence_is_an_error() -> None:
    assert parse_total("events: Ir\nsummary: 123456\n") == 123456
    with pytest.raises(MeasureError, match="no total"):
        parse_total("events: Ir\n")


def test_instruction_counts_show_a_dash_and_the_reason_where_one_failed() -> None:
    counts = [
        InstructionCount(row="pair64", arm="glibc", few=1, many=9, per_operation=31.5),
        InstructionCount(row="pair64", arm="hakmem", failure="out of time; killed"),
    ]
    text = "\n".join(instruction_lines(counts))
    assert "31.50" in text
    assert "pair64 under hakmem: out of time; killed" in text
    assert msgspec.json.decode(list(count_lines(counts))[1])["per_operation"] is None
