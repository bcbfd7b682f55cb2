"""The verdict rules, at and around their edges."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakmem_tools.tune.verdict import Change, Kind, Rules, decide, gate, parse_condition


@pytest.mark.parametrize(
    ("interval", "expected", "settled"),
    [
        ((0.06, 0.09), Kind.GO, True),
        ((0.05, 0.09), Kind.GO, True),
        ((0.04, 0.09), Kind.INCONCLUSIVE, False),
        ((-0.01, 0.02), Kind.NEUTRAL, True),
        ((-0.03, 0.03), Kind.NEUTRAL, True),
        ((-0.10, -0.04), Kind.NO_GO, True),
        ((-0.029, -0.021), Kind.NO_GO, True),  # within +-3 % too: worse than -2 % comes first
        ((0.035, 0.045), Kind.INCONCLUSIVE, True),
        ((-0.20, 0.20), Kind.INCONCLUSIVE, False),
    ],
)
def test_the_whole_interval_must_lie_where_the_rule_says(
    interval: tuple[float, float], expected: Kind, settled: bool
) -> None:
    found = decide(sum(interval) / 2, interval, Rules())
    assert (found.kind, found.settled) == (expected, settled)


def test_judging_by_estimate_needs_only_an_interval_without_zero() -> None:
    rules = Rules(judge="estimate")
    assert decide(0.06, (0.01, 0.11), rules).kind is Kind.GO
    assert decide(0.06, (-0.01, 0.13), rules).kind is Kind.INCONCLUSIVE
    assert decide(-0.025, (-0.045, -0.005), rules).kind is Kind.NO_GO


def test_go_waits_for_its_further_condition() -> None:
    rules = Rules(conditions=(parse_condition("instructions <= -15%"),))
    interval = (0.07, 0.09)
    held = decide(0.08, interval, rules, {"instructions": Change(-0.22, -0.18)})
    broken = decide(0.08, interval, rules, {"instructions": Change(-0.05, 0.0)})
    open_ = decide(0.08, interval, rules, {"instructions": Change(-0.2, -0.1)})
    assert held.kind is Kind.GO
    assert (broken.kind, broken.settled) == (Kind.INCONCLUSIVE, True)
    assert (open_.kind, open_.settled) == (Kind.INCONCLUSIVE, False)


def test_a_condition_on_a_missing_metric_says_why_it_cannot_be_checked() -> None:
    rules = Rules(conditions=(parse_condition("instructions <= -15%"),))
    found = decide(0.08, (0.07, 0.09), rules, {"instructions": Change(missing="not supported")})
    assert found.kind is Kind.INCONCLUSIVE
    assert "not supported" in found.reason


def test_no_interval_is_inconclusive_with_its_reason() -> None:
    found = decide(None, None, Rules(), reason="all 4 runs failed: exit status 139")
    assert (found.kind, found.reason) == (Kind.INCONCLUSIVE, "all 4 runs failed: exit status 139")


@given(st.floats(-0.9, 2.0), st.floats(0.0, 1.0))
def test_every_interval_gets_exactly_one_verdict(middle: float, half: float) -> None:
    interval = (middle - half, middle + half)
    found = decide(middle, interval, Rules())
    if found.kind is Kind.GO:
        assert interval[0] >= 0.05
    if found.kind is Kind.NO_GO:
        assert interval[1] < -0.02


@pytest.mark.parametrize("text", ["instructions < -15%", "", "<= 3%", "wall <= fast"])
def test_a_condition_that_cannot_be_read_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match="METRIC <= PERCENT%"):
        parse_condition(text)


def test_rules_out_of_range_are_named_with_what_is_allowed() -> None:
    assert Rules().problems() == []
    problems = Rules(go=-1, neutral=2, no_go=0.1, judge="luck").problems()
    assert len(problems) == 4
    assert all("allowed is" in line for line in problems)


def test_the_gate_fails_on_no_go_and_cannot_tell_on_inconclusive() -> None:
    assert gate([Kind.GO, Kind.NEUTRAL]) == 0
    assert gate([Kind.GO, Kind.NO_GO, Kind.INCONCLUSIVE]) == 1
    assert gate([Kind.GO, Kind.INCONCLUSIVE]) == 3
    assert gate([]) == 3


def test_a_gate_that_needs_go_passes_with_one_go() -> None:
    assert gate([Kind.NO_GO, Kind.GO], need=Kind.GO) == 0
    assert gate([Kind.NEUTRAL], need=Kind.GO) == 1
    assert gate([Kind.INCONCLUSIVE], need=Kind.GO) == 3
    assert gate([Kind.GO], need=Kind.NEUTRAL) == 0
