"""A watch: one BPF program attached to one library in one process, with what it counts and says.

Compiles what generate.py writes, attaches it, polls the ring, reads the kernel's counts, and
says what was lost, what it cost and which tier served. Used by the BPF source and by
`hakmem trace`. Knows nothing of counters pages.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Sequence

from hakmem_tools.model.codes import code_word
from hakmem_tools.model.descriptors import Descriptors
from hakmem_tools.model.snapshot import Event
from hakmem_tools.observe.bpf.accounts import Accounts, ClassHits, Lost, estimate_cost
from hakmem_tools.observe.bpf.attach import (
    SLOW_DETACH,
    Attachment,
    Tier,
    attach,
    attach_forks,
    choose_tier,
)
from hakmem_tools.observe.bpf.generate import Purpose, generate
from hakmem_tools.observe.bpf.library import LibraryFile
from hakmem_tools.observe.bpf.loader import Program
from hakmem_tools.observe.bpf.records import RecordReader
from hakmem_tools.observe.bpf.ring import RingReader
from hakmem_tools.observe.bpf.syscall import enable_run_time_stats
from hakmem_tools.observe.source import SourceUnavailable

_SHORTEST_PAUSE_S = 0.002
_LONGEST_PAUSE_S = 0.02
#: Records taken in one go: a producer that never pauses must not keep us from our other work.
_BATCH = 20_000
_NONE = 0xFFFFFFFF


def no_probe(library: LibraryFile, names: frozenset[str]) -> SourceUnavailable:
    """The error for a library without the probes that are wanted."""
    return SourceUnavailable(
        f"{library.name} has no probe {', '.join(sorted(names)) or 'at all'} (another version, or "
        "built with BENCH_MINIMAL); `hakmem probes` lists what there is"
    )


class Watch:
    """Used by one thread at a time. Close it, or use it as a context manager."""

    def __init__(
        self,
        library: LibraryFile,
        descriptors: Descriptors,
        purpose: Purpose,
        *,
        tier: Tier | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Compiles and attaches. Raises SourceUnavailable, TargetGone; nothing stays then."""
        self.purpose = purpose
        self._sleep, self._clock = sleep, clock
        self._descriptors = descriptors
        self._reader = RecordReader(descriptors)
        self._waiting: deque[bytes] = deque()
        self._final: Accounts | None = None
        self.start_ns = 0  # CLOCK_MONOTONIC, just before attaching
        self._stats = -1
        self._attachment: Attachment | None = None
        self._ring: RingReader | None = None
        generated = generate(descriptors, library.sites, purpose, library.opens_function)
        self.absent = frozenset(generated.missing)
        self._functions = generated.functions
        if not generated.functions:
            raise no_probe(library, self.absent)
        self._program: Program | None = Program(generated.text)
        try:
            self.tier = choose_tier(tier)
            self._ring = self._program.open_ring("events", generated.ring_bytes)
            self._attach(self._program, library)
        except BaseException:
            self.close()
            raise

    def _attach(self, program: Program, library: LibraryFile) -> None:
        children = self.purpose.children
        try:
            self._stats = enable_run_time_stats()
        except OSError:
            self._stats = -1  # needs CAP_SYS_ADMIN; the cost is estimated without
        if children:
            self.follow(self.purpose.pid)
        self.start_ns = time.monotonic_ns()
        self._attachment = attach(
            program,
            self._functions,
            library.descriptor,
            None if children else self.purpose.pid,
            self.tier,
        )
        if children:
            attach_forks(program, self._attachment)

    def follow(self, *pids: int) -> None:
        """Adds processes to those that are watched; only with purpose.children."""
        if self._program is not None:
            table = self._program.map("followed_pids")
            for pid in pids:
                table[table.Key(pid)] = table.Leaf(1)

    # ---- events ----

    def events(self, timeout_s: float) -> Sequence[Event]:
        """Events since the last call, oldest first; waits at most `timeout_s` for the first."""
        deadline = self._clock() + timeout_s
        pause_s = _SHORTEST_PAUSE_S
        while True:
            self._consume()
            left_s = deadline - self._clock()
            if self._waiting or left_s <= 0 or self._final is not None:
                break
            self._sleep(min(pause_s, left_s))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        found = [self._reader.event(data) for data in self._waiting]
        self._waiting.clear()
        return found

    def _consume(self) -> int:
        """Takes at most _BATCH records out of the ring; how many it were."""
        records = self._ring.take(_BATCH) if self._ring is not None else []
        self._waiting.extend(records)
        return len(records)

    # ---- numbers ----

    def accounts(self) -> Accounts:
        """Hits, losses and costs since attaching; the last ones after detach()."""
        if self._final is not None or self._program is None:
            return self._final or _NOTHING
        program = self._program
        hits = program.per_cpu_array("hits")
        lost_events = program.per_cpu_array("events_lost")
        run_ns, skipped = program.run_time()
        return Accounts(
            counts={self._descriptors.probes[f.kind].name: hits[f.kind] for f in self._functions},
            classes=tuple(self._class_hits(program)),
            lost=Lost(
                events={
                    self._descriptors.probes[i].name: n for i, n in enumerate(lost_events) if n
                },
                class_hits=sum(program.per_cpu_array("classes_lost")),
                tasks=program.map("follow_lost")[0].value if self.purpose.children else 0,
                runs=skipped,
            ),
            cost=estimate_cost(sum(hits), run_ns if self._stats >= 0 else None),
        )

    def _class_hits(self, program: Program) -> list[ClassHits]:
        rows = []
        for key, hits in program.per_cpu_items("classes"):
            probe = self._descriptors.probes[key.kind]
            code = None if key.code == _NONE else int(key.code)
            size_class = None if key.size_class == _NONE else int(key.size_class)
            word = None if code is None else code_word(self._descriptors, probe, code)
            rows.append(ClassHits(probe.name, size_class, code, word, hits))
        return sorted(rows, key=lambda row: (row.event, row.size_class or 0, row.code or 0))

    @property
    def missing(self) -> tuple[str, ...]:
        """One sentence for each thing that this watch cannot tell."""
        sentences = [
            f"{name}: this library has no site of the probe" for name in sorted(self.absent)
        ]
        if self.tier == "perf_uprobe":
            sentences.append(SLOW_DETACH)
        return tuple(sentences)

    # ---- the end ----

    def detach(self) -> Accounts:
        """Takes the probes off; returns the last numbers. events() still gives what was left."""
        if self._attachment is not None:
            self._attachment.close()
            while self._consume() > 0:
                pass
        if self._final is None:
            self._final = self.accounts()
        return self._final

    def close(self) -> None:
        """Detaches and frees everything; may be called twice."""
        if self._attachment is not None:
            self._attachment.close()
        if self._stats >= 0:
            os.close(self._stats)
            self._stats = -1
        if self._ring is not None:
            self._ring.close()
            self._ring = None
        if self._program is not None:
            self._program.close()
            self._program = None

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_NOTHING = Accounts(counts={}, classes=(), lost=Lost(), cost=estimate_cost(0, None))
