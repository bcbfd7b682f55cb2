"""The rows of the benchmark: which workload program runs with which flags.

`conduct` and the reports go through them in the order given here. What a workload does is written
on top of its source in bench/workloads; nothing of that is repeated here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

import msgspec

QUICK_DIVISOR = 10


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table: a program with flags, run alone in its process.

    `count_flag` and `count` say how much is done; `--quick` divides the count. `processes` is how
    many processes one measurement adds up, more than one only where the workload is a cold start
    that is over too soon to be timed alone. `main` rows are those of the project's own target,
    `scenario` rows those that are ranked by points.
    """

    name: str
    program: str
    preset: str | None = None
    threads: int = 1
    count_flag: str
    count: int
    processes: int = 1
    main: bool = False
    scenario: bool = False

    def arguments(self) -> list[str]:
        """The program's command line without its name."""
        flags = [] if self.preset is None else ["--preset", self.preset]
        return [*flags, "--threads", str(self.threads), f"--{self.count_flag}", str(self.count)]

    def quick(self) -> Row:
        """The same row with a tenth of the work, for a look and not for a claim."""
        if self.processes > 1:
            return msgspec.structs.replace(self, processes=max(1, self.processes // QUICK_DIVISOR))
        return msgspec.structs.replace(self, count=max(1, self.count // QUICK_DIVISOR))


def _scenario(name: str, count_flag: str, count: int, processes: int = 1) -> Row:
    preset = name.partition("_")[0]
    return Row(name=name, program="scenario", preset=preset, count_flag=count_flag, count=count,
               processes=processes, main=True, scenario=True)  # fmt: skip


def _slots(preset: str, threads: int, steps: int, main: bool = True) -> Row:
    name = f"{preset}_{threads}" if main else preset
    return Row(name=name, program="slots", preset=preset, threads=threads, count_flag="steps",
               count=steps, main=main)  # fmt: skip


def _larson(preset: str, threads: int, replaced: int) -> Row:
    return Row(name=f"larson_{preset}_{threads}", program="larson", preset=preset, threads=threads,
               count_flag="replaced", count=replaced)  # fmt: skip


ROWS: tuple[Row, ...] = (
    _scenario("json", "repeat", 6_000),
    _scenario("mir", "repeat", 8_000),
    _scenario("vm_x10", "buffers", 10, processes=40),
    _scenario("vm_x100", "buffers", 100, processes=40),
    _scenario("mixed", "repeat", 4_000),
    _slots("random_mixed", 1, 16_000_000),
    _slots("random_mixed", 2, 16_000_000),
    _slots("tiny", 1, 24_000_000),
    _slots("tiny", 2, 24_000_000),
    _slots("mid_mt", 1, 8_000_000),
    _slots("mid_mt", 2, 8_000_000),
    _slots("large_mt", 2, 1_000_000),
    _larson("loop", 1, 300_000),
    _larson("loop", 2, 300_000),
    _larson("loop", 4, 150_000),
    _larson("burst", 1, 500_000),
    _larson("burst", 2, 500_000),
    _larson("burst", 4, 250_000),
    Row(name="cache_thrash_2", program="cache", preset="cache_thrash", threads=2,
        count_flag="objects", count=8_000_000),
    Row(name="cache_scratch_2", program="cache", preset="cache_scratch", threads=2,
        count_flag="objects", count=8_000_000),
    Row(name="producer_consumer_1_1", program="producer_consumer", threads=2,
        count_flag="blocks", count=6_000_000),
    Row(name="producer_consumer_2_2", program="producer_consumer", threads=4,
        count_flag="blocks", count=3_000_000),
    Row(name="fragmentation", program="fragmentation", count_flag="rounds", count=40),
    _slots("working_set", 1, 4_000_000, main=False),
    Row(name="realloc", program="realloc", preset="realloc", count_flag="steps", count=2_000_000),
    Row(name="realloc_large", program="realloc", preset="realloc_large", count_flag="steps",
        count=8_000),
    Row(name="pair64", program="pair", count_flag="pairs", count=60_000_000),
    Row(name="thread_churn_2", program="thread_churn", threads=2, count_flag="lives", count=5_000),
    Row(name="bursts", program="bursts", count_flag="bursts", count=20_000),
    Row(name="big", program="big", count_flag="buffers", count=1_000),
    Row(name="aligned", program="aligned", count_flag="steps", count=6_000_000),
    Row(name="c7_4", program="c7", threads=4, count_flag="waves", count=1_000),
)  # fmt: skip


def select_rows(patterns: Iterable[str], rows: Sequence[Row] = ROWS) -> list[Row]:
    """The rows that match any pattern (`json`, `larson_*`, `tiny` for `tiny_1` and `tiny_2`).

    Order is the table's. Raises ValueError, with the names there are, for a pattern that matches
    nothing.
    """
    chosen: set[str] = set()
    for pattern in patterns:
        matching = {row.name for row in rows if _matches(row.name, pattern)}
        if not matching:
            names = ", ".join(row.name for row in rows)
            raise ValueError(f"no row matches {pattern!r}; the rows are {names}")
        chosen |= matching
    return [row for row in rows if row.name in chosen]


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}_[0-9x]*")
