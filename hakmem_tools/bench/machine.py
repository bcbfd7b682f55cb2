"""What a result must say of the machine it was measured on.

`results` puts it into every file. What this machine does not tell is None, with the reason under
`missing`. No path, host name or user is kept.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path

_TUNABLES = ("HAKMEM_", "HAKO_", "MALLOC_", "MIMALLOC_", "TCMALLOC_", "GLIBC_TUNABLES")
BUSY_LOAD = 0.5
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
_THP = Path("/sys/kernel/mm/transparent_hugepage")


def describe_machine(environment: Mapping[str, str] = os.environ) -> dict[str, object]:
    """Processor, cores, kernel, libc, memory, THP, governor, load now, allocator settings set."""
    missing: dict[str, str] = {}
    described: dict[str, object] = {
        "cpu": _cpu_model(missing),
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "page_bytes": os.sysconf("SC_PAGE_SIZE"),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "libc": os.confstr("CS_GNU_LIBC_VERSION"),
        "governor": _read(_GOVERNOR, "governor", missing),
        "thp_enabled": _selected(_read(_THP / "enabled", "thp_enabled", missing)),
        "thp_defrag": _selected(_read(_THP / "defrag", "thp_defrag", missing)),
        "overcommit": _read(Path("/proc/sys/vm/overcommit_memory"), "overcommit", missing),
        "load_average": load_average(),
        "environment": {k: v for k, v in sorted(environment.items()) if k.startswith(_TUNABLES)},
    }
    return {**described, "missing": missing}


def load_average() -> list[float]:
    """The system's load over 1, 5 and 15 minutes."""
    return [round(load, 2) for load in os.getloadavg()]


def is_busy() -> bool:
    """Whether more than half a core has been at work over the last minute."""
    return os.getloadavg()[0] > BUSY_LOAD


def _cpu_model(missing: dict[str, str]) -> str | None:
    text = _read(Path("/proc/cpuinfo"), "cpu", missing) or ""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    missing.setdefault("cpu", "/proc/cpuinfo has no model name")
    return None


def _read(path: Path, name: str, missing: dict[str, str]) -> str | None:
    try:
        return path.read_text().strip()
    except OSError as error:
        missing[name] = f"{path}: {error.strerror}"
        return None


def _selected(text: str | None) -> str | None:
    """The word in brackets of a kernel setting such as `always [madvise] never`."""
    if text is None or "[" not in text:
        return text
    return text.partition("[")[2].partition("]")[0]
