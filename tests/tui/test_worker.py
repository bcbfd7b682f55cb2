"""The poller makes, reads and closes one source, whatever happens."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from textual.message import Message

from hakmem_tools.model.snapshot import Event, Snapshot
from hakmem_top import messages
from hakmem_top.worker import Poller
from tests.tui.fake_source import FakeSource, FastPace


class Heard:
    """Collects what the poller posts and stops it after so many snapshots."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.all: list[Message] = []
        self.stop_after = stop_after
        self.poller: Poller | None = None

    def __call__(self, message: Message) -> None:
        self.all.append(message)
        if self.poller is not None and len(self.of(messages.SnapshotTaken)) == self.stop_after:
            self.poller.stop()

    def of(self, kind: type[Message]) -> list[Message]:
        return [message for message in self.all if isinstance(message, kind)]


def play(source: FakeSource, stop_after: int | None = None, interval_s: float = 1.0) -> Heard:
    heard = Heard(stop_after)
    heard.poller = Poller(lambda: source, interval_s, heard, FastPace())
    heard.poller.run()
    return heard


def test_one_snapshot_each_interval_and_the_events_between_them() -> None:
    heard = play(FakeSource(5), stop_after=5)
    kinds = [type(message).__name__ for message in heard.all]
    assert kinds[:3] == ["SourceOpened", "SnapshotTaken", "EventsSeen"]
    assert kinds.count("SnapshotTaken") == 5


def test_the_source_is_closed_when_the_poller_is_stopped() -> None:
    source = FakeSource(9)
    play(source, stop_after=2)
    assert source.closed.is_set()


def test_the_end_of_the_target_is_told_with_its_reason_and_the_source_is_closed() -> None:
    source = FakeSource(2, ends=True)
    heard = play(source)
    assert isinstance(heard.all[-1], messages.TargetEnded)
    assert heard.all[-1].reason == "process 4242 has ended"
    assert source.closed.is_set()


def test_the_last_counts_of_an_ended_target_are_read_where_the_source_has_them() -> None:
    class Outliving(FakeSource):
        def final_snapshot(self) -> Snapshot:
            return self._world.snapshot("counters", ())

    heard = play(Outliving(2, ends=True))
    assert [type(message).__name__ for message in heard.all[-2:]] == [
        "SnapshotTaken",
        "TargetEnded",
    ]


def test_a_source_that_never_came_up_is_told_as_such() -> None:
    heard = Heard()

    def refuse() -> FakeSource:
        raise PermissionError("not yours")

    Poller(refuse, 1.0, heard, FastPace()).run()
    (message,) = heard.all
    assert isinstance(message, messages.SourceFailed)
    assert message.opening
    assert str(message.error) == "not yours"


def test_a_source_that_breaks_is_told_and_closed() -> None:
    source = FakeSource(2, breaks=OSError("page gone"))
    heard = play(source)
    assert isinstance(heard.all[-1], messages.SourceFailed)
    assert not heard.all[-1].opening
    assert source.closed.is_set()


def test_the_source_is_made_read_and_closed_in_one_thread() -> None:
    threads = set()

    class Noting(FakeSource):
        def snapshot(self) -> Snapshot:
            threads.add(threading.current_thread().name)
            return super().snapshot()

        def events(self, timeout_s: float) -> Sequence[Event]:
            threads.add(threading.current_thread().name)
            return super().events(timeout_s)

        def close(self) -> None:
            threads.add(threading.current_thread().name)
            super().close()

    def make() -> Noting:
        threads.add(threading.current_thread().name)
        return Noting(3)

    heard = Heard(stop_after=3)
    heard.poller = Poller(make, 1.0, heard, FastPace())
    thread = threading.Thread(target=heard.poller.run, name="poller")
    thread.start()
    thread.join()
    assert threads == {"poller"}


def test_a_new_interval_takes_effect_within_the_current_one() -> None:
    pace = FastPace()
    heard = Heard(stop_after=2)

    class Hurrying(FakeSource):
        def events(self, timeout_s: float) -> Sequence[Event]:
            assert heard.poller is not None
            heard.poller.set_interval(0.25)
            return ()

    heard.poller = Poller(lambda: Hurrying(9), 3600.0, heard, pace)
    heard.poller.run()
    assert pace.now() < 1.0
