"""What of hakmem works on this machine, tried rather than guessed, and how to mend the rest.

`hakmem doctor` shows it. Each check is one function that returns a Check and never raises for
something that is merely absent. It starts one short-lived program under the library and ends
it; it changes nothing.
"""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from hakmem_tools.native.header import LibraryNotFound
from hakmem_tools.native.library import Library, open_library
from hakmem_tools.observe.counters import CountersSource
from hakmem_tools.observe.open import open_source
from hakmem_tools.observe.source import SourceUnavailable, TargetError, TargetGone
from hakmem_tools.observe.target import (
    CannotPreload,
    CannotStart,
    await_page,
    launch,
    preload_environment,
)

OK, WARNING, FAILED = "ok", "warning", "failed"
_PRIVILEGE = "hakmem_tools.observe.bpf.privilege"
#: Something that allocates: a program that never does has no page.
_PROGRAM = (sys.executable, "-c", "import signal; signal.pause()")


class Check(msgspec.Struct, frozen=True):
    """One thing that was tried. `remedy` is empty when there is nothing to mend.

    "failed": a part of hakmem does not work; "warning": it works, with less or slower.
    """

    name: str
    status: str
    detail: str
    remedy: str = ""


def run_checks(lib: str | None = None) -> Iterator[Check]:
    """Every check in turn, each as soon as it is done."""
    library: Library | None = None
    try:
        library = open_library(lib)
        yield Check("library", OK, f"{library.path}, version {library.version}")
    except LibraryNotFound as error:
        yield Check("library", FAILED, str(error), "make build")
    if library is not None:
        yield check_probes(library)
        yield from check_observing(library)
    for check in (
        check_kernel,
        check_capabilities,
        check_multi,
        check_bcc,
        check_tracefs,
        check_perf,
        check_symbolizer,
        check_ptrace_scope,
        check_thp,
        check_packages,
    ):
        yield check()


# ---- the library and its page -----------------------------------------------------------------


def check_probes(library: Library) -> Check:
    """The library's probe sites against its table."""
    from hakmem_tools.observe.elf import ElfError, ElfFile

    try:
        with ElfFile(str(library.path)) as file:
            sites = {(site.provider, site.name) for site in file.sites()}
    except ElfError as error:
        return Check("probes", FAILED, str(error), "make build")
    described = {(probe.provider, probe.name) for probe in library.descriptors.probes}
    if sites == described:
        return Check("probes", OK, f"{len(sites)} USDT sites")
    return Check(
        "probes",
        FAILED,
        f"{len(sites)} of {len(described)} probes have a site",
        "build without BENCH_MINIMAL=1, with systemtap-sdt-dev installed",
    )


def check_observing(library: Library) -> Iterator[Check]:
    """Starts a program under the library; reads its page, then opens the BPF source on it."""
    try:
        environment = preload_environment(library.path, {}, os.environ)
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        launched = launch(_PROGRAM, environment, redirect=dict.fromkeys((0, 1, 2), null))
        os.close(null)
    except (CannotStart, CannotPreload) as error:
        yield Check("counters page", FAILED, str(error), "move the library")
        return
    try:
        yield _check_page(lambda: await_page(launched))
        yield _check_bpf(launched.pid)
    finally:
        launched.end()


def _check_page(open_page: Callable[[], CountersSource]) -> Check:
    try:
        with open_page() as source:
            classes = len(source.snapshot().classes)
            return Check("counters page", OK, f"read without privilege; {classes} size classes")
    except (TargetError, TargetGone) as error:
        return Check("counters page", FAILED, str(error), "allow memfd_create and /proc/PID/fd")


def _check_bpf(pid: int) -> Check:
    try:
        source = open_source(pid, "bpf")
    except SourceUnavailable as error:
        return Check("events and stacks", FAILED, str(error), "see the lines on BPF below")
    except (TargetError, TargetGone) as error:
        return Check("events and stacks", FAILED, str(error))
    try:
        missing = "; ".join(source.missing)
        return Check(
            "events and stacks", OK, "the BPF source opens" + (f"; {missing}" * bool(missing))
        )
    finally:
        source.close()


# ---- the machine ------------------------------------------------------------------------------


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def _privilege() -> Any | None:
    try:
        return importlib.import_module(_PRIVILEGE)
    except ModuleNotFoundError:
        return None


def check_kernel() -> Check:
    """The kernel's release against what the tiers of the BPF source need."""
    release = os.uname().release
    numbers = tuple(int(part) for part in release.split("-")[0].split(".")[:2] if part.isdigit())
    if numbers < (5, 8):
        return Check("kernel", FAILED, release, "Linux 5.8 or newer has BPF ring buffers")
    return Check("kernel", OK, f"Linux {release}")


def check_capabilities() -> Check:
    """Whether BPF is permitted to this process."""
    privilege = _privilege()
    if privilege is None:
        return Check("BPF", FAILED, "hakmem_tools.observe.bpf is not installed", "reinstall hakmem")
    try:
        privilege.check_privilege()
    except SourceUnavailable as error:
        return Check("BPF", FAILED, str(error), "sudo hakmem ...; the counters page works without")
    held = ", ".join(sorted(privilege.held_capabilities()))
    return Check("BPF", OK, f"permitted ({held})")


def check_multi() -> Check:
    """Whether all sites can be attached at once."""
    privilege = _privilege()
    if privilege is not None and privilege.has_multi_uprobes():
        return Check("uprobe_multi", OK, "all probes attach and detach in milliseconds")
    return Check(
        "uprobe_multi",
        WARNING,
        "not available (or not permitted): detaching takes about 0.1 s a probe",
        "Linux 6.6 or newer",
    )


def check_bcc() -> Check:
    """Whether Debian's bcc is there; PyPI's package of that name is another thing."""
    import ctypes.util
    import importlib.util

    spec = importlib.util.find_spec("bcc")
    fallback = Path("/usr/lib/python3/dist-packages/bcc/__init__.py")
    library = ctypes.util.find_library("bcc")
    if library is None or (spec is None and not fallback.exists()):
        return Check("bcc", FAILED, "python3-bpfcc is not installed", "apt install python3-bpfcc")
    origin = spec.origin if spec is not None else str(fallback)
    return Check("bcc", OK, f"{origin}, {library}; kernel headers are not needed")


def check_tracefs() -> Check:
    """Whether tracefs can be read: it lists the uprobes of other tools."""
    for root in ("/sys/kernel/tracing", "/sys/kernel/debug/tracing"):
        if os.access(f"{root}/uprobe_events", os.R_OK):
            return Check("tracefs", OK, root)
    return Check(
        "tracefs",
        WARNING,
        "not mounted, or not readable: probes of other tools may not be listed",
        "mount -t tracefs tracefs /sys/kernel/tracing",
    )


def check_perf() -> Check:
    """Whether perf is there, and whether the processor's counters are."""
    perf = shutil.which("perf")
    if perf is None:
        return Check(
            "perf", WARNING, "not installed: sweeps go without it", "apt install linux-perf"
        )
    command = [perf, "stat", "-x,", "-e", "task-clock,instructions:u", "--", "true"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check("perf", WARNING, f"does not run: {error}", "apt install linux-perf")
    if done.returncode != 0:
        level = _read("/proc/sys/kernel/perf_event_paranoid")
        return Check(
            "perf",
            WARNING,
            f"not permitted (kernel.perf_event_paranoid is {level})",
            "sysctl kernel.perf_event_paranoid=1, or run as root",
        )
    if "<not supported>" in done.stderr:
        return Check(
            "perf",
            OK,
            "software events only: no hardware counters here (usual in a virtual machine)",
            "valgrind --tool=callgrind counts instructions instead",
        )
    return Check("perf", OK, "software events and hardware counters")


def check_symbolizer() -> Check:
    """Whether stacks get file names and lines quickly."""
    found = [name for name in ("llvm-symbolizer", "addr2line") if shutil.which(name)]
    if found:
        return Check("symbols", OK, f"by {found[0]}")
    return Check(
        "symbols", WARNING, "neither llvm-symbolizer nor addr2line: slow", "apt install binutils"
    )


def check_ptrace_scope() -> Check:
    """Yama's restriction on looking into processes of the same user."""
    scope = _read("/proc/sys/kernel/yama/ptrace_scope")
    if scope is None or scope == "0":
        return Check("ptrace", OK, "processes of the same user can be read")
    if scope == "3":
        return Check(
            "ptrace",
            WARNING,
            "kernel.yama.ptrace_scope is 3: a program that ends within a second may go unread",
            "needs a restart of the machine with another value",
        )
    return Check(
        "ptrace", OK, f"kernel.yama.ptrace_scope is {scope}: pages can be read all the same"
    )


def check_thp() -> Check:
    """The machine's policy for huge pages, which large blocks depend on."""
    text = _read("/sys/kernel/mm/transparent_hugepage/enabled")
    if text is None:
        return Check("huge pages", WARNING, "this kernel has no transparent huge pages")
    chosen = text.partition("[")[2].partition("]")[0]
    if chosen == "never":
        return Check(
            "huge pages",
            WARNING,
            "switched off for the machine",
            "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
        )
    return Check("huge pages", OK, chosen)


def check_packages() -> Check:
    """The checkout's packages.apt against what is installed."""
    listing = Path(__file__).resolve().parents[2] / "packages.apt"
    text = _read(str(listing))
    query = shutil.which("dpkg-query")
    if text is None or query is None:
        return Check("packages", OK, "not looked at: no checkout on Debian")
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    wanted = [line for line in lines if line and not line.startswith("[")]
    done = subprocess.run(
        [query, "-W", "-f=${db:Status-Status} ${Package}\n", *wanted],
        capture_output=True,
        text=True,
        check=False,
    )
    installed = {
        line.split()[1] for line in done.stdout.splitlines() if line.startswith("installed ")
    }
    missing = [name for name in wanted if name not in installed]
    if missing:
        return Check(
            "packages",
            WARNING,
            f"{len(missing)} of {len(wanted)} not installed: {' '.join(missing)}",
            "make install-deps",
        )
    return Check("packages", OK, f"all {len(wanted)} of packages.apt are installed")
