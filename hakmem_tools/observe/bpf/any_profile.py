"""The profile source of a process on any allocator: uprobes on malloc and its kin.

Sampling saves the stack walk but not the trap, which every call pays. So what watching costs is
measured, and where it would exceed the budget the probes are taken off and put on again in
windows: then sums are of the windows only, and that is said. Opened by profile_open.py.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress

from hakmem_tools.model.profile_records import End, Header, Record
from hakmem_tools.observe.bpf.any_functions import AllocatorFile
from hakmem_tools.observe.bpf.any_program import AnyProgram, fill_tables
from hakmem_tools.observe.bpf.attach import close_together, tell_refusal
from hakmem_tools.observe.bpf.budget import Budget
from hakmem_tools.observe.bpf.loader import Program
from hakmem_tools.observe.bpf.profile import (
    KernelProfile,
    attach_faults,
    starting_now,
    target_cpu_ns,
)
from hakmem_tools.observe.bpf.syscall import (
    TRACE_UPROBE_MULTI,
    TRACE_UPROBE_SESSION,
    create_multi_link,
)

#: Between two looks at the costs, while watching and while pausing.
_WINDOW_S, _PAUSE_S = 0.02, 0.05
_FIRST_S = 0.005
#: A share of the time that was watched without a word about the rest.
_WHOLE = 0.98


#: A trap may cost so many times what it does on a machine that does little else: caches are cold
#: after each one where many programs want to run.
_CAUTION = 3.0


def bounded_cost(usual_ns: float, cpu_ns: float) -> float:
    """What hits have taken from the target, at most: their usual cost with caution, and never more
    than the time that it had. A program that does nothing but allocate spends all of that in traps.
    """
    return min(_CAUTION * usual_ns, max(cpu_ns, 0.0))


class AnyProfile:
    """ProfileSource by uprobes on an allocator. Close it. Takes the allocator's file over."""

    def __init__(
        self, header: Header, allocator: AllocatorFile, generated: AnyProgram, budget: float,
        *, faults: bool,
    ) -> None:  # fmt: skip
        """Compiles and attaches. Raises SourceUnavailable, TargetGone."""
        self.budget = Budget(budget, int(_WINDOW_S * 1e9))
        self._share = budget
        self._allocator, self._generated = allocator, generated
        self._links: list[int] = []
        self._fault_event: int | None = None
        self._faults = faults
        self._missing: list[str] = []
        self._ended = False
        program = Program(generated.text)
        self.header = header
        self._kernel = KernelProfile(program, header, allocator.identity, None)
        self._program = program
        self._watched_ns = 0
        self._opened_ns = 0
        self.reused = 0  # known at the end
        self._windows = 0
        try:
            fill_tables(program, allocator.places, allocator.bias, header.sample_bytes)
            self._load(program)
            if faults:
                self._attach_faults()
            self._before = self._measure()
            self._try_out()
        except BaseException:
            self.close()
            raise

    # ---- attaching, again and again ----

    def _load(self, program: Program) -> None:
        """Each function is loaded once; a window only makes links."""
        self._kind = TRACE_UPROBE_SESSION if self._generated.session else TRACE_UPROBE_MULTI
        self._loaded = [
            (program.load(function.name, self._kind), function)
            for function in self._generated.functions
        ]
        self._at_return: int | None = None
        if not self._generated.session:
            self._at_return = program.load("on_any_return", TRACE_UPROBE_MULTI)

    def _attach_faults(self) -> None:
        self._fault_event, reason = attach_faults(self._program)
        if reason is not None:
            self._faults = False
            self._missing.append(reason)

    def _try_out(self) -> None:
        """A first short turn, in which nothing is counted, tells what watching costs here."""
        self._attach_links()
        self._account(watching=False)
        time.sleep(_FIRST_S)
        self._account(watching=True)
        self._close_links()
        self._account(watching=False)
        if self.budget.may_begin:
            self._open_window()
        self.header = starting_now(self.header)

    def _attach_links(self) -> None:
        path = f"/proc/self/fd/{self._allocator.descriptor}"
        pid = self.header.pid
        try:
            for program, function in self._loaded:
                sites = [(offset, 0) for offset, _ in function.sites]
                if self._at_return is not None:
                    self._links.append(
                        create_multi_link(self._at_return, path, sites, pid, at_return=True)
                    )
                cookies = [cookie for _, cookie in function.sites]
                self._links.append(
                    create_multi_link(
                        program, path, sites, pid, cookies=cookies, attach_type=self._kind
                    )
                )
        except OSError as error:
            self._close_links()
            tell_refusal(error, pid)

    def _open_window(self) -> None:
        """Raises TargetGone, SourceUnavailable."""
        self._attach_links()
        self._opened_ns = time.monotonic_ns()
        self._windows += 1
        self._account(watching=False)
        self._kernel.listen(True)

    def _close_window(self) -> None:
        self._kernel.listen(False)
        self._watched_ns += time.monotonic_ns() - self._opened_ns
        self._account(watching=True)
        self._close_links()
        self._account(watching=False)

    def _close_links(self) -> None:
        close_together(self._links)

    # ---- the budget ----

    def _measure(self) -> tuple[int, int, float]:
        """Wall time, the target's CPU time, and the cost of all hits so far, in nanoseconds."""
        cost = 0
        for _, function in self._loaded:
            run_ns, runs = self._program.runs(function.name)
            cost += run_ns + runs * function.trap_ns
        return time.monotonic_ns(), target_cpu_ns(self.header.pid), cost

    def _account(self, *, watching: bool) -> None:
        now = self._measure()
        wall_ns, cpu_ns, cost = (b - a for a, b in zip(self._before, now, strict=True))
        cost = bounded_cost(cost, cpu_ns)
        self._before = now
        self.budget.pass_time(int(wall_ns), int(cpu_ns))
        if watching or cost:
            self.budget.spend(int(wall_ns) if watching else 0, cost)

    def wait(self, seconds: float) -> None:
        """Lets so much time pass, watching while the budget lasts."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            watching = bool(self._links)
            time.sleep(min(left, _WINDOW_S if watching else _PAUSE_S))
            self._account(watching=watching)
            if watching and not self.budget.may_go_on:
                self._close_window()
            elif not watching and not self._ended and self.budget.may_begin:
                self._open_window()

    # ---- records ----

    def poll(self, *, live: bool = False) -> Sequence[Record]:
        """Names that are new, and a Tick; empty after end()."""
        return () if self._ended else self._kernel.records(live=live, adapt_faults=self._faults)

    def end(self, reason: str) -> tuple[Sequence[Record], End]:
        """Detaches; the last records and the closing one."""
        if self._links:
            self._close_window()
        self._ended = True
        records = self._kernel.records(live=True)
        self.reused = self._kernel.sums.seen()["seen_reused"]
        return records, End(time.monotonic_ns(), reason, int(self.budget.spent_ns), self.missing)

    @property
    def missing(self) -> tuple[str, ...]:
        """One sentence for each thing that it cannot tell, the time between windows among them."""
        told = [*self._missing, *self._kernel.missing]
        watched_ns = self._watched_ns
        if self._links:
            watched_ns += time.monotonic_ns() - self._opened_ns
        total_ns = time.monotonic_ns() - self.header.start_ns
        if watched_ns < _WHOLE * total_ns:
            told.append(
                f"{1 - watched_ns / total_ns:.0%} of the time: watching stopped now and then, to "
                f"take at most {self._share:.3g} of the target's time; sums are those of "
                f"{watched_ns / 1e9:.2f} s (windows: {self._windows}), and are not scaled"
            )
            told.append(
                "frees between the windows: live, growth and leaks show blocks that were not "
                "seen to be freed, and are too high"
            )
        if self.reused:
            told.append(f"the frees of {self.reused} sampled blocks: their addresses came again")
        return tuple(told)

    def close(self) -> None:
        """Detaches everything; may be called twice."""
        self._close_links()
        if self._fault_event is not None:
            os.close(self._fault_event)
            self._fault_event = None
        self._kernel.close()
        with suppress(OSError):
            os.close(self._allocator.descriptor)

    def __enter__(self) -> AnyProfile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
