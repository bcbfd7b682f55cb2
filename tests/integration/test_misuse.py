"""Programs that abuse malloc end as their first lines say: tests/misuse/*.c, one abuse each.

What libhakmem detects must be counted exactly, once per abuse, and told by the integrity probe's
counter; the program must go on. What it does not detect is written down in the file as well.
"""

from __future__ import annotations

import re
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.compiled import MISUSE_FLAGS, compiled, counters, without_report
from tests.integration.preload import LIBRARY, LIMIT_S, preloaded_environment

ROOM = Path(__file__).resolve().parents[1] / "misuse"
ABUSES = sorted(source.stem for source in ROOM.glob("*.c"))
COUNTED = ("integrity_errors", "foreign_frees")


@dataclass(frozen=True)
class Expected:
    """The ends of a program, as its first comment promises."""

    code: int
    counts: dict[str, int]
    environment: dict[str, str]


def expected(source: str) -> Expected:
    """Reads `Expect: exit 0, integrity_errors 1` or `Expect: signal 11`, and `Environment:`."""
    line = re.search(r"Expect: (exit|signal) (\d+)((?:, \w+ \d+)*)", source)
    assert line, "no line `Expect: exit N, counter N` in the first comment"
    ended, number, rest = line.groups()
    counts = {name: int(n) for name, n in re.findall(r"(\w+) (\d+)", rest)}
    assert set(counts) <= set(COUNTED)
    environment = dict(re.findall(r"Environment: (\w+)=(\w+)", source))
    return Expected(int(number) if ended == "exit" else -int(number), counts, environment)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert LIBRARY.is_file(), f"{LIBRARY} is not there: run `make build` first"
    return tmp_path_factory.mktemp("misuse")


@pytest.mark.parametrize("geometry", ["fine", "pow2"])
@pytest.mark.parametrize("abuse", ABUSES)
def test_an_abuse_is_counted_or_does_what_its_file_says(
    abuse: str, geometry: str, directory: Path
) -> None:
    source = ROOM / f"{abuse}.c"
    want = expected(source.read_text())
    program = directory / abuse
    if not program.exists():
        compiled(source, directory, *MISUSE_FLAGS)
    knobs = {"HAKMEM_STATS": "counters", "HAKMEM_TINY_GEOMETRY": geometry}
    ended = subprocess.run(
        [program],
        env=preloaded_environment() | knobs | want.environment,
        capture_output=True,
        timeout=LIMIT_S,
        check=False,
    )
    told = without_report(ended.stderr)
    assert ended.returncode == want.code, told
    if want.code == -signal.SIGSEGV:
        return
    assert ended.stdout == b"survived\n"
    assert told == ""
    count = counters(ended.stderr)
    assert count, "no report: was the library loaded?"
    assert {name: count[name] for name in COUNTED if name in count} == want.counts
