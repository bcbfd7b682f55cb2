"""Opens the profile source that fits a process: its library's own probes, or uprobes on any
allocator. Says in the header what is known of the process. Used by observe/profiler.py.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress

import msgspec

from hakmem_tools.native.library import open_library
from hakmem_tools.observe.bpf.any_functions import find_allocator
from hakmem_tools.observe.bpf.any_profile import AnyProfile
from hakmem_tools.observe.bpf.any_program import generate_any
from hakmem_tools.observe.bpf.library import LibraryFile, open_library_file, open_mapped_library
from hakmem_tools.observe.bpf.loader import import_bcc
from hakmem_tools.observe.bpf.mapping_log import MappingLog
from hakmem_tools.observe.bpf.namespace import own_namespace
from hakmem_tools.observe.bpf.privilege import (
    check_privilege,
    has_multi_uprobes,
    has_session_uprobes,
)
from hakmem_tools.observe.bpf.profile import ProbeProfile, open_probe_profile
from hakmem_tools.observe.bpf.profile_program import ProfileLimits
from hakmem_tools.observe.counters import CountersSource
from hakmem_tools.observe.proc import Process
from hakmem_tools.observe.profile_header import (
    DEFAULT_SAMPLE_BYTES,
    complete_header,
    describe_process,
)
from hakmem_tools.observe.profile_source import ProfileRequest, ProfileSource
from hakmem_tools.observe.sampling_distance import SamplingDistance
from hakmem_tools.observe.source import (
    NoPage,
    NoSuchProcess,
    SourceUnavailable,
    TargetGone,
)


def check(request: ProfileRequest) -> None:
    """What can be told before anything starts. Raises SourceUnavailable."""
    check_privilege()
    import_bcc()


def open_bpf_profile(request: ProfileRequest) -> ProfileSource:
    """Attaches. Raises SourceUnavailable, TargetError, TargetGone."""
    if request.allocator == "any":
        return _open_any(request)
    if request.started:
        return _open_started(request)
    return _open_running(request)


def _open_running(request: ProfileRequest) -> ProbeProfile:
    header = describe_process(request.pid, "hakmem", DEFAULT_SAMPLE_BYTES, "bpf")
    descriptors = distance = None
    try:
        page = CountersSource(request.pid)
    except NoPage as reason:
        header = msgspec.structs.replace(
            header, missing=(*header.missing, f"size classes and paths: {reason}")
        )
    else:
        distance = SamplingDistance(page, request.budget, request.sample_bytes)
        descriptors = page.descriptors
    try:
        if distance is not None:
            header = complete_header(header, page)
        library = _library_with_samples(request.pid)
    except BaseException:
        if distance is not None:
            distance.close()
        raise
    with library:
        return open_probe_profile(
            library, header, descriptors, faults=request.faults, distance=distance
        )


def _library_with_samples(pid: int) -> LibraryFile:
    try:
        return open_mapped_library(pid)
    except SourceUnavailable as reason:
        try:
            return open_mapped_library(pid, "otel_memory")
        except SourceUnavailable:
            raise SourceUnavailable(
                f"{reason}; or profile it as it is with --allocator any"
            ) from None


def _open_started(request: ProfileRequest) -> ProbeProfile:
    own = open_library(request.lib)
    header = describe_process(request.pid, "hakmem", DEFAULT_SAMPLE_BYTES, "bpf")
    mappings = None
    with suppress(OSError):  # where perf is not allowed, only what still runs is looked into
        mappings = MappingLog(request.pid)
    with open_library_file(own.path) as library:
        return open_probe_profile(
            library, header, own.descriptors, faults=request.faults, mappings=mappings
        )


def _open_any(request: ProfileRequest) -> AnyProfile:
    """Raises SourceUnavailable for a process without an allocator, or an old kernel."""
    if not has_multi_uprobes():
        raise SourceUnavailable(
            "--allocator any needs uprobe_multi links (Linux 6.6): without them probes cannot be "
            "taken off fast enough to keep within a budget"
        )
    try:
        if request.started:
            _await_allocator(request.pid)
        with Process(request.pid) as process:
            allocator = find_allocator(process)
    except NoSuchProcess:
        if not request.started:
            raise
        raise TargetGone(
            f"process {request.pid} ended before its allocator could be watched"
        ) from None
    sample_bytes = request.sample_bytes or DEFAULT_SAMPLE_BYTES
    name = os.path.basename(allocator.name)
    header = describe_process(request.pid, name, sample_bytes, "uprobes")
    missing = ["size classes and paths: uprobes see calls, not how they were served"]
    if request.started:
        missing.append("allocations before the probes were on, in the program's first moments")
    header = msgspec.structs.replace(header, missing=(*header.missing, *missing))
    try:
        generated = generate_any(
            allocator.places,
            request.pid,
            own_namespace(),
            sample_bytes=sample_bytes,
            session=has_session_uprobes(),
            limits=ProfileLimits(),
            faults=request.faults,
        )
        return AnyProfile(header, allocator, generated, request.budget, faults=request.faults)
    except BaseException:
        with suppress(OSError):
            os.close(allocator.descriptor)
        raise


def _await_allocator(pid: int, patience_s: float = 5.0) -> None:
    """Waits until a program that has just been released has mapped its libraries."""
    deadline = time.monotonic() + patience_s
    own = os.stat("/proc/self/exe")
    while time.monotonic() < deadline:
        with suppress(SourceUnavailable, TargetGone, OSError), Process(pid) as process:
            status = process.stat("exe")
            if (status.st_dev, status.st_ino) != (own.st_dev, own.st_ino):
                find = find_allocator(process)
                os.close(find.descriptor)
                return
        time.sleep(0.001)
