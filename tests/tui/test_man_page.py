"""The manual page of hakmem-top lists the keys as the program has them."""

from __future__ import annotations

import re
from pathlib import Path

from hakmem_top.app import VIEWS
from hakmem_top.keys import KEYS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "man" / "hakmem-top.1"


def listed() -> dict[str, str]:
    """Key and sentence of each entry of the section KEYS."""
    section = PAGE.read_text().split(".SH KEYS\n")[1].split(".SH ")[0]
    entries = re.findall(r"^\.TP\n\.B (.+)\n(.+)$", section, flags=re.MULTILINE)
    return {plain(key): plain(text) for key, text in entries}


def plain(text: str) -> str:
    return text.replace("\\-", "-").replace("\\e", "\\")


def test_the_page_lists_every_key_with_the_sentence_of_the_key_table() -> None:
    page = listed()
    for key in KEYS:
        assert page.pop(key.shown) == key.doc
    assert list(page) == [str(number) for number in range(1, len(VIEWS) + 1)]


def test_the_page_names_every_screen() -> None:
    page = listed()
    for number, view in enumerate(VIEWS, start=1):
        assert page[str(number)].startswith(f"{view.TITLE}:")
