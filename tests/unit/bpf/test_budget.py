"""The budget keeps its share on any load, in simulated time."""

from __future__ import annotations

import pytest

from hakmem_tools.observe.bpf.any_profile import bounded_cost
from hakmem_tools.observe.bpf.budget import Budget

MILLISECOND = 1_000_000


def simulate(share: float, rate: float, busy: float, seconds: float = 60) -> tuple[Budget, float]:
    """A target that is busy so much of the time, and loses `rate` of each watched moment.

    Returns the budget and the part of the time that was watched.
    """
    budget = Budget(share)
    watching, watched_ns, now_ns = False, 0, 0
    while now_ns < seconds * 1e9:
        step_ns = (20 if watching else 50) * MILLISECOND
        now_ns += step_ns
        budget.pass_time(step_ns, int(busy * step_ns))
        if watching:
            watched_ns += step_ns
            budget.spend(step_ns, rate * step_ns)
            watching = budget.may_go_on
        else:
            watching = budget.may_begin
    return budget, watched_ns / now_ns


@pytest.mark.parametrize("share", [0.001, 0.03, 0.2])
@pytest.mark.parametrize("rate", [0.05, 0.5, 0.99, 4.0])
@pytest.mark.parametrize("busy", [0.01, 0.5, 1.0, 8.0])
def test_the_share_is_kept_whatever_a_hit_costs(share: float, rate: float, busy: float) -> None:
    budget, _ = simulate(share, rate, busy)
    # One window of debt is what nobody can know before.
    debt = rate * 20 * MILLISECOND
    assert budget.spent_ns <= share * budget.target_ns + debt


def test_what_costs_little_is_watched_all_the_time() -> None:
    _, watched = simulate(0.03, rate=0.01, busy=1.0)
    assert watched > 0.99


def test_what_costs_much_is_watched_as_much_as_the_share_pays_for() -> None:
    _, watched = simulate(0.03, rate=0.6, busy=1.0)
    assert 0.035 < watched < 0.05


def test_a_load_that_falls_again_is_watched_all_the_time_again() -> None:
    budget = Budget(0.03)
    for rate in [0.6] * 50 + [0.001] * 400:
        budget.pass_time(20 * MILLISECOND, 20 * MILLISECOND)
        if budget.may_begin:
            budget.spend(20 * MILLISECOND, rate * 20 * MILLISECOND)
    assert budget.may_go_on
    assert budget.may_begin


def test_an_idle_target_may_still_be_looked_at() -> None:
    _, watched = simulate(0.03, rate=0.0005, busy=0.0)
    assert watched > 0.99


def test_no_time_at_all_is_no_overhead() -> None:
    assert Budget(0.03).overhead == 0.0


def test_hits_are_booked_with_caution_but_never_for_more_than_the_target_ran() -> None:
    assert bounded_cost(1_000, 1_000_000) == 3_000
    assert bounded_cost(900_000, 1_000_000) == 1_000_000
    assert bounded_cost(5, 0) == 0
