"""How commands print: JSON lines and plain tables, to stdout."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from hakmem_tools.model.snapshot import SCHEMA_VERSION

_encoder = msgspec.json.Encoder()


def print_json(record: Mapping[str, object]) -> None:
    """One JSON line, with its schema_version first, written at once."""
    line = _encoder.encode({"schema_version": SCHEMA_VERSION, **record})
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


def print_line(text: str = "") -> None:
    """One line of text, written at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table; columns of numbers are set to the right, the last one is not padded."""
    cells = [list(row) for row in rows]
    columns = list(zip(headings, *cells, strict=True))
    right = [all(_is_number(cell) for cell in column[1:]) and cells for column in columns]
    widths = [max(len(cell) for cell in column) for column in columns]
    lines = []
    for row in [list(headings), *cells]:
        padded = [
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ]
        lines.append("  ".join(padded).rstrip())
    return lines


def _is_number(cell: str) -> bool:
    return cell[:1].isdigit() or cell[:1] == "-"


def human_bytes(count: int) -> str:
    """A byte count in powers of 1024 with a unit: 512 B, 1.5 MiB."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"
