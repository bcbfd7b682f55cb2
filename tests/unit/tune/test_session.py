"""A session in a thread of its own: started, paused, stopped and taken up again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from hakmem_tools.model.trial import Arm, Phase
from hakmem_tools.tune.plan import Limits, Plan
from hakmem_tools.tune.session import (
    Advanced,
    Changed,
    Failed,
    Finished,
    Message,
    Opened,
    Session,
    State,
)
from hakmem_tools.tune.store import Store

ARMS = (Arm("-", {}), Arm("X=1", {"X": "1"}))
SHORT = Limits(blocks=6, calibration=3)


class Listener:
    """Keeps messages, and waits until one fits."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._condition = threading.Condition()

    def __call__(self, message: Message) -> None:
        with self._condition:
            self.messages.append(message)
            self._condition.notify_all()

    def wait_for(self, fits: Callable[[Message], bool]) -> None:
        with self._condition:
            assert self._condition.wait_for(lambda: any(map(fits, self.messages)), 30)


def start(plan: Plan, path: Path) -> tuple[Session, Listener]:
    session, listener = Session(plan, path, library=None), Listener()
    session.subscribe(listener)
    session.start()
    return session, listener


def plan(command: tuple[str, ...] = ("/bin/true",)) -> Plan:
    return Plan(command=command, arms=ARMS, limits=SHORT)


def test_a_session_tells_of_its_file_then_every_run_and_last_the_result(tmp_path: Path) -> None:
    session, listener = start(plan(), tmp_path / "a.sweep")
    assert session.join(60)
    kinds = [type(message) for message in listener.messages]
    assert kinds[:2] == [Changed, Opened]
    last = listener.messages[-1]
    assert isinstance(last, Finished)
    assert last.result.complete
    runs = [m for m in listener.messages if isinstance(m, Advanced) and m.progress.trial]
    measured = [m.progress.trial for m in runs if m.progress.phase == Phase.MEASURE]
    assert len(measured) == 6 * 2
    assert len(session.runs_of("X=1")) == 6
    assert session.look().blocks == 6
    assert session.state is State.OVER


def test_a_paused_session_runs_nothing_until_it_is_resumed(tmp_path: Path) -> None:
    session = Session(plan(), tmp_path / "a.sweep", library=None)
    listener = Listener()
    paused_after: list[int] = []

    def pause_once(message: Message) -> None:
        if isinstance(message, Advanced) and not paused_after:
            paused_after.append(1)
            session.pause()

    session.subscribe(pause_once)
    session.subscribe(listener)
    session.start()
    listener.wait_for(lambda message: message == Changed(State.PAUSED))
    assert session.join(0.2) is False
    assert sum(isinstance(message, Advanced) for message in listener.messages) <= 1
    session.resume()
    assert session.join(60)
    assert isinstance(listener.messages[-1], Finished)


def test_a_stopped_session_is_taken_up_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "a.sweep"
    session = Session(plan(), path, library=None)
    session.subscribe(lambda m: session.stop() if isinstance(m, Advanced) else None)
    session.start()
    assert session.join(60)
    with Store.open(path) as store:
        assert len(store.trials()) == 1
    _, listener = again = start(plan(), path)
    assert again[0].join(60)
    opened = next(m for m in listener.messages if isinstance(m, Opened))
    assert opened.resumed
    last = listener.messages[-1]
    assert isinstance(last, Finished)
    assert last.result.complete
    with Store.open(path) as store:
        assert len(store.trials(Phase.MEASURE)) == 6 * 2


def test_stopping_now_ends_a_long_run_and_leaves_no_trace_of_it(tmp_path: Path) -> None:
    path = tmp_path / "a.sweep"
    marker = tmp_path / "began"
    session, listener = start(plan(("sh", "-c", f": >{marker}; exec sleep 600")), path)
    listener.wait_for(lambda message: isinstance(message, Opened))
    beginning = threading.Event()
    while not marker.exists():
        assert not beginning.wait(0.01)
    session.stop(now=True)
    assert session.join(30)
    last = listener.messages[-1]
    assert isinstance(last, Finished)
    assert not last.result.complete
    with Store.open(path) as store:
        assert store.trials() == []


def test_a_plan_that_cannot_run_fails_with_one_line_and_a_code(tmp_path: Path) -> None:
    session, listener = start(plan(("no-such-program-anywhere",)), tmp_path / "a.sweep")
    assert session.join(30)
    assert listener.messages[-1] == Failed("no-such-program-anywhere: command not found", 127)


def test_a_session_starts_only_once(tmp_path: Path) -> None:
    session, _ = start(plan(), tmp_path / "a.sweep")
    with pytest.raises(RuntimeError):
        session.start()
    assert session.join(60)
