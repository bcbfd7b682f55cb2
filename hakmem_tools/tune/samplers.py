"""Where the settings to try come from: at random, or proposed by Optuna from what is known so far.

`search` asks for a batch at a time. Both are functions of the seed and the history alone, so a
search that was killed proposes again what it had proposed.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Protocol

from hakmem_tools.tune.plan import PlanError
from hakmem_tools.tune.space import Space

Setting = tuple[int, ...]
SAMPLERS = ("auto", "random", "tpe")


class Sampler(Protocol):
    """Proposes settings that are not in the history."""

    def propose(self, count: int, known: Mapping[Setting, float | None]) -> list[Setting]:
        """Up to `count` new settings; `known` maps each tried one to its log effect."""


def sampler_named(name: str, space: Space, seed: int) -> Sampler:
    """`random`, `tpe` (needs Optuna), or `auto`: tpe where Optuna is installed."""
    if name == "random" or (name == "auto" and not _has_optuna()):
        return RandomSampler(space, seed)
    if not _has_optuna():
        raise PlanError("--sampler tpe needs Optuna: pip install 'hakmem[tune]'")
    return TpeSampler(space, seed)


def _has_optuna() -> bool:
    import importlib.util

    return importlib.util.find_spec("optuna") is not None


class RandomSampler:
    """A random order of the whole space, from which batches are taken."""

    def __init__(self, space: Space, seed: int) -> None:
        self._space = space
        self._seed = seed

    def propose(self, count: int, known: Mapping[Setting, float | None]) -> list[Setting]:
        import numpy as np

        generator = np.random.default_rng([self._seed, 11, len(known)])
        found: list[Setting] = []
        size = self._space.size
        if size <= 100_000:
            for number in generator.permutation(size):
                setting = self._space.setting(int(number))
                if setting not in known:
                    found.append(setting)
                if len(found) == count:
                    break
            return found
        while len(found) < count:  # in so large a space hardly any is met twice
            setting = self._space.setting(int(generator.integers(size)))
            if setting not in known and setting not in found:
                found.append(setting)
        return found


class TpeSampler:
    """Optuna's tree-structured Parzen estimator; the first batch is random."""

    def __init__(self, space: Space, seed: int) -> None:
        self._space = space
        self._seed = seed

    def propose(self, count: int, known: Mapping[Setting, float | None]) -> list[Setting]:
        if not any(effect is not None for effect in known.values()):
            return RandomSampler(self._space, self._seed).propose(count, known)
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # options of Optuna that it calls experimental
            sampler = optuna.samplers.TPESampler(
                seed=self._seed + len(known), multivariate=True, constant_liar=True,
                n_startup_trials=1,
            )  # fmt: skip
        study = optuna.create_study(direction="maximize", sampler=sampler)
        axes: dict[str, optuna.distributions.BaseDistribution] = {
            axis.name: optuna.distributions.IntDistribution(0, len(axis.values) - 1)
            if axis.ordered
            else optuna.distributions.CategoricalDistribution(tuple(range(len(axis.values))))
            for axis in self._space.axes
        }
        for setting, effect in known.items():
            if effect is not None:  # a setting that fails is not proposed again, and that is all
                params = dict(zip(axes, setting, strict=True))
                study.add_trial(
                    optuna.trial.create_trial(params=params, distributions=axes, value=effect)
                )
        found: list[Setting] = []
        for _ in range(20 * count):
            params = study.ask(axes).params
            setting = tuple(int(params[name]) for name in axes)
            if setting not in known and setting not in found:
                found.append(setting)
            if len(found) == count:
                return found
        rest = RandomSampler(self._space, self._seed)
        tried = {**known, **dict.fromkeys(found)}
        return found + rest.propose(count - len(found), tried)
