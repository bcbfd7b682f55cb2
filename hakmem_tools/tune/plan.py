"""What a sweep measures: arms, command, metric, limits and rules; and the random order of its runs.

`spec` reads a plan from TOML, the commands build one from their arguments; `experiment` carries it
out. Pure: a plan is data, and the order of a block is a function of seed, phase and block alone, so
a sweep that was killed goes on with the very order it would have had.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation

import msgspec

from hakmem_tools.model.trial import Arm, Phase
from hakmem_tools.tune.metric import (
    BUILTIN_METRICS,
    LIVE_METRICS,
    Metric,
    check_metric,
)
from hakmem_tools.tune.metric import PlanError as PlanError  # one error for plan and metric
from hakmem_tools.tune.verdict import Rules

MAX_ARMS = 200
AS_IS = "-"  # the arm that adds nothing to the environment


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """A server that runs during the measurement, while `Plan.command` loads it.

    Ready when `ready_port` accepts a connection on 127.0.0.1, or when `ready_regex` matches its
    output; one of the two. Stopped by `stop_signal`, then killed after `stop_seconds`.
    """

    command: tuple[str, ...]
    ready_port: int = 0
    ready_regex: str = ""
    ready_seconds: float = 10.0
    stop_signal: str = "TERM"
    stop_seconds: float = 5.0


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How long and how exactly to measure. Times are seconds, `precision` is half an interval.

    `blocks` is the most blocks to run; 0 plans them from the calibration's spread, so that a true
    effect of `detect` is found nine times in ten. `until` says when an arm is done early: its
    verdict is settled, or it differs from the reference (or surely by less than `detect`), or (with
    a `precision` above 0, which ends it in the other two cases as well) its interval is no wider.
    """

    blocks: int = 0
    max_time: float = 0.0
    precision: float = 0.0
    until: str = "verdict"
    calibration: int = 8
    run_timeout: float = 600.0
    level: float = 0.05
    detect: float = 0.03

    def problems(self) -> list[str]:
        """What is out of range, one line each."""
        ranges: list[tuple[str, float, float, float]] = [
            ("blocks", self.blocks, 0, 100_000),
            ("max_time", self.max_time, 0, 30 * 86_400),
            ("precision", self.precision, 0, 1),
            ("calibration", self.calibration, 3, 1000),
            ("run_timeout", self.run_timeout, 0.01, 7 * 86_400),
            ("level", self.level, 0.0001, 0.5),
            ("detect", self.detect, 0.001, 10),
        ]
        found = [
            f"limits.{name}={value}: allowed is {low}..{high}"
            for name, value, low, high in ranges
            if not low <= value <= high
        ]
        if self.until not in UNTIL:
            found.append(f"limits.until={self.until!r}: allowed is {', '.join(UNTIL)}")
        if self.until == "precision" and not self.precision:
            found.append("limits.until='precision' needs limits.precision, for instance 0.01")
        return found


UNTIL = ("verdict", "difference", "precision")


class Live(msgspec.Struct, frozen=True, kw_only=True):
    """A running process whose live knobs are switched in slices; then an arm's env are its knobs.

    `started_ns` is when it began to count, so that another process under the same number is another
    experiment. Of each slice the first `carry_over` (a fraction) is not measured.
    """

    pid: int
    started_ns: int
    slice_seconds: float = 2.0
    carry_over: float = 0.25

    def problems(self) -> list[str]:
        """What is out of range, one line each."""
        found = []
        if not 0.05 <= self.slice_seconds <= 3600:
            found.append(f"--slice {self.slice_seconds:g}s: allowed is 0.05s..3600s")
        if not 0.0 <= self.carry_over <= 0.9:
            found.append(f"carry_over={self.carry_over:g}: allowed is 0..0.9")
        return found


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is measured and how it is judged; the first arm is the reference."""

    command: tuple[str, ...]
    arms: tuple[Arm, ...]
    metric: Metric = Metric(name="wall")
    also: tuple[Metric, ...] = ()
    env: dict[str, str] = {}
    setup: tuple[str, ...] = ()
    server: Server | None = None
    live: Live | None = None
    cwd: str = "."
    limits: Limits = Limits()
    rules: Rules = Rules()
    perf_events: tuple[str, ...] = ()
    rss_seconds: float = 0.05
    seed: int = 1
    title: str = ""

    @property
    def reference(self) -> Arm:
        """The arm that all others are compared with."""
        return self.arms[0]

    @property
    def contenders(self) -> tuple[Arm, ...]:
        """The arms that are judged."""
        return self.arms[1:]

    @property
    def fingerprint(self) -> str:
        """Names what is measured: two stores with the same one may be merged.

        Limits, rules and title are left out: they change what is concluded, not what a run is.
        """
        what = (self.command, self.arms, self.env, self.server, self.metric, self.also, self.setup,
                self.live)  # fmt: skip
        return hashlib.sha256(msgspec.json.encode(what, order="deterministic")).hexdigest()[:16]


def check(plan: Plan) -> Plan:
    """Return the plan if it can be carried out; PlanError names the first thing that is wrong."""
    if not plan.command:
        raise PlanError("no command to measure: put it after --, for instance -- ./prog 100")
    if len(plan.arms) < 2:
        raise PlanError(f"{len(plan.arms)} arm: a comparison needs at least 2, the reference first")
    if len(plan.arms) > MAX_ARMS:
        raise PlanError(f"{len(plan.arms)} arms: at most {MAX_ARMS} are allowed; cut the ranges")
    names = [arm.name for arm in plan.arms]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise PlanError(f"arm name {doubled[0]!r} is used twice: every arm needs its own")
    builtin = tuple(LIVE_METRICS) if plan.live else (*BUILTIN_METRICS, *plan.perf_events)
    for metric in (plan.metric, *plan.also):
        check_metric(metric, builtin)
    problems = [*plan.limits.problems(), *plan.rules.problems()]
    problems += plan.live.problems() if plan.live else []
    if problems:
        raise PlanError(problems[0])
    if plan.server is not None and bool(plan.server.ready_port) == bool(plan.server.ready_regex):
        raise PlanError(
            "server: give one of ready_port and ready_regex, so that one knows it is up"
        )
    return plan


def parse_arm(text: str) -> Arm:
    """Read `'A=1 B=2'`, or `-` for the environment as it is. The text is the arm's name."""
    if text.strip() == AS_IS:
        return Arm(AS_IS, {})
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise PlanError(f"arm {text!r}: {error}") from None
    if not words:
        raise PlanError(
            f"arm {text!r} is empty: write NAME=VALUE, or {AS_IS} for the environment as it is"
        )
    env: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not _is_variable(name):
            raise PlanError(f"arm {text!r}: {word!r} is not NAME=VALUE")
        if name in env:
            raise PlanError(f"arm {text!r}: {name} is set twice")
        env[name] = value
    return Arm(text.strip(), env)


def distinct_names(arms: Sequence[Arm]) -> tuple[Arm, ...]:
    """Number the later of arms that are alike, so that A/A comparisons can be asked for."""
    seen: dict[str, int] = {}
    named = []
    for arm in arms:
        seen[arm.name] = seen.get(arm.name, 0) + 1
        again = seen[arm.name]
        named.append(arm if again == 1 else Arm(f"{arm.name} #{again}", arm.env))
    return tuple(named)


def parse_list(name: str, values: str) -> tuple[str, list[str]]:
    """Read `-L NAME v1,v2`; raises PlanError on a bad name or fewer than one value."""
    if not _is_variable(name):
        raise PlanError(f"-L {name!r}: not a name of an environment variable")
    found = [value.strip() for value in values.split(",")]
    if not values.strip() or any(not value for value in found):
        raise PlanError(f"-L {name} {values!r}: empty value; write v1,v2,... ")
    return name, found


def parse_range(name: str, text: str) -> tuple[str, list[str]]:
    """Read `-P NAME lo:hi[:step]`, both ends included; decimals stay exact (0.1:0.3:0.1)."""
    if not _is_variable(name):
        raise PlanError(f"-P {name!r}: not a name of an environment variable")
    try:
        parts = [Decimal(part) for part in text.split(":")]
    except InvalidOperation:
        parts = []
    if len(parts) not in (2, 3) or not all(part.is_finite() for part in parts):
        raise PlanError(f"-P {name} {text!r}: write lo:hi or lo:hi:step, in numbers")
    low, high = parts[0], parts[1]
    step = parts[2] if len(parts) == 3 else Decimal(1)
    if step <= 0 or high < low:
        raise PlanError(f"-P {name} {text!r}: needs lo <= hi and a step above 0")
    count = int((high - low) / step) + 1
    if count > MAX_ARMS:
        raise PlanError(f"-P {name} {text!r}: {count} values; at most {MAX_ARMS} are allowed")
    return name, [format(low + step * place, "f") for place in range(count)]


def cross(axes: Iterable[tuple[str, Sequence[str]]]) -> tuple[Arm, ...]:
    """Every combination of the axes' values; the first of each makes the reference."""
    named = list(axes)
    doubled = [name for place, (name, _) in enumerate(named) if name in dict(named[:place])]
    if doubled:
        raise PlanError(f"{doubled[0]} is given twice: put its values into one list")
    count = math.prod(len(values) for _, values in named)
    if count > MAX_ARMS:
        raise PlanError(f"{count} arms: at most {MAX_ARMS} are allowed; cut the lists")
    arms = []
    for values in itertools.product(*(values for _, values in named)):
        env = dict(zip((name for name, _ in named), values, strict=True))
        arms.append(Arm(shlex.join(f"{key}={value}" for key, value in env.items()), env))
    return tuple(arms)


def reference_runs(contenders: int) -> int:
    """How often the reference runs in a block: the root of the number of arms that share it.

    That makes the comparisons with one shared control as sharp as they can be for the same number
    of runs (Dunnett, JASA 1955).
    """
    return max(1, round(math.sqrt(contenders)))


def block_order(plan: Plan, phase: Phase, block: int, active: Sequence[str]) -> list[str]:
    """Names of the arms in the order in which a block runs them.

    A calibration block is the reference twice. Otherwise `active` are the contenders that still
    run, and the reference stands among them as often as `reference_runs` says.
    """
    import numpy as np

    if phase is Phase.CALIBRATE:
        return [plan.reference.name] * 2
    names = [plan.reference.name] * reference_runs(len(active)) + list(active)
    tag = list(Phase).index(phase)
    generator = np.random.default_rng([plan.seed, tag, block])
    return [names[place] for place in generator.permutation(len(names))]


def environment(plan: Plan, arm: Arm, base: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a run: the caller's, the plan's, then the arm's."""
    return {**base, **plan.env, **arm.env}


def _is_variable(name: str) -> bool:
    return name.isascii() and name.replace("_", "a").isalnum() and not name[:1].isdigit()
