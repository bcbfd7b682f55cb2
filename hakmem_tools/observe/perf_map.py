"""Names of code that a JIT made: /tmp/perf-PID.map, in the target's own mount namespace.

The file belongs to the target: sizes are bounded, lines that do not read are left out, and
names are what the target says.
"""

from __future__ import annotations

import bisect
import os
import stat

_MOST_BYTES = 64 << 20
_MOST_NAME = 512


class PerfMap:
    """The functions of a perf map; empty for one that is not there."""

    def __init__(self, text: str = "") -> None:
        """Lines are `START SIZE NAME`, numbers in hexadecimal; later lines replace earlier."""
        found: dict[int, tuple[int, str]] = {}
        for line in text.splitlines():
            parts = line.split(None, 2)
            try:
                found[int(parts[0], 16)] = (int(parts[1], 16), parts[2][:_MOST_NAME])
            except (IndexError, ValueError):
                continue
        self._starts = sorted(found)
        self._found = found

    def __len__(self) -> int:
        return len(self._starts)

    def find(self, address: int) -> str | None:
        """The name of the function that covers an address."""
        index = bisect.bisect_right(self._starts, address) - 1
        if index < 0:
            return None
        start = self._starts[index]
        size, name = self._found[start]
        return name if address < start + size else None


def read_perf_map(pid: int) -> PerfMap:
    """The perf map of a running process: as its own namespace numbers it, or as ours does."""
    for path in _candidates(pid):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue
        with os.fdopen(descriptor, "rb") as file:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                return PerfMap(file.read(_MOST_BYTES).decode("utf-8", "replace"))
    return PerfMap()


def _candidates(pid: int) -> list[str]:
    numbers = [pid]
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith("NSpid:"):
                    numbers = [int(word) for word in reversed(line.split()[1:])] + numbers
    except (OSError, ValueError):
        pass
    return [f"/proc/{pid}/root/tmp/perf-{number}.map" for number in dict.fromkeys(numbers)]
