"""Names that were found once, on disk: a file for each build-id, under the user's cache.

Debug information is large and never changes for a build-id, so that a second look costs
milliseconds. A file that does not read is as good as none; writing one never fails aloud.
"""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path

import msgspec
import zstandard

from hakmem_tools.model.profile_records import CallFrame

_MOST_BYTES = 256 << 20
_VERSION = 1
_BUILD_ID = re.compile(r"[0-9a-f]{8,128}\Z")
#: A file that grew larger is begun anew.
_MOST_PLACES = 1_000_000

_Places = dict[int, tuple[CallFrame, ...]]


class _File(msgspec.Struct, frozen=True, array_like=True):
    version: int
    places: _Places
    debug: str = ""  # the debug file that they came from


class SymbolCache:
    """The places of one build-id. `directory` is injected; default_directory() is the user's."""

    def __init__(self, directory: Path, build_id: str, debug: str) -> None:
        """`debug` identifies the files that names come from: other files make the old ones stale.

        A build-id that is no plain hexadecimal number is not remembered.
        """
        plain_id = build_id if _BUILD_ID.match(build_id) else ""
        self._path = directory / plain_id[:2] / f"{plain_id[2:]}.zst" if plain_id else None
        self._debug = debug
        self._dirty = False
        self.places: _Places = {}
        with suppress(OSError, zstandard.ZstdError, msgspec.DecodeError, ValueError):
            packed = self._path.read_bytes() if self._path is not None else b""
            if zstandard.get_frame_parameters(packed).content_size <= _MOST_BYTES:
                plain = zstandard.decompress(packed, max_output_size=_MOST_BYTES)
                read = msgspec.msgpack.decode(plain, type=_File)
                if (read.version, read.debug) == (_VERSION, debug):
                    self.places = read.places

    def add(self, address: int, frames: tuple[CallFrame, ...]) -> None:
        """Remembers the frames of an address."""
        self.places[address] = frames
        self._dirty = True

    def save(self) -> None:
        """Writes what is new, as a whole file or not at all."""
        if self._path is None or not self._dirty or len(self.places) > _MOST_PLACES:
            return
        packed = zstandard.compress(
            msgspec.msgpack.encode(_File(_VERSION, self.places, self._debug)), 3
        )
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor, name = tempfile.mkstemp(dir=self._path.parent)
            with os.fdopen(descriptor, "wb") as file:
                file.write(packed)
            os.replace(name, self._path)
            self._dirty = False


def default_directory() -> Path:
    """Where the user's cache lies."""
    import platformdirs

    return platformdirs.user_cache_path("hakmem") / "symbols"
