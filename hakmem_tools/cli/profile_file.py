"""What report, diff and export share: a recording opened, named, and its shortcomings told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from hakmem_tools.cli.errors import Failure, say

if TYPE_CHECKING:
    from hakmem_tools.model.profile import Moment, Profile

_T = TypeVar("_T")
_MOST_SECONDS = 1e9


def open_profile(path: Path) -> Profile:
    """A recording. Raises Failure for a file that is none."""
    from hakmem_tools.observe.recording import RecordingError, read_profile

    try:
        return read_profile(path)
    except RecordingError as error:
        raise Failure(str(error)) from None


def name_stacks(profile: Profile, stacks: Iterable[int] | None = None) -> tuple[str, ...]:
    """Names the frames of some stacks, or of all; says of each module why it has no names."""
    from hakmem_tools.observe.symbolise import name_frames

    found = name_frames(profile, stacks)
    notes: dict[str, str] = {}
    for symbols in found:
        for frame in symbols.frames:
            if frame.note:
                notes[frame.module] = frame.note
    return tuple(
        f"no names for {module}: {note}; report on the machine that recorded, with that build"
        for module, note in notes.items()
    )


def moment(profile: Profile, since_s: float | None, until_s: float | None) -> Moment:
    """The part of a recording between two times in seconds from its start."""
    from hakmem_tools.model.profile import Moment

    length_s = (profile.end_ns - profile.start_ns) / 1e9
    for name, value in (("--since", since_s), ("--until", until_s)):
        if value is not None and not 0 <= value < _MOST_SECONDS:
            raise Failure(f"{name} {value:g}: outside 0..{length_s:.1f} seconds")
    if since_s is not None and until_s is not None and since_s >= until_s:
        raise Failure(f"--since {since_s:g}: not before --until {until_s:g}")

    def at(seconds: float | None) -> int | None:
        return None if seconds is None else profile.start_ns + round(seconds * 1e9)

    return Moment(at(since_s), at(until_s))


def asked(view: Callable[[], _T]) -> _T:
    """The answer of a view. Raises Failure for one that the recording cannot give."""
    from hakmem_tools.model.profile import NoSuchView

    try:
        return view()
    except NoSuchView as error:
        raise Failure(str(error)) from None


def tell(sentences: Iterable[str]) -> None:
    """What is missing, on stderr."""
    from hakmem_tools.model.plain_text import plain

    for sentence in sentences:
        say(f"missing: {plain(sentence)}")
