"""The score of inferred purposes, over the workload of labelled sites in real processes."""

from __future__ import annotations

import json

import pytest

from hakmem_tools.bench.peers import PROJECT
from hakmem_tools.bench.site_score import MODES, WAYS, SiteScoreError, score_sites
from hakmem_tools.model.site_score import POLICIES
from tests.integration.bench.test_bench_runs import hakmem_bench
from tests.integration.observe.puppet import library_path

PROGRAMS = PROJECT / "build" / "bench"


def test_labelled_calls_are_taken_for_what_they_are_where_every_one_is_counted() -> None:
    score = score_sites(str(library_path()), PROGRAMS, "learning")["labelled calls"]
    assert score.not_seen == ()
    assert score.accuracy is not None
    assert score.accuracy >= 0.85
    for policy in score.scores:
        assert policy.labelled > 0
        assert policy.recall is not None
        assert policy.precision is not None
        assert policy.recall >= 0.6
        assert policy.precision >= 0.6


def test_sites_by_return_address_are_scored_with_those_that_no_slow_path_saw() -> None:
    score = score_sites(str(library_path()), PROGRAMS, "learning")["return addresses"]
    assert score.sites == sum(map(sum, score.cells)) + len(score.not_seen) == 20
    large = next(row for row in score.scores if row.policy == "LARGE_INFREQUENT")
    assert large.recall == 1  # each of their requests is a slow path


def test_a_library_without_labelled_calls_is_refused() -> None:
    with pytest.raises(SiteScoreError, match="has no hak_alloc_cs, or was not loaded"):
        score_sites("", PROGRAMS, "balanced")


def test_the_command_prints_a_matrix_for_each_mode_and_way() -> None:
    done = hakmem_bench(["--sites", "--json"])
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["mode"], row["way"]) for row in rows] == [
        (mode, way) for mode in MODES for way in WAYS
    ]
    for row in rows:
        assert row["record"] == "sites"
        assert [policy["policy"] for policy in row["policies"]] == list(POLICIES)
        assert row["right"] <= row["sites"] == 20
    text = hakmem_bench(["--sites"])
    assert text.stdout.count("precision") == len(rows)
    assert text.stderr == ""


def test_a_workload_that_is_not_built_is_told_in_one_line(tmp_path: object) -> None:
    done = hakmem_bench(["--sites", "--programs", str(tmp_path)])
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("sites: not built; run `make workloads`\n")
    assert done.stderr.count("\n") == 1
