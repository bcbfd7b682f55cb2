"""Profile recordings: a file that a killed recorder leaves readable, its writer and its reader.

The file is a magic and then frames, each by itself: length and CRC-32 of what follows, which is
a zstd frame of a msgpack list of records (model/profile_records.py). A frame is written by one
call, so that only the last one can be torn; the reader stops there and says so. Files may be
hostile: sizes are bounded, and what does not read raises RecordingError, one line.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import msgspec
import zstandard

from hakmem_tools.model.profile import Profile
from hakmem_tools.model.profile_records import PROFILE_SCHEMA_VERSION, End, Header, Record

MAGIC = b"hakprof1"
_FRAME = struct.Struct("<II")
_MOST_FRAME_BYTES = 64 << 20
_LEVEL = 9  # a tick is some 10 KB: compressing it costs about a millisecond

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Record])


class RecordingError(Exception):
    """The file is no profile recording that this tool reads; one line."""


class ProfileWriter:
    """Writes a recording. Close it, or use it as a context manager; one thread at a time."""

    def __init__(self, path: Path, header: Header, *, overwrite: bool = False) -> None:
        """Raises FileExistsError unless `overwrite`, and other OSErrors."""
        self.path = path
        self._file = path.open("wb" if overwrite else "xb", buffering=0)
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL)
        self.written_bytes = 0
        self._put(MAGIC)
        self.write([header])

    def write(self, records: Iterable[Record]) -> None:
        """Adds records as one frame, safe on return even if the writer is killed afterwards."""
        packed = self._compressor.compress(_encoded(list(records)))
        self._put(_FRAME.pack(len(packed), zlib.crc32(packed)) + packed)

    def close(self, end: End | None = None) -> None:
        """Ends the recording, with its End record if it ended in order; may be called twice."""
        if not self._file.closed:
            if end is not None:
                self.write([end])
            self._file.close()

    def _put(self, data: bytes) -> None:
        self.written_bytes += len(data)
        while data:
            data = data[self._file.write(data) :]

    def __enter__(self) -> ProfileWriter:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: object, _where: TracebackType | None
    ) -> None:
        self.close()


def _encoded(records: list[Record]) -> bytes:
    try:
        return _encoder.encode(records)
    except UnicodeEncodeError:  # a file name of the target that is no UTF-8
        return _encoder.encode(_scrubbed(msgspec.to_builtins(records, builtin_types=(bytes,))))


def _scrubbed(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list | tuple):
        return [_scrubbed(item) for item in value]
    if isinstance(value, dict):
        return {_scrubbed(key): _scrubbed(item) for key, item in value.items()}
    return value


def read_profile(path: Path) -> Profile:
    """The whole recording; `broken` says where it was torn. Raises RecordingError, OSError."""
    with path.open("rb") as file:
        reader = _FrameReader(path, file)
        records = reader.records()
        profile = Profile(_header(path, next(records, None)))
        for record in records:
            try:
                profile.add(record)
            except ValueError as error:
                reader.broken = f"{path}: {error}; what comes before it is here"
                break
        profile.broken = reader.broken
    return profile


def _header(path: Path, first: Record | None) -> Header:
    if not isinstance(first, Header):
        raise RecordingError(
            f"{path}: its header is missing; record anew with `hakmem profile -o FILE`"
        )
    if first.schema_version > PROFILE_SCHEMA_VERSION:
        raise RecordingError(
            f"{path}: schema version {first.schema_version}, and this tool reads up to "
            f"{PROFILE_SCHEMA_VERSION}; use the tool that recorded it"
        )
    return first


class _FrameReader:
    """Reads frames until the end, or until one does not hold; then `broken` says why."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        """Raises RecordingError for a file of another kind."""
        self.broken: str | None = None
        self._path = path
        self._file = file
        self._decompressor = zstandard.ZstdDecompressor()
        magic = file.read(len(MAGIC))
        if magic != MAGIC:
            raise RecordingError(
                f"{path}: no profile recording of hakmem; `hakmem profile -o FILE` makes one"
            )
        self._size = os.fstat(file.fileno()).st_size

    def records(self) -> Iterator[Record]:
        """Every record of every whole frame."""
        while (packed := self._frame()) is not None:
            try:
                if zstandard.get_frame_parameters(packed).content_size > _MOST_FRAME_BYTES:
                    raise ValueError("a frame that is too large")
                plain = self._decompressor.decompress(packed, max_output_size=_MOST_FRAME_BYTES)
                records = _decoder.decode(plain)
            except (zstandard.ZstdError, msgspec.DecodeError, ValueError) as error:
                self._stop(f"cannot be read ({' '.join(str(error).split())})")
                return
            yield from records

    def _frame(self) -> bytes | None:
        head = self._file.read(_FRAME.size)
        if not head:
            return None
        if len(head) == _FRAME.size:
            length, crc = _FRAME.unpack(head)
            if length <= min(_MOST_FRAME_BYTES, self._size):
                packed = self._file.read(length)
                if len(packed) == length and zlib.crc32(packed) == crc:
                    return packed
        self._stop("is torn, as a recorder that was killed leaves it")
        return None

    def _stop(self, what: str) -> None:
        at = self._file.tell()
        self.broken = f"{self._path}: what ends at byte {at} {what}; what comes before it is here"
