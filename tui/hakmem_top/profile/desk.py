"""The desk of a profile: what the sampler has told, and from when to when it is looked at.

Owned by the app and used by its thread alone. It works nothing out; that is present.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from hakmem_tools.model.profile import Moment, Profile
from hakmem_tools.model.profile_records import End, Record
from hakmem_tools.observe.recording import ProfileWriter
from hakmem_top.profile.sampler import Sampled, Sampler

OFF, OPENING, LIVE, FAILED = "off", "opening", "live", "failed"


class Sampling(Protocol):
    """A sampler, or a stand-in."""

    def start(self) -> None:
        """Begins."""

    def stop(self) -> None:
        """Ends."""


class ProfileDesk:
    """Keeps one process's profile."""

    def __init__(
        self,
        tell: Callable[[Sampled], object],
        *,
        make_sampler: Callable[[int, Callable[[Sampled], object]], Sampling] = Sampler,
    ) -> None:
        """`tell` is called in the sampler's thread and passes on to `receive`."""
        self._tell, self._make_sampler = tell, make_sampler
        self._sampler: Sampling | None = None
        self._records: list[Record] = []
        self._since_ns: int | None = None
        self._until_ns: int | None = None
        self.profile: Profile | None = None
        self.state = OFF
        self.failure = ""
        self.missing: tuple[str, ...] = ()
        self.version = 0  # rises with all that is new

    def start(self, pid: int) -> None:
        """Begins to sample a process, once."""
        if self.state == OFF:
            self.state = OPENING
            self._sampler = self._make_sampler(pid, self._tell)
            self._sampler.start()

    def close(self) -> None:
        """Detaches."""
        if self._sampler is not None:
            self._sampler.stop()

    def receive(self, sampled: Sampled) -> None:
        """Takes in what the sampler tells."""
        self.version += 1
        if sampled.missing:
            self.missing = sampled.missing
        if sampled.failed:
            self.state, self.failure = FAILED, sampled.failed
        if sampled.header is not None:
            self.profile, self.state = Profile(sampled.header), LIVE
            self._records = [sampled.header]
        if self.profile is not None:
            for record in sampled.records:
                self.profile.add(record)
            self._records.extend(sampled.records)

    def during(self) -> Moment:
        """What is looked at: from the last reset on, and up to the pause."""
        start = self.profile.start_ns if self.profile is not None else 0
        return Moment(self._since_ns if self._since_ns is not None else start, self._until_ns)

    @property
    def was_reset(self) -> bool:
        """Whether something is left out at the beginning."""
        return self._since_ns is not None

    def reset(self) -> None:
        """Looks from now on."""
        if self.profile is not None:
            self.version += 1
            self._since_ns = self.profile.end_ns

    def hold(self, held: bool) -> None:
        """Looks no further than now, or goes on."""
        self.version += 1
        now = self.profile.end_ns if self.profile is not None else None
        self._until_ns = now if held else None

    def write(self, directory: Path) -> Path | None:
        """Writes the recording so far as `hakmem-PID-N.hakprof`; None when there is none.

        Raises OSError.
        """
        if self.profile is None:
            return None
        header, number = self.profile.header, 1
        while (path := directory / f"hakmem-{header.pid}-{number}.hakprof").exists():
            number += 1
        with ProfileWriter(path, header) as writer:
            writer.write(self._records[1:])
            writer.close(End(self.profile.end_ns, "exported", None, self.missing))
        return path
