"""The space that `hakmem tune` searches: axes of values, and settings taken from them.

Pure. Every axis is a finite, ordered list; a wide range becomes a grid, geometric where it spans
more than two powers of ten, since a knob's effect follows its ratio there.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Sequence

import msgspec

from hakmem_tools.model.descriptors import Knob
from hakmem_tools.model.trial import Arm
from hakmem_tools.tune.plan import PlanError

GRID = 12  # points of a wide range


class Axis(msgspec.Struct, frozen=True):
    """One variable and its values, in order; `ordered` tells whether neighbours are alike."""

    name: str
    values: tuple[str, ...]
    ordered: bool = True


class Space(msgspec.Struct, frozen=True):
    """The product of some axes. A setting is an index on each."""

    axes: tuple[Axis, ...]

    @property
    def size(self) -> int:
        """Settings in it."""
        return math.prod(len(axis.values) for axis in self.axes)

    def arm(self, setting: Sequence[int]) -> Arm:
        """A setting as an arm of a sweep, named by its environment."""
        env = {axis.name: axis.values[at] for axis, at in zip(self.axes, setting, strict=True)}
        return Arm(shlex.join(f"{name}={value}" for name, value in env.items()), env)

    def settings(self) -> Iterator[tuple[int, ...]]:
        """All of them, in order."""
        for number in range(self.size):
            yield self.setting(number)

    def setting(self, number: int) -> tuple[int, ...]:
        """The setting with this number, 0 to size - 1."""
        places = []
        for axis in reversed(self.axes):
            number, place = divmod(number, len(axis.values))
            places.append(place)
        return tuple(reversed(places))


def space_of(axes: Sequence[Axis]) -> Space:
    """A space; PlanError when it has no axis, an axis twice, or nothing to choose."""
    names = [axis.name for axis in axes]
    doubled = [name for place, name in enumerate(names) if name in names[:place]]
    if doubled:
        raise PlanError(f"{doubled[0]} is given twice: put its values into one list")
    space = Space(tuple(axes))
    if space.size < 2:
        raise PlanError("nothing to search: give knobs with -k, lists with -L or ranges with -P")
    return space


def axis_of_knob(knob: Knob, name: str) -> Axis:
    """All that a libhakmem knob may be: both sides, the choices, or its range as a grid."""
    if knob.type == "enum":
        return Axis(name, knob.choices, ordered=False)
    if knob.type == "bool":
        return Axis(name, ("0", "1"), ordered=False)
    if knob.type == "float":
        return Axis(name, tuple(f"{value:.6g}" for value in grid(knob.min, knob.max)))
    return Axis(name, tuple(str(value) for value in _whole(grid(knob.min, knob.max))))


def grid(low: float, high: float, points: int = GRID) -> list[float]:
    """Points from end to end; geometric where the range is wide, and 0 then has its own place."""
    first = low if low > 0 else 1.0
    if low >= 0 and high / first >= 100:
        count = points - (low <= 0)
        ratio = (high / first) ** (1 / (count - 1))
        return [0.0] * (low <= 0) + [first * ratio**place for place in range(count)]
    return [low + (high - low) * place / (points - 1) for place in range(points)]


def _whole(values: Sequence[float]) -> list[int]:
    return list(dict.fromkeys(round(value) for value in values))
