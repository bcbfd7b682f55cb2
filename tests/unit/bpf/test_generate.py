"""The generated program: what depends on the library's table and notes."""

from __future__ import annotations

import pytest

from hakmem_tools.model.descriptors import Code, Descriptors, Probe
from hakmem_tools.observe.bpf.generate import Purpose, generate
from hakmem_tools.observe.elf import UsdtArgument, UsdtSite
from hakmem_tools.observe.source import SourceUnavailable

DESCRIPTORS = Descriptors(
    knobs=(),
    modes=(),
    counters=(),
    probes=(
        Probe("hakmem", "first", ("class", "reason"), "reason is a FAIL code"),
        Probe("hakmem", "second", ("bytes",), "no code here"),
        Probe("other", "third", ("a", "b", "c"), ""),
    ),
    codes=(Code("FAIL", "CAP", 1, "cap", ""),),
)


def site(name: str, *places: str, offset: int = 64, provider: str = "hakmem") -> UsdtSite:
    return UsdtSite(
        provider=provider,
        name=name,
        address=offset,
        offset=offset,
        semaphore=0,
        semaphore_offset=0,
        arguments=tuple(UsdtArgument(8, False, place) for place in places),
    )


def purpose(*, counted: str = "", streamed: str = "", **others: object) -> Purpose:
    return Purpose(
        counted=frozenset(counted.split()),
        streamed=frozenset(streamed.split()),
        pid=42,
        **others,  # type: ignore[arg-type]
    )


def test_sites_with_the_same_operands_share_one_function() -> None:
    sites = [site("first", "%rdi", "%rsi"), site("first", "%rdi", "%rsi", offset=128)]
    program = generate(DESCRIPTORS, sites, purpose(streamed="first"))
    assert [f.name for f in program.functions] == ["on_first_0"]
    assert [s.offset for s in program.functions[0].sites] == [64, 128]


def test_another_operand_placement_gets_a_function_of_its_own() -> None:
    sites = [site("first", "%rdi", "%rsi"), site("first", "%rbx", "$3", offset=128)]
    program = generate(DESCRIPTORS, sites, purpose(streamed="first"))
    assert [f.name for f in program.functions] == ["on_first_0", "on_first_1"]
    assert "hit.args[0] = (uint64_t)(uint64_t)ctx->bx;" in program.text
    assert "hit.args[1] = (uint64_t)(uint64_t)0x3ULL;" in program.text


def test_a_site_that_opens_its_function_is_kept_apart_from_one_that_does_not() -> None:
    sites = [site("second", "%rdi"), site("second", "%rdi", offset=129)]
    program = generate(DESCRIPTORS, sites, purpose(streamed="second"), lambda s: s.offset == 64)
    assert "hak_emit(ctx, 1, &hit, 1);" in program.text
    assert "hak_emit(ctx, 1, &hit, 0);" in program.text


def test_only_streamed_probes_write_events_and_all_are_counted() -> None:
    sites = [site("first", "%rdi", "%rsi"), site("second", "%rdi")]
    program = generate(DESCRIPTORS, sites, purpose(counted="first", streamed="second"))
    assert "hak_emit(ctx, 0," not in program.text
    assert "hak_emit(ctx, 1," in program.text
    assert "hak_count_kind(0);" in program.text
    assert "hak_count_kind(1);" in program.text


def test_hits_are_counted_by_the_class_and_the_argument_that_carries_a_code() -> None:
    program = generate(DESCRIPTORS, [site("first", "%rdi", "%rsi")], purpose(counted="first"))
    assert "hak_count_class(0, hit.args[0], hit.args[1]);" in program.text


def test_a_probe_without_class_and_code_is_counted_by_its_kind_alone() -> None:
    program = generate(DESCRIPTORS, [site("second", "%rdi")], purpose(counted="second"))
    assert "hak_count_class(1" not in program.text


def test_a_wanted_probe_without_a_site_is_named() -> None:
    program = generate(
        DESCRIPTORS, [site("first", "%rdi", "%rsi")], purpose(counted="first second")
    )
    assert program.missing == ("second",)


def test_a_site_of_another_provider_is_not_taken_for_ours() -> None:
    program = generate(
        DESCRIPTORS, [site("first", "%rdi", "%rsi", provider="x")], purpose(counted="first")
    )
    assert program.functions == ()


def test_notes_that_do_not_fit_the_table_are_refused() -> None:
    with pytest.raises(
        SourceUnavailable, match=r"first has 1 readable arguments .* 2 in its table"
    ):
        generate(DESCRIPTORS, [site("first", "%rdi")], purpose(counted="first"))


def test_the_event_record_is_as_wide_as_the_widest_probe() -> None:
    program = generate(DESCRIPTORS, [site("second", "%rdi")], purpose(counted="second"))
    assert "#define HAK_EVENT_ARGS 3\n" in program.text


def test_without_streamed_events_the_ring_takes_one_page() -> None:
    program = generate(DESCRIPTORS, [site("second", "%rdi")], purpose(counted="second"))
    assert program.ring_bytes == 4096


def test_a_pid_namespace_is_written_into_the_program() -> None:
    program = generate(
        DESCRIPTORS, [site("second", "%rdi")], purpose(counted="second", namespace=(4, 77))
    )
    assert "#define HAK_PIDNS_DEVICE 4ULL\n#define HAK_PIDNS_INODE 77ULL\n" in program.text
