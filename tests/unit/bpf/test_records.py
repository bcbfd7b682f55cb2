"""From a record's bytes to an Event."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakmem_tools.model.descriptors import Code, Descriptors, Probe
from hakmem_tools.observe.bpf.generate import STACK_FRAMES
from hakmem_tools.observe.bpf.records import RecordReader, record_layout

DESCRIPTORS = Descriptors(
    knobs=(),
    modes=(),
    counters=(),
    probes=(
        Probe("hakmem", "wide", ("class", "reason", "active", "cap"), "reason is a FAIL code"),
        Probe("hakmem", "narrow", ("bytes",), ""),
    ),
    codes=(Code("FAIL", "SOFT_CAP", 1, "soft_cap", ""),),
)
READER = RecordReader(DESCRIPTORS)
WORD = st.integers(0, 2**64 - 1)


def record(
    kind: int = 0,
    args: tuple[int, ...] = (7, 1, 2, 2),
    frames: tuple[int, ...] = (),
    stack_bytes: int | None = None,
    caller: int = 0,
) -> bytes:
    size = 8 * len(frames) if stack_bytes is None else stack_bytes
    words = (*args, *(0,) * (4 - len(args)))
    head = record_layout(4).record.pack(99, 10, 11, kind, size, caller, b"worker\0\0", *words)
    return head + b"".join(frame.to_bytes(8, "little") for frame in frames)


def test_arguments_come_under_their_names_and_codes_with_their_words() -> None:
    event = READER.event(record())
    assert event.event == "wide"
    assert (event.pid, event.tid, event.time_ns, event.comm) == (10, 11, 99, "worker")
    assert event.args == {"class": 7, "reason": 1, "active": 2, "cap": 2}
    assert event.texts == {"reason": "soft_cap"}


def test_a_code_without_a_word_is_its_number() -> None:
    assert READER.event(record(args=(7, 9, 2, 2))).texts == {"reason": "9"}


def test_a_narrow_probe_takes_only_its_own_arguments() -> None:
    assert READER.event(record(kind=1, args=(4096,))).args == {"bytes": 4096}


@given(st.tuples(WORD, WORD, WORD, WORD))
def test_every_64_bit_value_arrives_as_it_was_written(values: tuple[int, int, int, int]) -> None:
    assert tuple(READER.event(record(args=values)).args.values()) == values


def test_the_caller_is_put_in_where_the_frame_pointers_lead_past_it() -> None:
    assert READER.event(record(frames=(1, 3, 4), caller=2)).stack == (1, 2, 3, 4)


def test_a_caller_that_the_kernel_has_found_itself_is_not_doubled() -> None:
    assert READER.event(record(frames=(1, 2, 3), caller=2)).stack == (1, 2, 3)


def test_a_stack_that_fills_the_record_is_said_to_be_cut() -> None:
    full = READER.event(record(frames=tuple(range(1, STACK_FRAMES + 1))))
    assert full.truncated
    assert not READER.event(record(frames=(1, 2))).truncated


def test_a_stack_that_the_kernel_could_not_take_is_empty_and_said_to_be_cut() -> None:
    event = READER.event(record(stack_bytes=-14))
    assert event.stack == ()
    assert event.truncated


def test_a_record_that_is_cut_short_is_refused() -> None:
    with pytest.raises(ValueError, match="a record of 79 bytes"):
        READER.event(record()[:-1])


def test_a_record_of_no_known_probe_is_refused() -> None:
    with pytest.raises(ValueError, match="a record of probe 2, of 2"):
        READER.event(record(kind=2))
