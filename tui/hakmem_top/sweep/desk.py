"""The desk of a sweep: the form, the session that runs, and what it has told so far.

Owned by the app; the session's thread tells through `Told` messages, which the app's thread
hands to `receive`. `moment()` is a frozen picture for the screens. It draws nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from hakmem_tools.model.descriptors import Knob
from hakmem_tools.model.trial import Phase, Trial
from hakmem_tools.tune import libhakmem, session
from hakmem_tools.tune.experiment import Progress
from hakmem_tools.tune.plan import Plan, PlanError
from hakmem_tools.tune.result import SweepResult
from hakmem_tools.tune.session import Advanced, Changed, Failed, Finished, Message, Opened, State
from hakmem_tools.tune.store import StoreError
from hakmem_top.sweep.form import Form, changed, plan_of

#: How long a quit waits for the measured program to end, in seconds.
END_S = 5.0


class Conducting(Protocol):
    """A session: that of hakmem_tools.tune, or a stand-in."""

    def subscribe(self, listener: Callable[[Message], None]) -> Callable[[], None]:
        """Tells every later message, in the session's thread."""

    def start(self) -> None:
        """Begins."""

    def pause(self) -> None:
        """Stands still after the run that is going on."""

    def resume(self) -> None:
        """Goes on."""

    def stop(self, *, now: bool = False) -> None:
        """Ends after the run that is going on, or with it."""

    def join(self, timeout: float | None = None) -> bool:
        """Waits for the end."""

    def look(self) -> SweepResult:
        """What is known now."""

    def runs_of(self, arm: str) -> list[Trial]:
        """Every finished run of an arm."""


class Told(msgspec.Struct, frozen=True):
    """A message of the session, with a look at the result where one was worth taking."""

    message: Message
    result: SweepResult | None = None


class SweepMoment(msgspec.Struct, frozen=True):
    """All that the sweep screens show. `state` is new while the form is filled in.

    `runs` counts good and failed runs by arm; `widths` is half of each arm's interval, look by
    look; `result` is as of the last look.
    """

    form: Form = Form()
    knobs: tuple[Knob, ...] = ()
    plan: Plan | None = None
    state: State = State.NEW
    path: Path | None = None
    resumed: bool = False
    progress: Progress | None = None
    result: SweepResult | None = None
    runs: dict[str, tuple[int, int]] = {}
    widths: dict[str, tuple[float, ...]] = {}
    error: str = ""


def _installed_session(plan: Plan) -> Conducting:
    return session.Session(plan, library=libhakmem.installed())


def installed_knobs() -> tuple[Knob, ...]:
    """The knobs of this installation's libhakmem; none where it is not built."""
    library = libhakmem.installed()
    return tuple(library.knobs()) if library is not None else ()


class SweepDesk:
    """Fills the form, starts sessions, and keeps what they tell. One thread calls it."""

    def __init__(
        self,
        tell: Callable[[Told], object],
        *,
        make_session: Callable[[Plan], Conducting] = _installed_session,
        find_knobs: Callable[[], Sequence[Knob]] = installed_knobs,
    ) -> None:
        """`tell` is called in the session's thread and passes the message on to `receive`."""
        self._tell = tell
        self._make_session = make_session
        self._find_knobs = find_knobs
        self._session: Conducting | None = None
        self._now = SweepMoment()

    def moment(self) -> SweepMoment:
        """What there is to show."""
        return self._now

    def open(self) -> None:
        """Reads the library's knobs, once."""
        if not self._now.knobs:
            self._set(knobs=tuple(self._find_knobs()))

    def enter(self, key: str, text: str) -> None:
        """Changes a row of the form. Raises PlanError and OSError, one line each."""
        form = changed(self._now.form, key, text, self._now.knobs, lambda path: path.read_text())
        self._set(form=form)

    def go(self) -> str:
        """Starts; stops after this run; stops now; clears the desk. Gives what it did."""
        state = self._now.state
        if state is State.NEW:
            return self._start()
        if state is State.OVER:
            self._now = SweepMoment(form=self._now.form, knobs=self._now.knobs)
            return "the form again; the sweep's file stays"
        assert self._session is not None
        self._session.stop(now=state is State.STOPPING)
        return "stopping now" if state is State.STOPPING else "stopping after this run; x: now"

    def pause(self) -> str:
        """Pauses or goes on. Gives what it did."""
        if self._session is None or self._now.state not in (State.RUNNING, State.PAUSED):
            return "no sweep is running"
        if self._now.state is State.PAUSED:
            self._session.resume()
            return "going on"
        self._session.pause()
        return "pausing after this run"

    def runs_of(self, arm: str) -> list[Trial]:
        """Every run of an arm; none when the file does not give them."""
        try:
            return self._session.runs_of(arm) if self._session is not None else []
        except (StoreError, OSError):
            return []

    def close(self) -> None:
        """Ends what runs, and its program; the file keeps what was measured."""
        if self._session is not None and self._now.state is not State.OVER:
            self._session.stop(now=True)
            self._session.join(END_S)

    def _start(self) -> str:
        try:
            plan = plan_of(self._now.form, self._now.knobs)
        except PlanError as error:
            return str(error)
        conducting = self._make_session(plan)
        looked = _Looker(conducting, self._tell)
        self._set(plan=plan, error="", state=State.RUNNING)
        conducting.subscribe(looked)
        self._session = conducting
        conducting.start()
        return "started"

    # ---- what the session says

    def receive(self, told: Told) -> None:
        """Takes a message in."""
        if told.result is not None:
            self._see(told.result)
        match told.message:
            case Opened(path=path, plan=plan, resumed=resumed):
                self._set(path=path, plan=plan, resumed=resumed)
            case Changed(state=state):
                self._set(state=state)
            case Advanced(progress=progress):
                self._advance(progress, counted=told.result is not None)
            case Finished(result=result, path=path):
                self._see(result)
                self._set(path=path, state=State.OVER)
            case Failed(message=text):
                self._set(error=text, state=State.OVER)

    def _see(self, result: SweepResult) -> None:
        runs = {arm.arm: (arm.runs, arm.failed_runs) for arm in result.arms}
        runs[result.reference] = (result.reference_runs, result.reference_failed)
        self._set(result=result, runs=runs)

    def _advance(self, progress: Progress, counted: bool) -> None:
        runs, trial = dict(self._now.runs), progress.trial
        if trial is not None and trial.key.phase == Phase.MEASURE and not counted:
            good, failed = runs.get(trial.arm, (0, 0))
            runs[trial.arm] = (good + trial.ok, failed + (not trial.ok))
        widths = dict(self._now.widths)
        for arm, state in progress.states.items() if trial is None else ():
            half = state.effect.half_width
            if half is not None:
                widths[arm] = (*widths.get(arm, ()), half)
        self._set(progress=progress, runs=runs, widths=widths)

    def _set(self, **changes: object) -> None:
        self._now = msgspec.structs.replace(self._now, **changes)


class _Looker:
    """Hears a session in its own thread, and looks at the result where a look was taken."""

    def __init__(self, conducting: Conducting, tell: Callable[[Told], object]) -> None:
        self._conducting = conducting
        self._tell = tell
        self._phase: Phase | None = None

    def __call__(self, message: Message) -> None:
        worth = isinstance(message, Opened) and message.resumed
        if isinstance(message, Advanced):
            phase = message.progress.phase
            worth = message.progress.trial is None or self._phase not in (None, phase)
            self._phase = phase
        result = None
        if worth:
            try:
                result = self._conducting.look()
            except (StoreError, OSError):
                result = None  # the next look will do
        self._tell(Told(message, result))
