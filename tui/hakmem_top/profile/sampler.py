"""The thread that polls a profile source and names what it finds.

Owned by the desk. Source, symbol tables and probes are made, used and closed in this one
thread; records go out as `Sampled`, names for them a little later, because reading the debug
information of a large program takes its time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import msgspec

from hakmem_tools.model.profile_records import Header, Module, Record, Stack, Symbols
from hakmem_tools.observe.profile_source import ProfileRequest, ProfileSource
from hakmem_tools.observe.profiler import open_profile
from hakmem_tools.observe.symbolise import Symboliser

#: Live blocks are looked at one by one, so not at each tick.
LIVE_EVERY_S = 5.0
_TURN_S = 0.1


class Sampled(msgspec.Struct, frozen=True):
    """What is new; `header` comes with the first, `failed` with the last, if it broke."""

    records: tuple[Record, ...] = ()
    header: Header | None = None
    missing: tuple[str, ...] = ()
    failed: str = ""


def _open(pid: int) -> ProfileSource:
    return open_profile(ProfileRequest(pid=pid))


class Sampler:
    """Samples one process until it is stopped."""

    def __init__(
        self,
        pid: int,
        tell: Callable[[Sampled], object],
        *,
        open_source: Callable[[int], ProfileSource] = _open,
        interval_s: float = 1.0,
    ) -> None:
        """`tell` is called in the sampler's thread."""
        self._pid, self._tell, self._open = pid, tell, open_source
        self._interval_s = interval_s
        self._stopped = threading.Event()
        self._modules: dict[int, Module] = {}
        self._named: set[tuple[int, int]] = set()
        # A daemon, because a debug file of a gigabyte must not hold up a quit; the kernel
        # detaches what a thread that is cut off leaves attached.
        self._thread = threading.Thread(target=self.run, name="profile", daemon=True)

    def start(self) -> None:
        """Begins, in a thread of its own."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Detaches and ends; waits for that."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def run(self) -> None:
        """The thread's body."""
        try:
            source = self._open(self._pid)
        except Exception as error:  # shown on the screen, whatever it is
            self._tell(Sampled(failed=_line(error)))
            return
        try:
            self._tell(Sampled(header=source.header, missing=_missing(source)))
            with Symboliser(self._modules, pid=self._pid) as names:
                self._poll(source, names)
        except Exception as error:
            self._tell(Sampled(failed=_line(error)))
        finally:
            source.close()

    def _poll(self, source: ProfileSource, names: Symboliser) -> None:
        next_live = 0.0
        while not self._stopped.is_set():
            now = time.monotonic()
            live = now >= next_live
            if live:
                next_live = now + LIVE_EVERY_S
            records = tuple(source.poll(live=live))
            # Looking must not become the work, however much there is to look at. Names are read
            # once, and not on the target's account: they hold up no later look.
            until = now + max(self._interval_s, 20 * (time.monotonic() - now))
            self._tell(Sampled(records, missing=_missing(source)))
            self._name(records, names)
            while not self._stopped.is_set() and time.monotonic() < until:
                source.wait(min(_TURN_S, max(0.0, until - time.monotonic())))

    def _name(self, records: Sequence[Record], names: Symboliser) -> None:
        """Names the places of new stacks."""
        wanted: dict[tuple[int, int], None] = {}
        for record in records:
            if isinstance(record, Module):
                self._modules[record.id] = record
            elif isinstance(record, Stack):
                wanted.update(dict.fromkeys(p for p in record.places() if p not in self._named))
        if wanted and not self._stopped.is_set():
            found = names.resolve(wanted)
            self._named.update(found)
            self._tell(Sampled(tuple(Symbols(m, at, frames) for (m, at), frames in found.items())))


def _missing(source: ProfileSource) -> tuple[str, ...]:
    """What the source cannot tell at all, and what it could not so far."""
    return tuple(dict.fromkeys((*source.header.missing, *source.missing)))


def _line(error: Exception) -> str:
    """An error in one line."""
    return (str(error) or type(error).__name__).splitlines()[0]
