"""A simulated machine that runs trials in no time: known effects, known noise, scripted faults."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from hakmem_tools.model.trial import Arm, Status, Trial, TrialKey
from hakmem_tools.tune.machine import MachineState

QUIET = MachineState({"kernel": "simulated"}, ())


class Clock:
    """Time that moves only when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class FakeRunner:
    """Runs arms whose wall time is 1 s over (1 + effect), with log-normal noise.

    `faults` maps an arm to how its runs fail. Every run moves the clock by `seconds`.
    """

    def __init__(
        self,
        effects: Mapping[str, float],
        *,
        noise: float = 0.02,
        seed: int = 1,
        faults: Mapping[str, str] | None = None,
        clock: Clock | None = None,
        seconds: float = 1.0,
        host: str = "here",
        warmup: int = 0,
    ) -> None:
        self.effects = effects
        self.noise = noise
        self.faults = faults or {}
        self.clock = clock or Clock()
        self.seconds = seconds
        self.host = host
        self.warmup = warmup
        self.keys: list[TrialKey] = []
        self._generator = np.random.default_rng(seed)

    def run(self, arm: Arm, key: TrialKey) -> Trial:
        self.keys.append(key)
        self.clock.now += self.seconds
        slow = 0.5 if len(self.keys) <= self.warmup else 0.0
        wall = math.exp(self._generator.normal(slow, self.noise)) / (1 + self.effects[arm.name])
        fault = self.faults.get(arm.name)
        return Trial(
            key=key,
            arm=arm.name,
            host=self.host,
            status=Status.FAILED if fault else Status.OK,
            started_ns=len(self.keys),
            exit_code=-11 if fault else 0,
            detail=fault or "",
            metrics={} if fault else {"wall": wall, "peak_rss": 1e6 + len(self.keys)},
            missing={"instructions": "not supported: this machine does not count it"},
        )
