"""The structs of hakmem_abi.h, as cffi lays them out; reads the page header's bytes.

Used to read counters pages. Opens no library: the layout comes from the header's text alone.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cffi

from hakmem_tools.native.header import abi_constants, abi_header_text

PAGE_MAGIC = b"HAKMEM\0\0"


class Abi:
    """Struct layouts and constants of the header that this tool was built with."""

    def __init__(self, header_text: str) -> None:
        self._ffi: Any = cffi.FFI()
        self._ffi.cdef(header_text)
        self.version = abi_constants(header_text)["HAK_ABI_VERSION"]
        self.header_bytes = self.size_of("hak_page_header")

    def size_of(self, struct_name: str) -> int:
        """sizeof(struct NAME) in bytes."""
        return int(self._ffi.sizeof(f"struct {struct_name}"))

    def offset_of(self, struct_name: str, field: str) -> int:
        """Where a field lies in its struct, in bytes."""
        return int(self._ffi.offsetof(f"struct {struct_name}", field))

    def field_bytes(self, struct_name: str, field: str) -> int:
        """How many bytes a field takes."""
        found = dict(self._ffi.typeof(f"struct {struct_name}").fields)[field]
        return int(self._ffi.sizeof(found.type))

    def fields(
        self, struct_name: str, data: bytes | bytearray | memoryview, offset: int = 0
    ) -> dict[str, Any]:
        """A struct's fields by name: ints, and bytes for char arrays.

        Raises ValueError when `data` is shorter than the struct.
        """
        view = memoryview(data).cast("B")[offset : offset + self.size_of(struct_name)]
        if len(view) < self.size_of(struct_name):
            raise ValueError(f"{len(view)} bytes are too few for a {struct_name}")
        record = self._ffi.from_buffer(f"struct {struct_name} *", view)
        return {
            name: value if isinstance(value, int) else bytes(self._ffi.buffer(value))
            for name, _ in self._ffi.typeof(f"struct {struct_name}").fields
            for value in [getattr(record, name)]
        }


@lru_cache(maxsize=1)
def load_abi() -> Abi:
    """The layouts of this installation's hakmem_abi.h."""
    return Abi(abi_header_text())
