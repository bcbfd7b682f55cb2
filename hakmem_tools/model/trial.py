"""A trial: one run of the measured command under one arm, with what it yielded.

The plan names trials, the runner fills them in, the store keeps them, statistics and reports read
them. Pure data: nothing here runs, reads or computes anything.

Missing is missing: a metric that could not be had is absent from `metrics` and stands in `missing`
with the reason; it is never 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec


class Phase(StrEnum):
    """What a block of trials is for; only `MEASURE` blocks enter an effect."""

    CALIBRATE = "calibrate"  # the reference against itself (A/A)
    MEASURE = "measure"


class Status(StrEnum):
    """How a trial ended; everything but `OK` stays in the data and counts as a failed run."""

    OK = "ok"
    FAILED = "failed"  # exit status not 0, killed by a signal, or its metric did not match
    TIMEOUT = "timeout"
    NOT_EFFECTIVE = "not_effective"  # a knob of the arm did not take effect


class Arm(msgspec.Struct, frozen=True):
    """One setting under test: a name, and the environment it adds to the caller's own."""

    name: str
    env: dict[str, str]

    @property
    def text(self) -> str:
        """The environment as one would type it, or `(nothing set)`."""
        return " ".join(f"{key}={value}" for key, value in self.env.items()) or "(nothing set)"


class TrialKey(msgspec.Struct, frozen=True, order=True):
    """Where a trial stands in the plan; the store holds at most one finished trial per key."""

    phase: str
    block: int
    position: int


class RssSample(msgspec.Struct, frozen=True):
    """Resident memory of the measured process at one moment since its start."""

    seconds: float
    bytes: int


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one run.

    `started_ns` is wall-clock time since the epoch, for people and for ordering in a report; all
    durations inside `metrics` come from the monotonic clock. `host` is the blocking factor of a
    cluster sweep. `detail` says in one line why a trial failed.
    """

    key: TrialKey
    arm: str
    host: str
    status: Status
    started_ns: int
    exit_code: int | None = None
    detail: str = ""
    metrics: Mapping[str, float] = {}
    missing: Mapping[str, str] = {}
    rss: Sequence[RssSample] = ()

    @property
    def ok(self) -> bool:
        """Whether this trial's numbers may be used."""
        return self.status is Status.OK
