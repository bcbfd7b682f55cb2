"""Places that only root can make: a disk that is nearly full."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory on a file system of its own, of 96 KiB: room for some runs, not for all."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k", "sweep", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)
