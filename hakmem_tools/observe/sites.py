"""Reads the table of call sites from a process's counters page, and names them.

`hakmem stat --sites` uses it, without privilege. The page is its writer's: sizes are checked.
"""

from __future__ import annotations

import struct
from typing import Any

import msgspec

from hakmem_tools.model.descriptors import Descriptors
from hakmem_tools.model.sites import Site, SiteTable
from hakmem_tools.native.abi import Abi, load_abi
from hakmem_tools.observe.counters import CountersSource
from hakmem_tools.observe.page import PageError, PageReader, read_exactly
from hakmem_tools.observe.source import NoPage
from hakmem_tools.observe.symbols import ProcessSymbols

_MOST_SITES = 1 << 16
#: Sums of a Site that the page holds under the same names.
_SUMS = ("count", "bytes", "tracked_count", "tracked_bytes", "freed_count", "freed_bytes",
         "max_bytes")  # fmt: skip
_NO_TABLE = "call sites: none are kept; start the program with HAKMEM_SITES=sampled or on"


def read_sites(source: CountersSource) -> SiteTable:
    """The sites of a process, named where its files have symbols. Raises NoPage."""
    try:
        sites, lost, kept = _read(source.page_reader, source.descriptors, load_abi())
    except PageError as error:
        raise NoPage(f"process {source.pid}: its table of sites cannot be read: {error}") from None
    ordered = sorted(sites, key=lambda site: -site.bytes)
    return SiteTable(
        sites=tuple(_named(source.pid, ordered)),
        lost=lost,
        missing=() if kept else (_NO_TABLE,),
    )


def _read(reader: PageReader, descriptors: Descriptors, abi: Abi) -> tuple[list[Site], int, bool]:
    head = abi.fields("hak_page_header", read_exactly(reader, 0, abi.header_bytes, "its header"))
    offset, count, size = head["sites_offset"], head["site_capacity"], head["site_bytes"]
    if offset == 0:
        return [], 0, False
    if count > _MOST_SITES or not abi.size_of("hak_site") <= size <= 1 << 16:
        raise PageError(f"{count} records of {size} bytes")
    data = read_exactly(reader, offset, count * size, "its table of sites")
    rows = (abi.fields("hak_site", data, i * size) for i in range(count))
    return [_site(row, descriptors) for row in rows if row["site"]], head["sites_lost"], True


def _site(row: dict[str, int | bytes], descriptors: Descriptors) -> Site:
    numbers = {name: value for name, value in row.items() if isinstance(value, int)}
    sums: dict[str, Any] = {name: numbers[name] for name in _SUMS}
    sizes = row["sizes"]
    assert isinstance(sizes, bytes)
    return Site(
        address=numbers["site"],
        policy=descriptors.code_text("SITE_POLICY", numbers["policy"]),
        estimated=bool(numbers["flags"] & 1),
        sizes=struct.unpack(f"<{len(sizes) // 8}Q", sizes),
        **sums,
    )


def _named(pid: int, sites: list[Site]) -> list[Site]:
    """With function, module and offset; an address may be a number that the program made up."""
    with ProcessSymbols(pid) as symbols:
        named = []
        for site in sites:
            if symbols.mapping_of(site.address) is None:
                named.append(site)
                continue
            frames, _ = symbols.stack([site.address - 1])  # the call, not what follows it
            frame = frames[0]
            named.append(
                msgspec.structs.replace(
                    site, function=frame.function, module=frame.module, offset=frame.offset
                )
            )
    return named
