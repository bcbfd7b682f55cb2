"""What learning costs (FROZEN against learning compiled out, LEARN against FROZEN), and gains.

    make learning-cost ARGS='[--modes] [--rounds N] [--rows NAME,...] [--json] [--quick]'

Arms: FROZEN (the defaults), A' (the same again), LEARN (HAKMEM_LEARN=1, which never freezes here),
and OUT (build/nolearn: the same sources with -DHAK_WITHOUT_LEARNING). With --modes: HAKMEM_MODE
balanced, the same again, and learning, over the rows that learning is to gain on; its windows are
of 50 ms, so that a run of a second has some twenty.

An A/A stage of the first two arms comes first; then each round runs every arm once, in an order
drawn anew. The figure is CPU time of the process, user and system, for an equal amount of work, as
a ratio within the round; then the median of the rounds with a 95 % bootstrap interval of the
median. A difference is one when its interval does not touch that of A/A. Bring the machine to
rest first: the load average is in the output.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from hakmem_tools.bench.measure import MeasureError, run_held
from hakmem_tools.bench.rows import ROWS, Row

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = ROOT / "build/bench"
SHIPPED, WITHOUT = ROOT / "build/libhakmem.so", ROOT / "build/nolearn/libhakmem.so"
DEFAULT_ROWS = "json,mixed,random_mixed_1,mid_mt_1,large_mt_2,larson_loop_1"
RESAMPLES = 2000


class Arm(NamedTuple):
    """One way to run the row."""

    name: str
    library: Path
    knobs: dict[str, str]


FROZEN = Arm("FROZEN", SHIPPED, {})
AGAIN = Arm("A'", SHIPPED, {})
LEARN = Arm("LEARN", SHIPPED, {"HAKMEM_LEARN": "1", "HAKMEM_FREEZE_SEC": "86400"})
OUT = Arm("OUT", WITHOUT, {})
BALANCED = Arm("balanced", SHIPPED, {"HAKMEM_MODE": "balanced"})
BALANCED_AGAIN = Arm("balanced again", SHIPPED, {"HAKMEM_MODE": "balanced"})
LEARNING = Arm("learning", SHIPPED, {"HAKMEM_MODE": "learning", "HAKMEM_LEARN_WINDOW_MS": "50",
                                     "HAKMEM_LOG": "off"})  # fmt: skip
#: Title, the arm, and what it is compared with; A/A first.
Comparison = tuple[str, Arm, Arm]
COST: tuple[Comparison, ...] = (
    ("A/A", AGAIN, FROZEN),
    ("FROZEN / OUT", FROZEN, OUT),
    ("LEARN / FROZEN", LEARN, FROZEN),
)
GAIN: tuple[Comparison, ...] = (
    ("A/A", BALANCED_AGAIN, BALANCED),
    ("learning / balanced", LEARNING, BALANCED),
)
GAIN_ROWS = "fragmentation,working_set,realloc,realloc_large"


class Ratio(NamedTuple):
    """Median of the rounds' ratios, and the ends of its interval."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3f} [{self.low:.3f}, {self.high:.3f}]"


def cpu_seconds(row: Row, arm: Arm) -> float:
    """User and system time of the row's processes under the arm. Raises MeasureError."""
    own = {name: text for name, text in os.environ.items() if not name.startswith("HAKMEM_")}
    command = [str(PROGRAMS / row.program), *row.arguments(), "--hold"]
    total = 0.0
    for _ in range(row.processes):
        held = run_held(command, str(arm.library), environment={**own, **arm.knobs})
        total += held.usage[0] + held.usage[1]
    return total


def run_rounds(
    row: Row, arms: Sequence[Arm], rounds: int, dice: random.Random
) -> list[dict[str, float]]:
    """CPU seconds by arm, for each round."""
    done = []
    for _ in range(rounds):
        order = random.Random(dice.random()).sample(arms, len(arms))
        done.append({arm.name: cpu_seconds(row, arm) for arm in order})
    return done


def ratio(
    rounds: Iterable[dict[str, float]], arm: Arm, reference: Arm, dice: random.Random
) -> Ratio:
    """The arm over its reference, paired by rounds; percentile bootstrap of the median."""
    ratios = [one[arm.name] / one[reference.name] for one in rounds]
    medians = sorted(
        statistics.median(dice.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES)
    )
    tail = RESAMPLES // 40
    return Ratio(statistics.median(ratios), medians[tail], medians[-tail - 1])


def measure_row(
    row: Row, compared: Sequence[Comparison], rounds: int, seed: int
) -> dict[str, Ratio]:
    """The A/A stage, then every comparison."""
    dice = random.Random(seed)
    _, again, plain = compared[0]
    arms = list({arm.name: arm for _, *pair in compared for arm in pair}.values())
    first = run_rounds(row, (plain, again), rounds, dice)
    whole = run_rounds(row, arms, rounds, dice)
    ratios = {"A/A first": ratio(first, again, plain, dice)}
    for title, arm, reference in compared:
        ratios[title] = ratio(whole, arm, reference, dice)
    return ratios


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--rows", metavar="NAME[,NAME]")
    parser.add_argument("--modes", action="store_true", help="learning against balanced")
    parser.add_argument("--seed", type=int, default=1, help="of the order and the resampling")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, for a look")
    parser.add_argument("--json", action="store_true", help="a JSON line for each row")
    return parser.parse_args()


def main() -> int:
    given = arguments()
    known = {row.name: row for row in ROWS}
    compared = GAIN if given.modes else COST
    names = (given.rows or (GAIN_ROWS if given.modes else DEFAULT_ROWS)).split(",")
    unknown = [name for name in names if name not in known]
    if unknown or given.rounds < 3:
        print(f"learning_cost: no such row: {unknown}; at least 3 rounds", file=sys.stderr)
        return 2
    for file in (*{arm.library for _, *pair in compared for arm in pair}, PROGRAMS):
        if not file.exists():
            print(f"learning_cost: {file} is missing; run `make learning-cost`", file=sys.stderr)
            return 2
    titles = ["A/A first", *(title for title, _, _ in compared)]
    if not given.json:
        print(f"{given.rounds} rounds, load {os.getloadavg()[0]:.2f}, CPU time, 95 % intervals\n")
        print(f"| row | {' | '.join(titles)} |\n|---|{'---|' * len(titles)}", flush=True)
    for name in names:
        row = known[name].quick() if given.quick else known[name]
        try:
            ratios = measure_row(row, compared, given.rounds, given.seed)
        except MeasureError as error:
            print(f"learning_cost: {name}: {error}", file=sys.stderr)
            return 3
        if given.json:
            line = {title: ratios[title]._asdict() for title in titles}
            print(json.dumps({"row": name, "rounds": given.rounds, "ratios": line}), flush=True)
        else:
            print(f"| `{name}` | {' | '.join(str(ratios[t]) for t in titles)} |", flush=True)
    if not given.json:
        print(f"\nload after: {os.getloadavg()[0]:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
