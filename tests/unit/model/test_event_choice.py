"""Events chosen by name, codes told from descriptions, and how an event looks on a line."""

from __future__ import annotations

import pytest

from hakmem_tools.model.codes import argument_groups, code_argument, code_word
from hakmem_tools.model.descriptors import Code, Descriptors, Probe
from hakmem_tools.model.event_choice import UnknownEvent, choose_events
from hakmem_tools.model.event_lines import event_line, event_record
from hakmem_tools.model.snapshot import Event

FAIL = Probe("hakmem", "shared_fail", ("class", "reason"), "legacy serves; reason is a FAIL code")
REFILL = Probe("hakmem", "refill", ("class", "got"), "brought `got` blocks")
ODD = Probe("hakmem", "odd", ("kind",), "kind is an INTEGRITY code; other is a LOST code")
DESCRIPTORS = Descriptors(
    knobs=(),
    modes=(),
    counters=(),
    probes=(FAIL, REFILL, ODD),
    codes=(Code("FAIL", "SOFT_CAP", 1, "soft_cap", ""),),
)


def test_without_names_the_rare_events_are_chosen() -> None:
    assert choose_events(None, DESCRIPTORS) == {"shared_fail", "odd"}


def test_names_are_taken_one_by_one() -> None:
    assert choose_events("refill, odd", DESCRIPTORS) == {"refill", "odd"}


def test_all_means_every_probe_of_the_library() -> None:
    assert choose_events("all", DESCRIPTORS) == {"shared_fail", "refill", "odd"}


def test_a_wrong_name_is_answered_with_near_ones() -> None:
    with pytest.raises(UnknownEvent, match=r"--event shared_fial: no such event; did you mean sh"):
        choose_events("refill,shared_fial", DESCRIPTORS)


def test_a_name_that_is_near_to_none_is_answered_with_all() -> None:
    with pytest.raises(UnknownEvent, match="there are shared_fail, refill, odd, or all"):
        choose_events("zzz", DESCRIPTORS)


@pytest.mark.parametrize("wanted", ["", ",", " "])
def test_no_name_at_all_is_refused(wanted: str) -> None:
    with pytest.raises(UnknownEvent):
        choose_events(wanted, DESCRIPTORS)


def test_a_description_says_which_argument_carries_which_codes() -> None:
    assert argument_groups(FAIL) == {"reason": "FAIL"}
    assert argument_groups(ODD) == {"kind": "INTEGRITY"}
    assert code_argument(REFILL) is None


def test_a_code_is_told_by_its_word_and_else_by_its_number() -> None:
    assert code_word(DESCRIPTORS, FAIL, 1) == "soft_cap"
    assert code_word(DESCRIPTORS, FAIL, 9) == "9"
    assert code_word(DESCRIPTORS, REFILL, 1) is None


EVENT = Event(
    event="shared_fail",
    pid=1,
    tid=2,
    time_ns=3_000_000_500,
    args={"class": 7, "reason": 1, "at": 0x7F0000001000},
    texts={"reason": "soft_cap"},
    comm="worker",
)


def test_a_record_carries_codes_by_their_words_and_numbers_as_numbers() -> None:
    record = event_record(EVENT)
    assert record["reason"] == "soft_cap"
    assert record["at"] == 0x7F0000001000
    assert (record["pid"], record["tid"], record["time_ns"]) == (1, 2, 3_000_000_500)
    assert "stack" not in record


def test_a_line_for_people_shows_seconds_thread_and_addresses_in_hexadecimal() -> None:
    line = event_line(EVENT, start_ns=1_000_000_000)
    assert line.split() == [
        "2.000001", "worker/2", "shared_fail", "class=7", "reason=soft_cap", "at=0x7f0000001000"
    ]  # fmt: skip
