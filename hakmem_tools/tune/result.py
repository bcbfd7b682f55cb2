"""What a sweep found: plain records that `analysis` makes and every report renders.

Pure data. Effects are fractions and better is positive; a `Summary`'s change is the plain relative
change of its metric. None always stands with a reason beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from hakmem_tools.tune.verdict import Kind

SCHEMA_VERSION = 1


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of one arm: its median, and how it changed against the reference.

    `interval` is a 95 % BCa bootstrap interval of the ratio of medians minus 1, for this metric
    alone: it describes, and no verdict rests on it.
    """

    median: float | None = None
    change: float | None = None
    interval: tuple[float, float] | None = None
    runs: int = 0
    missing: str = ""


class ArmResult(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one contender; `interval` holds together with those of all other arms."""

    arm: str
    env: Mapping[str, str]
    metric: str
    effect: float | None
    interval: tuple[float, float] | None
    p_adjusted: float | None
    verdict: Kind
    reason: str
    runs: int
    failed_runs: int
    pairs: int
    outliers: int
    settled: bool
    metrics: Mapping[str, Summary] = {}


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """The reference against itself, before anything is compared.

    `spread` is one run's standard deviation as a fraction. `ok` is false when the A/A
    difference is itself significant at 0.1 %, or the series never settled: then the machine or the
    program is not fit to be measured, and `reason` says which.
    """

    blocks: int
    effect: float | None
    interval: tuple[float, float] | None
    spread: float | None
    warmup_runs: int | None
    ok: bool
    reason: str = ""


class SweepResult(msgspec.Struct, frozen=True, kw_only=True):
    """A whole sweep, finished or not."""

    title: str
    command: Sequence[str]
    reference: str
    reference_env: Mapping[str, str]
    metric: str
    better: str
    unit: str
    also: Sequence[str]
    units: Mapping[str, str]
    arms: Sequence[ArmResult]
    reference_metrics: Mapping[str, Summary]
    reference_runs: int
    reference_failed: int
    calibration: Calibration
    machine: Mapping[str, str]
    warnings: Sequence[str]
    refused: Mapping[str, str]
    hosts: Sequence[str]
    blocks: int
    horizon: int
    looks: int
    spent: float
    complete: bool
    seconds: float
    level: float
    rules: str
