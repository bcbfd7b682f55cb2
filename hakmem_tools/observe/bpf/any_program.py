"""Writes the BPF program that samples an allocator without probes, and fills in its tables.

Which register holds an argument depends on where the breakpoint went, so each function's code
is generated. Used by the profile source for any allocator. Loads nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from hakmem_tools.observe.bpf.accounts import TRAP_NS
from hakmem_tools.observe.bpf.any_functions import Place
from hakmem_tools.observe.bpf.generate import probe_text
from hakmem_tools.observe.bpf.loader import Program
from hakmem_tools.observe.bpf.profile_program import ProfileLimits, profile_parts

_REGISTERS = ("ax", "cx", "dx", "bx", "sp", "bp", "si", "di", *(f"r{n}" for n in range(8, 16)))
#: A breakpoint on an instruction that the kernel must step through.
STEPPED_NS = 9000
_GAPS, _WEIGHTS, _RANGES = 4096, 256, 16


class AnyFunction(msgspec.Struct, frozen=True):
    """A generated function, and where it runs: file offsets, each with the cookie that says
    which of the allocator's functions it is. `trap_ns` is what a hit costs.
    """

    name: str
    trap_ns: int
    sites: tuple[tuple[int, int], ...]


class AnyProgram(msgspec.Struct, frozen=True):
    """Text to compile, and what to attach. `session`: entry and return are one program."""

    text: str
    functions: tuple[AnyFunction, ...]
    session: bool


def generate_any(
    places: Sequence[Place],
    pid: int,
    namespace: tuple[int, int] | None,
    *,
    sample_bytes: int,
    session: bool,
    limits: ProfileLimits,
    faults: bool,
) -> AnyProgram:
    """The program for these functions.

    All sites that cost alike share one function and so one link: they come and go in one go.
    """
    functions, texts = [], []
    for emulated, trap_ns in ((True, TRAP_NS), (False, STEPPED_NS)):
        chosen = [place for place in places if place.emulated == emulated]
        if not chosen:
            continue
        name = "on_any_emulated" if emulated else "on_any_stepped"
        calls = list(dict.fromkeys(_call(place) for place in chosen))
        sites = tuple((place.offset, calls.index(_call(place))) for place in chosen)
        functions.append(AnyFunction(name, trap_ns, sites))
        texts.append(_function(name, calls))
    defines = f"#define HAK_SAMPLE_BYTES {sample_bytes}ULL\n"
    if session:
        defines += "#define HAK_SESSION 1\n"
    parts = [*profile_parts(pid, namespace, limits), defines, probe_text("any.bpf.c"), *texts]
    if faults:
        parts.append(probe_text("faults.bpf.c"))
    return AnyProgram("\n".join(parts), tuple(functions), session)


def _call(place: Place) -> str:
    """What the program does at a place, with the arguments where they are by then."""
    return place.kind.body.format(*(f"ctx->{_REGISTERS[number]}" for number in place.registers))


def _function(name: str, calls: Sequence[str]) -> str:
    cases = (
        f"    case {cookie}:\n        asks = {call};\n        break;"
        for cookie, call in enumerate(calls)
    )
    return "\n".join(
        (
            f"int {name}(struct pt_regs *ctx)",
            "{",
            "    struct hak_hit hit = {};",
            "    struct hak_ask ask = {};",
            "    int asks = 0;",
            "    if (!hak_listens(&hit))",
            "        return 1;",
            "    if (HAK_AT_RETURN(ctx))",
            "        return hak_any_return(ctx, hit.tid);",
            "    switch (bpf_get_attach_cookie(ctx)) {",
            *cases,
            "    }",
            "    return asks ? hak_any_call(ctx, hit.tid, &ask) : 1;",
            "}",
            "",
        )
    )


def gap_quantiles(mean: float, count: int = _GAPS) -> list[int]:
    """The i/count quantiles of an exponential distribution, i = 0 .. count-1."""
    return [round(-mean * math.log1p(-i / count)) for i in range(count)]


def weights(mean: float, count: int = _WEIGHTS) -> list[int]:
    """S / (1 - exp(-S/R)) for S of 0, 1, .. `count` sixteenths of R; at 0 the limit, R."""
    sixteenths = (i / 16 for i in range(count + 1))
    return [round(mean * (x / -math.expm1(-x) if x else 1.0)) for x in sixteenths]


def fill_tables(program: Program, places: Sequence[Place], bias: int, sample_bytes: int) -> None:
    """Puts the quantiles, the weights and the allocator's own code into the program's maps."""
    for name, values in (("gaps", gap_quantiles(sample_bytes)), ("weights", weights(sample_bytes))):
        table = program.map(name)
        for index, value in enumerate(values):
            table[table.Key(index)] = table.Leaf(value)
    table = program.map("own_code")
    inner = [place for place in places if place.size and not place.kind.frees]
    for index, place in enumerate(inner[:_RANGES]):
        start = bias + place.start
        table[table.Key(index)] = table.Leaf(start, start + place.size)
