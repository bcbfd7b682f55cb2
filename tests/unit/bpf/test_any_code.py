"""Where a breakpoint is cheap, told from machine code; each text is what objdump says of it."""

from __future__ import annotations

from hakmem_tools.observe.bpf.any_code import Point, emulated_point, jump_target

RAX, RDX, RSI, RDI = 0, 2, 6, 7


def code(*words: str) -> bytes:
    return bytes.fromhex("".join(words))


def test_a_function_that_begins_with_a_push_is_watched_at_its_entry() -> None:
    assert emulated_point(code("4154", "55", "53"), (RDI,)) == Point(0, (RDI,))


def test_a_test_before_the_first_jump_is_stepped_over() -> None:
    test_rdi_je = code("4885ff", "0f84bf000000")
    assert emulated_point(test_rdi_je, (RDI,)) == Point(3, (RDI,))


def test_endbr64_is_stepped_over() -> None:
    assert emulated_point(code("f30f1efa", "55"), (RDI,)) == Point(4, (RDI,))


def test_an_argument_is_followed_into_the_register_that_it_is_moved_to() -> None:
    # mov 0xb449(%rip),%rax; mov %rdi,%rsi; mov %fs:(%rax),%rdi; cmp $0x400,%rsi; ja
    text = code("488b0549b40000", "4889fe", "64488b38", "4881fe00040000", "7729")
    assert emulated_point(text, (RDI,)) == Point(21, (RSI,))


def test_an_argument_that_is_overwritten_before_the_place_leaves_none() -> None:
    assert emulated_point(code("488b38", "55"), (RDI,)) is None  # mov (%rax),%rdi; push


def test_a_narrow_move_is_no_copy() -> None:
    # mov %edi,%esi; xor %edi,%edi; push: the upper half of the argument is lost
    assert emulated_point(code("89fe", "31ff", "55"), (RDI,)) is None


def test_a_changed_stack_pointer_leaves_no_place_to_return_from() -> None:
    assert emulated_point(code("4883ec10", "55"), (RDI,)) is None  # sub $0x10,%rsp; push


def test_memory_operands_of_every_form_have_their_length() -> None:
    # cmpb $0,0x140201(%rip); mov 0x8(%rsp),%rax; mov 0x80(%rdx),%rax; mov %fs:0x0,%rax; jmp
    text = code("803d0102140000", "488b442408", "488b8280000000", "64488b042500000000", "eb00")
    assert emulated_point(text, (RDI,)) == Point(28, (RDI,))


def test_an_unknown_instruction_ends_the_search() -> None:
    assert emulated_point(code("0f05", "55"), (RDI,)) is None  # syscall


def test_code_that_is_cut_short_ends_the_search() -> None:
    assert emulated_point(code("4881"), (RDI,)) is None
    assert emulated_point(b"", (RDI,)) is None


def test_two_arguments_are_followed_by_themselves() -> None:
    # mov %rdi,%rax; mov %fs:(%rdx),%rdi; cmp $1,%rax; je
    text = code("4889f8", "64488b3a", "4883f801", "7408")
    assert emulated_point(text, (RDI, RSI)) == Point(11, (RAX, RSI))
    assert emulated_point(text, (RDX,)) == Point(11, (RDX,))


def test_a_function_that_only_jumps_names_its_target() -> None:
    assert jump_target(code("e91bffffff"), 0x1000) == 0x1000 + 5 - 0xE5
    assert jump_target(code("f30f1efae900000000"), 0x1000) == 0x1009
    assert jump_target(code("55e900000000"), 0x1000) is None
