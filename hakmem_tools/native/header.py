"""Where hakmem_abi.h and libhakmem.so are, in a checkout and in an installed package.

Finds files and reads them; loads nothing.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = _PACKAGE.parent.parent

HEADER_NAME = "hakmem_abi.h"
LIBRARY_NAME = "libhakmem.so"


class LibraryNotFound(Exception):
    """No libhakmem.so where one was looked for; the message says where and what to do."""


def abi_header_text() -> str:
    """The bytes of hakmem_abi.h. Raises FileNotFoundError from a broken installation."""
    for path in (_PACKAGE / HEADER_NAME, _CHECKOUT / "lib" / "include" / HEADER_NAME):
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise FileNotFoundError(
        f"{HEADER_NAME} is neither in {_PACKAGE} nor in a checkout's lib/include"
    )


def abi_constants(header: str) -> dict[str, int]:
    """The plain integer macros of the header, by name."""
    constants = {}
    for line in header.splitlines():
        words = line.split()
        if len(words) >= 3 and words[0] == "#define" and words[2].isdigit():
            constants[words[1]] = int(words[2])
    return constants


def find_library(given: str | None = None) -> Path:
    """The libhakmem.so to use: `given`, else the checkout's build/, else next to this package.

    Returns an absolute path. Raises LibraryNotFound.
    """
    if given is not None:
        path = Path(given).resolve()
        if not path.is_file():
            raise LibraryNotFound(
                f"--lib {given}: no such file; `make build` makes build/libhakmem.so"
            )
        return path
    candidates = (_CHECKOUT / "build" / LIBRARY_NAME, _PACKAGE / LIBRARY_NAME)
    for path in candidates:
        if path.is_file():
            return path
    places = " or ".join(str(path) for path in candidates)
    raise LibraryNotFound(f"no {places}; run `make build`, or give --lib FILE")
