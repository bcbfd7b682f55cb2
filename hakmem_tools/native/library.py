"""Our own libhakmem.so, opened to read its tables.

Opening it starts nothing: no thread, no page, no probe. Only for the library that this
installation brings along; a target is read from its counters page and its ELF notes, since
loading somebody else's library would run their code with our rights.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from hakmem_tools.model.descriptors import TEXT_NAMES, Descriptors, parse_descriptors
from hakmem_tools.native.header import LibraryNotFound, abi_header_text, find_library


class Library:
    """One opened libhakmem.so."""

    def __init__(self, path: Path) -> None:
        """Opens `path`. Raises LibraryNotFound when it is not a libhakmem.so."""
        import cffi

        self.path = path
        self._ffi: Any = cffi.FFI()
        self._ffi.cdef(abi_header_text())
        try:
            self._lib: Any = self._ffi.dlopen(str(path))
            self.version = self._text("hak_version")
        except OSError as error:
            reason = str(error).split("  Additionally")[0].rstrip(".")  # what cffi looked for else
            raise LibraryNotFound(f"{path} does not load: {reason}") from None
        except AttributeError:
            raise LibraryNotFound(f"{path} is no libhakmem.so: it has no hak_version()") from None

    @cached_property
    def texts(self) -> dict[str, str]:
        """The five descriptor texts, by name."""
        return {name: self._text(f"hak_describe_{name}") for name in TEXT_NAMES}

    @cached_property
    def descriptors(self) -> Descriptors:
        """Its tables as records."""
        return parse_descriptors(self.texts)

    def _text(self, function: str) -> str:
        return bytes(self._ffi.string(getattr(self._lib, function)())).decode()


def open_library(given: str | None = None) -> Library:
    """Opens the library that find_library() names. Raises LibraryNotFound."""
    return Library(find_library(given))
