"""What a library says of itself: its knobs, modes, counters, probes and codes as records.

Filled from descriptor texts (hakmem_abi.h), wherever these come from: the loaded library, the
counters page of a running process, a recording. Pure; fields that a newer library adds are
ignored, so that an older tool still reads it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import msgspec

#: The five texts, in the order of the page header's offsets.
TEXT_NAMES = ("knobs", "modes", "counters", "probes", "codes")
COUNTER_SHAPES = ("scalar", "class")
COUNTER_KINDS = ("counter", "gauge", "pair")
KNOB_TYPES = ("bool", "int", "enum", "float")
#: Where an effective value came from, by hak_knob_value.source.
KNOB_SOURCES = ("default", "mode", "env", "live")

KnobValue = int | float | str


class DescriptorError(ValueError):
    """A descriptor text does not read as the table it should be."""


class Knob(msgspec.Struct, frozen=True):
    """One row of knobs.def. An indexed knob has `count` > 1 values and `<n>` in its names.

    `opposites` are the aliases that mean the reverse: a yes switches the knob off.
    """

    name: str
    env: str
    aliases: tuple[str, ...]
    type: str
    choices: tuple[str, ...]
    unit: str
    default: float
    min: float
    max: float
    scope: str
    count: int
    doc: str
    opposites: tuple[str, ...] = ()

    def value_from_bits(self, bits: int) -> KnobValue:
        """The value behind the signed 64 bits of hak_knob_value, as this knob's type."""
        if self.type == "float":
            return float(struct.unpack("<d", struct.pack("<q", bits))[0])
        if self.type == "enum":
            return self.choices[bits] if 0 <= bits < len(self.choices) else f"#{bits}"
        return bits

    def present(self, number: float) -> KnobValue:
        """A number of the table (default, a mode's value) as this knob's type."""
        if self.type == "float":
            return float(number)
        return self.value_from_bits(int(number))

    def env_name(self, index: int | None = None) -> str:
        """The environment variable of the value with this index (None for a plain knob)."""
        return self.env if index is None else self.env.replace("<n>", str(index))

    @property
    def allowed(self) -> str:
        """What may be given, in words: the choices or the range."""
        if self.type == "enum":
            return "|".join(self.choices)
        if self.type == "bool":
            return "0 or 1"
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.present(self.min)}..{self.present(self.max)}{unit}"


class Mode(msgspec.Struct, frozen=True):
    """One row of modes.def: the value that a knob takes in a mode instead of its default."""

    mode: str
    knob: str
    value: float


class Counter(msgspec.Struct, frozen=True):
    """One row of counters.def; `words` is how many 64-bit words it takes in a block."""

    name: str
    shape: str
    unit: str
    kind: str
    doc: str

    @property
    def words(self) -> int:
        return 2 if self.kind == "pair" else 1


class Probe(msgspec.Struct, frozen=True):
    """One row of probes.def; `args` are the names of its 8-byte arguments in order."""

    provider: str
    name: str
    args: tuple[str, ...]
    doc: str


class Code(msgspec.Struct, frozen=True):
    """One row of codes.def: the word for a number that a probe argument or counter carries."""

    group: str
    name: str
    value: int
    text: str
    meaning: str


class Descriptors(msgspec.Struct, frozen=True, dict=True):
    """Everything that one library says of itself."""

    knobs: tuple[Knob, ...]
    modes: tuple[Mode, ...]
    counters: tuple[Counter, ...]
    probes: tuple[Probe, ...]
    codes: tuple[Code, ...]

    @cached_property
    def gauges(self) -> frozenset[str]:
        """Names of the counters that go up and down."""
        return frozenset(row.name for row in self.counters if row.kind == "gauge")

    def knob(self, name: str) -> Knob:
        """The knob with this table name. Raises KeyError."""
        for knob in self.knobs:
            if knob.name == name:
                return knob
        raise KeyError(name)

    def code_text(self, group: str, value: int) -> str:
        """The word for a number; the number itself where the table has none."""
        for code in self.codes:
            if code.group == group and code.value == value:
                return code.text
        return str(value)

    def knob_slots(self) -> Iterator[tuple[Knob, int | None]]:
        """Knob and index of each element of hak_knob_value[], in order; None for a plain knob."""
        for knob in self.knobs:
            if knob.count == 1:
                yield knob, None
            else:
                for index in range(knob.count):
                    yield knob, index


def _rows(name: str, text: str) -> Iterator[dict[str, str]]:
    lines = text.splitlines()
    if not lines:
        raise DescriptorError(f"the {name} text is empty")
    fields = lines[0].split("\t")
    for number, line in enumerate(lines[1:], start=2):
        values = line.split("\t")
        if len(values) != len(fields):
            raise DescriptorError(
                f"the {name} text, line {number}: {len(values)} fields, but {len(fields)} names"
            )
        yield dict(zip(fields, values, strict=True))


def _words(text: str, separator: str | None) -> tuple[str, ...]:
    return tuple(word for word in text.split(separator) if word)


_SPLIT: dict[tuple[type[Any], str], str | None] = {
    (Knob, "aliases"): ",",
    (Knob, "choices"): "|",
    (Probe, "args"): None,
}


#: Fields that no text has: they are read off others.
_DERIVED = ("opposites",)


def _sort_aliases(knob: Knob) -> Knob:
    """The knob with the ! before its opposite aliases taken off."""
    opposites = tuple(alias[1:] for alias in knob.aliases if alias.startswith("!"))
    aliases = tuple(alias.removeprefix("!") for alias in knob.aliases)
    return msgspec.structs.replace(knob, aliases=aliases, opposites=opposites)


def _record(kind: type[Any], table: str, row: dict[str, str]) -> Any:
    """A record of `kind`, its numbers converted and its lists split."""
    try:
        values: dict[str, object] = {
            name: _words(row[name], _SPLIT[kind, name]) if (kind, name) in _SPLIT else row[name]
            for name in kind.__struct_fields__
            if name in row or name not in _DERIVED
        }
        return msgspec.convert(values, kind, strict=False)
    except KeyError as missing:
        raise DescriptorError(f"the {table} text has no field {missing}") from None
    except msgspec.ValidationError as error:
        raise DescriptorError(f"the {table} text: {error}") from None


def _check(descriptors: Descriptors) -> None:
    for counter in descriptors.counters:
        if counter.shape not in COUNTER_SHAPES or counter.kind not in COUNTER_KINDS:
            raise DescriptorError(
                f"counter {counter.name}: unknown shape {counter.shape!r} or kind {counter.kind!r}"
            )
    for knob in descriptors.knobs:
        if knob.type not in KNOB_TYPES or not 1 <= knob.count <= 65536:
            raise DescriptorError(f"knob {knob.name}: type {knob.type!r}, count {knob.count}")


def parse_descriptors(texts: Mapping[str, str]) -> Descriptors:
    """Reads the five texts (keys TEXT_NAMES). Raises DescriptorError, also for a text cut short."""
    kinds = {"knobs": Knob, "modes": Mode, "counters": Counter, "probes": Probe, "codes": Code}
    tables: dict[str, tuple[Any, ...]] = {}
    for name in TEXT_NAMES:
        text = texts[name]
        if not text.endswith("\n"):
            raise DescriptorError(f"the {name} text is cut short")
        tables[name] = tuple(_record(kinds[name], name, row) for row in _rows(name, text))
    tables["knobs"] = tuple(_sort_aliases(knob) for knob in tables["knobs"])
    descriptors = Descriptors(**tables)
    _check(descriptors)
    return descriptors
