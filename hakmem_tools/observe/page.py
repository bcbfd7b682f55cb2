"""A counters page's bytes as records: header, descriptors, knob values, summed counters.

The counters source and recordings use it. The page is written by the watched process, which
may be hostile or damaged: every offset and size is checked before it is followed, and what
does not hold up raises PageError. Knows the layout from the page's own header and descriptor
texts alone; the tables of our own library play no part.

A pair's two words are not read at one instant: while its thread counts, its value can be off
by the steps between two limit checks (at most one refill); at rest it is exact.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from hakmem_tools.model.descriptors import (
    KNOB_SOURCES,
    TEXT_NAMES,
    Counter,
    DescriptorError,
    Descriptors,
    Knob,
    KnobValue,
    parse_descriptors,
)
from hakmem_tools.native.abi import PAGE_MAGIC, Abi

#: Larger than any library writes; they bound what a hostile page can make us do.
_MOST_TEXT_BYTES = 1 << 20
_MOST_BLOCK_BYTES = 1 << 20
_MOST_BLOCKS_TOTAL_BYTES = 1 << 30
_MOST_CLASSES = 4096
_MOST_KNOB_VALUES = 1 << 16
#: Blocks read at a time: a megabyte or two, which stays in the cache while it is summed.
_CHUNK_BLOCKS = 64
_TIERS = ("tiny", "mid", "large")


class PageError(Exception):
    """The bytes are no counters page that this tool reads; the message says what is wrong."""


class PageReader(Protocol):
    """Where a page's bytes come from."""

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Fills `buffer` from `offset`; returns the bytes read, fewer at the page's end."""

    def size(self) -> int:
        """Bytes in the page now."""


class Layout(msgspec.Struct, frozen=True):
    """What a page's header says once and for all."""

    pid: int
    forked_from: int
    start_ns: int
    version: str
    knob_values_offset: int
    knob_value_count: int
    classes_offset: int
    class_count: int
    blocks_offset: int
    block_bytes: int
    block_capacity: int
    scalar_words: int
    class_words: int


class SizeClass(msgspec.Struct, frozen=True):
    """Stride of a class's blocks, in bytes, and its tier."""

    size_bytes: int
    tier: str


class KnobSetting(msgspec.Struct, frozen=True):
    """What one knob value of a process is and where it came from.

    `refused` says that the given value was out of range or not understood, and was replaced.
    `learned` says that the value in force is the learner's; its source is live.
    """

    knob: Knob
    index: int | None
    value: KnobValue
    source: str
    refused: bool
    learned: bool = False

    @property
    def pinned(self) -> bool:
        """Whether somebody has set it, so that the learner leaves it alone."""
        return self.source in ("env", "live") and not self.learned


class Tally(msgspec.Struct, frozen=True):
    """Counters summed over all blocks: by name, and by name for each class in order."""

    scalars: dict[str, int]
    classes: tuple[dict[str, int], ...]


def read_exactly(reader: PageReader, offset: int, count: int, what: str) -> bytearray:
    """`count` bytes at `offset`. Raises PageError, naming `what`, when the page ends before."""
    buffer = bytearray(count)
    got = reader.read_into(offset, memoryview(buffer))
    if got != count:
        raise PageError(f"{what} ends after {got} of {count} bytes")
    return buffer


def _check_header(fields: dict[str, Any], abi: Abi) -> None:
    if fields["magic"] != PAGE_MAGIC:
        raise PageError("it does not begin with HAKMEM (or is still being made)")
    if fields["abi_version"] != abi.version:
        raise PageError(
            f"it is of ABI version {fields['abi_version']}, and this tool reads version "
            f"{abi.version}; use the tools of libhakmem {_version_of(fields)}"
        )
    if fields["header_bytes"] < abi.header_bytes:
        raise PageError(f"its header has {fields['header_bytes']} bytes, not {abi.header_bytes}")


def _version_of(fields: dict[str, Any]) -> str:
    raw: bytes = fields["version"].split(b"\0")[0]
    return "".join(c if c.isprintable() else "?" for c in raw.decode("ascii", "replace"))


def _check_blocks(layout: Layout, class_capacity: int) -> None:
    words = layout.scalar_words + class_capacity * layout.class_words
    blocks_bytes = layout.block_bytes * layout.block_capacity
    sane = (
        0 < layout.class_count <= class_capacity <= _MOST_CLASSES
        and layout.knob_value_count <= _MOST_KNOB_VALUES
        and 0 < words * 8 <= layout.block_bytes <= _MOST_BLOCK_BYTES
        and layout.block_bytes % 8 == 0
        and 0 < blocks_bytes <= _MOST_BLOCKS_TOTAL_BYTES
    )
    if not sane:
        raise PageError(
            f"its sizes do not fit together ({layout.class_count} of {class_capacity} classes, "
            f"{layout.block_capacity} blocks of {layout.block_bytes} bytes)"
        )


def read_layout(reader: PageReader, abi: Abi) -> tuple[Layout, dict[str, Any]]:
    """The checked header, and its raw fields. Raises PageError."""
    fields = abi.fields("hak_page_header", read_exactly(reader, 0, abi.header_bytes, "its header"))
    _check_header(fields, abi)
    known = {name: fields[name] for name in Layout.__struct_fields__ if name != "version"}
    layout = Layout(version=_version_of(fields), **known)
    _check_blocks(layout, fields["class_capacity"])
    return layout, fields


def read_texts(reader: PageReader, fields: dict[str, Any]) -> dict[str, str]:
    """The five descriptor texts, by name. Raises PageError."""
    return {name: _text_at(reader, name, fields[f"{name}_text_offset"]) for name in TEXT_NAMES}


def _text_at(reader: PageReader, name: str, offset: int) -> str:
    text = bytearray()
    while len(text) < _MOST_TEXT_BYTES:
        piece = bytearray(16384)
        got = reader.read_into(offset + len(text), memoryview(piece))
        end = piece.find(0, 0, got)
        text += piece[: got if end < 0 else end]
        if end >= 0:
            return text.decode("utf-8", "replace")
        if got < len(piece):
            break
    raise PageError(f"its {name} text has no end")


def read_descriptors(texts: dict[str, str]) -> Descriptors:
    """The texts as records. Raises PageError."""
    try:
        return parse_descriptors(texts)
    except DescriptorError as error:
        raise PageError(str(error)) from None


def read_classes(reader: PageReader, abi: Abi, layout: Layout) -> tuple[SizeClass, ...]:
    """The size classes in use. Raises PageError."""
    size = abi.size_of("hak_class_info")
    data = read_exactly(
        reader, layout.classes_offset, size * layout.class_count, "its table of classes"
    )
    rows = (abi.fields("hak_class_info", data, i * size) for i in range(layout.class_count))
    return tuple(
        SizeClass(
            size_bytes=row["size_bytes"],
            tier=_TIERS[row["tier"]] if row["tier"] < len(_TIERS) else str(row["tier"]),
        )
        for row in rows
    )


def read_knobs(
    reader: PageReader, abi: Abi, layout: Layout, descriptors: Descriptors
) -> tuple[KnobSetting, ...]:
    """Every effective knob value, in table order. Raises PageError."""
    slots = list(descriptors.knob_slots())
    if len(slots) != layout.knob_value_count:
        raise PageError(f"{layout.knob_value_count} knob values where {len(slots)} are described")
    size = abi.size_of("hak_knob_value")
    data = read_exactly(reader, layout.knob_values_offset, size * len(slots), "its knob values")
    settings = []
    for position, (knob, index) in enumerate(slots):
        row = abi.fields("hak_knob_value", data, position * size)
        source = row["source"]
        settings.append(
            KnobSetting(
                knob=knob,
                index=index,
                value=knob.value_from_bits(row["value"]),
                source=KNOB_SOURCES[source] if source < len(KNOB_SOURCES) else str(source),
                refused=bool(row["flags"] & 1),
                learned=bool(row["flags"] & 2),
            )
        )
    return tuple(settings)


class _Columns:
    """Where the counters of one shape lie: their names, first words, and pairs' second words."""

    def __init__(self, counters: list[Counter], words: int) -> None:
        self.names = [counter.name for counter in counters]
        self.first: list[int] = []
        at = 0
        for counter in counters:
            self.first.append(at)
            at += counter.words
        if at > words:
            raise PageError(f"{at} counter words are described where a record has {words}")
        self.pairs = [i for i, counter in enumerate(counters) if counter.words == 2]
        self.second = [self.first[i] + 1 for i in self.pairs]

    def values(self, records: npt.NDArray[np.uint64]) -> list[list[int]]:
        """Values per record; sums wrap modulo 2^64 and come out signed, as gauges may dip."""
        out = records[:, self.first]
        out[:, self.pairs] += records[:, self.second]
        rows: list[list[int]] = out.view(np.int64).tolist()
        return rows


class BlockSummer:
    """Adds up a page's counter blocks. Keeps its buffer: one thread at a time.

    256 blocks of 80 classes take about a millisecond.
    """

    def __init__(self, layout: Layout, descriptors: Descriptors) -> None:
        """Raises PageError when the described counters do not fit the blocks."""
        self._layout = layout
        shaped = {
            shape: [row for row in descriptors.counters if row.shape == shape]
            for shape in ("scalar", "class")
        }
        self._scalars = _Columns(shaped["scalar"], layout.scalar_words)
        self._classes = _Columns(shaped["class"], layout.class_words)
        self._used_words = layout.scalar_words + layout.class_count * layout.class_words
        self._buffer = np.zeros((_CHUNK_BLOCKS, layout.block_bytes // 8), dtype=np.uint64)

    def sum(self, reader: PageReader, blocks_used: int) -> Tally:
        """The tally over the first `blocks_used` blocks; bytes past the page's end are zero."""
        total = np.zeros(self._used_words, dtype=np.uint64)
        count = min(blocks_used, self._layout.block_capacity)
        for first in range(0, count, _CHUNK_BLOCKS):
            total += self._sum_chunk(reader, first, min(_CHUNK_BLOCKS, count - first))
        scalars = total[: self._layout.scalar_words].reshape(1, -1)
        classes = total[self._layout.scalar_words :].reshape(self._layout.class_count, -1)
        return Tally(
            scalars=dict(zip(self._scalars.names, self._scalars.values(scalars)[0], strict=True)),
            classes=tuple(
                dict(zip(self._classes.names, row, strict=True))
                for row in self._classes.values(classes)
            ),
        )

    def _sum_chunk(self, reader: PageReader, first: int, count: int) -> npt.NDArray[np.uint64]:
        layout = self._layout
        flat = self._buffer.data.cast("B")[: count * layout.block_bytes]
        got = reader.read_into(layout.blocks_offset + first * layout.block_bytes, flat)
        whole = got // layout.block_bytes
        chunk = self._buffer[:whole, : self._used_words]
        summed: npt.NDArray[np.uint64] = chunk.sum(axis=0, dtype=np.uint64)
        return summed
