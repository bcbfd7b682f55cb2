"""A small profile, made by hand: two sites in two modules, two threads, three ticks."""

from __future__ import annotations

from hakmem_tools.model.profile_records import (
    CallFrame,
    Caused,
    End,
    Header,
    Key,
    Module,
    Record,
    Rows,
    Stack,
    Symbols,
    Thread,
    Tick,
    size_bucket,
)

R = 512 * 1024
SECOND = 1_000_000_000
START = 100 * SECOND


def header(**changes: object) -> Header:
    values: dict[str, object] = {
        "schema_version": 1,
        "pid": 4242,
        "exe": "/srv/app/server",
        "command": "/srv/app/server --port 1",
        "allocator": "hakmem",
        "sample_bytes": R,
        "start_ns": START,
        "wall_ns": 1_700_000_000 * SECOND,
        "source": "bpf",
        "classes": {3: 64, 20: 4096},
        "paths": {0: "front", 4: "stage 3"},
    }
    return Header(**{**values, **changes})  # type: ignore[arg-type]


def small_profile() -> list[Record]:
    """parse() leaks 64-byte nodes; serve() takes and gives back 4 KiB buffers."""
    parse = (
        CallFrame("/srv/app/server", 0x1010, "node_new", "/src/tree.cc", 12, inlined=True),
        CallFrame("/srv/app/server", 0x1010, "parse", "/src/parse.cc", 77),
    )
    return [
        header(),
        Module(1, "/srv/app/server", "aa" * 20),
        Module(2, "/lib/libnet.so", "bb" * 20),
        Thread(7, "main"),
        Thread(8, "io"),
        Stack(1, ((1, 0x1011), (1, 0x2001))),
        Stack(2, ((2, 0x501), (1, 0x2001)), truncated=True),
        Symbols(1, 0x1010, parse),
        Symbols(1, 0x2000, (CallFrame("/srv/app/server", 0x2000, "main", "/src/main.cc", 5),)),
        Key(1, 1, 7, 3, 0, size_bucket(64)),
        Key(2, 2, 8, 20, 4, size_bucket(4096)),
        Tick(
            START + SECOND,
            allocated=Rows.pack([(1, 0, 4, 4 * 64, 4 * R), (2, 0, 10, 40960, 10 * R)]),
            freed=Rows.pack([(2, 15, 9, 9 * 4096, 9 * R)]),
            caused=(Caused(1, 7, 0, 16),),
        ),
        Tick(
            START + 2 * SECOND,
            allocated=Rows.pack([(1, 0, 6, 6 * 64, 6 * R)]),
            freed=Rows.pack([(2, 30, 1, 4096, R)]),
            caused=(Caused(1, 7, 0, 4), Caused(2, 8, 1, 2, 8192)),
            lost={"the map was full": 3},
        ),
        Tick(
            START + 40 * SECOND,
            allocated=Rows.pack([(2, 0, 2, 8192, 2 * R)]),
            live=Rows.pack([(1, 35, 10, 640, 10 * R), (2, 10, 2, 8192, 2 * R)]),
        ),
        End(START + 40 * SECOND, "asked to stop", 1234),
    ]
