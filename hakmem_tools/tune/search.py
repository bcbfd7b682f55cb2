"""Searches a space of settings: successive halving on paired effects, then a fresh verification.

`hakmem tune` conducts it. Settings are proposed batch by batch and measured against the default in
interleaved blocks; of each rung the best third goes on to one with three times the blocks. Ranking
is by effects shrunk for their noise, so that luck alone carries no setting through. The winner is
then compared with the default once more, in a sweep of its own: what chose it says nothing there.

A study is a folder of sweep files, each of which `hakmem report` reads. Everything that is done
follows from the folder, so a study that was killed goes on. It starts nothing by itself: `measure`
conducts a plan and returns its runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from hakmem_tools.model.trial import Arm, Trial
from hakmem_tools.tune.analysis import improvements
from hakmem_tools.tune.plan import AS_IS, Limits, Plan, PlanError
from hakmem_tools.tune.result import SweepResult
from hakmem_tools.tune.samplers import Sampler, Setting
from hakmem_tools.tune.space import Space
from hakmem_tools.tune.statistics.shrinkage import Shrunk, shrink

KEEP = 3  # one setting in so many survives a rung
FIRST_BLOCKS = 5
BATCH = 9  # settings of the first rung that are measured together
SEARCH_SHARE = 0.6  # of the time allowed; the rest is for the verification
_ALL_BLOCKS = 1e-4  # a precision nobody reaches: a rung runs all its blocks


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """What to search: `plan` has the command, metric and limits; its arms are put in here."""

    plan: Plan
    space: Space
    trials: int = 27

    @property
    def count(self) -> int:
        """Settings to try."""
        return min(self.trials, self.space.size)

    @property
    def rungs(self) -> int:
        """Rungs until at most `KEEP` settings are left."""
        return max(1, math.ceil(math.log(max(self.count, 2), KEEP) - 1e-9))


class Candidate(msgspec.Struct, frozen=True):
    """A setting that was tried, and its effect as a fraction after shrinkage."""

    arm: str
    env: Mapping[str, str]
    effect: float | None
    deviation: float | None
    pairs: int
    rung: int


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a search found. `winner` is None when no setting looked better than the default."""

    winner: Arm | None
    candidates: Sequence[Candidate]
    verification: SweepResult | None


class Measure(Protocol):
    """Conducts a plan in a file to its end; None if it was told to stop before."""

    def __call__(self, plan: Plan, path: Path) -> tuple[SweepResult, list[Trial]] | None:
        """The result, and every run."""


class Stopped(Exception):
    """The search was told to stop; its folder can be taken up again."""


def conduct(
    search: Search,
    folder: Path,
    sampler: Sampler,
    measure: Measure,
    tell: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """Search and verify; raises Stopped, PlanError, or what `measure` raises."""
    state = _State(search, folder, measure, tell)
    state.first_rung(sampler)
    for rung in range(1, search.rungs):
        state.rung(rung)
    best = state.ranked()
    winner = None
    if best and state.shrunk()[best[0].name].mean > 0:
        winner = best[0]
    verification = None
    if winner is not None:
        tell(f"verifying {winner.name} against the default with fresh runs")
        verification = state.verify(winner)
    return Outcome(winner=winner, candidates=state.candidates(), verification=verification)


class _State:
    """The effects gathered so far, by setting."""

    def __init__(
        self, search: Search, folder: Path, measure: Measure, tell: Callable[[str], None]
    ) -> None:
        self.search = search
        self.folder = folder
        self._measure = measure
        self._tell = tell
        self.pairs: dict[str, list[float]] = {}
        self.reached: dict[str, int] = {}
        self.arms: dict[str, Arm] = {}

    def first_rung(self, sampler: Sampler) -> None:
        """Batch after batch, each proposed from the effects of those before."""
        known: dict[Setting, float | None] = {}
        batches = math.ceil(self.search.count / BATCH)
        for batch in range(batches):
            wanted = min(BATCH, self.search.count - len(known))
            settings = sampler.propose(wanted, known)
            arms = [self.search.space.arm(setting) for setting in settings]
            self._run(arms, 0, f"rung-1-{batch + 1}", 1 / batches)
            effects = self.shrunk()
            for setting, arm in zip(settings, arms, strict=True):
                known[setting] = effects[arm.name].mean if arm.name in effects else None

    def rung(self, number: int) -> None:
        """The best of those that reached the rung below, with three times its blocks."""
        below = [arm for arm in self.ranked() if self.reached[arm.name] == number - 1]
        wanted = max(1, math.ceil(len(below) / KEEP))
        self._run(below[:wanted], number, f"rung-{number + 1}", 1.0)

    def _run(self, arms: Sequence[Arm], rung: int, name: str, share: float) -> None:
        if not arms:
            return
        blocks = FIRST_BLOCKS * KEEP**rung
        self._tell(f"{name}: {len(arms)} settings, {blocks} blocks")
        limits = self.search.plan.limits
        time = SEARCH_SHARE * limits.max_time / self.search.rungs * share
        plan = msgspec.structs.replace(
            self.search.plan,
            arms=(Arm(AS_IS, {}), *arms),
            limits=Limits(
                blocks=blocks, max_time=time, precision=_ALL_BLOCKS, until="precision",
                calibration=3, run_timeout=limits.run_timeout,
            ),
        )  # fmt: skip
        measured = self._measure(plan, self.folder / f"{name}.sweep")
        if measured is None:
            raise Stopped
        for arm, values in improvements(plan, measured[1], blocks).items():
            self.arms[arm] = next(one for one in arms if one.name == arm)
            self.pairs.setdefault(arm, []).extend(values)
            self.reached[arm] = rung

    def shrunk(self) -> dict[str, Shrunk]:
        """Posterior effects of everything measured."""
        return shrink(self.pairs)

    def ranked(self) -> list[Arm]:
        """Settings, the highest rung first, there the best first; those that only failed are out.

        Best is what may well be best: the posterior mean and one standard deviation.
        """
        effects = self.shrunk()

        def promise(name: str) -> tuple[int, float]:
            return self.reached[name], effects[name].mean + effects[name].deviation

        return [self.arms[name] for name in sorted(effects, key=promise, reverse=True)]

    def candidates(self) -> list[Candidate]:
        """Everything tried, best first, then what failed."""
        effects = self.shrunk()
        names = [arm.name for arm in self.ranked()]
        names += [name for name in self.arms if name not in effects]
        return [
            Candidate(
                arm=name, env=self.arms[name].env,
                effect=math.expm1(effects[name].mean) if name in effects else None,
                deviation=effects[name].deviation if name in effects else None,
                pairs=len(self.pairs[name]), rung=self.reached[name] + 1,
            )
            for name in names
        ]  # fmt: skip

    def verify(self, winner: Arm) -> SweepResult:
        """A sweep of the default and the winner, with runs and an order of its own."""
        limits = self.search.plan.limits
        plan = verification_plan(
            self.search.plan, Arm(AS_IS, {}), winner, (1 - SEARCH_SHARE) * limits.max_time
        )
        measured = self._measure(plan, self.folder / "verify.sweep")
        if measured is None:
            raise Stopped
        return measured[0]


def verification_plan(plan: Plan, reference: Arm, winner: Arm, max_time: float) -> Plan:
    """Compares a chosen setting with the reference, in another order than what chose it."""
    if winner.name == reference.name:
        raise PlanError(f"{winner.name} is the reference: there is nothing to verify")
    limits = msgspec.structs.replace(plan.limits, max_time=max_time)
    return msgspec.structs.replace(
        plan, arms=(reference, winner), limits=limits, seed=plan.seed + 1_000_003
    )
