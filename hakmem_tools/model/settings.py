"""Knob settings as people write them (NAME=VALUE), checked against a library's knobs.

`hakmem run`, the sweep and the knob commands use it. Pure. The library checks again for
itself; checking here turns a typing error into a refusal instead of a run with defaults.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

import msgspec

from hakmem_tools.model.descriptors import Descriptors, Knob

_SUFFIX = {"": 0, "K": 10, "M": 20, "G": 30}
_INTEGER = re.compile(r"(-?)(0[xX][0-9a-fA-F]+|[0-9]+)([kKmMgG]?)")
_FLOAT = re.compile(r"-?([0-9]+\.?[0-9]*|\.[0-9]+)")
_MOST_DIGITS = 40  # above any range; Python refuses to convert more than some thousands
_MOST_SHOWN = 60  # characters of what was given, as the library does
_BOOLS = {"0": 0, "off": 0, "no": 0, "false": 0, "1": 1, "on": 1, "yes": 1, "true": 1}


class SettingError(ValueError):
    """A setting that the library would not take; one line with what is allowed."""


class Setting(msgspec.Struct, frozen=True):
    """A checked setting: its knob, index, value as a number, and how to put it in the env."""

    knob: Knob
    index: int | None
    number: float
    env: str
    text: str


def _match(pattern: str, name: str, count: int) -> tuple[bool, int | None]:
    """Whether `name` spells `pattern`, whose <n> stands for an index below `count`.

    Raises SettingError for a larger index.
    """
    if "<n>" not in pattern:
        return name == pattern, None
    prefix = pattern.removesuffix("<n>")
    digits = name.removeprefix(prefix)
    if not (name.startswith(prefix) and digits.isascii() and digits.isdigit()):
        return False, None
    if len(digits) > 9 or int(digits) >= count:
        raise SettingError(f"{name}: index {digits[:9]} outside 0..{count - 1}")
    return True, int(digits)


def _spellings(knob: Knob) -> tuple[str, ...]:
    table_name = knob.name if knob.count == 1 else f"{knob.name}_<n>"
    return (knob.env, *knob.aliases, table_name)


def find_knob(descriptors: Descriptors, name: str) -> tuple[Knob, int | None]:
    """The knob and index that a name means: its variable, an older one, or its table name.

    Raises SettingError with the nearest names.
    """
    for knob in descriptors.knobs:
        for pattern in _spellings(knob):
            matches, index = _match(pattern, name, knob.count)
            if matches:
                return knob, index
    raise SettingError(f"{shown(name)}: no such knob{_nearest(descriptors, shown(name))}")


def _nearest(descriptors: Descriptors, name: str) -> str:
    """ "; did you mean ...?" with the closest spellings, or where to look."""
    digits = re.search(r"\d+$", name)
    folded = {
        spelling.replace("<n>", digits.group() if digits else "<n>"): spelling
        for knob in descriptors.knobs
        for spelling in _spellings(knob)
    }
    known = {spelling.upper(): spelling for spelling in folded}
    close = difflib.get_close_matches(name.upper(), known, n=3, cutoff=0.7)
    if not close:
        return "; `hakmem knobs` lists them"
    return f"; did you mean {' or '.join(known[word] for word in close)}?"


def parse_value(knob: Knob, text: str) -> float:
    """The number that `text` stands for. Raises SettingError: not understood, or out of range."""
    number = _number(knob, text)
    if number is None:
        raise SettingError(f"not understood; allowed is {knob.allowed}")
    if not knob.min <= number <= knob.max:
        raise SettingError(f"outside {knob.allowed}")
    return number


def _number(knob: Knob, text: str) -> float | None:
    if knob.type == "bool":
        return _BOOLS.get(text)
    if knob.type == "float":
        return float(text) if _FLOAT.fullmatch(text) else None
    if knob.type == "enum" and text in knob.choices:
        return knob.choices.index(text)
    match = _INTEGER.fullmatch(text)
    if match is None:
        return None
    sign, digits, suffix = match.groups()
    base = 16 if digits[:2] in ("0x", "0X") else 10
    counting = digits.removeprefix("0x").removeprefix("0X").lstrip("0")[:_MOST_DIGITS] or "0"
    number = int(counting, base) << _SUFFIX[suffix.upper()]
    return -number if sign else number


def _parse_opposite(knob: Knob, text: str) -> float:
    """What a yes or no under an opposite name makes of the knob. Raises SettingError."""
    yes = _BOOLS.get(text)
    if yes is None:
        raise SettingError("not understood; allowed is 0 or 1")
    if knob.type == "bool":
        return 1 - yes
    return knob.choices.index("off") if yes else knob.default


def shown(text: str) -> str:
    """What somebody has given, as a message shows it: on one line, and not without end."""
    cut = f"{text[:_MOST_SHOWN]}..." if len(text) > _MOST_SHOWN else text
    return "".join(letter if letter.isprintable() else "?" for letter in cut)


def parse_setting(descriptors: Descriptors, assignment: str) -> Setting:
    """NAME=VALUE as a checked setting. Raises SettingError."""
    name, equals, text = assignment.partition("=")
    if not equals:
        raise SettingError(f"{shown(assignment)}: expected NAME=VALUE")
    knob, index = find_knob(descriptors, name)
    try:
        opposite = name in knob.opposites
        number = _parse_opposite(knob, text) if opposite else parse_value(knob, text)
    except SettingError as error:
        raise SettingError(f"{name}={shown(text)}: {error}") from None
    table_name = knob.name if index is None else f"{knob.name}_{index}"
    env = knob.env_name(index) if name == table_name else name
    return Setting(knob=knob, index=index, number=number, env=env, text=text)


def settings_environment(descriptors: Descriptors, assignments: Iterable[str]) -> dict[str, str]:
    """The environment variables for the assignments; a later one wins. Raises SettingError."""
    settings = (parse_setting(descriptors, assignment) for assignment in assignments)
    return {setting.env: setting.text for setting in settings}
