"""What a watch lost and cost."""

from __future__ import annotations

from hakmem_tools.observe.bpf.accounts import TRAP_NS, Lost, estimate_cost


def test_everything_that_was_lost_adds_up_to_the_one_number_that_is_shown() -> None:
    assert Lost(events={"a": 2, "b": 3}, class_hits=5, tasks=7, runs=11).total == 28


def test_the_cost_is_the_traps_and_the_programs_own_time_within_its_error() -> None:
    cost = estimate_cost(1000, 50_000)
    assert cost.overhead_ns == 1000 * TRAP_NS + 50_000
    low, high = cost.overhead_range_ns
    assert 50_000 < low < cost.overhead_ns < high


def test_a_run_time_that_the_kernel_does_not_measure_is_missing_and_not_nought() -> None:
    cost = estimate_cost(1000, None)
    assert cost.program_ns is None
    assert cost.overhead_ns > 1000 * TRAP_NS
