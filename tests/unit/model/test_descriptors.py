"""Descriptor texts as records: what they hold, and texts that are no tables."""

from __future__ import annotations

import struct

import pytest

from hakmem_tools.model.descriptors import DescriptorError, parse_descriptors
from tests.unit.observe.page_bytes import TEXTS

DESCRIPTORS = parse_descriptors(TEXTS)


def test_a_knobs_lists_are_split_and_its_numbers_converted() -> None:
    knob = DESCRIPTORS.knob("limit")
    assert knob.aliases == ("HAKMEM_OLD", "HAKMEM_OLDER")
    assert (knob.default, knob.min, knob.max, knob.count) == (8, 1, 64, 1)
    assert DESCRIPTORS.knob("mode").choices == ("quiet", "loud")


def test_a_value_takes_the_form_of_its_knobs_type() -> None:
    bits = struct.unpack("<q", struct.pack("<d", 0.75))[0]
    assert DESCRIPTORS.knob("share").value_from_bits(bits) == 0.75
    assert DESCRIPTORS.knob("mode").value_from_bits(0) == "quiet"
    assert DESCRIPTORS.knob("mode").value_from_bits(9) == "#9"
    assert DESCRIPTORS.knob("cap").value_from_bits(-1) == -1
    assert DESCRIPTORS.knob("share").present(0.5) == 0.5
    assert DESCRIPTORS.knob("mode").present(1.0) == "loud"


def test_slots_count_each_index_of_an_indexed_knob() -> None:
    slots = [(knob.name, index) for knob, index in DESCRIPTORS.knob_slots()]
    assert slots == [
        ("mode", None), ("limit", None), ("cap", 0), ("cap", 1), ("cap", 2), ("share", None),
        ("reuse", None),
    ]  # fmt: skip


def test_what_is_allowed_is_said_in_words() -> None:
    allowed = {knob.name: knob.allowed for knob in DESCRIPTORS.knobs}
    assert allowed["mode"] == "quiet|loud"
    assert allowed["limit"] == "1..64 blocks"
    assert allowed["share"] == "0.0..1.0"
    assert allowed["reuse"] == "0 or 1"


def test_a_code_without_a_word_is_its_number() -> None:
    assert DESCRIPTORS.code_text("FAIL", 1) == "soft_cap"
    assert DESCRIPTORS.code_text("FAIL", 99) == "99"
    assert DESCRIPTORS.code_text("NONE", 1) == "1"


def test_fields_of_a_newer_library_are_ignored() -> None:
    texts = dict(TEXTS)
    texts["codes"] = "since\tgroup\tname\tvalue\ttext\tmeaning\n2\tA\tB\t3\tc\td\n"
    assert parse_descriptors(texts).code_text("A", 3) == "c"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("modes", "", "the modes text is cut short"),
        ("modes", "mode\tknob\tvalue\nfast\tx\t1", "cut short"),
        ("modes", "mode\tknob\tvalue\nfast\tx\n", "line 2: 2 fields, but 3 names"),
        ("modes", "mode\tknob\nfast\tx\n", "has no field 'value'"),
        ("codes", "group\tname\tvalue\ttext\tmeaning\nA\tB\tC\td\te\n", "Expected `int`"),
        (
            "knobs",
            TEXTS["knobs"].replace("\t3\tper class", "\t99999999\tper class"),
            "knob cap: type 'int', count 99999999",
        ),
    ],
)
def test_a_text_that_is_no_table_is_refused(name: str, text: str, message: str) -> None:
    with pytest.raises(DescriptorError, match=message):
        parse_descriptors({**TEXTS, name: text})
