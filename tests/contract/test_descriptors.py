"""One truth each: the library's tables, its page, its ELF notes and the reference pages agree."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from hakmem_tools.model.descriptors import KNOB_TYPES, Descriptors
from hakmem_tools.model.settings import SettingError, find_knob, parse_setting, parse_value
from hakmem_tools.native.library import Library
from hakmem_tools.native.reference import REFERENCE_DIRECTORY, stale_pages
from hakmem_tools.observe.counters import CountersSource
from hakmem_tools.observe.elf import NOP, ElfFile, UsdtSite
from hakmem_tools.observe.target import await_page, launch, preload_environment

PROBE_ARGUMENT_BYTES = 8


@pytest.fixture(scope="module")
def sites(library: Library) -> dict[tuple[str, str], UsdtSite]:
    with ElfFile(str(library.path)) as file:
        return {(site.provider, site.name): site for site in file.sites()}


@pytest.fixture(scope="module")
def page(library: Library) -> Iterator[CountersSource]:
    launched = launch(["sleep", "600"], preload_environment(library.path, {}, os.environ))
    try:
        with await_page(launched) as source:
            yield source
    finally:
        launched.end()


def test_opening_the_library_starts_nothing(library: Library) -> None:
    """No page, no thread, no word about the tool's own environment."""
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from hakmem_tools.native.library import Library\n"
        f"library = Library(Path({str(library.path)!r}))\n"
        "assert library.descriptors.knobs\n"
        "maps = Path('/proc/self/maps').read_text()\n"
        "print(len(os.listdir('/proc/self/task')), 'memfd:hakmem' in maps)"
    )
    environment = os.environ | {"HAKMEM_STATS": "counters", "HAKMEM_NO_SUCH_KNOB": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout == "1 False\n"
    assert done.stderr == ""


def test_a_running_process_carries_the_librarys_texts(
    page: CountersSource, library: Library
) -> None:
    assert page.texts == library.texts
    assert page.version == library.version


def test_the_page_counts_every_described_counter(
    page: CountersSource, descriptors: Descriptors
) -> None:
    snapshot = page.snapshot()
    by_shape = {
        shape: {row.name for row in descriptors.counters if row.shape == shape}
        for shape in ("scalar", "class")
    }
    assert set(snapshot.scalars) == by_shape["scalar"]
    assert all(set(row.counts) == by_shape["class"] for row in snapshot.classes)


def test_a_process_without_settings_runs_with_every_default(page: CountersSource) -> None:
    ours = [name for name in os.environ if name.startswith(("HAKMEM_", "HAKO_"))]
    assert not ours, "the tests need an environment without knobs"
    for setting in page.knobs():
        knob = setting.knob
        assert setting.source == "default", knob.name
        assert setting.value == knob.present(knob.default), knob.name


def test_every_probe_has_one_site_and_every_site_a_probe(
    library: Library, descriptors: Descriptors, sites: dict[tuple[str, str], UsdtSite]
) -> None:
    described = [(probe.provider, probe.name) for probe in descriptors.probes]
    assert sorted(described) == sorted(sites)
    with ElfFile(str(library.path)) as file:
        assert len(file.sites()) == len(described)


def test_a_site_has_its_probes_arguments_of_eight_bytes_each(
    descriptors: Descriptors, sites: dict[tuple[str, str], UsdtSite]
) -> None:
    for probe in descriptors.probes:
        arguments = sites[probe.provider, probe.name].arguments
        assert len(arguments) == len(probe.args), probe.name
        assert all(row.size_bytes == PROBE_ARGUMENT_BYTES for row in arguments), probe.name


def test_a_site_is_a_one_byte_nop_without_a_semaphore(
    library: Library, sites: dict[tuple[str, str], UsdtSite]
) -> None:
    with ElfFile(str(library.path)) as file:
        for site in sites.values():
            assert file.bytes_at(site.offset, 1) == NOP, site.name
            assert site.semaphore == 0, site.name


def test_the_reference_pages_say_what_the_library_says(descriptors: Descriptors) -> None:
    stale = [path.name for path in stale_pages(descriptors, REFERENCE_DIRECTORY)]
    assert not stale, "run `python -m hakmem_tools.native.reference`"


def test_names_are_unique_in_each_table(descriptors: Descriptors) -> None:
    names = [name for knob in descriptors.knobs for name in (knob.name, knob.env, *knob.aliases)]
    assert len(names) == len(set(names))
    for rows in (descriptors.counters, descriptors.probes):
        own = [row.name for row in rows]
        assert len(own) == len(set(own))
    codes = [(code.group, code.value) for code in descriptors.codes]
    assert len(codes) == len(set(codes))


def test_every_knobs_default_lies_in_its_range_and_its_names_are_found(
    descriptors: Descriptors,
) -> None:
    for knob in descriptors.knobs:
        assert knob.type in KNOB_TYPES
        assert knob.min <= knob.default <= knob.max, knob.name
        assert knob.scope in ("boot", "live")
        assert knob.doc
        assert parse_value(knob, str(knob.present(knob.default))) == knob.default
        for pattern in (knob.env, *knob.aliases):
            index = 0 if knob.count > 1 else None
            found = find_knob(descriptors, pattern.replace("<n>", "0"))
            assert found == (knob, index), pattern


def test_every_mode_names_a_mode_and_a_knob_and_a_value_in_range(descriptors: Descriptors) -> None:
    modes = descriptors.knob("mode").choices
    for row in descriptors.modes:
        knob = descriptors.knob(row.knob)
        assert row.mode in modes
        assert knob.min <= row.value <= knob.max


def test_the_tools_refuse_what_the_library_would_refuse(descriptors: Descriptors) -> None:
    for knob in descriptors.knobs:
        name = knob.env.replace("<n>", "0")
        for text in ("", "nonsense", "99999999999999999999999"):
            with pytest.raises(SettingError):
                parse_setting(descriptors, f"{name}={text}")
