"""Counters pages made by hand, byte by byte, for the tests of their readers.

The descriptor texts are the tests' own: a reader must not lean on the real library's tables.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from hakmem_tools.native.abi import PAGE_MAGIC, load_abi

TEXTS = {
    "knobs": (
        "name\tenv\taliases\ttype\tchoices\tunit\tdefault\tmin\tmax\tscope\tcount\tdoc\n"
        "mode\tHAKMEM_MODE\t\tenum\tquiet|loud\t\t1\t0\t1\tboot\t1\thow it speaks\n"
        "limit\tHAKMEM_LIMIT\tHAKMEM_OLD,HAKMEM_OLDER\tint\t\tblocks\t8\t1\t64\tlive\t1\tat most\n"
        "cap\tHAKMEM_CAP_C<n>\tHAKMEM_HAT_C<n>\tint\t\tslots\t0\t0\t100\tlive\t3\tper class\n"
        "share\tHAKMEM_SHARE\t\tfloat\t\t\t0.5\t0\t1\tboot\t1\ta part\n"
        "reuse\tHAKMEM_REUSE\t\tbool\t\t\t1\t0\t1\tboot\t1\tagain\n"
    ),
    "modes": "mode\tknob\tvalue\nquiet\treuse\t0\n",
    "counters": (
        "name\tshape\tunit\tkind\tdoc\n"
        "mapped_bytes\tscalar\tbytes\tgauge\theld\n"
        "maps\tscalar\tevents\tcounter\tmapped\n"
        "front_pops\tclass\tblocks\tpair\tserved\n"
        "refills\tclass\tevents\tcounter\tmisses\n"
        "active_slots\tclass\tslots\tgauge\tin use\n"
    ),
    "probes": "provider\tname\targs\tdoc\nhakmem\trefill\tclass got\twhen\n",
    "codes": "group\tname\tvalue\ttext\tmeaning\nFAIL\tSOFT_CAP\t1\tsoft_cap\tat its cap\n",
}
KNOB_VALUES = 7  # mode, limit, three caps, share, reuse
SCALAR_WORDS = 4
CLASS_WORDS = 8
CLASS_CAPACITY = 5
CLASS_SIZES = (16, 64, 1024)
BLOCK_BYTES = 4096
BLOCK_CAPACITY = 16


class PageBytes:
    """A page under construction; `data` are its bytes and `offsets` where its parts lie."""

    def __init__(
        self, *, pid: int = 4711, blocks: int = 3, texts: Mapping[str, str] = TEXTS
    ) -> None:
        self.abi = load_abi()
        self.data = bytearray(self.abi.header_bytes)
        self.offsets: dict[str, int] = {}
        for name, text in texts.items():
            self._append(f"{name}_text_offset", text.encode() + b"\0")
        self._append("knob_values_offset", bytes(16 * KNOB_VALUES))
        classes = b"".join(struct.pack("<II", size, 0) for size in CLASS_SIZES)
        self._append("classes_offset", classes)
        self.data += bytes(-len(self.data) % 4096)
        self._append("blocks_offset", bytes(blocks * BLOCK_BYTES))
        plain = {
            "abi_version": self.abi.version,
            "header_bytes": self.abi.header_bytes,
            "page_bytes": len(self.data),
            "pid": pid,
            "start_ns": 77,
            "knob_value_count": KNOB_VALUES,
            "class_capacity": CLASS_CAPACITY,
            "class_count": len(CLASS_SIZES),
            "tiny_class_count": len(CLASS_SIZES),
            "block_bytes": BLOCK_BYTES,
            "block_capacity": BLOCK_CAPACITY,
            "scalar_words": SCALAR_WORDS,
            "class_words": CLASS_WORDS,
            "blocks_used": blocks,
            "mode": 1,
        }
        for field, value in plain.items():
            self.set(field, value)
        self.data[0:8] = PAGE_MAGIC
        at = self.abi.offset_of("hak_page_header", "version")
        self.data[at : at + 5] = b"9.8.7"

    def _append(self, field: str, part: bytes) -> None:
        self.offsets[field] = len(self.data)
        self.set(field, len(self.data))
        self.data += part

    def set(self, field: str, value: int) -> None:
        """Writes a field of the header."""
        at = self.abi.offset_of("hak_page_header", field)
        size = self.abi.field_bytes("hak_page_header", field)
        self.data[at : at + size] = value.to_bytes(size, "little")

    def scalar(self, block: int, word: int, value: int) -> None:
        """Writes a scalar word of a block."""
        self._word(block, word, value)

    def class_word(self, block: int, index: int, word: int, value: int) -> None:
        """Writes a word of a class's record in a block."""
        self._word(block, SCALAR_WORDS + index * CLASS_WORDS + word, value)

    def knob(self, position: int, value: int, source: int, flags: int = 0) -> None:
        """Writes one effective value; `position` counts in hak_knob_value[]."""
        at = self.offsets["knob_values_offset"] + 16 * position
        self.data[at : at + 16] = struct.pack("<qII", value, source, flags)

    def _word(self, block: int, word: int, value: int) -> None:
        at = self.offsets["blocks_offset"] + block * BLOCK_BYTES + 8 * word
        self.data[at : at + 8] = struct.pack("<Q", value % 2**64)


class BytesReader:
    """A PageReader over bytes; reads past the end are short, as of a file."""

    def __init__(self, data: bytes | bytearray) -> None:
        self._data = data

    def read_into(self, offset: int, buffer: memoryview) -> int:
        part = self._data[offset : offset + len(buffer)] if offset < len(self._data) else b""
        buffer[: len(part)] = part
        return len(part)

    def size(self) -> int:
        return len(self._data)
