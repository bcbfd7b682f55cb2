"""The header of a profile: what is known of its process, from /proc and its counters page.

Used by every profile source.
"""

from __future__ import annotations

import os
import platform
import time
from contextlib import suppress

import msgspec

from hakmem_tools.model.descriptors import Descriptors
from hakmem_tools.model.profile_records import PROFILE_SCHEMA_VERSION, Header
from hakmem_tools.observe.counters import CountersSource
from hakmem_tools.observe.proc import Process
from hakmem_tools.observe.sampling_distance import distance_when_heard
from hakmem_tools.observe.source import SourceUnavailable, TargetError, TargetGone

#: Where nobody has said anything else.
DEFAULT_SAMPLE_BYTES = 512 << 10


def describe_process(pid: int, allocator: str, sample_bytes: int, source: str) -> Header:
    """The header of a profile that begins now."""
    command, exe = f"process {pid}", ""
    with suppress(OSError):
        exe = os.readlink(f"/proc/{pid}/exe")
    with suppress(TargetError, TargetGone), Process(pid) as process:
        command = process.command_line()
    system = platform.uname()
    return Header(
        schema_version=PROFILE_SCHEMA_VERSION,
        pid=pid,
        exe=exe,
        command=command,
        allocator=allocator,
        sample_bytes=sample_bytes,
        start_ns=time.monotonic_ns(),
        wall_ns=time.time_ns(),
        source=source,
        machine={"system": f"{system.system} {system.release}", "machine": system.machine},
    )


def complete_header(header: Header, page: CountersSource, *, needs_samples: bool = True) -> Header:
    """The header with what the counters page tells: size classes, paths, the sampling distance.

    Raises SourceUnavailable when the process samples nothing and samples are needed.
    """
    sample_bytes = distance_when_heard(page)
    if sample_bytes == 0 and needs_samples:
        raise SourceUnavailable(
            f"process {header.pid} samples no allocations (HAKMEM_SAMPLE_BYTES=0, as in mode "
            "fast or minimal); --sample-bytes 524288 lets it, while the profile lasts"
        )
    return msgspec.structs.replace(
        header,
        allocator=f"hakmem {page.version}",
        sample_bytes=sample_bytes,
        texts=page.texts,
        classes={number: row.size_bytes for number, row in enumerate(page.size_classes)},
        paths=path_words(page.descriptors),
    )


def path_words(descriptors: Descriptors) -> dict[int, str]:
    """What served a block, by its code."""
    return {code.value: code.text for code in descriptors.codes if code.group == "PATH"}
