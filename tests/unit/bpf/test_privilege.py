"""What may be done with BPF, from the bits of /proc/self/status."""

from __future__ import annotations

import pytest

from hakmem_tools.observe.bpf.privilege import (
    check_privilege,
    held_capabilities,
    missing_capabilities,
)
from hakmem_tools.observe.source import SourceUnavailable


def test_capabilities_are_read_from_the_effective_set() -> None:
    status = "Name:\tx\nCapPrm:\t000001ffffffffff\nCapEff:\t000000c000000000\n"
    assert held_capabilities(status) == {"CAP_BPF", "CAP_PERFMON"}


def test_root_has_all_that_is_needed() -> None:
    assert missing_capabilities(held_capabilities("CapEff:\t000001ffffffffff\n")) == ()


def test_bpf_and_perfmon_together_are_enough() -> None:
    assert missing_capabilities(frozenset(("CAP_BPF", "CAP_PERFMON"))) == ()


def test_one_of_the_two_is_not_enough_and_the_other_is_named() -> None:
    assert missing_capabilities(frozenset(("CAP_BPF",))) == ("CAP_PERFMON",)


def test_without_privilege_one_line_says_what_is_missing_and_what_to_do() -> None:
    with pytest.raises(SourceUnavailable) as caught:
        check_privilege(frozenset())
    text = str(caught.value)
    assert "CAP_BPF and CAP_PERFMON" in text
    assert "run as root" in text
    assert "\n" not in text
