"""What the profile's BPF program keeps is what Python reads, and what the library's notes hold."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import pytest

from hakmem_tools.model.profile_records import bucket_start, size_bucket
from hakmem_tools.native.header import find_library
from hakmem_tools.native.library import Library
from hakmem_tools.observe.bpf.library import LibraryFile, open_library_file
from hakmem_tools.observe.bpf.loader import Program
from hakmem_tools.observe.bpf.profile_layout import layout, seen_places
from hakmem_tools.observe.bpf.profile_program import (
    ProfileLimits,
    ProfileProgram,
    generate_profile,
)

RECORDS = {
    "stacks": ("", "hak_stack"),
    "allocated": ("hak_cell_key", "hak_sums"),
    "freed": ("hak_freed_key", "hak_sums"),
    "live": ("", "hak_live"),
    "causes": ("hak_cause_key", "hak_cause"),
}


@pytest.fixture(scope="module")
def library() -> Library:
    return Library(find_library())


@pytest.fixture(scope="module")
def file(library: Library) -> Iterator[LibraryFile]:
    with open_library_file(library.path) as opened:
        yield opened


@pytest.fixture(scope="module")
def generated(library: Library, file: LibraryFile) -> ProfileProgram:
    return generate_profile(
        library.descriptors, file.sites, 1, None, faults=True, limits=ProfileLimits()
    )


@pytest.fixture(scope="module")
def compiled(generated: ProfileProgram) -> Iterator[Program]:
    program = Program(generated.text)
    yield program
    program.close()


@pytest.mark.parametrize("name", RECORDS)
def test_cffi_and_clang_lay_the_records_out_alike(compiled: Program, name: str) -> None:
    table = compiled.map(name)
    for described, kind in zip(RECORDS[name], (table.Key, table.Leaf), strict=True):
        size = layout(described).size if described else 8
        assert ctypes.sizeof(kind) == size, described


def test_the_array_of_counts_has_a_place_for_each_name(compiled: Program) -> None:
    assert len(compiled.map("seen")) == len(seen_places())


def test_the_library_has_every_probe_of_a_profile_with_all_its_arguments(
    generated: ProfileProgram, library: Library
) -> None:
    assert generated.missing == ()
    names = {probe.name: probe.args for probe in library.descriptors.probes}
    assert names["sample_alloc"][3:] == ("class", "path", "site")
    assert len(names["sample_alloc"]) == 6
    attached = {name.partition("on_")[2].rpartition("_")[0] for name in function_names(generated)}
    assert attached == {"sample_alloc", "free", "madvise_batch"}


def function_names(generated: ProfileProgram) -> set[str]:
    return {function.name for function in generated.functions}


def test_the_kernel_s_size_buckets_are_the_model_s() -> None:
    def kernel(size: int) -> int:
        """hak_bucket() of profile.bpf.c, in Python."""
        power = max(0, size.bit_length() - 1)
        return size if size < 4 else 4 * (power - 1) + (size >> (power - 2) & 3)

    for size in [*range(300), *(bucket_start(b) + d for b in range(8, 200) for d in (-1, 0, 1))]:
        assert kernel(size) == size_bucket(size), size
