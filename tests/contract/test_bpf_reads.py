"""What BPF programs read is what the library's tables say and its ELF notes hold."""

from __future__ import annotations

import re

import cffi
import pytest

from hakmem_tools.model.codes import argument_groups
from hakmem_tools.model.descriptors import Descriptors
from hakmem_tools.model.event_choice import FREQUENT, rare_events
from hakmem_tools.native.library import Library
from hakmem_tools.observe.bpf.arguments import parse_operand
from hakmem_tools.observe.bpf.generate import (
    GeneratedProgram,
    Purpose,
    event_args,
    generate,
    probe_text,
    size_defines,
)
from hakmem_tools.observe.bpf.library import LibraryFile, open_library_file
from hakmem_tools.observe.bpf.loader import Program
from hakmem_tools.observe.bpf.records import record_layout


@pytest.fixture(scope="module")
def file(library: Library) -> LibraryFile:
    with open_library_file(library.path) as opened:
        yield opened  # type: ignore[misc]


@pytest.fixture(scope="module")
def program(descriptors: Descriptors, file: LibraryFile) -> GeneratedProgram:
    names = frozenset(probe.name for probe in descriptors.probes)
    purpose = Purpose(counted=frozenset(), streamed=names, pid=1)
    return generate(descriptors, file.sites, purpose, file.opens_function)


def test_every_probe_of_the_table_has_a_function_at_every_one_of_its_sites(
    program: GeneratedProgram, descriptors: Descriptors, file: LibraryFile
) -> None:
    attached = {
        (descriptors.probes[function.kind].name, site.offset)
        for function in program.functions
        for site in function.sites
    }
    assert attached == {(site.name, site.offset) for site in file.sites}
    assert {name for name, _ in attached} == {probe.name for probe in descriptors.probes}
    assert program.missing == ()


def test_each_function_reads_as_many_arguments_as_its_probe_has_names(
    program: GeneratedProgram, descriptors: Descriptors
) -> None:
    for function in program.functions:
        body = program.text.partition(f"int {function.name}(")[2].partition("\n}")[0]
        reads = re.findall(r"hit\.args\[(\d+)\] = ", body)
        probe = descriptors.probes[function.kind]
        assert reads == [str(number) for number in range(len(probe.args))], probe.name


def test_every_argument_is_eight_bytes_wide_and_in_a_register(file: LibraryFile) -> None:
    operands = {
        (operand.width, operand.kind)
        for site in file.sites
        for operand in map(parse_operand, site.arguments)
    }
    assert operands == {(8, "register")}


def test_every_site_opens_its_function_so_that_no_caller_is_missing_from_stacks(
    file: LibraryFile,
) -> None:
    assert all(file.opens_function(site) for site in file.sites)


def test_cffi_and_clang_lay_the_event_record_out_alike(descriptors: Descriptors) -> None:
    """A map whose key is the record tells clang's layout: bcc describes its fields."""
    defines = "".join(f"#define {n} {v}\n" for n, v in size_defines(descriptors).items())
    text = f"#include <linux/types.h>\n{defines}{probe_text('events.h')}"
    compiled = Program(text + "BPF_HASH(laid_out, u32, struct hak_event, 1);\n")
    try:
        leaf = compiled.map("laid_out").Leaf
        ffi = cffi.FFI()
        ffi.cdef(defines + probe_text("events.h"))
        for name, field in ffi.typeof("struct hak_event").fields:
            assert (getattr(leaf, name).offset, getattr(leaf, name).size) == (
                field.offset,
                ffi.sizeof(field.type),
            ), name
    finally:
        compiled.close()
    assert record_layout(event_args(descriptors)).event_bytes == ffi.sizeof("struct hak_event")


def test_every_code_that_a_description_names_is_in_the_codes_table(
    descriptors: Descriptors,
) -> None:
    groups = {code.group for code in descriptors.codes}
    for probe in descriptors.probes:
        for argument, group in argument_groups(probe).items():
            assert group in groups, f"{probe.name}: {argument} is a {group} code"


def test_no_description_speaks_of_a_code_without_saying_which_argument_carries_it(
    descriptors: Descriptors,
) -> None:
    for probe in descriptors.probes:
        spoken = len(re.findall(r"\b[A-Z_]+ code\b", probe.doc))
        assert spoken == len(argument_groups(probe)), probe.doc


def test_the_events_of_the_experiment_are_streamed_unasked(descriptors: Descriptors) -> None:
    assert {"shared_fail", "integrity"} <= rare_events(descriptors)
    assert rare_events(descriptors).isdisjoint(FREQUENT)
