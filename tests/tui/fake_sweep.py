"""A session that plays a script: a sweep whose intervals narrow, without running anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hakmem_tools.model.descriptors import Knob
from hakmem_tools.model.trial import Phase, Status, Trial, TrialKey
from hakmem_tools.observe.page import KnobSetting
from hakmem_tools.tune.analysis import ArmState
from hakmem_tools.tune.experiment import Progress
from hakmem_tools.tune.plan import Plan
from hakmem_tools.tune.result import ArmResult, Calibration, SweepResult
from hakmem_tools.tune.session import Advanced, Changed, Failed, Finished, Message, Opened, State
from hakmem_tools.tune.statistics.monitor import ArmEffect
from hakmem_tools.tune.verdict import Kind, Verdict
from hakmem_top.sweep.desk import SweepDesk, Told


def knob(env: str, kind: str, default: float, high: float, doc: str, **more: object) -> Knob:
    given = {
        "name": env.lower(), "env": env, "aliases": (), "type": kind, "choices": (), "unit": "",
        "default": default, "min": 0.0, "max": high, "scope": "boot", "count": 1, "doc": doc,
    }  # fmt: skip
    return Knob(**{**given, **more})  # type: ignore[arg-type]


KNOBS = (
    knob("HAKMEM_MODE", "enum", 1, 1, "preset of knob values", name="mode", choices=("a", "b")),
    knob("HAKMEM_SUPERSLAB_LG", "int", 21, 21, "size of a SuperSlab", min=19.0, unit="log2 bytes"),
    knob("HAKMEM_SS_EMPTY_REUSE", "bool", 1, 1, "EMPTY slabs serve again"),
    knob("HAKMEM_SS_EMPTY_SCAN_LIMIT", "int", 16, 1024, "SuperSlabs that one scan looks at"),
    knob("HAKMEM_TINY_CAP_C<n>", "int", 0, 65536, "slots that a class may hold", count=8),
    knob("HAKMEM_BATCH", "bool", 1, 1, "madvise in batches"),
    knob("HAKMEM_FREE_POLICY", "enum", 2, 2, "what happens to freed blocks",
         choices=("keep", "batch", "adaptive")),
)  # fmt: skip

#: What the invented process runs with.
SETTINGS = tuple(
    KnobSetting(knob=one, index=None, value=value, source=source, refused=refused)
    for one, value, source, refused in (
        (KNOBS[0], "b", "default", False),
        (KNOBS[1], 19, "env", False),
        (KNOBS[2], 0, "live", False),
        (KNOBS[3], 16, "env", True),
        (KNOBS[5], 1, "default", False),
        (KNOBS[6], "batch", "mode", False),
        (knob("HAKMEM_TARGET_HIT_MID", "float", 0.65, 1, "hit rate to move the caps of Mid to",
              name="target_hit_mid", scope="live"), 0.65, "default", False),
        (knob("HAKMEM_LEARN", "enum", 0, 2, "a learner moves the policy, or it stands",
              name="learn", choices=("frozen", "learn", "off")), "learn", "mode", False),
    )
)  # fmt: skip

#: True effects of the arms in their order, and where each is settled, in blocks (0: never).
EFFECTS = ((0.62, 10), (0.114, 20), (-0.034, 20), (0.004, 20), (0.021, 0))


def trial(arm: str, block: int, position: int, value: float, **more: object) -> Trial:
    given = {
        "key": TrialKey(Phase.MEASURE, block, position), "arm": arm, "host": "box",
        "status": Status.OK, "started_ns": block * 100 + position, "exit_code": 0,
        "metrics": {"wall": value, "peak_rss": 25_000_000.0 + 1000 * block},
    }  # fmt: skip
    return Trial(**{**given, **more})  # type: ignore[arg-type]


def effect_of(arm: str, number: int, blocks: int) -> ArmState:
    true, done = EFFECTS[number % len(EFFECTS)]
    half = 0.28 / blocks**0.72
    seen = true + (0.03 if number % 2 else -0.02) / blocks
    settled = 0 < done <= blocks
    kind = Kind.GO if true > 0.05 else Kind.NO_GO if true < -0.02 else Kind.NEUTRAL
    verdict = (
        Verdict(kind, f"the whole interval is in {kind}", True)
        if settled
        else Verdict(Kind.INCONCLUSIVE, "the interval reaches over two verdicts")
    )
    p = 0.00004 if kind is Kind.GO and settled else min(1.0, 0.9 / blocks)
    effect = ArmEffect(
        arm=arm, pairs=blocks, effect=seen, interval=(seen - half, seen + half), p_adjusted=p
    )
    return ArmState(effect, verdict, settled)


class FakeSession:
    """Tells what `play` is asked to tell; remembers what it was asked to do."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.asked: list[str] = []
        self.trials: list[Trial] = []
        self._listener: Callable[[Message], None] = lambda message: None
        self._blocks = 0

    def subscribe(self, listener: Callable[[Message], None]) -> Callable[[], None]:
        self._listener = listener
        return lambda: None

    def start(self) -> None:
        self.asked.append("start")
        self._listener(Changed(State.RUNNING))
        self._listener(Opened(Path("~/.local/state/hakmem/sweeps/3f2a.sweep"), self.plan, False))

    def pause(self) -> None:
        self.asked.append("pause")
        self._listener(Changed(State.PAUSED))

    def resume(self) -> None:
        self.asked.append("resume")
        self._listener(Changed(State.RUNNING))

    def stop(self, *, now: bool = False) -> None:
        self.asked.append("stop now" if now else "stop")
        self._listener(Changed(State.STOPPING))

    def join(self, timeout: float | None = None) -> bool:
        return True

    def runs_of(self, arm: str) -> list[Trial]:
        return [one for one in self.trials if one.arm == arm]

    def look(self) -> SweepResult:
        return self.result(complete=False)

    # ---- the script

    def calibrate(self, runs: int = 4) -> None:
        """Some runs of the reference against itself."""
        for number in range(runs):
            one = trial(
                self.plan.reference.name, number // 2, number % 2, 1.2,
                key=TrialKey(Phase.CALIBRATE, number // 2, number % 2),
            )  # fmt: skip
            self._tell(Phase.CALIBRATE, one, 0, None)

    def measure(self, blocks: int) -> None:
        """Blocks with their runs, and a look after every fifth."""
        for block in range(self._blocks, blocks):
            for position, arm in enumerate(self.plan.arms):
                true = 0.0 if position == 0 else EFFECTS[(position - 1) % len(EFFECTS)][0]
                value = 1.25 * (1 - true / 2) * (1 + 0.01 * ((block * 7 + position * 3) % 5))
                failed = arm.name == self.plan.arms[-1].name and block == 3
                more = {"status": Status.TIMEOUT, "metrics": {}, "detail": "after 60 s"}
                self.trials.append(
                    trial(arm.name, block, position, value, **(more if failed else {}))
                )
                self._tell(Phase.MEASURE, self.trials[-1], block + (position > 4), 32)
            if (block + 1) % 5 == 0:
                self._blocks = block + 1
                self._tell(Phase.MEASURE, None, block + 1, 32)
        self._blocks = blocks

    def finish(self, complete: bool = True) -> None:
        self._listener(Changed(State.OVER))
        self._listener(Finished(self.result(complete), Path("3f2a.sweep")))

    def fail(self, text: str) -> None:
        self._listener(Changed(State.OVER))
        self._listener(Failed(text, 3))

    def _states(self) -> dict[str, ArmState]:
        seen = self._blocks
        arms = enumerate(self.plan.contenders)
        return {arm.name: effect_of(arm.name, n, seen) for n, arm in arms} if seen else {}

    def _tell(self, phase: Phase, one: Trial | None, blocks: int, horizon: int | None) -> None:
        states = self._states()
        active = tuple(arm.name for arm in self.plan.contenders if arm.name not in states)
        left = None if horizon is None else (horizon - blocks) * 8.25
        self._listener(
            Advanced(
                Progress(phase=phase, trial=one, blocks=blocks, horizon=horizon or 0, left=left,
                         active=active, states=states)
            )
        )  # fmt: skip

    def result(self, complete: bool) -> SweepResult:
        arms = []
        for arm in self.plan.contenders:
            mine, state = self.runs_of(arm.name), self._states().get(arm.name)
            effect = state.effect if state is not None else None
            arms.append(
                ArmResult(
                    arm=arm.name, env=arm.env, metric="wall",
                    effect=effect.effect if effect else None,
                    interval=effect.interval if effect else None,
                    p_adjusted=effect.p_adjusted if effect else None,
                    verdict=state.verdict.kind if state else Kind.INCONCLUSIVE,
                    reason=state.verdict.reason if state else "too few pairs",
                    runs=sum(one.ok for one in mine), failed_runs=sum(not one.ok for one in mine),
                    pairs=self._blocks, outliers=0, settled=state.done if state else False,
                )
            )  # fmt: skip
        reference = self.runs_of(self.plan.reference.name)
        return SweepResult(
            title="", command=self.plan.command, reference=self.plan.reference.name,
            reference_env=self.plan.reference.env, metric="wall", better="lower", unit="s", also=[],
            units={}, arms=arms, reference_metrics={}, reference_runs=len(reference),
            reference_failed=0,
            calibration=Calibration(blocks=8, effect=0.004, interval=(-0.011, 0.019), spread=0.021,
                                    warmup_runs=2, ok=True),
            machine={"cpu": "2 cores"},
            warnings=["load 1.4 on 2 cores: other programs run"], refused={}, hosts=["box"],
            blocks=self._blocks, horizon=32, looks=self._blocks // 5, spent=self._blocks / 32,
            complete=complete, seconds=81.5, level=0.05,
            rules="GO at +5 % or better; NEUTRAL within +-3 %; NO-GO worse than -2 %;"
            " judged by the whole interval",
        )  # fmt: skip


class FakeSweeps:
    """Makes desks whose sessions are FakeSessions; `session` is the last one."""

    def __init__(self) -> None:
        self.sessions: list[FakeSession] = []

    @property
    def session(self) -> FakeSession:
        return self.sessions[-1]

    def __call__(self, tell: Callable[[Told], object]) -> SweepDesk:
        return SweepDesk(tell, make_session=self._make, find_knobs=lambda: KNOBS)

    def _make(self, plan: Plan) -> FakeSession:
        self.sessions.append(FakeSession(plan))
        return self.sessions[-1]


def filled(desk: SweepDesk) -> None:
    """A command and two knobs: six arms."""
    desk.open()
    desk.enter("command", "build/bench/c7 --waves 100 --threads 4")
    desk.enter("HAKMEM_SUPERSLAB_LG", "19:21:1")
    desk.enter("HAKMEM_SS_EMPTY_REUSE", "0,1")
