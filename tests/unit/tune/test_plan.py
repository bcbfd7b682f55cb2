"""Plans: how arms, ranges and specs are read, and the order in which blocks run."""

from __future__ import annotations

import collections

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakmem_tools.model.trial import Arm, Phase
from hakmem_tools.tune import plan as planning
from hakmem_tools.tune.metric import Metric, check_metric
from hakmem_tools.tune.plan import Plan, PlanError
from hakmem_tools.tune.spec import parse_spec


def small_plan(arms: int = 3, seed: int = 1) -> Plan:
    return Plan(
        command=("true",), arms=tuple(Arm(f"a{n}", {"X": str(n)}) for n in range(arms)), seed=seed
    )


def test_an_arm_is_read_as_a_shell_would_read_it() -> None:
    assert planning.parse_arm("A=1 B='two words'").env == {"A": "1", "B": "two words"}
    assert planning.parse_arm("-").env == {}


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("A", "not NAME=VALUE"),
        ("=1", "not NAME=VALUE"),
        ("1A=2", "not NAME=VALUE"),
        ("A=1 A=2", "set twice"),
        ("A='1", "closing quotation"),
    ],
)
def test_a_bad_arm_is_one_line_that_names_it(text: str, part: str) -> None:
    with pytest.raises(PlanError) as caught:
        planning.parse_arm(text)
    assert part.lower() in str(caught.value).lower()
    assert "\n" not in str(caught.value)


def test_ranges_keep_decimals_exact_and_hold_both_ends() -> None:
    assert planning.parse_range("X", "0.1:0.3:0.1") == ("X", ["0.1", "0.2", "0.3"])
    assert planning.parse_range("X", "19:21") == ("X", ["19", "20", "21"])


@pytest.mark.parametrize("text", ["", "1", "1:2:0", "3:1", "a:b", "1:2:3:4", "0:1e9", "nan:2"])
def test_a_bad_range_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(PlanError, match="-P X"):
        planning.parse_range("X", text)


@given(st.integers(-50, 50), st.integers(0, 60), st.integers(1, 7))
def test_a_range_never_leaves_its_ends(low: int, width: int, step: int) -> None:
    _, values = planning.parse_range("X", f"{low}:{low + width}:{step}")
    assert values[0] == str(low)
    assert int(values[-1]) <= low + width < int(values[-1]) + step


def test_lists_make_every_combination_with_the_first_values_as_reference() -> None:
    arms = planning.cross([planning.parse_list("A", "0,1"), planning.parse_list("B", "x,y")])
    assert [arm.env for arm in arms] == [
        {"A": "0", "B": "x"},
        {"A": "0", "B": "y"},
        {"A": "1", "B": "x"},
        {"A": "1", "B": "y"},
    ]
    with pytest.raises(PlanError, match="twice"):
        planning.cross([("A", ["0"]), ("A", ["1"])])
    with pytest.raises(PlanError, match="empty value"):
        planning.parse_list("A", "0,,1")


@given(st.integers(2, 12), st.integers(0, 200), st.integers(0, 2**32))
def test_every_block_runs_every_arm_and_the_reference_often_enough(
    arms: int, block: int, seed: int
) -> None:
    plan = small_plan(arms, seed)
    active = [arm.name for arm in plan.contenders]
    order = planning.block_order(plan, Phase.MEASURE, block, active)
    counts = collections.Counter(order)
    assert counts.pop("a0") == planning.reference_runs(len(active))
    assert counts == dict.fromkeys(active, 1)
    assert order == planning.block_order(plan, Phase.MEASURE, block, active)


def test_every_arm_comes_first_about_equally_often() -> None:
    plan = small_plan(3)
    first = collections.Counter(
        planning.block_order(plan, Phase.MEASURE, block, ["a1", "a2"])[0] for block in range(600)
    )
    assert all(150 <= count <= 250 for count in first.values())


def test_arms_that_are_alike_get_numbers_so_that_equal_can_be_compared_with_equal() -> None:
    arms = planning.distinct_names([planning.parse_arm("A=1")] * 3)
    assert [arm.name for arm in arms] == ["A=1", "A=1 #2", "A=1 #3"]


def test_a_metric_that_the_runner_does_not_measure_needs_a_place_to_come_from() -> None:
    with pytest.raises(PlanError, match="not measured by the runner"):
        check_metric(Metric(name="ops"))
    with pytest.raises(PlanError, match="parentheses"):
        check_metric(Metric(name="ops", regex="ops [0-9]+"))
    with pytest.raises(PlanError, match=r"metric\.regex"):
        check_metric(Metric(name="ops", regex="(["))
    check_metric(Metric(name="ops", regex="ops ([0-9]+)", better="higher"))


GOOD = """
title = "demo"
command = "./prog 100"
perf = ["instructions"]
[env]
COMMON = 3
[[arm]]
name = "base"
[[arm]]
name = "A"
env = { X = "1" }
[metric]
name = "ops"
regex = 'ops ([0-9.]+)'
better = "higher"
[limits]
max_time = 60
[verdict]
go = 0.04
conditions = ["instructions <= -15%"]
"""


def test_a_spec_becomes_a_plan() -> None:
    plan = parse_spec(GOOD)
    assert plan.command == ("./prog", "100")
    assert [arm.name for arm in plan.arms] == ["base", "A"]
    assert planning.environment(plan, plan.arms[1], {"X": "0", "HOME": "/"}) == {
        "X": "1",
        "HOME": "/",
        "COMMON": "3",
    }
    assert plan.rules.conditions[0].bound == -0.15
    assert plan.limits.max_time == 60


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ('title = "demo"', 'titel = "demo"', "did you mean 'title'"),
        ("max_time = 60", "max_time = -1", "allowed is 0.."),
        ("max_time = 60", "max_time = true", "expected int or float"),
        ("go = 0.04", "go = -4", "verdict.go"),
        ("-15%", "less", "METRIC <= PERCENT%"),
        ('name = "A"', 'name = "base"', "used twice"),
        ('command = "./prog 100"', 'command = ""', "command is empty"),
        ('command = "./prog 100"', "", "command is missing"),
        ('better = "higher"', 'better = "more"', "'lower' or 'higher'"),
        ("[env]", "[env", "not TOML"),
        ('env = { X = "1" }', "env = { X = [1] }", "expected a string or a number"),
    ],
)
def test_a_fault_in_a_spec_is_one_line_with_its_place(old: str, new: str, part: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse_spec(GOOD.replace(old, new))
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_spec_with_knobs_crosses_them_and_one_arm_alone_is_refused() -> None:
    plan = parse_spec('command = ["true"]\n[knobs]\nA = [0, 1]\nB = ["x"]')
    assert [arm.env for arm in plan.arms] == [{"A": "0", "B": "x"}, {"A": "1", "B": "x"}]
    with pytest.raises(PlanError, match="at least 2"):
        parse_spec('command = ["true"]\n[knobs]\nA = [0]')


def test_the_fingerprint_follows_what_is_run_and_not_how_it_is_judged() -> None:
    plan = parse_spec(GOOD)
    assert plan.fingerprint == parse_spec(GOOD.replace("go = 0.04", "go = 0.06")).fingerprint
    assert plan.fingerprint != parse_spec(GOOD.replace('X = "1"', 'X = "2"')).fingerprint
