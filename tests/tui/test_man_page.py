"""The manual page of hakmem-top lists the keys as the program has them."""

from __future__ import annotations

import re
from pathlib import Path

from hakmem_top.app import VIEWS
from hakmem_top.keys import KEYS, SCREEN_KEYS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "man" / "hakmem-top.1"


def listed(of: str = "") -> dict[str, str]:
    """Key and sentence of each entry of the section KEYS, or of a screen's part of it."""
    section = PAGE.read_text().split(".SH KEYS\n")[1].split(".SH ")[0]
    parts = dict(re.findall(r"^\.SS (\w+)\n(.*?)(?=^\.SS |\Z)", section, flags=re.M | re.S))
    section = parts.get(of, "") if of else section.split(".SS ")[0]
    entries = re.findall(r"^\.TP\n\.B (.+)\n(.+)$", section, flags=re.MULTILINE)
    return {plain(key): plain(text) for key, text in entries}


def plain(text: str) -> str:
    return text.replace("\\-", "-").replace("\\e", "\\")


def test_the_page_lists_every_key_with_the_sentence_of_the_key_table() -> None:
    page = listed()
    for key in KEYS:
        assert page.pop(key.shown) == key.doc
    assert list(page) == [str(number) for number in range(1, len(VIEWS) + 1)]


def test_the_page_lists_the_keys_that_single_screens_have() -> None:
    for view in VIEWS:
        page = listed(view.TITLE)
        for key in SCREEN_KEYS.get(view.NAME, ()):
            assert page.pop(key.shown) == key.doc
        assert not page


def test_the_page_names_every_screen() -> None:
    page = listed()
    for number, view in enumerate(VIEWS, start=1):
        assert page[str(number)].startswith(f"{view.TITLE}:")
