"""What may spoil a measurement on this machine, looked at before measuring and kept in the result.

`experiment` calls it once per sweep and host. It reads and warns; it changes no setting.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

_BUSY_SHARE = 0.2  # of all CPUs; the experiment itself needs about one
_ROOT = Path("/")


class MachineState(msgspec.Struct, frozen=True):
    """Facts as text, and what they warn of, one line each."""

    facts: Mapping[str, str]
    warnings: tuple[str, ...]


def inspect(root: Path = _ROOT) -> MachineState:
    """Look at load, CPU frequency, huge pages and swap; facts that cannot be read say so.

    `root` stands for / in tests.
    """
    cpus = os.cpu_count() or 1
    facts = {
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cpu": _cpu_model(root),
        "cpus": str(cpus),
        "libc": " ".join(platform.libc_ver()) or "unknown",
    }
    warnings: list[str] = []
    for check in (_load, _frequency, _turbo, _huge_pages, _swap):
        name, fact, warning = check(root, cpus)
        facts[name] = fact
        if warning:
            warnings.append(warning)
    return MachineState(facts, tuple(warnings))


def _read(root: Path, name: str) -> str | None:
    try:
        return (root / name).read_text().strip()
    except OSError:
        return None


def _cpu_model(root: Path) -> str:
    match = re.search(r"^model name\s*:\s*(.+)$", _read(root, "proc/cpuinfo") or "", re.MULTILINE)
    return match.group(1) if match else "unknown"


def _load(root: Path, cpus: int) -> tuple[str, str, str]:
    text = _read(root, "proc/loadavg")
    if text is None:
        return "load", "unknown", "load: /proc/loadavg cannot be read"
    load = float(text.split()[0])
    warning = ""
    if load > _BUSY_SHARE * cpus:
        warning = f"load is {load:g} on {cpus} CPUs: other programs will blur the comparison"
    return "load", f"{load:g}", warning


def _frequency(root: Path, _: int) -> tuple[str, str, str]:
    governor = _read(root, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    if governor is None:
        return "governor", "not visible", ""
    warning = (
        ""
        if governor == "performance"
        else (f"frequency governor is {governor}: 'performance' keeps the clock steadier")
    )
    return "governor", governor, warning


def _turbo(root: Path, _: int) -> tuple[str, str, str]:
    off = _read(root, "sys/devices/system/cpu/intel_pstate/no_turbo")
    boost = _read(root, "sys/devices/system/cpu/cpufreq/boost")
    if off is None and boost is None:
        return "turbo", "not visible", ""
    on = off == "0" or boost == "1"
    return "turbo", "on" if on else "off", "turbo is on: speed depends on heat" if on else ""


def _huge_pages(root: Path, _: int) -> tuple[str, str, str]:
    text = _read(root, "sys/kernel/mm/transparent_hugepage/enabled") or ""
    match = re.search(r"\[(\w+)\]", text)
    mode = match.group(1) if match else "unknown"
    warning = ""
    if mode == "always":
        warning = "transparent huge pages are 'always': page faults and RSS vary from run to run"
    return "thp", mode, warning


def _swap(root: Path, _: int) -> tuple[str, str, str]:
    sizes = {
        name: int(size)
        for name, size in re.findall(
            r"^(Swap\w+):\s+(\d+)", _read(root, "proc/meminfo") or "", re.M
        )
    }
    total, free = sizes.get("SwapTotal", 0), sizes.get("SwapFree", 0)
    if total == 0:
        return "swap", "none", ""
    used = total - free
    warning = f"{used} KiB of swap are in use: memory is short" if used > total // 100 else ""
    return "swap", f"{used} of {total} KiB used", warning
