"""Text that the target chose, made harmless for a terminal. Pure.

Names of functions, files, threads and commands are the target's: control characters, and the
marks that turn the direction of writing, are shown as escapes.
"""

from __future__ import annotations

import unicodedata

_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))


def plain(text: str) -> str:
    r"""The text with everything that is not seen written as an escape (\x1b, \u202e)."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character if unicodedata.category(character) not in _HIDDEN else _escape(character)
        for character in text
    )


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
