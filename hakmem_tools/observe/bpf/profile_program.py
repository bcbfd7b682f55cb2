"""Writes the BPF program of a call-site profile for a library that tells of its samples itself.

Three questions: who allocates (hakmem:sample_alloc, or the bare otel_memory:alloc of any other
library), who frees (otel_memory:free), and what did a call site make the kernel do
(hakmem:madvise_batch, page faults). Used by the profile source. Loads nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hakmem_tools.model.descriptors import Descriptors
from hakmem_tools.model.profile_records import CAUSES
from hakmem_tools.observe.bpf.arguments import ArgumentError, parse_operand, read_statement
from hakmem_tools.observe.bpf.generate import ProbeFunction, probe_text
from hakmem_tools.observe.bpf.profile_layout import COPY_WORDS, PROFILE_FRAMES
from hakmem_tools.observe.elf import UsdtSite
from hakmem_tools.observe.source import SourceUnavailable

SAMPLED = ("hakmem", "sample_alloc")
ALLOCATED = ("otel_memory", "alloc")
FREED = ("otel_memory", "free")
MADVISED = ("hakmem", "madvise_batch")
#: What the arguments are called where the library brings no table of its probes along.
_CONTRACT = {
    SAMPLED: ("address", "bytes", "weight", "class", "path", "site"),
    ALLOCATED: ("ptr", "size", "weighted_bytes"),
    FREED: ("ptr",),
    MADVISED: ("blocks", "bytes", "advice", "duration_ns"),
}
_CAUSE_CODES = {word: code for code, word in CAUSES.items()}
_PAGE_BYTES = 4096


class ProfileLimits(msgspec.Struct, frozen=True):
    """Room in the kernel. An entry takes memory only once it is used."""

    stacks: int = 1 << 16
    cells: int = 1 << 17
    live: int = 1 << 19


class ProfileProgram(msgspec.Struct, frozen=True):
    """Text to compile, what to attach, and one sentence for each thing it cannot tell."""

    text: str
    functions: tuple[ProbeFunction, ...]
    missing: tuple[str, ...]


def generate_profile(
    descriptors: Descriptors | None,
    sites: Sequence[UsdtSite],
    pid: int,
    namespace: tuple[int, int] | None,
    *,
    faults: bool,
    limits: ProfileLimits,
) -> ProfileProgram:
    """The program for a library with these sites. Raises SourceUnavailable without the probes."""
    table = {(site.provider, site.name) for site in sites}
    allocating = SAMPLED if SAMPLED in table else ALLOCATED
    if allocating not in table or FREED not in table:
        raise SourceUnavailable(
            "this library has no probes of sampled allocations (another version, or built with "
            "BENCH_MINIMAL); `--allocator any` profiles it by uprobes"
        )
    bodies = {
        allocating: _on_allocated,
        FREED: lambda names: f"    hak_count_free({names[0]}, 1);",
        MADVISED: _on_madvised,
    }
    functions: list[ProbeFunction] = []
    texts: list[str] = []
    for kind, (probe, body) in enumerate(bodies.items()):
        names = _argument_names(descriptors, probe)
        for number, (reads, members) in enumerate(_by_reads(probe, names, sites).items()):
            name = f"on_{probe[1]}_{number}"
            functions.append(ProbeFunction(name, kind, tuple(members)))
            texts.append(_function(name, names, reads, body(names)))
    missing = []
    if allocating == ALLOCATED:
        missing.append("size classes and paths: this library tells of neither")
    if MADVISED not in table:
        missing.append("madvise by call site: this library has no site of madvise_batch")
    parts = [*profile_parts(pid, namespace, limits), *texts]
    if faults:
        parts.append(probe_text("faults.bpf.c"))
    return ProfileProgram("\n".join(parts), tuple(functions), tuple(missing))


def profile_parts(
    pid: int, namespace: tuple[int, int] | None, limits: ProfileLimits
) -> tuple[str, ...]:
    """What every profiling program begins with: sizes, records, sums."""
    defines: dict[str, object] = {
        "HAK_EVENT_ARGS": 1,
        "HAK_TARGET_PID": pid,
        "HAK_STACK_FRAMES": PROFILE_FRAMES,
        "HAK_COPY_WORDS": COPY_WORDS,
        "HAK_MOST_STACKS": limits.stacks,
        "HAK_MOST_CELLS": limits.cells,
        "HAK_MOST_LIVE": limits.live,
        "HAK_PAGE_BYTES": _PAGE_BYTES,
        "HAK_CAUSE_FAULT": _CAUSE_CODES["page_fault"],
        "HAK_CAUSE_MADVISE": _CAUSE_CODES["madvise"],
    }
    if namespace is not None:
        device, inode = namespace
        defines |= {"HAK_PIDNS_DEVICE": f"{device}ULL", "HAK_PIDNS_INODE": f"{inode}ULL"}
    lines = [f"#define {name} {value}" for name, value in defines.items()]
    head = "\n".join(["#include <uapi/linux/ptrace.h>", "#include <linux/types.h>", *lines, ""])
    files = ("profile.h", "common.bpf.h", "follow.bpf.c", "profile.bpf.c")
    return (head, *map(probe_text, files))


def _argument_names(descriptors: Descriptors | None, probe: tuple[str, str]) -> tuple[str, ...]:
    for row in descriptors.probes if descriptors is not None else ():
        if (row.provider, row.name) == probe:
            return row.args
    return _CONTRACT[probe]


def _by_reads(
    probe: tuple[str, str], names: tuple[str, ...], sites: Sequence[UsdtSite]
) -> dict[tuple[str, ...], list[UsdtSite]]:
    """The probe's sites by the statements that read their arguments."""
    groups: dict[tuple[str, ...], list[UsdtSite]] = {}
    for site in sites:
        if (site.provider, site.name) != probe:
            continue
        if len(site.arguments) < len(names):
            raise SourceUnavailable(
                f"probe {':'.join(probe)} has {len(site.arguments)} readable arguments in the "
                f"library's notes and should have {len(names)}: {' '.join(names)}"
            )
        try:
            operands = [parse_operand(argument) for argument in site.arguments]
        except ArgumentError as error:
            raise SourceUnavailable(f"probe {':'.join(probe)}: {error}") from None
        reads = tuple(
            read_statement(operand, _variable(name))
            for name, operand in zip(names, operands, strict=False)
        )
        groups.setdefault(reads, []).append(site)
    return groups


def _variable(argument: str) -> str:
    return "size_class" if argument == "class" else argument


def _function(name: str, names: Sequence[str], reads: Sequence[str], body: str) -> str:
    lines = [
        f"int {name}(struct pt_regs *ctx)",
        "{",
        "    struct hak_hit hit = {};",
        f"    uint64_t {', '.join(f'{_variable(argument)} = 0' for argument in names)};",
        "    if (!hak_listens(&hit))",
        "        return 0;",
        *(f"    {read}" for read in reads),
        body,
        "    return 0;",
        "}",
        "",
    ]
    return "\n".join(lines)


def _on_allocated(names: Sequence[str]) -> str:
    """Address, bytes and weight come first in either probe; the rest goes by name."""
    address, size, weight = map(_variable, names[:3])

    def value(wanted: str, default: str = "HAK_NONE") -> str:
        return _variable(wanted) if wanted in names else default

    return "\n".join(
        (
            "    struct hak_cell_key key = {.tid = hit.tid};",
            f"    key.stack = hak_keep_stack(ctx, ctx, hit.tid, {value('site', '0')});",
            f"    key.size_class = {value('class')};",
            f"    key.path = {value('path')};",
            f"    hak_count_block(&key, {address}, {size}, {weight});",
        )
    )


def _on_madvised(_: Sequence[str]) -> str:
    return "\n".join(
        (
            "    struct hak_cause_key key = {.tid = hit.tid, .cause = HAK_CAUSE_MADVISE};",
            "    key.size_class = HAK_NONE;",
            "    key.stack = hak_keep_stack(ctx, ctx, hit.tid, 0);",
            "    hak_see(HAK_SEEN_OTHERS);",
            "    hak_count_cause(&key, 1, bytes, duration_ns);",
        )
    )
