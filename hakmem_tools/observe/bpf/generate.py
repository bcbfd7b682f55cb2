"""Writes the BPF program for one library and one purpose, as C in bcc's dialect.

The fixed part lies in probes/, one file per question asked of the kernel. What depends on the
library is generated: the sizes in the event record (from its probe table) and one function per
distinct probe and argument spec (from its ELF notes), so that a library whose compiler has put
the operands elsewhere is read right too. Used by the attacher and the source. Loads nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from hakmem_tools.model.codes import CLASS_ARGUMENT, code_argument
from hakmem_tools.model.descriptors import Descriptors, Probe
from hakmem_tools.observe.bpf.arguments import ArgumentError, parse_operand, read_statement
from hakmem_tools.observe.elf import UsdtSite
from hakmem_tools.observe.source import SourceUnavailable

#: Frames of a user stack that are kept; deeper ones are cut off and said to be.
STACK_FRAMES = 48
_PAGE_BYTES = 4096
_QUESTIONS = ("follow.bpf.c", "counts.bpf.c", "classes.bpf.c", "events.bpf.c")
_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = _PACKAGE.parent.parent.parent


class Purpose(msgspec.Struct, frozen=True):
    """What a program is for. Names are those of the probe table."""

    counted: frozenset[str]  # hits are counted
    streamed: frozenset[str]  # and each is an event in the ring
    pid: int
    children: bool = False  # also what the process forks from now on
    stacks: bool = False
    ring_bytes: int = 16 << 20  # a power of two
    #: Device and inode of our pid namespace; None in the machine's first one.
    namespace: tuple[int, int] | None = None


class ProbeFunction(msgspec.Struct, frozen=True):
    """A generated function, and the sites of the library that it belongs to."""

    name: str
    kind: int
    sites: tuple[UsdtSite, ...]


class GeneratedProgram(msgspec.Struct, frozen=True):
    """Text to compile, and what to attach. `missing` names wanted probes without a site."""

    text: str
    functions: tuple[ProbeFunction, ...]
    missing: tuple[str, ...]
    ring_bytes: int


def probe_text(name: str) -> str:
    """A file of probes/, from a checkout or the installed package."""
    for directory in (_PACKAGE / "probes", _CHECKOUT / "probes"):
        if (directory / name).is_file():
            return (directory / name).read_text(encoding="utf-8")
    raise SourceUnavailable(f"{name} is neither in {_PACKAGE / 'probes'} nor in a checkout")


def event_args(descriptors: Descriptors) -> int:
    """How many arguments the widest probe of the table has."""
    return max((len(probe.args) for probe in descriptors.probes), default=1) or 1


def size_defines(descriptors: Descriptors) -> dict[str, int]:
    """The sizes that events.h leaves open, for clang and for cffi alike."""
    return {"HAK_EVENT_ARGS": event_args(descriptors), "HAK_EVENT_FRAMES": STACK_FRAMES}


def generate(
    descriptors: Descriptors,
    sites: Sequence[UsdtSite],
    purpose: Purpose,
    opens_function: Callable[[UsdtSite], bool] = lambda _site: False,
) -> GeneratedProgram:
    """The program for `purpose`. Raises SourceUnavailable when the notes do not fit the table.

    `opens_function` says whether a site is the first instruction of its function.
    """
    functions: list[ProbeFunction] = []
    texts: list[str] = []
    missing: list[str] = []
    for kind, probe in enumerate(descriptors.probes):
        if probe.name not in purpose.counted | purpose.streamed:
            continue
        groups = _by_shape(probe, sites, opens_function)
        if not groups:
            missing.append(probe.name)
        for number, ((places, opens), members) in enumerate(groups.items()):
            name = f"on_{probe.name}_{number}"
            functions.append(ProbeFunction(name, kind, tuple(members)))
            texts.append(
                _function(name, kind, probe, places, opens, probe.name in purpose.streamed)
            )
    fixed = [probe_text("events.h"), probe_text("common.bpf.h"), *map(probe_text, _QUESTIONS)]
    ring_bytes = purpose.ring_bytes if purpose.streamed else _PAGE_BYTES
    text = "\n".join([_defines(descriptors, purpose, ring_bytes), *fixed, *texts])
    return GeneratedProgram(text, tuple(functions), tuple(missing), ring_bytes)


_Shape = tuple[tuple[str, ...], bool]


def _by_shape(
    probe: Probe, sites: Sequence[UsdtSite], opens_function: Callable[[UsdtSite], bool]
) -> dict[_Shape, list[UsdtSite]]:
    """The probe's sites by how their arguments are read: statements, and the site's place."""
    groups: dict[_Shape, list[UsdtSite]] = {}
    for site in sites:
        if (site.provider, site.name) != (probe.provider, probe.name):
            continue
        if len(site.arguments) != len(probe.args):
            raise SourceUnavailable(
                f"probe {probe.name} has {len(site.arguments)} readable arguments in the "
                f"library's notes and {len(probe.args)} in its table: {' '.join(probe.args)}"
            )
        try:
            operands = [parse_operand(argument) for argument in site.arguments]
        except ArgumentError as error:
            raise SourceUnavailable(f"probe {probe.name}: {error}") from None
        reads = tuple(read_statement(o, f"hit.args[{i}]") for i, o in enumerate(operands))
        groups.setdefault((reads, opens_function(site)), []).append(site)
    return groups


def _function(
    name: str, kind: int, probe: Probe, reads: Sequence[str], opens: bool, streamed: bool
) -> str:
    def value_of(argument: str | None) -> str:
        return f"hit.args[{probe.args.index(argument)}]" if argument in probe.args else "HAK_NONE"

    code = code_argument(probe)
    lines = [
        f"/* {probe.provider}:{probe.name}({', '.join(probe.args)}) */",
        f"int {name}(struct pt_regs *ctx)",
        "{",
        "    struct hak_hit hit = {};",
        "    if (!hak_enter(&hit))",
        "        return 0;",
        *(f"    {read}" for read in reads),
        f"    hak_count_kind({kind});",
    ]
    if CLASS_ARGUMENT in probe.args or code is not None:
        lines.append(f"    hak_count_class({kind}, {value_of(CLASS_ARGUMENT)}, {value_of(code)});")
    if streamed:
        lines.append(f"    hak_emit(ctx, {kind}, &hit, {int(opens)});")
    return "\n".join([*lines, "    return 0;", "}", ""])


def _defines(descriptors: Descriptors, purpose: Purpose, ring_bytes: int) -> str:
    defines: dict[str, object] = {
        **size_defines(descriptors),
        "HAK_KINDS": len(descriptors.probes),
        "HAK_RING_PAGES": ring_bytes // _PAGE_BYTES,
        "HAK_TARGET_PID": purpose.pid,
    }
    if purpose.children:
        defines["HAK_CHILDREN"] = 1
    if purpose.stacks:
        defines["HAK_STACKS"] = 1
    if purpose.namespace is not None:
        device, inode = purpose.namespace
        defines |= {"HAK_PIDNS_DEVICE": f"{device}ULL", "HAK_PIDNS_INODE": f"{inode}ULL"}
    lines = [f"#define {name} {value}" for name, value in defines.items()]
    return "\n".join(["#include <uapi/linux/ptrace.h>", "#include <linux/types.h>", *lines, ""])
