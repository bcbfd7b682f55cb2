"""Metrics that are asked for: from output, from counters, as shares; in the plan and the report."""

from __future__ import annotations

import pytest

from hakmem_tools.model.trial import Arm, Status
from hakmem_tools.tune.metric import Metric, parse_metric
from hakmem_tools.tune.plan import Limits, Live, Plan, PlanError, check
from hakmem_tools.tune.report import words
from hakmem_tools.tune.runner import take_asked
from hakmem_tools.tune.spec import parse_spec

ARMS = (Arm("-", {}), Arm("A=1", {"A": "1"}))


def plan(*also: Metric, live: Live | None = None) -> Plan:
    return Plan(command=("prog",), arms=ARMS, also=also, live=live)


def test_a_counter_of_a_class_that_never_counted_is_zero_but_one_not_read_is_missing() -> None:
    fails = Metric(name="fails", counter="shared_fail[7]")
    others = Metric(name="others", counter="no_such_counter")
    metrics: dict[str, float] = {"wall": 1.0, "counters.shared_fail": 0.0}
    missing: dict[str, str] = {}
    status, _ = take_asked(plan(fails, others), metrics, missing)
    assert status is Status.OK
    assert metrics["fails"] == 0.0
    assert "others" not in metrics
    assert missing == {"others": "metric others: counter no_such_counter was not read"}


def test_shares_are_the_first_over_the_sum_of_the_rest() -> None:
    share = Metric(name="share", ratio=("counters.a[7]", "counters.a[7]", "counters.b[7]"))
    metrics = {"wall": 1.0, "counters.a": 5.0, "counters.a[7]": 1.0, "counters.b": 3.0,
               "counters.b[7]": 3.0}  # fmt: skip
    take_asked(plan(share), metrics, {})
    assert metrics["share"] == 0.25


def test_a_run_without_its_main_metric_has_failed() -> None:
    status, detail = take_asked(plan(), {}, {})
    assert status is Status.FAILED
    assert detail == "metric wall was not measured"
    status, detail = take_asked(plan(), {"wall": 0.0}, {})
    assert status is Status.FAILED
    assert "above 0" in detail


@pytest.mark.parametrize(
    ("text", "metric"),
    [
        ("cpu", Metric(name="cpu")),
        ("ops=ops: ([0-9]+)", Metric(name="ops", regex="ops: ([0-9]+)", better="higher")),
        ("json:a.b", Metric(name="a.b", json_path="a.b", better="higher")),
        ("ops=json:a.b", Metric(name="ops", json_path="a.b", better="higher")),
        ("f=counter:shared_fail[7]", Metric(name="f", counter="shared_fail[7]")),
        ("probe:stage_hit", Metric(name="stage_hit", probe="stage_hit")),
    ],
)
def test_a_metric_can_be_written_in_one_word(text: str, metric: Metric) -> None:
    assert parse_metric(text) == metric
    assert parse_metric(text, "lower").better == "lower"


@pytest.mark.parametrize("text", ["=x(1)", "probe:", "a=counter:"])
def test_a_metric_that_cannot_be_read_is_one_line(text: str) -> None:
    with pytest.raises(PlanError, match="metric"):
        parse_metric(text)


def test_a_probe_that_was_not_counted_is_missing_with_the_reason() -> None:
    hits = Metric(name="hits", probe="stage_hit[7]")
    metrics, missing = {"wall": 1.0, "probes.stage_hit": 5.0}, dict[str, str]()
    take_asked(plan(hits), metrics, missing)
    assert metrics["hits"] == 0.0
    metrics = {"wall": 1.0}
    take_asked(plan(hits), metrics, missing)
    assert missing == {"hits": "metric hits: probe stage_hit[7] was not read"}


def test_a_metric_comes_from_one_place_only() -> None:
    with pytest.raises(PlanError, match="give one of regex, json, counter, probe, ratio"):
        check(plan(Metric(name="x", regex="(1)", counter="refills")))
    with pytest.raises(PlanError, match="not measured by the runner"):
        check(plan(Metric(name="rss")))


def test_a_live_plan_knows_other_metrics_and_has_an_identity_of_its_own() -> None:
    live = Live(pid=7, started_ns=1)
    moving = plan(Metric(name="rss"), live=live)
    with pytest.raises(PlanError, match="'wall' is not measured"):
        check(moving)
    other = plan(Metric(name="rss"), live=Live(pid=7, started_ns=2))
    assert moving.fingerprint != other.fingerprint


def test_a_spec_names_counters_and_shares() -> None:
    spec = parse_spec(
        'command = "prog"\n[knobs]\nA = [1, 2]\n[[also]]\nname = "fails"\ncounter = "shared_fail"\n'
        '[[also]]\nname = "s"\nratio = ["counters.a", "counters.b"]\nunit = "fraction"\n'
    )
    assert spec.also[0] == Metric(name="fails", counter="shared_fail")
    assert spec.also[1].unit == "fraction"
    assert spec.limits == Limits()


def test_bytes_have_their_own_letter() -> None:
    assert words.amount(728_400_000.0, "bytes") == "728.4 MB"
    assert words.amount(0.0, "bytes") == "0 B"
