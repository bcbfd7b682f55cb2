"""`hakmem probes`: every USDT probe of the library or of a process, and what is attached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hakmem_tools.cli.errors import DONE, MISSING, Failure, say
from hakmem_tools.cli.output import print_json, print_line, table
from hakmem_tools.cli.target_options import (
    CONTEXT,
    TargetSpec,
    open_target,
    opened_counters,
    optional_target_options,
)

if TYPE_CHECKING:
    from hakmem_tools.model.descriptors import Probe
    from hakmem_tools.observe.attached import Attached
    from hakmem_tools.observe.elf import ElfFile


@click.command(context_settings=CONTEXT)
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
@optional_target_options
def command(target: TargetSpec, as_json: bool) -> int:
    """List the probes of the library, or of -p PID or -- COMMAND, and who is attached."""
    from hakmem_tools.observe.attached import find_attached

    attached = find_attached()
    records = _of_target(target, attached) if target else _of_library(target.lib, attached)
    for sentence in attached.missing:
        say(f"attached probes may be missing: {sentence}")
    if as_json:
        for record in records:
            print_json(record)
    else:
        print_line("\n".join(_text(records)))
    return DONE


def _of_library(lib: str | None, attached: Attached) -> list[dict[str, Any]]:
    from hakmem_tools.native.library import open_library
    from hakmem_tools.observe.elf import ElfError, ElfFile

    library = open_library(lib)
    try:
        with ElfFile(str(library.path)) as file:
            return _records(library.descriptors.probes, file, attached)
    except ElfError as error:
        raise Failure(str(error), MISSING) from None


def _of_target(target: TargetSpec, attached: Attached) -> list[dict[str, Any]]:
    from hakmem_tools.observe.attached import breakpoint_at
    from hakmem_tools.observe.elf import ElfError, ElfFile, find_mapped

    with open_target(target) as opened, opened_counters(opened) as source:
        try:
            mapped = find_mapped(source.process)
            with ElfFile(mapped.path) as file:
                records = _records(source.descriptors.probes, file, attached)
                by_name = {(site.provider, site.name): site for site in file.sites()}
        except ElfError as error:
            raise Failure(str(error), MISSING) from None
        for record in records:
            site = by_name.get((record["provider"], record["name"]))
            if site is not None:
                seen = breakpoint_at(source.process, mapped, site)
                record["attached"] = bool(record["attached_by"]) if seen is None else seen
        return [{"pid": opened.pid, **record} for record in records]


def _records(probes: tuple[Probe, ...], file: ElfFile, attached: Attached) -> list[dict[str, Any]]:
    """One record per probe: its descriptor, its site in the file, and who is attached."""
    sites = {(site.provider, site.name): site for site in file.sites()}
    records = []
    for probe in probes:
        site = sites.get((probe.provider, probe.name))
        users = attached.at(file.identity, site.offset) if site else []
        records.append(
            {
                "provider": probe.provider,
                "name": probe.name,
                "args": list(probe.args),
                "doc": probe.doc,
                "file": file.path,
                "address": hex(site.address) if site else None,
                "offset": site.offset if site else None,
                "semaphore": hex(site.semaphore) if site and site.semaphore else None,
                "operands": [f"{a.size_bytes}@{a.place}" for a in site.arguments] if site else [],
                "attached": bool(users),
                "attached_by": [{"kind": row.kind, "holder": row.holder} for row in users],
            }
        )
    return records


def _text(records: list[dict[str, Any]]) -> list[str]:
    rows = []
    for record in records:
        users = ", ".join(f"{row['kind']} {row['holder']}" for row in record["attached_by"])
        rows.append(
            (
                f"{record['provider']}:{record['name']}",
                ", ".join(record["args"]),
                record["address"] or "no site (BENCH_MINIMAL)",
                users or ("yes" if record["attached"] else "-"),
                record["doc"],
            )
        )
    return table(("probe", "arguments", "address", "attached", "fires when"), rows)
