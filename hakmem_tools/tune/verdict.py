"""From effects to a verdict: GO, NEUTRAL, NO-GO or INCONCLUSIVE, by rules that the spec states.

Pure. `experiment` asks it at each look whether an arm is settled; reports print its reason; the
commands take their exit status from `gate`. It computes no statistics.

By default a verdict is a claim about the true effect, so the whole interval must lie where the rule
says: GO when all of it is at or above +5 %, NO-GO when all of it is below -2 %, NEUTRAL when all of
it is within +-3 %. With `judge = "estimate"` the point estimate is compared instead, and the
interval need only exclude no effect at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec


class Kind(StrEnum):
    """The four verdicts."""

    GO = "GO"
    NEUTRAL = "NEUTRAL"
    NO_GO = "NO-GO"
    INCONCLUSIVE = "INCONCLUSIVE"


class Verdict(msgspec.Struct, frozen=True):
    """A verdict with its reason in one line; `settled` says that more runs would not change it."""

    kind: Kind
    reason: str
    settled: bool = False


class Condition(msgspec.Struct, frozen=True):
    """A further condition of GO on a metric's relative change, such as instructions <= -15 %."""

    metric: str
    relation: str  # "<=" or ">="
    bound: float  # fraction

    @property
    def text(self) -> str:
        """The condition as the spec writes it."""
        return f"{self.metric} {self.relation} {self.bound * 100:+.4g} %"


class Change(msgspec.Struct, frozen=True):
    """Relative change of a metric against the reference (-0.15 is 15 % less), or why missing."""

    low: float | None = None
    high: float | None = None
    missing: str = ""


class Rules(msgspec.Struct, frozen=True):
    """Where the verdicts begin, as fractions of throughput; the defaults are the mission's."""

    go: float = 0.05
    neutral: float = 0.03
    no_go: float = -0.02
    conditions: tuple[Condition, ...] = ()
    judge: str = "interval"

    def problems(self) -> list[str]:
        """What is wrong with these rules, one line each; empty when they can be used."""
        found = []
        if not 0.0 <= self.go <= 100.0:
            found.append(f"verdict.go={self.go}: allowed is 0..100 (0.05 is +5 %)")
        if not 0.0 <= self.neutral <= 1.0:
            found.append(f"verdict.neutral={self.neutral}: allowed is 0..1 (0.03 is +-3 %)")
        if not -1.0 < self.no_go <= 0.0:
            found.append(f"verdict.no_go={self.no_go}: allowed is -1..0 (-0.02 is -2 %)")
        if self.judge not in ("interval", "estimate"):
            found.append(f"verdict.judge={self.judge!r}: allowed is 'interval' or 'estimate'")
        return found


_CONDITION = re.compile(r"\s*([A-Za-z_][\w.:/-]*)\s*(<=|>=)\s*([+-]?\d+(?:\.\d+)?)\s*(%?)\s*")


def parse_condition(text: str) -> Condition:
    """Read `instructions <= -15%`; raises ValueError with one line that says what is allowed."""
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise ValueError(
            f"condition {text!r}: write METRIC <= PERCENT% or METRIC >= PERCENT%,"
            " for instance 'instructions <= -15%'"
        )
    metric, relation, number, percent = match.groups()
    return Condition(metric, relation, float(number) / (100.0 if percent else 1.0))


def decide(
    effect: float | None,
    interval: tuple[float, float] | None,
    rules: Rules,
    changes: Mapping[str, Change] | None = None,
    reason: str = "",
) -> Verdict:
    """Judge one arm.

    `effect` and `interval` are fractions of throughput, better being positive; None with `reason`
    when there is none. `changes` holds the changes of the metrics that the conditions name.
    """
    if effect is None or interval is None:
        return Verdict(Kind.INCONCLUSIVE, reason or "no interval yet")
    low, high = interval
    if rules.judge == "estimate":
        # An interval on both sides of zero is compared by its ends only for NEUTRAL, below.
        beyond_zero = low > 0.0 or high < 0.0
        bottom, top = (effect, effect) if beyond_zero else (low, high)
    else:
        bottom, top = low, high
    shown = f"effect {_percent(effect)}, interval {_percent(low)} .. {_percent(high)}"
    if top < rules.no_go:
        return Verdict(Kind.NO_GO, f"{shown}: below {_percent(rules.no_go)}", settled=True)
    if bottom >= rules.go:
        return _with_conditions(shown, rules, changes or {})
    if bottom >= -rules.neutral and top <= rules.neutral:
        return Verdict(Kind.NEUTRAL, f"{shown}: within +-{rules.neutral * 100:.4g} %", settled=True)
    if bottom > rules.neutral and top < rules.go:
        return Verdict(
            Kind.INCONCLUSIVE, f"{shown}: more than NEUTRAL and less than GO", settled=True
        )
    return Verdict(Kind.INCONCLUSIVE, f"{shown}: lies across {_crossed(bottom, top, rules)}")


def _with_conditions(shown: str, rules: Rules, changes: Mapping[str, Change]) -> Verdict:
    """GO if every further condition is shown to hold, else INCONCLUSIVE and which one failed."""
    for condition in rules.conditions:
        change = changes.get(condition.metric, Change(missing="not measured"))
        if change.low is None or change.high is None:
            why = f"{condition.text} cannot be checked: {change.missing or 'not measured'}"
            return Verdict(Kind.INCONCLUSIVE, f"{shown}: {why}")
        if condition.relation == "<=":
            holds, fails = change.high <= condition.bound, change.low > condition.bound
        else:
            holds, fails = change.low >= condition.bound, change.high < condition.bound
        if not holds:
            measured = f"measured {_percent(change.low)} .. {_percent(change.high)}"
            why = f"{condition.text} {'does not hold' if fails else 'is not shown'}: {measured}"
            return Verdict(Kind.INCONCLUSIVE, f"{shown}: {why}", settled=fails)
    beside = "".join(f", {condition.text}" for condition in rules.conditions)
    return Verdict(Kind.GO, f"{shown}: at or above {_percent(rules.go)}{beside}", settled=True)


def _crossed(bottom: float, top: float, rules: Rules) -> str:
    edges = (rules.no_go, -rules.neutral, rules.neutral, rules.go)
    inside = sorted({edge for edge in edges if bottom <= edge <= top})
    return ", ".join(_percent(edge) for edge in inside) or "no rule"


def _percent(fraction: float) -> str:
    return f"{fraction * 100:+.2f} %"


def gate(kinds: Sequence[Kind], need: Kind | None = None) -> int:
    """Exit status for CI: 0 passed, 1 failed, 3 cannot tell.

    Without `need`: a NO-GO fails, an INCONCLUSIVE cannot tell. With `need` GO or NEUTRAL: passed
    when some arm has that verdict (GO counts for NEUTRAL). No arm at all cannot tell.
    """
    if not kinds:
        return 3
    if need is None:
        if Kind.NO_GO in kinds:
            return 1
        return 3 if Kind.INCONCLUSIVE in kinds else 0
    wanted = {need, Kind.GO} if need is Kind.NEUTRAL else {need}
    if wanted & set(kinds):
        return 0
    return 3 if Kind.INCONCLUSIVE in kinds else 1
