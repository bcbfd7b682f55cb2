"""How long an allocator without probes may be watched, so that it stays within a share of the
target's time: a bucket that fills as the target runs, and empties as hits cost.

Used by the profile source for any allocator. Pure: time and costs are told.
"""

from __future__ import annotations

#: Where the target does little, a tenth of one CPU counts as its time: too few hits to be felt.
IDLE_SHARE = 0.1
#: The bucket holds what so many seconds bring: no burst is longer.
MOST_SECONDS = 2.0


#: Less watching than this tells nothing of what watching costs.
_LEAST_RATE_NS = 3_000_000
#: What is planned for; the rest is for what cannot be known before.
_PLANNED = 0.9


class Budget:
    """Decides between watching and pausing. All times in nanoseconds."""

    def __init__(self, share: float, window_ns: int = 20_000_000) -> None:
        """`share` of the target's own time may be spent; a window lasts about `window_ns`."""
        self._share = share = _PLANNED * share
        self._window_ns = window_ns
        self._left = share * 0.1e9  # for the first window: nobody knows yet what it costs
        self._most = self._left
        self._rate = 0.0  # cost of a nanosecond of watching, when it was last watched
        self.spent_ns = 0.0
        self.target_ns = 0.0

    def pass_time(self, wall_ns: int, cpu_ns: int) -> None:
        """The target has run for so long."""
        own_ns = max(cpu_ns, IDLE_SHARE * wall_ns)
        self.target_ns += own_ns
        self._most = self._share * MOST_SECONDS * 1e9 * own_ns / max(1, wall_ns)
        if self._left < self._most:
            self._left = min(self._left + self._share * own_ns, self._most)

    def spend(self, watched_ns: int, cost_ns: float) -> None:
        """Watching for so long has cost so much."""
        self.spent_ns += cost_ns
        self._left -= cost_ns
        if watched_ns >= _LEAST_RATE_NS:
            self._rate = cost_ns / watched_ns

    @property
    def may_go_on(self) -> bool:
        """Whether a window that is open may stay so."""
        return self._left > 0

    @property
    def may_begin(self) -> bool:
        """Whether a window may be opened: it must be paid for before, as far as that is possible.

        One that costs more than the bucket holds is opened when it is full, and the debt that
        it leaves is paid off before the next.
        """
        return self._left >= min(self._rate * self._window_ns, self._most)

    @property
    def overhead(self) -> float:
        """Cost as a share of the target's own time so far."""
        return self.spent_ns / self.target_ns if self.target_ns else 0.0
