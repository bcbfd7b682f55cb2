"""Conducts a sweep: checks, setup, calibration, then blocks and looks until every arm is done.

The commands and the terminal UI start it; it owns the order of things and nothing else. Everything
it needs to go on after a kill is in the store, so starting again and going on are the same code.
"""

from __future__ import annotations

import collections
import shlex
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from hakmem_tools.model.trial import Arm, Phase, Trial, TrialKey
from hakmem_tools.tune.analysis import (
    ArmState,
    Follower,
    arm_result,
    complete_blocks,
    summaries,
)
from hakmem_tools.tune.calibration import calibration_of, doubts
from hakmem_tools.tune.catalogues import Verification
from hakmem_tools.tune.hosts import disagreements
from hakmem_tools.tune.machine import MachineState, inspect
from hakmem_tools.tune.plan import Plan, block_order
from hakmem_tools.tune.result import Calibration, SweepResult
from hakmem_tools.tune.statistics.sequential import (
    FIRST_LOOK_BLIND,
    NO_LOOK,
    Look,
    planned_horizon,
)
from hakmem_tools.tune.store import Block, LookRecord, Store

CALIBRATION_SHARE = 0.2  # of the time allowed
FAILURES = 3  # in a row, with no success, after which an arm is given up
MAX_BLOCKS = 5000


class ExperimentError(RuntimeError):
    """The sweep cannot go on at all: one line that says why and what to do."""


class TrialRunner(Protocol):
    """What carries out one trial: `runner.Runner`, or a stand-in."""

    def run(self, arm: Arm, key: TrialKey) -> Trial:
        """One run; failures are trials."""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Told after every run and every look. `left` is the most time still to go, in seconds."""

    phase: Phase
    trial: Trial | None
    blocks: int
    horizon: int
    left: float | None
    active: tuple[str, ...]
    states: dict[str, ArmState]


Observer = Callable[[Progress], None]


class Experiment:
    """One sweep on one store. `conduct` until done or told to stop; `result` at any time."""

    def __init__(
        self,
        store: Store,
        runner: TrialRunner,
        *,
        verify: Callable[[Plan], Verification] = lambda plan: Verification({}),
        observe: Observer = lambda progress: None,
        stopping: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
        machine: Callable[[], MachineState] = inspect,
    ) -> None:
        self.store = store
        self.plan = store.plan
        self._runner = runner
        self._verify = verify
        self._observe = observe
        self._stopping = stopping
        self._clock = clock
        self._machine = machine
        self._follower = replay(store)
        self._arms = {arm.name: arm for arm in self.plan.arms}
        self._trials = store.trials()

    def conduct(self) -> SweepResult:
        """Run what is left. Raises ExperimentError when the reference itself cannot be measured."""
        if self.store.get("merged", bool):
            raise ExperimentError(f"{self.store.path}: a merged sweep can be reported, not resumed")
        self._prepare()
        self._calibrate()
        self._measure()
        return self.result()

    def result(self) -> SweepResult:
        """What is known now."""
        return result_of(self.store, self._follower)

    def _prepare(self) -> None:
        """Machine, setup and the check that every knob takes effect; once per sweep."""
        if self.store.get("machine", MachineState) is None:
            self.store.put("machine", self._machine())
        if self.plan.setup and not self.store.get("setup_done", bool):
            set_up(self.plan)
            self.store.put("setup_done", True)
        if self.store.get("refused", dict[str, str]) is None:
            found = self._verify(self.plan)
            self.store.put("notes", found.notes)
            self.store.put("refused", found.refused)
        self._check_arms()

    def _check_arms(self) -> None:
        """ExperimentError unless the reference and some other arm can be measured."""
        reason = self._refused.get(self.plan.reference.name)
        if reason:
            raise ExperimentError(f"reference {self.plan.reference.name}: {reason}")
        if not set(self._arms) - {self.plan.reference.name} - set(self._refused):
            name, reason = next(iter(self._refused.items()))
            raise ExperimentError(f"no arm is left to measure; {name}: {reason}")

    @property
    def _refused(self) -> dict[str, str]:
        return self.store.get("refused", dict[str, str]) or {}

    def _calibrate(self) -> None:
        """A/A blocks; twice as many when they have not settled. Then the horizon is planned."""
        wanted = self.plan.limits.calibration
        for number in range(2 * wanted):
            begun = number < len(self.store.blocks(Phase.CALIBRATE))  # a kill cut it short
            if not begun and number >= wanted and self._calibration().warmup_runs is not None:
                break
            if not begun and number and self._calibrating_too_long():
                break
            if self._run_block(Phase.CALIBRATE, number, ()) is False:
                return
            self._check_reference()
        if self.store.get("horizon", int) is None:
            self.store.put("calibrated_at", self.store.seconds)
            self.store.put("horizon", self._planned_horizon())

    def _planned_horizon(self) -> int:
        return horizon_of(self.plan, self._calibration())

    def _calibrating_too_long(self) -> bool:
        """Calibration may use a fifth of the time there is, beyond its first block."""
        return 0 < CALIBRATION_SHARE * self.plan.limits.max_time <= self.store.seconds

    def _calibration(self) -> Calibration:
        return calibration_of(self.plan, self._trials)

    def _check_reference(self) -> None:
        """Give up when the reference has only failed so far: nothing can be compared with it."""
        mine = [trial for trial in self._trials if trial.arm == self.plan.reference.name]
        if len(mine) >= FAILURES and not any(trial.ok for trial in mine):
            raise ExperimentError(
                f"reference {self.plan.reference.name}: {len(mine)} runs of"
                f" {shlex.join(self.plan.command)} failed: {mine[-1].detail}"
            )

    def _measure(self) -> None:
        """Blocks until every arm is done, or blocks or time are used up."""
        horizon = self.store.get("horizon", int)
        while horizon is not None and not self.store.get("complete", bool):
            over = self._look_when_due(horizon)
            active = self._active()
            blocks = self._blocks_done()
            if not active or over:
                self.store.put("complete", True)
            elif self._run_block(Phase.MEASURE, blocks, active) is False:
                return

    def _active(self) -> tuple[str, ...]:
        """Contenders that still need runs."""
        out = self._follower.done | set(self._refused) | self._given_up()
        return tuple(arm.name for arm in self.plan.contenders if arm.name not in out)

    def _given_up(self) -> set[str]:
        """Arms whose every run has failed, often enough."""
        succeeded = {trial.arm for trial in self._trials if trial.ok}
        failures = collections.Counter(trial.arm for trial in self._trials if not trial.ok)
        return {arm for arm, count in failures.items() if count >= FAILURES} - succeeded

    def _blocks_done(self) -> int:
        sizes = [len(block.arms) for block in self.store.blocks(Phase.MEASURE)]
        return complete_blocks(self.plan, self._trials, sizes)

    def _spent(self, blocks: int, horizon: int) -> float:
        """Fraction of the experiment that is over: by blocks, or by time if that is further."""
        fraction = blocks / horizon
        if self.plan.limits.max_time:
            before = self.store.get("calibrated_at", float) or 0.0
            left = max(self.plan.limits.max_time - before, 1e-9)
            fraction = max(fraction, (self.store.seconds - before) / left)
        return min(fraction, 1.0)

    def _look_when_due(self, horizon: int) -> bool:
        """Take a look if there is something to see; whether blocks or time are used up."""
        blocks = self._blocks_done()
        over = self._spent(blocks, horizon) >= 1.0
        if self._active() and (blocks >= self._follower.first_look(self._trials) or over):
            self._look_if_due(blocks, horizon)
        return over

    def _look_if_due(self, blocks: int, horizon: int) -> None:
        looks = self._follower.monitor.looks
        look = Look(blocks, self._spent(blocks, horizon))
        if not look.due_after(looks[-1] if looks else NO_LOOK):
            return
        self._follower.look(look, self._trials)
        settled = tuple(sorted(self._follower.done))
        self.store.add_look(LookRecord(look.blocks, look.spent, settled))
        self._tell(Phase.MEASURE, None)

    def _run_block(self, phase: Phase, number: int, active: Sequence[str]) -> bool:
        """Run what a block still lacks; False if told to stop before it was whole."""
        planned = {block.number: block for block in self.store.blocks(phase)}
        if number not in planned:
            order = tuple(block_order(self.plan, phase, number, active))
            planned[number] = Block(phase, number, "", order)
            self.store.add_block(planned[number])
        done = self.store.done_positions(phase, number)
        for position, name in enumerate(planned[number].arms):
            if position in done:
                continue
            if self._stopping():
                return False
            began = self._clock()
            trial = self._runner.run(self._arms[name], TrialKey(phase, number, position))
            if self.store.add_trial(trial, self._clock() - began):
                self._trials.append(trial)
            self._tell(phase, trial)
        return True

    def _tell(self, phase: Phase, trial: Trial | None) -> None:
        horizon = self.store.get("horizon", int) or 0
        blocks = self._blocks_done()
        self._observe(
            Progress(
                phase=phase, trial=trial, blocks=blocks, horizon=horizon,
                left=self._time_left(blocks, horizon), active=self._active(),
                states=dict(self._follower.states),
            )
        )  # fmt: skip

    def _time_left(self, blocks: int, horizon: int) -> float | None:
        """The most that can still be to go, judged by the mean run so far."""
        if not horizon or not self._trials:
            return None
        per_run = self.store.seconds / len(self._trials)
        runs = (horizon - blocks) * (len(self._active()) + 1)
        left = per_run * runs
        if self.plan.limits.max_time:
            left = min(left, self.plan.limits.max_time - self.store.seconds)
        return max(0.0, left)


def horizon_of(plan: Plan, calibration: Calibration) -> int:
    """Most blocks to run: what the limits say, or what the calibration's spread calls for."""
    if plan.limits.blocks:
        return max(plan.limits.blocks, FIRST_LOOK_BLIND)
    level = plan.limits.level / len(plan.contenders)
    spread, pairs = calibration.spread, calibration.blocks
    wanted = planned_horizon(spread, pairs, plan.limits.detect, level)
    if plan.limits.precision:
        # Half an interval is z s sqrt(2 / n): detecting that distance half of the time.
        exact = planned_horizon(spread, pairs, plan.limits.precision, level, power=0.5)
        wanted = max(wanted, round(1.5 * exact))
    return min(MAX_BLOCKS, wanted)


def replay(store: Store) -> Follower:
    """The state after the looks that a store has recorded."""
    follower = Follower(store.plan)
    trials = store.trials() if store.looks() else []
    for look in store.looks():
        follower.look(Look(look.blocks, look.spent), trials)
    return follower


def result_of(store: Store, follower: Follower | None = None) -> SweepResult:
    """The result of a stored sweep as far as it has come.

    A merged file has no looks of its own: it is looked at once, as a whole.
    """
    plan, trials = store.plan, store.trials()
    follower = follower or replay(store)
    blocks = complete_blocks(plan, trials, [len(b.arms) for b in store.blocks(Phase.MEASURE)])
    if store.get("merged", bool) and not follower.monitor.looks and blocks:
        follower.look(Look(blocks, 1.0), trials)
    state = store.get("machine", MachineState) or MachineState({}, ())
    refused = store.get("refused", dict[str, str]) or {}
    calibration = calibration_of(plan, trials)
    reference = [t for t in trials if t.arm == plan.reference.name and t.key.phase == Phase.MEASURE]
    warnings = [*state.warnings, *(store.get("notes", list[str]) or ())]
    warnings += doubts(plan, calibration)
    warnings += disagreements(plan, trials, blocks)
    looks = follower.monitor.looks
    return SweepResult(
        title=plan.title,
        command=plan.command,
        reference=plan.reference.name,
        reference_env=plan.reference.env,
        metric=plan.metric.name,
        better=plan.metric.better,
        unit=plan.metric.unit,
        also=[metric.name for metric in plan.also],
        units={metric.name: metric.unit for metric in plan.also if metric.unit},
        arms=[
            arm_result(plan, arm.name, follower.states.get(arm.name), trials,
                       refused.get(arm.name, ""))
            for arm in plan.contenders
        ],
        reference_metrics=summaries(plan, plan.reference.name, trials),
        reference_runs=sum(trial.ok for trial in reference),
        reference_failed=sum(not trial.ok for trial in reference),
        calibration=calibration,
        machine=state.facts,
        warnings=warnings,
        refused=refused,
        hosts=sorted({trial.host for trial in trials}),
        blocks=blocks,
        horizon=store.get("horizon", int) or 0,
        looks=len(looks),
        spent=looks[-1].spent if looks else 0.0,
        complete=bool(store.get("complete", bool)),
        seconds=store.seconds,
        level=plan.limits.level,
        rules=_rules_text(plan),
    )  # fmt: skip


def _rules_text(plan: Plan) -> str:
    rules = plan.rules
    conditions = "".join(f" and {condition.text}" for condition in rules.conditions)
    return (
        f"GO at {rules.go * 100:+g} % or better{conditions}; NEUTRAL within"
        f" +-{rules.neutral * 100:g} %; NO-GO worse than {rules.no_go * 100:+g} %;"
        f" judged by the {'whole interval' if rules.judge == 'interval' else 'estimate'}"
    )


def set_up(plan: Plan) -> None:
    """Run the setup; what it prints goes to stderr, since stdout is for results."""
    try:
        done = subprocess.run(plan.setup, cwd=plan.cwd, stdout=2, check=False)
    except OSError as error:
        raise ExperimentError(f"setup {shlex.join(plan.setup)}: {error.strerror}") from None
    if done.returncode != 0:
        raise ExperimentError(
            f"setup {shlex.join(plan.setup)}: exit status {done.returncode}; nothing was measured"
        )
