"""Which pid namespace we look from: in a container, the kernel's own numbers are not ours.

Used by those who say what a watch is for. Reads /proc/self only.
"""

from __future__ import annotations

import os

#: The inode that the kernel gives to the machine's first pid namespace.
_FIRST_INODE = 0xEFFFFFFC


def own_namespace() -> tuple[int, int] | None:
    """Device and inode of our pid namespace; None in the machine's first one."""
    status = os.stat("/proc/self/ns/pid")
    if status.st_ino == _FIRST_INODE:
        return None
    return status.st_dev, status.st_ino
