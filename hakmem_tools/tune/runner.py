"""Carries out one trial: starts the command under an arm, waits, and reads everything it yields.

`experiment` calls it for each place of a block, one at a time. It decides nothing about what runs
next and writes to no store. Its own time beside the program's is under 20 ms a run (bench/trust
measures it).
"""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import time
from collections.abc import Mapping
from typing import IO

from hakmem_tools.model.trial import Arm, Status, Trial, TrialKey
from hakmem_tools.tune.extract import counted, extract, share
from hakmem_tools.tune.perf import Counters
from hakmem_tools.tune.plan import Plan
from hakmem_tools.tune.process import Child, Ended
from hakmem_tools.tune.protocols import CountersHandle, CountersReader, ProbeCounter
from hakmem_tools.tune.serving import Serving, ServingError
from hakmem_tools.tune.watchdog import Watchdog

_MOST_OUTPUT = 8 << 20  # bytes of output searched for a metric: its end
_TAIL = 300  # bytes of a failed program's messages that are kept
_NO_ARM = Arm("", {})


class Runner:
    """Runs trials of one plan on this machine. Use as a context manager."""

    def __init__(
        self,
        plan: Plan,
        *,
        base: Mapping[str, str] | None = None,
        counters: CountersReader | None = None,
        probes: ProbeCounter | None = None,
        host: str | None = None,
    ) -> None:
        self.plan = plan
        self.host = host if host is not None else socket.gethostname()
        self._base = {**(os.environ if base is None else base), **plan.env}
        self._counters = counters
        self._probes = probes
        self._watchdog = Watchdog()
        self._pages: dict[int, tuple[str, CountersHandle]] = {}  # with the program that shows it
        self._interrupt = os.eventfd(0, os.EFD_CLOEXEC)

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        self._watchdog.close()
        if self._probes is not None:
            self._probes.close()
        os.close(self._interrupt)

    def interrupt(self) -> None:
        """End the run that is going on, and any later one; callable from another thread."""
        os.eventfd_write(self._interrupt, 1)

    def run(self, arm: Arm, key: TrialKey) -> Trial:
        """One run of the plan's command under `arm`; a failure is a trial too, never an exception.

        KeyboardInterrupt and Interrupted pass through after the process group is gone.
        """
        started_ns = time.time_ns()
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as messages:
            if self._probes is not None:
                self._probes.begin()
            try:
                if self.plan.server is None:
                    status, detail, ended, counts = self._measure_command(arm, output, messages)
                else:
                    status, detail, ended, counts = self._measure_server(arm, output, messages)
            except ServingError as error:
                return self._trial(arm, key, started_ns, Status.FAILED, str(error))
            metrics, missing = _process_metrics(ended)
            _take(metrics, missing, counts)
            self._take_counters(metrics, missing)
            if self._probes is not None:
                _take(metrics, missing, self._probes.end())
            if status is Status.OK:
                status, detail = take_asked(self.plan, metrics, missing, _tail_text(output))
            if status is not Status.OK:
                detail = _with_messages(detail, messages)
        return self._trial(
            arm, key, started_ns, status, detail, ended=ended, metrics=metrics, missing=missing
        )

    def _trial(
        self, arm: Arm, key: TrialKey, started_ns: int, status: Status, detail: str, *,
        ended: Ended | None = None, metrics: Mapping[str, float] | None = None,
        missing: Mapping[str, str] | None = None,
    ) -> Trial:  # fmt: skip
        return Trial(
            key=key, arm=arm.name, host=self.host, status=status, started_ns=started_ns,
            exit_code=ended.code if ended else None, detail=detail, metrics=metrics or {},
            missing=missing or {}, rss=ended.rss if ended else (),
        )  # fmt: skip

    def _measure_command(
        self, arm: Arm, output: IO[bytes], messages: IO[bytes]
    ) -> tuple[Status, str, Ended, dict[str, float | str]]:
        """The plain case: the command itself is what is measured."""
        child = self._child(self.plan.command, arm, output, messages)
        try:
            counters = Counters(self.plan.perf_events, child.pid)
            try:
                child.release()
                ended = child.wait(self.plan.limits.run_timeout)
                counts = _counts(counters)
            finally:
                counters.close()
        finally:
            child.close()
        status, detail = _judge(ended, self.plan.limits.run_timeout)
        return status, detail, ended, counts

    def _measure_server(
        self, arm: Arm, output: IO[bytes], messages: IO[bytes]
    ) -> tuple[Status, str, Ended, dict[str, float | str]]:
        """A server is measured while the command loads it; the load is what may fail the trial."""
        assert self.plan.server is not None
        timeout = self.plan.limits.run_timeout
        Serving.check_port(self.plan.server)
        with tempfile.TemporaryFile() as server_output:
            server = self._child(self.plan.server.command, arm, server_output, messages)
            counters = Counters(self.plan.perf_events, server.pid)
            try:
                server.release()
                serving = Serving(self.plan.server, server, server_output)
                serving.wait_ready()
                load = self._child(self.plan.command, _NO_ARM, output, messages)
                try:
                    load.release()
                    serving.watch(load, timeout)
                    timed_out = not load.over
                    if timed_out:
                        load.kill()
                    loaded = load.reap(time.perf_counter() - load.started, timed_out)
                finally:
                    load.close()
                ended = serving.stop(loaded)
                counts = _counts(counters)
            finally:
                counters.close()
                server.close()
        status, detail = _judge(loaded, timeout)
        return status, detail and f"load generator: {detail}", ended, counts

    def _child(
        self, command: tuple[str, ...], arm: Arm, output: IO[bytes], messages: IO[bytes]
    ) -> Child:
        env = self._base
        if arm is _NO_ARM:  # a load generator runs as it always does: it is not what is measured
            env = {name: value for name, value in env.items() if name != "LD_PRELOAD"}
        return Child(
            command, env=env, extra=arm.env, cwd=self.plan.cwd, stdout=output.fileno(),
            stderr=messages.fileno(), watchdog=self._watchdog,
            sample_seconds=self.plan.rss_seconds, on_sample=self._open_page,
            interrupt=self._interrupt,
        )  # fmt: skip

    def _open_page(self, pid: int) -> None:
        """Take hold of the process's counters page once it is there; it outlives the process.

        A process that has become another program (`env NAME=VALUE ./prog`) shows another page.
        """
        program = _program_of(pid) if self._counters is not None else ""
        if self._counters is None or not program:
            return
        known, held = self._pages.get(pid, ("", None))
        if program == known:
            return
        page = self._counters.open(pid)
        if page is not None:
            if held is not None:
                held.close()
            self._pages[pid] = (program, page)

    def _take_counters(self, metrics: dict[str, float], missing: dict[str, str]) -> None:
        """Final counts of the measured process: the first whose page was found."""
        for number, (_, page) in enumerate(self._pages.values()):
            if number == 0:
                for name, value in page.final().items():
                    metrics[f"counters.{name}"] = value
            page.close()
        if self._counters is not None and not self._pages:
            missing["counters"] = "no counters page: libhakmem is not loaded, or too short a run"
        self._pages.clear()


def take_asked(
    plan: Plan, metrics: dict[str, float], missing: dict[str, str], output: str = ""
) -> tuple[Status, str]:
    """Fill in the metrics that the plan asks for; without the main one the run has failed."""
    for metric in (plan.metric, *plan.also):
        if metric.ratio:
            _take(metrics, missing, {metric.name: share(metric, metrics)})
        elif metric.counter or metric.probe:
            _take(metrics, missing, {metric.name: counted(metric, metrics)})
        elif metric.from_output:
            _take(metrics, missing, {metric.name: extract(metric, output)})
    name = plan.metric.name
    if name not in metrics:
        return Status.FAILED, missing.get(name, f"metric {name} was not measured")
    if metrics[name] <= 0:
        return Status.FAILED, f"metric {name} is {metrics[name]:g}: effects need it above 0"
    return Status.OK, ""


def _take(
    metrics: dict[str, float], missing: dict[str, str], found: Mapping[str, float | str]
) -> None:
    """Sort what was found into numbers and reasons."""
    for name, value in found.items():
        if isinstance(value, str):
            missing[name] = value
        else:
            metrics[name] = value


def _program_of(pid: int) -> str:
    """The file that a process executes; empty when it is gone."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


def _counts(counters: Counters) -> dict[str, float | str]:
    return {
        name: count.reason if count.value is None else count.value
        for name, count in counters.read().items()
    }


def _process_metrics(ended: Ended) -> tuple[dict[str, float], dict[str, str]]:
    """What the kernel tells of a process, under the names of `plan.BUILTIN_METRICS`."""
    cpu = ended.user + ended.system
    metrics = {
        "wall": ended.wall,
        "user": ended.user,
        "system": ended.system,
        "cpu": cpu,
        "peak_rss": float(ended.peak_rss),
        "minor_faults": float(ended.minor_faults),
        "major_faults": float(ended.major_faults),
        "voluntary_switches": float(ended.voluntary_switches),
        "involuntary_switches": float(ended.involuntary_switches),
    }
    missing = {}
    if cpu > 0:
        metrics["kernel_share"] = ended.system / cpu
    else:
        missing["kernel_share"] = "the run used too little CPU time to measure"
    return metrics, missing


def _judge(ended: Ended, timeout: float) -> tuple[Status, str]:
    if ended.timed_out:
        return Status.TIMEOUT, f"stopped after {timeout:g} s"
    if ended.code < 0:
        return Status.FAILED, f"killed by {signal.Signals(-ended.code).name}"
    if ended.code > 0:
        return Status.FAILED, f"exit status {ended.code}"
    return Status.OK, ""


def _tail_text(file: IO[bytes], most: int = _MOST_OUTPUT) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - most))
    return file.read().decode(errors="replace")


def _with_messages(detail: str, messages: IO[bytes]) -> str:
    """A failure with the last line that the program said about it."""
    lines = [line.strip() for line in _tail_text(messages, _TAIL).splitlines() if line.strip()]
    return f"{detail}: {lines[-1]}" if lines else detail
