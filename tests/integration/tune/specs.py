"""The committed specs in a short form: the same arms and metrics, a small part of the work."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

SPECS = Path(__file__).resolve().parents[3] / "bench" / "specs"


def shortened(name: str, folder: Path, **instead: str) -> Path:
    """A copy of a spec with pieces of its text replaced; each of them must be there.

    Three A/A pairs instead of eight, and a port of its own for a server.
    """
    text = (SPECS / name).read_text()
    pieces = {"[limits]\n": "[limits]\ncalibration = 3\nblocks = 5\n", **instead}
    if "6397" in text:
        pieces["6397"] = str(_free_port())
    for old, new in pieces.items():
        assert old in text, old
        text = text.replace(old, new)
    path = folder / name
    path.write_text(text)
    return path


def _free_port() -> int:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server:
        return int(server.getsockname()[1])
