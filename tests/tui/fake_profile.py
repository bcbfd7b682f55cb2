"""A profile of an invented server: a leak in a parser, buffers that come and go, a cache."""

from __future__ import annotations

from collections.abc import Callable

from hakmem_tools.model.profile_records import (
    CallFrame,
    Caused,
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
from hakmem_top.profile.desk import ProfileDesk
from hakmem_top.profile.sampler import Sampled
from tests.tui.fake_source import PID, SECOND_NS, START_NS

R = 512 * 1024
SERVER, NET = "/srv/app/server", "/usr/lib/libnet.so.2"

_FRAMES = {
    "main": (SERVER, "main", "/src/app/main.cc", 41),
    "loop": (SERVER, "event_loop", "/src/app/loop.cc", 210),
    "worker": (SERVER, "worker_main", "/src/app/worker.cc", 33),
    "serve": (SERVER, "Request::serve", "/src/app/request.cc", 118),
    "parse": (SERVER, "parse_document", "/src/app/parse.cc", 77),
    "node": (SERVER, "Node::create", "/src/app/tree.cc", 12),
    "cache": (SERVER, "Cache::insert", "/src/app/cache.cc", 305),
    "rehash": (SERVER, "Cache::rehash", "/src/app/cache.cc", 356),
    "log": (SERVER, "log_line", "/src/app/log.cc", 19),
    "recv": (NET, "net_receive", None, None),
    "plug": ("/usr/lib/plugin.so", None, None, None),
}

#: Stack: frames innermost first, thread, bytes of a block, class, path, samples allocated and
#: freed in a second, log2 of a freed block's life, whether the walk broke off.
_SITES = (
    (("node", "parse", "serve", "loop", "main"), 1, 64, 3, 0, 9, 0, 15, False),
    (("cache", "serve", "loop", "main"), 1, 4096, 20, 2, 6, 5, 30, False),
    (("rehash", "cache", "serve", "loop", "main"), 1, 1 << 20, 52, 4, 2, 2, 33, False),
    (("recv", "serve", "worker"), 2, 16384, 32, 1, 14, 14, 14, True),
    (("recv", "serve", "worker"), 3, 16384, 32, 1, 11, 11, 17, True),
    (("log", "serve", "worker"), 3, 256, 11, 0, 5, 5, 12, False),
    (("plug", "serve", "loop", "main"), 1, 768, 15, 3, 1, 0, 15, False),
)


def _offset(name: str) -> int:
    return 0x1000 * (1 + list(_FRAMES).index(name))


def header() -> Header:
    return Header(
        schema_version=1, pid=PID, exe=SERVER, command=f"{SERVER} --port 1", allocator="hakmem",
        sample_bytes=R, start_ns=START_NS, wall_ns=1_700_000_000 * SECOND_NS, source="bpf",
        classes={3: 64, 11: 256, 15: 768, 20: 4096, 32: 16384, 52: 1 << 20},
        paths={0: "front", 1: "refill", 2: "stage 1", 3: "stage 3", 4: "big map"},
    )  # fmt: skip


def names() -> list[Record]:
    """Modules, threads, stacks, keys and symbols."""
    modules = {SERVER: 1, NET: 2, "/usr/lib/plugin.so": 3}
    found: list[Record] = [Module(number, path) for path, number in modules.items()]
    found += [Thread(1, "main"), Thread(2, "worker-1"), Thread(3, "worker-2")]
    for number, (stack, tid, size, size_class, path, *_, cut) in enumerate(_SITES, start=1):
        places = tuple((modules[_FRAMES[name][0]], _offset(name) + 1) for name in stack)
        found.append(Stack(number, places, truncated=cut))
        found.append(Key(number, number, tid, size_class, path, size_bucket(size)))
    for name, (module, function, file, line) in _FRAMES.items():
        if function is not None:
            frame = CallFrame(module, _offset(name), function, file, line)
            found.append(Symbols(modules[module], _offset(name), (frame,)))
    return found


def _row(number: int, age: int, samples: int, size: int) -> tuple[int, int, int, int, int]:
    weight = R if size < R else size * 1.2
    return number, age, samples, samples * size, int(samples * weight)


def tick(second: int) -> Tick:
    """One second of traffic; the live blocks' ages with every fifth."""
    given, taken, live = [], [], []
    for number, (_, _, size, _, _, new, gone, age, _) in enumerate(_SITES, start=1):
        given.append(_row(number, 0, new, size))
        if gone:
            taken.append(_row(number, age, gone, size))
        kept = (new - gone) * second
        if kept:
            live.append(_row(number, 33 if second > 8 else 30, kept, size))
    return Tick(
        START_NS + second * SECOND_NS,
        allocated=Rows.pack(given),
        freed=Rows.pack(taken),
        live=Rows.pack(live) if second % 5 == 0 else None,
        caused=(Caused(1, 1, 0, 16), Caused(3, 1, 1, 2, 2 << 20), Caused(3, 1, 2, 1, 1 << 20)),
        lost={"the map was full": 3} if second == 4 else {},
    )


class FakeSampler:
    """Tells `seconds` ticks at once; more with `play`."""

    def __init__(
        self, pid: int, tell: Callable[[Sampled], object], seconds: int, failed: str
    ) -> None:
        self.pid, self.stopped = pid, False
        self._tell, self._seconds, self._failed = tell, seconds, failed
        self._played = 0

    def start(self) -> None:
        if self._failed:
            self._tell(Sampled(failed=self._failed))
            return
        self._tell(Sampled(header=header()))
        self._tell(Sampled(tuple(names())))
        self.play(self._seconds)

    def play(self, seconds: int) -> None:
        for _ in range(seconds):
            self._played += 1
            self._tell(Sampled((tick(self._played),)))

    def stop(self) -> None:
        self.stopped = True


class FakeProfiles:
    """Makes desks with FakeSamplers; `sampler` is the last one."""

    def __init__(self, seconds: int = 20, failed: str = "") -> None:
        self.seconds, self.failed = seconds, failed
        self.sampler: FakeSampler | None = None

    def __call__(self, tell: Callable[[Sampled], object]) -> ProfileDesk:
        return ProfileDesk(tell, make_sampler=self._make)

    def _make(self, pid: int, tell: Callable[[Sampled], object]) -> FakeSampler:
        self.sampler = FakeSampler(pid, tell, self.seconds, self.failed)
        return self.sampler
