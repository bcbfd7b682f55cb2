"""The page reader on pages made by hand: sound, damaged, cut short and hostile."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hakmem_tools.native.abi import load_abi
from hakmem_tools.observe.page import (
    BlockSummer,
    KnobSetting,
    PageError,
    Tally,
    read_classes,
    read_descriptors,
    read_knobs,
    read_layout,
    read_texts,
)
from tests.unit.observe.page_bytes import BLOCK_BYTES, CLASS_SIZES, TEXTS, BytesReader, PageBytes


def read_all(data: bytes | bytearray) -> tuple[Tally, tuple[KnobSetting, ...]]:
    """Everything that the counters source reads, in its order."""
    reader, abi = BytesReader(data), load_abi()
    layout, fields = read_layout(reader, abi)
    descriptors = read_descriptors(read_texts(reader, fields))
    read_classes(reader, abi, layout)
    knobs = read_knobs(reader, abi, layout, descriptors)
    tally = BlockSummer(layout, descriptors).sum(reader, fields["blocks_used"])
    return tally, knobs


def test_a_counter_is_the_sum_over_all_blocks() -> None:
    page = PageBytes(blocks=3)
    for block, count in enumerate((5, 7, 11)):
        page.scalar(block, 1, count)
        page.class_word(block, 2, 2, 100 * count)
    tally, _ = read_all(page.data)
    assert tally.scalars["maps"] == 23
    assert tally.classes[2]["refills"] == 2300
    assert tally.classes[0]["refills"] == 0


def test_a_pair_is_the_sum_of_its_two_words_modulo_two_to_the_64() -> None:
    page = PageBytes(blocks=2)
    page.class_word(0, 1, 0, 1000)
    page.class_word(0, 1, 1, -128)
    page.class_word(1, 1, 0, 64)
    page.class_word(1, 1, 1, -3)
    tally, _ = read_all(page.data)
    assert tally.classes[1]["front_pops"] == 1000 - 128 + 64 - 3


def test_a_gauge_may_dip_below_zero() -> None:
    page = PageBytes()
    page.scalar(0, 0, -4096)
    assert read_all(page.data)[0].scalars["mapped_bytes"] == -4096


def test_more_blocks_than_one_chunk_are_summed() -> None:
    page = PageBytes(blocks=150)
    page.set("block_capacity", 200)
    for block in range(150):
        page.class_word(block, 0, 2, 1)
    assert read_all(page.data)[0].classes[0]["refills"] == 150


def test_blocks_past_the_capacity_or_the_files_end_do_not_count() -> None:
    page = PageBytes(blocks=2)
    page.class_word(1, 0, 2, 9)
    page.set("blocks_used", 4_000_000_000)
    assert read_all(page.data)[0].classes[0]["refills"] == 9


def test_knob_values_come_with_type_index_source_and_refusal() -> None:
    page = PageBytes()
    page.knob(0, 1, 0)
    page.knob(1, 64, 2, flags=1)
    page.knob(3, 82, 3)
    page.knob(5, struct.unpack("<q", struct.pack("<d", 0.25))[0], 1)
    _, knobs = read_all(page.data)
    seen = [(k.knob.env_name(k.index), k.value, k.source, k.refused) for k in knobs]
    assert seen[0] == ("HAKMEM_MODE", "loud", "default", False)
    assert seen[1] == ("HAKMEM_LIMIT", 64, "env", True)
    assert seen[3] == ("HAKMEM_CAP_C1", 82, "live", False)
    assert seen[5] == ("HAKMEM_SHARE", 0.25, "mode", False)


def test_classes_come_with_stride_and_tier() -> None:
    page = PageBytes()
    reader, abi = BytesReader(page.data), load_abi()
    layout, _ = read_layout(reader, abi)
    classes = read_classes(reader, abi, layout)
    assert [(row.size_bytes, row.tier) for row in classes] == [(n, "tiny") for n in CLASS_SIZES]


def test_a_counter_that_a_newer_library_has_added_is_read_too() -> None:
    texts = dict(TEXTS)
    texts["counters"] += "novelty\tscalar\tevents\tcounter\tnew\n"
    page = PageBytes(texts=texts)
    page.scalar(0, 2, 3)
    assert read_all(page.data)[0].scalars["novelty"] == 3


def _without_magic(page: PageBytes) -> None:
    page.data[0:8] = bytes(8)


def _cut_to(count: int) -> Callable[[PageBytes], None]:
    def cut(page: PageBytes) -> None:
        del page.data[count:]

    return cut


def _field(name: str, value: int) -> Callable[[PageBytes], None]:
    return lambda page: page.set(name, value)


def _text(name: str, old: str, new: str) -> Callable[[PageBytes], None]:
    def change(page: PageBytes) -> None:
        at = page.data.index(old.encode())
        page.data[at : at + len(old)] = new.encode()

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_without_magic, "does not begin with HAKMEM"),
        (_cut_to(0), "its header ends after 0"),
        (_cut_to(100), "its header ends after 100"),
        (_field("abi_version", 2), "ABI version 2.*reads version 1.*libhakmem 9.8.7"),
        (_field("header_bytes", 8), "its header has 8 bytes"),
        (_field("knobs_text_offset", 1 << 62), "its knobs text has no end"),
        (_field("class_count", 1 << 31), "sizes do not fit together"),
        (_field("class_count", 0), "sizes do not fit together"),
        (_field("class_capacity", 0xFFFFFFFF), "sizes do not fit together"),
        (_field("block_bytes", 0), "sizes do not fit together"),
        (_field("block_bytes", 4097), "sizes do not fit together"),
        (_field("block_bytes", 0xFFFFFFF8), "sizes do not fit together"),
        (_field("block_capacity", 0xFFFFFFFF), "sizes do not fit together"),
        (_field("block_capacity", 0), "sizes do not fit together"),
        (_field("scalar_words", 0xFFFFFFFF), "sizes do not fit together"),
        (_field("scalar_words", 1), "2 counter words are described where a record has 1"),
        (_field("class_words", 3), "4 counter words are described where a record has 3"),
        (_field("knob_value_count", 0xFFFFFFFF), "sizes do not fit together"),
        (_field("knob_value_count", 6), "6 knob values where 7 are described"),
        (_field("knob_values_offset", 1 << 63), "its knob values ends after 0"),
        (_field("classes_offset", 1 << 40), "its table of classes ends after 0"),
        (_text("knobs", "\tint\t", "\tfix\t"), "knob limit: type 'fix'"),
        (_text("knobs", "\t8\t1\t64", "\tx\t1\t64"), "the knobs text: Expected `float`"),
        (_text("counters", "\tpair\t", "\tpear\t"), "unknown shape 'class' or kind 'pear'"),
        (_text("counters", "maps\tscalar", "maps scalar"), "4 fields, but 5 names"),
        (_text("probes", "provider", "producer"), "the probes text has no field 'provider'"),
        (_text("codes", "at its cap\n", "at its cap\0"), "the codes text is cut short"),
    ],
)
def test_damage_is_told_in_one_line(damage: Callable[[PageBytes], None], message: str) -> None:
    page = PageBytes()
    damage(page)
    with pytest.raises(PageError, match=message) as caught:
        read_all(page.data)
    assert "\n" not in str(caught.value)


_SOUND = bytes(PageBytes().data)
_HEAD_BYTES = PageBytes().offsets["blocks_offset"]


def _read_or_refuse(data: bytes) -> Any:
    try:
        return read_all(data)
    except PageError as error:
        return str(error)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, _HEAD_BYTES - 1), st.integers(0, 255)), max_size=12))
def test_any_bytes_changed_in_the_head_are_read_or_refused(changes: list[tuple[int, int]]) -> None:
    data = bytearray(_SOUND)
    for at, byte in changes:
        data[at] = byte
    _read_or_refuse(bytes(data))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(_SOUND)))
def test_a_page_cut_anywhere_is_read_or_refused(length: int) -> None:
    outcome = _read_or_refuse(_SOUND[:length])
    if length >= _HEAD_BYTES + BLOCK_BYTES:
        assert not isinstance(outcome, str)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=2048))
def test_any_bytes_after_the_magic_are_read_or_refused(rest: bytes) -> None:
    _read_or_refuse(b"HAKMEM\0\0" + rest)
