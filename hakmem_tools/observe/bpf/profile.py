"""The profile source of a library that tells of its samples: libhakmem, or any otel_memory one.

Compiles what profile_program.py writes, attaches it, and turns the kernel's sums into records.
Opened by observe/profiler.py. The sampling itself is the library's; this only listens.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

import msgspec

from hakmem_tools.model.descriptors import Descriptors
from hakmem_tools.model.profile_records import Caused, End, Header, Record, Rows, Tick
from hakmem_tools.observe.bpf.accounts import TRAP_NS, Cost, estimate_cost
from hakmem_tools.observe.bpf.attach import SLOW_DETACH, Attachment, attach, choose_tier
from hakmem_tools.observe.bpf.budget import IDLE_SHARE
from hakmem_tools.observe.bpf.library import LibraryFile
from hakmem_tools.observe.bpf.loader import Program
from hakmem_tools.observe.bpf.mapping_log import MappingLog
from hakmem_tools.observe.bpf.namespace import own_namespace
from hakmem_tools.observe.bpf.profile_kernel import KernelSums, Row
from hakmem_tools.observe.bpf.profile_program import ProfileLimits, ProfileProgram, generate_profile
from hakmem_tools.observe.bpf.profile_stacks import RecordBook
from hakmem_tools.observe.bpf.syscall import enable_run_time_stats
from hakmem_tools.observe.counters import CountersSource
from hakmem_tools.observe.sampling_distance import SamplingDistance

#: Faults a second whose stacks are walked: 1.2 microseconds each, half a percent of a CPU.
_WALKED_FAULTS = 4000
#: A hit's own work, on average over an allocation with its stack and a free without.
LISTENING_NS = 1100
#: A stack that is looked through word by word.
COPY_NS = 4000
_PROBE_HITS = ("seen_samples", "seen_frees", "seen_others", "seen_calls")
#: What a tick calls a loss, by its place in the kernel.
LOSSES = {
    "lost_cells": "no room for another call site",
    "lost_live": "no room among the blocks in use",
    "lost_freed": "no room to count a free",
    "lost_causes": "no room to count a fault or madvise",
}
#: Between two looks at what listening costs: soon, since a fast target pays from the first moment.
_LOOK_NS = 200_000_000
_SKIPPED = "hit inside another program's run"


class KernelProfile:
    """What every BPF profile source does with its program: reads, names, tells, counts losses.

    Used by one thread at a time.
    """

    def __init__(
        self,
        program: Program,
        header: Header,
        allocator: tuple[int, int],
        mappings: MappingLog | None,
        *,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """`allocator` is the device and inode of the file whose own frames are left out."""
        self.header = header
        self.program = program
        self.sums = KernelSums(program)
        self._mappings = mappings
        self._clock = clock
        self._book = RecordBook(
            header.pid,
            self.sums.stack,
            allocator,
            mappings.mappings if mappings is not None else None,
        )
        self._lost: dict[str, int] = {}
        self._faults = (header.start_ns, 0)
        self._code: object = None
        self.follow_code()
        self.lost_stacks = 0
        try:
            self._stats = enable_run_time_stats()
        except OSError:
            self._stats = -1  # needs CAP_SYS_ADMIN; the cost is estimated without

    def records(self, *, live: bool, adapt_faults: bool = False) -> list[Record]:
        """Names that are new, and a Tick with what has grown."""
        if adapt_faults:
            self._adapt_faults()
        self.follow_code()
        if self._mappings is not None:
            self._mappings.take()
        growth, book = self.sums.take(), self._book
        now_ns = self._clock()
        alive = self.sums.live(now_ns) if live else None
        caused = tuple(
            Caused(book.stack(stack), tid, cause, count, size_bytes, size_class, duration_ns)
            for stack, tid, cause, size_class, count, size_bytes, duration_ns in growth.causes
        )
        tick = Tick(
            time_ns=now_ns,
            allocated=self._rows(growth.allocated),
            freed=self._rows(growth.freed),
            live=None if alive is None else self._rows(alive),
            caused=caused,
            lost=self._new_losses(),
        )
        return [*book.new_records(), tick]

    def _rows(self, rows: Sequence[Row]) -> Rows:
        key = self._book.key
        return Rows.pack((key(cell), age, n, size, weight) for cell, age, n, size, weight in rows)

    def follow_code(self) -> None:
        """Tells the kernel where code lies, by which it knows a return address on the stack."""
        found = self._book.code()
        if found != self._code:
            self._code = found
            self.sums.tell_code(found)

    def listen(self, on: bool) -> None:
        """Begins or ends counting, for all that is attached at one moment."""
        table = self.program.map("listening")
        table[table.Key(0)] = table.Leaf(int(on))

    def _new_losses(self) -> dict[str, int]:
        seen = self.sums.seen()
        self.lost_stacks = seen["lost_stacks"]
        total = {text: seen[place] for place, text in LOSSES.items()}
        total[_SKIPPED] = self.program.run_time()[1]
        fresh = {text: n - self._lost.get(text, 0) for text, n in total.items()}
        self._lost = total
        return {text: count for text, count in fresh.items() if count > 0}

    def _adapt_faults(self) -> None:
        """Walks fewer stacks of page faults where these come fast; each one stands for more."""
        now_ns, faults = self._clock(), self.sums.seen()["seen_faults"]
        before_ns, before = self._faults
        self._faults = (now_ns, faults)
        rate = (faults - before) * 1e9 / max(1, now_ns - before_ns)
        period = max(1, round(rate / _WALKED_FAULTS))
        table = self.program.map("fault_period")
        table[table.Key(0)] = table.Leaf(period)

    def cost(self) -> Cost:
        """What listening took from the target since it was attached."""
        seen = self.sums.seen()
        run_ns = self.program.run_time()[0] if self._stats >= 0 else None
        return estimate_cost(sum(seen[place] for place in _PROBE_HITS), run_ns)

    def listening_ns(self) -> int:
        """What the probes alone took so far: not the page faults of the whole machine."""
        seen = self.sums.seen()
        hits = sum(seen[place] for place in _PROBE_HITS)
        return hits * (TRAP_NS + LISTENING_NS) + seen["seen_copies"] * COPY_NS

    @property
    def missing(self) -> tuple[str, ...]:
        """What got lost on the way here, in sentences."""
        told = []
        if self.lost_stacks:
            told.append(f"stacks of {self.lost_stacks} samples: no room for more stacks")
        if self._mappings is not None and self._mappings.lost:
            told.append(
                f"modules: {self._mappings.lost} mappings were made faster than they were noted"
            )
        return tuple(told)

    def close(self) -> None:
        """Frees everything but what is attached, which must go before; may be called twice."""
        self._book.close()
        if self._mappings is not None:
            self._mappings.close()
        if self._stats >= 0:
            os.close(self._stats)
            self._stats = -1
        self.program.close()


def starting_now(header: Header) -> Header:
    """The header of a profile that begins at this moment."""
    return msgspec.structs.replace(header, start_ns=time.monotonic_ns(), wall_ns=time.time_ns())


def target_cpu_ns(pid: int) -> int:
    """CPU time of all the process's threads; 0 once it has ended.

    The clock's number is the kernel's MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED).
    """
    try:
        return time.clock_gettime_ns(~pid << 3 | 2)
    except OSError:
        return 0


def attach_faults(program: Program) -> tuple[int | None, str | None]:
    """A descriptor that counts page faults while it is open, or why there is none.

    A kernel may lack the tracepoint: then faults are missing, not wrong.
    """
    try:
        return program.attach_raw_tracepoint("page_fault_user", "on_fault"), None
    except OSError as error:
        reason = error.strerror or str(error)
        return None, f"page faults: this kernel has no tracepoint for them ({reason})"


class ProbeProfile:
    """ProfileSource of a process whose library has the probes. Close it."""

    def __init__(
        self,
        header: Header,
        library: LibraryFile,
        generated: ProfileProgram,
        *,
        faults: bool,
        mappings: MappingLog | None = None,
        distance: SamplingDistance | None = None,
    ) -> None:
        """Compiles and attaches; takes `mappings` and `distance` over.

        Raises SourceUnavailable, TargetGone.
        """
        self.distance = distance
        self._missing = list(generated.missing)
        self._ended = False
        program = Program(generated.text)
        self.header = header = starting_now(header)
        self._kernel = KernelProfile(program, header, library.identity, mappings)
        self._attachment: Attachment | None = None
        self._faults = faults
        self._looked = (0, 0, 0)
        try:
            self.tier = choose_tier()
            if self.tier == "perf_uprobe":
                self._missing.append(SLOW_DETACH)
            self._attachment = attach(
                program, generated.functions, library.descriptor, header.pid, self.tier
            )
            if faults:
                self._attach_faults(program)
            self._kernel.listen(True)
        except BaseException:
            self.close()
            raise

    def _attach_faults(self, program: Program) -> None:
        assert self._attachment is not None
        event, reason = attach_faults(program)
        if event is not None:
            self._attachment.descriptors.append(event)
        if reason is not None:
            self._faults = False
            self._missing.append(reason)

    def poll(self, *, live: bool = False) -> Sequence[Record]:
        """Names that are new, and a Tick; empty after end()."""
        return () if self._ended else self._kernel.records(live=live, adapt_faults=self._faults)

    def wait(self, seconds: float) -> None:
        """Sleeps: the kernel counts meanwhile. Looks after the sampling distance now and then."""
        time.sleep(max(0.0, seconds))
        if self.distance is not None and not self._ended:
            self._look_after(self.distance)

    def keep_pace(self, page: CountersSource, budget: float) -> None:
        """From now on takes no more than this share of the target's time; takes the page over."""
        if self.distance is None:
            self.distance = SamplingDistance(page, budget)
        else:
            page.close()

    def _look_after(self, distance: SamplingDistance) -> None:
        now_ns = time.monotonic_ns()
        before_ns, cpu_before, cost_before = self._looked
        if now_ns - before_ns < _LOOK_NS:
            return
        cpu_ns = target_cpu_ns(self.header.pid)
        cost_ns = self._kernel.listening_ns()
        self._looked = (now_ns, cpu_ns, cost_ns)
        if before_ns:
            own_ns = max(cpu_ns - cpu_before, IDLE_SHARE * (now_ns - before_ns))
            distance.follow((cost_ns - cost_before) / own_ns)

    def end(self, reason: str) -> tuple[Sequence[Record], End]:
        """Detaches; the last records and the closing one."""
        self._kernel.listen(False)
        if self._attachment is not None:
            self._attachment.close()
        if self.distance is not None:
            self.distance.close()
        records = self._kernel.records(live=True)
        self._ended = True
        overhead_ns = self._kernel.cost().overhead_ns
        return records, End(time.monotonic_ns(), reason, overhead_ns, self.missing)

    @property
    def missing(self) -> tuple[str, ...]:
        """One sentence for each thing that it cannot tell."""
        by_distance = self.distance.missing if self.distance is not None else ()
        return (*self._missing, *by_distance, *self._kernel.missing)

    def close(self) -> None:
        """Detaches everything; may be called twice."""
        if self._attachment is not None:
            self._attachment.close()
        if self.distance is not None:
            self.distance.close()
        self._kernel.close()

    def __enter__(self) -> ProbeProfile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_probe_profile(
    library: LibraryFile,
    header: Header,
    descriptors: Descriptors | None,
    *,
    faults: bool,
    mappings: MappingLog | None = None,
    distance: SamplingDistance | None = None,
    limits: ProfileLimits | None = None,
) -> ProbeProfile:
    """Attaches to a library's probes; the library stays the caller's, the rest goes over.

    Raises SourceUnavailable without the probes or the privilege, TargetGone.
    """
    try:
        generated = generate_profile(
            descriptors,
            library.sites,
            header.pid,
            own_namespace(),
            faults=faults,
            limits=limits or ProfileLimits(),
        )
        return ProbeProfile(
            header, library, generated, faults=faults, mappings=mappings, distance=distance
        )
    except BaseException:
        if distance is not None:
            distance.close()
        if mappings is not None:
            mappings.close()
        raise
