"""From a SweepMoment to figures: one line per arm, the scale of the intervals, how far it is.

Used by the sweep screen's table and panel. Pure: no Textual, no widths, no colours.
"""

from __future__ import annotations

import msgspec

from hakmem_tools.model.trial import Phase, Trial
from hakmem_tools.tune.plan import Plan
from hakmem_tools.tune.report import words
from hakmem_tools.tune.session import State
from hakmem_tools.tune.verdict import Kind
from hakmem_top.sweep.desk import SweepMoment

#: Verdicts by how much they matter, for sorting.
ORDER = {Kind.GO: 0, Kind.NO_GO: 1, Kind.NEUTRAL: 2, Kind.INCONCLUSIVE: 3}

WAITS = "no look yet: the first comes after three blocks or five"


class ArmLine(msgspec.Struct, frozen=True):
    """One arm. Effects are fractions, better is positive; None stands with `reason`.

    `settled` says that more runs would not change the verdict; `widths` is half of the interval
    at each look.
    """

    arm: str
    label: str
    short: str
    env: dict[str, str]
    reference: bool
    effect: float | None
    low: float | None
    high: float | None
    p: float | None
    verdict: Kind | None
    reason: str
    settled: bool
    runs: int
    failed: int
    widths: tuple[float, ...]


class Standing(msgspec.Struct, frozen=True):
    """How far a sweep is: a word, blocks done of at most so many, and the most time left."""

    word: str
    share: float | None
    blocks: int
    horizon: int
    left_s: float | None


def arm_lines(moment: SweepMoment) -> list[ArmLine]:
    """Every arm of the plan, the reference first, then in the plan's order."""
    plan = moment.plan
    if plan is None:
        return []
    refused = dict(moment.result.refused) if moment.result is not None else {}
    return [_line(moment, plan, number, refused) for number in range(len(plan.arms))]


def _line(moment: SweepMoment, plan: Plan, number: int, refused: dict[str, str]) -> ArmLine:
    arm = plan.arms[number]
    good, failed = moment.runs.get(arm.name, (0, 0))
    base = ArmLine(
        arm=arm.name, label=_label(plan, number), short=_label(plan, number, True), env=arm.env,
        reference=number == 0,         effect=None, low=None, high=None, p=None,
        verdict=None, reason="", settled=False, runs=good, failed=failed,
        widths=moment.widths.get(arm.name, ()),
    )  # fmt: skip
    if number == 0:
        return msgspec.structs.replace(base, reason="the reference: all others against it")
    if arm.name in refused:
        return msgspec.structs.replace(base, reason=f"refused: {refused[arm.name]}", settled=True)
    state = moment.progress.states.get(arm.name) if moment.progress is not None else None
    if state is not None:
        low, high = state.effect.interval or (None, None)
        return msgspec.structs.replace(
            base, effect=state.effect.effect, low=low, high=high, p=state.effect.p_adjusted,
            verdict=state.verdict.kind, settled=state.done,
            reason=state.verdict.reason or state.effect.reason,
        )  # fmt: skip
    for result in moment.result.arms if moment.result is not None else ():
        if result.arm == arm.name and result.effect is not None:
            low, high = result.interval or (None, None)
            return msgspec.structs.replace(
                base, effect=result.effect, low=low, high=high, p=result.p_adjusted,
                verdict=result.verdict, settled=result.settled, reason=result.reason,
            )  # fmt: skip
    return msgspec.structs.replace(base, reason=WAITS)


def _label(plan: Plan, number: int, last_word: bool = False) -> str:
    """A short name: of an arm that is named by its settings, what it does not share with all.

    With `last_word`, knobs go by the last word of their names where that is enough.
    """
    arm = plan.arms[number]
    if arm.name != arm.text or not arm.env:
        return arm.name
    shared = {
        name for name, value in arm.env.items() if all(a.env.get(name) == value for a in plan.arms)
    }
    told = {name: name.removeprefix("HAKMEM_") for name in arm.env if name not in shared}
    last = {name: word.rpartition("_")[2] for name, word in told.items()}
    if last_word and len(set(last.values())) == len(last):
        told = last
    parts = [f"{word}={arm.env[name]}" for name, word in told.items()]
    return " ".join(parts) or arm.name


def reach_of(lines: list[ArmLine]) -> float:
    """The end of the axis; where an arm beyond it stands is in its figures."""
    return words.reach([None if row.low is None or row.high is None else (row.low, row.high)
                        for row in lines])  # fmt: skip


def standing(moment: SweepMoment) -> Standing:
    """How far the sweep is."""
    progress = moment.progress
    blocks, horizon = (progress.blocks, progress.horizon) if progress is not None else (0, 0)
    left = progress.left if progress is not None and moment.state is not State.OVER else None
    share = None
    if moment.result is not None and moment.result.complete:
        share, blocks = 1.0, moment.result.blocks
    elif horizon:
        share = min(1.0, blocks / horizon)
        allowed = moment.plan.limits.max_time if moment.plan is not None else 0.0
        if allowed and left is not None:
            share = max(share, 1 - left / allowed)  # time may end it before the blocks do
    return Standing(_word(moment), share, blocks, horizon, left)


def _word(moment: SweepMoment) -> str:
    if moment.state is State.OVER:
        if moment.error:
            return "failed"
        complete = moment.result is not None and moment.result.complete
        return "complete" if complete else "stopped"
    if moment.state in (State.PAUSED, State.STOPPING):
        return str(moment.state)
    if moment.progress is None:
        return "preparing"
    return "calibrating" if moment.progress.phase == Phase.CALIBRATE else "measuring"


def settled(lines: list[ArmLine]) -> int:
    """How many arms need no more runs."""
    return sum(line.settled for line in lines)


class RunRow(msgspec.Struct, frozen=True):
    """One run of an arm; `value` is the metric's, None where it is missing with `why`."""

    number: int
    phase: str
    block: int
    value: float | None
    why: str
    wall: float | None
    rss: float | None
    status: str
    host: str


def run_rows(trials: list[Trial], metric: str) -> list[RunRow]:
    """The runs in the order in which they were started."""
    ordered = sorted(trials, key=lambda trial: trial.started_ns)
    return [
        RunRow(
            number, trial.key.phase, trial.key.block, trial.metrics.get(metric),
            trial.detail or trial.missing.get(metric, ""), trial.metrics.get("wall"),
            trial.metrics.get("peak_rss"), str(trial.status), trial.host,
        )
        for number, trial in enumerate(ordered, start=1)
    ]  # fmt: skip
