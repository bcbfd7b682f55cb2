"""How commands print: JSON lines and plain tables, to stdout."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

import msgspec

from hakmem_tools.cli.errors import Failure
from hakmem_tools.model.snapshot import SCHEMA_VERSION

_encoder = msgspec.json.Encoder()


def json_line(record: Mapping[str, object]) -> bytes:
    """A record as one JSON line, with its schema_version first.

    Bytes of names that are no UTF-8 become question marks.
    """
    whole = {"schema_version": SCHEMA_VERSION, **record}
    try:
        return _encoder.encode(whole) + b"\n"
    except UnicodeEncodeError:  # a path or a command line may hold any byte
        return _encoder.encode(_readable(whole)) + b"\n"


def _readable(value: object) -> object:
    """The same value, with text that can be encoded."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {_readable(name): _readable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_readable(item) for item in value]
    if isinstance(value, msgspec.Struct):
        return _readable(msgspec.to_builtins(value))
    return value


def _stdout() -> TextIO:
    if sys.stdout is None:
        raise Failure("stdout is closed; to drop what is printed use >/dev/null")
    return sys.stdout


def print_json(record: Mapping[str, object]) -> None:
    """One JSON line, written at once."""
    _stdout().buffer.write(json_line(record))
    sys.stdout.buffer.flush()


def print_line(text: str = "") -> None:
    """One line of text, written at once."""
    _stdout().write(text + "\n")
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
