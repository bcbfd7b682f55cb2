"""Where a command's data goes: stdout, or the file of -o, which is not overwritten unasked."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import BinaryIO

from hakmem_tools.cli.errors import Failure
from hakmem_tools.cli.output import json_line


def check_path(path: str, force: bool) -> None:
    """Raises Failure for a file that exists (unless forced) or cannot be written."""
    if os.path.exists(path) and not force:
        raise Failure(f"-o {path}: the file exists; --force overwrites it")
    directory = os.path.dirname(os.path.abspath(path))
    if os.path.isdir(path) or not os.access(directory, os.W_OK | os.X_OK):
        raise Failure(f"-o {path}: no file can be written there")


class Sink:
    """Lines of data. A context manager; call flush() after each batch that somebody waits for.

    The file is made by the first line, so that a command that fails before leaves none behind.
    """

    def __init__(self, path: str | None, force: bool) -> None:
        """Raises Failure at once for a file that exists (unless forced) or a bad directory."""
        self._path, self._mode = path, "wb" if force else "xb"
        self._file: BinaryIO | None = None
        if path is None:
            return
        check_path(path, force)

    @property
    def _out(self) -> BinaryIO:
        if self._path is None:
            return sys.stdout.buffer
        if self._file is None:
            try:
                self._file = open(self._path, self._mode)  # type: ignore[assignment] # noqa: SIM115
            except FileExistsError:
                raise Failure(f"-o {self._path}: the file exists by now") from None
        assert self._file is not None
        return self._file

    def json(self, record: Mapping[str, object]) -> None:
        """One JSON line, with its schema_version first."""
        self._out.write(json_line(record))

    def line(self, text: str) -> None:
        """One line of text."""
        self._out.write(text.encode("utf-8", "replace") + b"\n")

    def raw(self, data: bytes) -> None:
        """Bytes as they are."""
        self._out.write(data)

    def flush(self) -> None:
        """Brings what was written to its reader."""
        self._out.flush()

    def __enter__(self) -> Sink:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
