"""Sets how far apart a process samples while somebody listens.

A program that asks for 20 GiB a second is sampled 40 thousand times a second at the usual
distance, and each sample that is heard costs 3 microseconds. So the distance is raised where
listening would take more than its share; weights know of it, and estimates stay right, with a
larger error. The process takes it for listeners alone: however this one ends, the process's own
distance is in force again when its probes are gone. Used by the profile source of libhakmem.
"""

from __future__ import annotations

from hakmem_tools.model.settings import SettingError
from hakmem_tools.observe.counters import CountersSource
from hakmem_tools.observe.live_knobs import set_knob
from hakmem_tools.observe.source import TargetError, TargetGone

OWN_KNOB, KNOB = "HAKMEM_SAMPLE_BYTES", "HAKMEM_LISTEN_BYTES"
_MOST_BYTES = 1 << 28
#: Of the share: where the distance is raised, what is aimed for then, and where there is room
#: again. What is measured are traps and programs; what they drive out of caches comes on top,
#: and about doubles it.
_LIMIT, _AIM, _ROOM = 0.5, 0.25, 0.05
#: A single look may be mistaken: what it asks for is bounded.
_MOST_STEP = 8
#: A process answers on its next slow path; a busy one at once.
_ANSWER_S = 0.5


def next_distance(now_bytes: int, usual_bytes: int, share: float, budget: float) -> int:
    """The distance for what comes, when listening took `share` of the target's time at this one.

    A power of two above the usual one, or the usual one itself.
    """
    if share > _LIMIT * budget:
        wanted = now_bytes * min(_MOST_STEP, share / (_AIM * budget))
        return min(_MOST_BYTES, 1 << (max(1, int(wanted)) - 1).bit_length())
    if now_bytes > usual_bytes and share < _ROOM * budget:
        return max(usual_bytes, now_bytes // 2)
    return now_bytes


class SamplingDistance:
    """The distance of one process while we listen. Close it: then there is none but its own."""

    def __init__(self, page: CountersSource, budget: float, wanted: int | None = None) -> None:
        """Takes the page over; sets `wanted` bytes at once. Raises TargetError, TargetGone."""
        self._page, self._budget = page, budget
        own = _value(page, OWN_KNOB)
        self.usual = own if wanted is None else wanted
        self.now = distance_when_heard(page)
        self._is_set = self.now != own  # by a listener that was killed
        if self.now != self.usual:
            reason = self._set(self.usual)
            if reason is not None and wanted is not None:
                page.close()
                raise TargetError(f"{KNOB} of process {page.pid} cannot be set: {reason}")
        self.furthest = self.now
        self.refusal: str | None = None

    def follow(self, share: float) -> None:
        """Listening has lately taken this share of the target's time."""
        if self.refusal is None and self.now > 0:
            wanted = next_distance(self.now, self.usual, share, self._budget)
            if wanted != self.now:
                self.refusal = self._set(wanted)
                self.furthest = max(self.furthest, self.now)

    def _set(self, wanted: int) -> str | None:
        """Why it could not be set; None if it was."""
        try:
            applied = set_knob(self._page, f"{KNOB}={wanted}", wait_s=_ANSWER_S)
        except (TargetError, SettingError, TargetGone) as error:
            return str(error)
        if not applied.answered:
            return "it did not answer in time (it answers while it allocates)"
        self.now = wanted
        self._is_set = True
        return None

    @property
    def missing(self) -> tuple[str, ...]:
        """What the distance means for the profile, in sentences."""
        told = []
        if self.furthest > self.usual:
            told.append(
                f"samples at an even distance: it was raised up to {self.furthest} bytes while "
                "the target allocated fast, to take no more than its share; weights know of it"
            )
        if self.refusal is not None:
            told.append(f"a sampling distance that fits the target's pace: {self.refusal}")
        return tuple(told)

    def close(self) -> None:
        """Takes the distance back; may be called twice.

        One that stays, since the process did not answer, is in force for listeners alone.
        """
        if self._is_set and self._page.process.is_alive():
            self._set(0)
        self._is_set = False
        self._page.close()


def distance_when_heard(page: CountersSource) -> int:
    """How many bytes a process lets lie between two samples that somebody listens to."""
    return _value(page, KNOB) or _value(page, OWN_KNOB)


def _value(page: CountersSource, env: str) -> int:
    return next((int(row.value) for row in page.knobs() if row.knob.env == env), 0)
