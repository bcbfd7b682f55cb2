"""What a search leaves behind for `hakmem apply`: its outcome, in one small file of its folder.

The runs are in the sweep files beside it. Written once, when the search is over.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from hakmem_tools.model.trial import Arm
from hakmem_tools.tune.plan import Plan
from hakmem_tools.tune.result import SweepResult
from hakmem_tools.tune.search import Outcome
from hakmem_tools.tune.store import Store, StoreError
from hakmem_tools.tune.verdict import Kind

_NAME = "study.json"


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """A setting, the reference it was compared with, and the fresh comparison of the two."""

    plan: Plan
    winner: Arm
    reference: Arm
    verification: SweepResult

    @property
    def kind(self) -> Kind:
        """The verdict of the verification."""
        return self.verification.arms[0].verdict

    @property
    def better(self) -> bool:
        """Whether the setting is shown to be better: GO, or an interval wholly above zero."""
        interval = self.verification.arms[0].interval
        return self.kind is Kind.GO or bool(interval and interval[0] > 0)

    @property
    def evidence(self) -> str:
        """Lines that say what was compared, and what came out."""
        arm = self.verification.arms[0]
        return (
            f"{self.winner.name} against {self.reference.name}: {arm.verdict}\n"
            f"{arm.reason} ({arm.metric}, {arm.pairs} fresh pairs)"
        )


class _Study(msgspec.Struct, frozen=True):
    plan: Plan
    outcome: Outcome


def save(folder: Path, plan: Plan, outcome: Outcome) -> None:
    """Write the outcome; StoreError when that fails. A kill leaves the old file or the new one."""
    text = msgspec.json.encode(_Study(plan, outcome))
    part = folder / f"{_NAME}.part"
    try:
        part.write_bytes(text)
        os.replace(part, folder / _NAME)
    except OSError as error:
        raise StoreError(f"{folder / _NAME}: {error.strerror}") from None


def clear(folder: Path) -> None:
    """Take away what an earlier search has left in its folder, and nothing else."""
    for pattern in ("rung-*.sweep*", "verify.sweep*", f"{_NAME}*"):
        for path in folder.glob(pattern):
            path.unlink()


def proof_of_study(folder: Path) -> Proof:
    """The winner of a study and its verification; StoreError when there is none."""
    try:
        study = msgspec.json.decode((folder / _NAME).read_bytes(), type=_Study)
    except FileNotFoundError:
        raise StoreError(f"{folder}: no finished search in it; `hakmem tune` goes on") from None
    except (OSError, msgspec.MsgspecError) as error:
        raise StoreError(f"{folder / _NAME}: cannot read: {error}") from None
    outcome = study.outcome
    if outcome.winner is None or outcome.verification is None:
        raise StoreError(f"{folder}: no setting was better than the default; nothing to apply")
    with Store.open(folder / "verify.sweep") as store:
        plan = store.plan
    return Proof(
        plan=plan, winner=plan.arms[1], reference=plan.arms[0], verification=outcome.verification
    )


def chosen_arm(result: SweepResult, plan: Plan, name: str | None) -> Arm:
    """The arm of a sweep to apply: the one named, or the best that has GO; StoreError if none."""
    known = {arm.name: arm for arm in plan.contenders}
    if name is not None:
        if name not in known:
            raise StoreError(f"--arm {name!r}: no such arm; allowed are {', '.join(known)}")
        return known[name]
    good = [arm for arm in result.arms if arm.verdict is Kind.GO]
    if not good:
        raise StoreError("no arm of this sweep is GO; name one with --arm to verify it anyway")
    return known[max(good, key=lambda arm: arm.effect or 0.0).arm]
