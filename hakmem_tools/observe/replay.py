"""Recordings: snapshots and events of one process in a file, and a Source that reads them again.

A recording is JSON lines under zstd: first a header with the descriptor texts, so that it reads
offline and with any later library, then snapshots and events in the order in which they were
seen. One that broke off (the recorder was killed) reads up to its last whole line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import msgspec
import zstandard

from hakmem_tools.model.descriptors import DescriptorError, Descriptors, parse_descriptors
from hakmem_tools.model.snapshot import SCHEMA_VERSION, Event, Snapshot
from hakmem_tools.observe.source import TargetGone

_MAGIC = b"\x28\xb5\x2f\xfd"
_MOST_LINE_BYTES = 64 << 20
_PIECE_BYTES = 1 << 20


class RecordingError(Exception):
    """The file is no recording that this tool reads; one line."""


class Header(msgspec.Struct, frozen=True, tag="header", tag_field="kind"):
    """First line of a recording."""

    schema_version: int
    pid: int
    command: str
    texts: dict[str, str]


class SnapshotLine(msgspec.Struct, frozen=True, tag="snapshot", tag_field="kind"):
    """A snapshot."""

    snapshot: Snapshot


class EventLine(msgspec.Struct, frozen=True, tag="event", tag_field="kind"):
    """An event, seen after the snapshot before it."""

    event: Event


class EndLine(msgspec.Struct, frozen=True, tag="end", tag_field="kind"):
    """Last line: without it, the recording broke off."""


_Line = Header | SnapshotLine | EventLine | EndLine
_decoder = msgspec.json.Decoder(_Line)
_encoder = msgspec.json.Encoder()


class Recorder:
    """Writes a recording. Close it, or use it as a context manager; one thread at a time."""

    def __init__(
        self,
        path: Path,
        *,
        pid: int,
        command: str,
        texts: Mapping[str, str],
        overwrite: bool = False,
    ) -> None:
        """Raises FileExistsError unless `overwrite`, and other OSErrors."""
        self._file = path.open("wb" if overwrite else "xb")
        self._stream: Any = zstandard.ZstdCompressor().stream_writer(self._file)
        self._write(Header(SCHEMA_VERSION, pid, command, dict(texts)))

    def snapshot(self, snapshot: Snapshot) -> None:
        """Adds a snapshot; what has been added so far is safe on return."""
        self._write(SnapshotLine(snapshot))
        self._stream.flush(zstandard.FLUSH_BLOCK)
        self._file.flush()

    def event(self, event: Event) -> None:
        """Adds an event."""
        self._write(EventLine(event))

    def close(self) -> None:
        """Ends the recording; may be called twice."""
        if not self._file.closed:
            self._write(EndLine())
            self._stream.close()
            self._file.close()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: object, _where: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, line: msgspec.Struct) -> None:
        self._stream.write(_encoder.encode(line) + b"\n")


class ReplaySource:
    """A recording as a Source: each snapshot() is the next one, then TargetGone.

    `events` gives what was seen between the last snapshot and the next. When the recording has
    been read, `truncated` says whether it broke off.
    """

    name = "recording"

    def __init__(self, path: Path) -> None:
        """Raises RecordingError, OSError."""
        self.truncated = True  # until its end has been seen
        self.missing: tuple[str, ...] = ()
        self._path = path
        self._file: IO[bytes] = path.open("rb")
        try:
            self._lines = self._read_lines()
            self.header = self._read_header()
            self.descriptors = self._read_descriptors()
        except BaseException:
            self._file.close()
            raise
        self._ahead: Snapshot | None = None
        self._events: list[Event] = []
        self._loaded = False

    @property
    def pid(self) -> int:
        """The recorded process."""
        return self.header.pid

    def snapshot(self) -> Snapshot:
        """The next recorded snapshot. Raises TargetGone after the last one, RecordingError."""
        self._load()
        self._loaded = False
        snapshot, self._ahead = self._ahead, None
        if snapshot is None:
            broke_off = "; it broke off there" if self.truncated else ""
            raise TargetGone(f"{self._path}: the recording has ended{broke_off}")
        self.missing = snapshot.missing
        return snapshot

    def events(self, timeout_s: float) -> Sequence[Event]:
        """The events before the next snapshot, at once: nothing is waited for."""
        self._load()
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        """Closes the file; may be called twice."""
        self._file.close()

    def _load(self) -> None:
        """Reads on, up to and with the next snapshot."""
        if self._loaded:
            return
        self._loaded = True
        for line in self._lines:
            if isinstance(line, SnapshotLine):
                self._ahead = line.snapshot
                return
            if isinstance(line, EventLine):
                self._events.append(line.event)
            self.truncated = not isinstance(line, EndLine)

    def _read_header(self) -> Header:
        first = next(self._lines, None)
        if not isinstance(first, Header):
            raise RecordingError(f"{self._path}: no recording of hakmem; its header is missing")
        if first.schema_version > SCHEMA_VERSION:
            raise RecordingError(
                f"{self._path}: schema version {first.schema_version}, and this tool reads up to "
                f"{SCHEMA_VERSION}; use the tool that recorded it"
            )
        return first

    def _read_descriptors(self) -> Descriptors:
        try:
            return parse_descriptors(self.header.texts)
        except (DescriptorError, KeyError) as error:
            raise RecordingError(f"{self._path}: its descriptors do not read: {error}") from None

    def _read_lines(self) -> Iterator[_Line]:
        if self._file.read(4) != _MAGIC:
            raise RecordingError(f"{self._path}: no recording of hakmem (not zstd)")
        self._file.seek(0)
        for number, line in enumerate(self._raw_lines(), start=1):
            try:
                yield _decoder.decode(line)
            except msgspec.DecodeError as error:
                raise RecordingError(f"{self._path}, line {number}: {error}") from None

    def _raw_lines(self) -> Iterator[bytes]:
        """Whole lines; a last one without its newline was cut off and is left out."""
        rest = b""
        for piece in self._pieces():
            *whole, rest = (rest + piece).split(b"\n")
            yield from whole
            if len(rest) > _MOST_LINE_BYTES:
                raise RecordingError(f"{self._path}: a line of more than {_MOST_LINE_BYTES} bytes")

    def _pieces(self) -> Iterator[bytes]:
        reader: Any = zstandard.ZstdDecompressor().stream_reader(self._file)
        while True:
            try:
                piece = reader.read(_PIECE_BYTES)  # bounded, whatever the file claims
            except zstandard.ZstdError:
                return  # damaged from here on
            if not piece:
                return
            yield piece
