"""bench/bounds.py plays the workloads' own requests: the same numbers, the same classes."""

from __future__ import annotations

import itertools
import json
import subprocess
from pathlib import Path

from bench import bounds
from hakmem_tools.bench.peers import PROJECT
from tests.integration.compiled import FLAGS, compiled

NUMBERS = """
#include "workload.h"
int main(void)
{
    for (uint64_t stream = 0; stream < 3; stream++) {
        struct workload_random random = workload_seed(stream);
        for (int i = 0; i < 500; i++)
            printf("%zu ", workload_between(&random, 16, 70000));
    }
    return 0;
}
"""


def test_its_random_numbers_are_the_workloads(tmp_path: Path) -> None:
    source = tmp_path / "numbers.c"
    source.write_text(NUMBERS)
    flags = [flag for flag in FLAGS if flag != "-Wextra"]
    program = compiled(source, tmp_path, *flags, f"-I{PROJECT / 'bench' / 'workloads'}")
    told = subprocess.run([program], capture_output=True, check=True, timeout=60).stdout.split()
    streams = [bounds.Random(stream) for stream in range(3)]
    assert [int(number) for number in told] == [
        random.between(16, 70000) for random in streams for _ in range(500)
    ]


def test_its_classes_are_the_librarys() -> None:
    ended = subprocess.run(
        [PROJECT / ".venv" / "bin" / "hakmem", "stat", "--json", "--all", "--", "true"],
        capture_output=True,
        check=True,
        timeout=60,
    )
    classes = json.loads(ended.stdout.splitlines()[-1])["classes"]
    sizes = sorted({row["size_bytes"] for row in classes if 16 <= row["size_bytes"] <= 1 << 20})
    assert len(sizes) > 50
    assert [bounds.class_of(size) for size in sizes] == sizes
    pairs = itertools.pairwise(sizes)
    assert all(bounds.class_of(smaller + 1) == larger for smaller, larger in pairs)


def test_its_holes_serve_all_sizes() -> None:
    holes = bounds.Holes()
    first, second, third = holes.take(64), holes.take(48), holes.take(64)
    assert (first, second, third) == (0, 64, 112)
    holes.give(first, 64)
    assert holes.take(80) == 176  # too large for the hole
    assert holes.take(32) == 0
    assert holes.take(32) == 32
    holes.give(second, 48)
    holes.give(third, 64)
    assert holes.take(112) == 64  # two holes have become one
    assert holes.units() == 1
    assert holes.take(bounds.UNIT) == bounds.UNIT
    assert holes.units() == 2


def test_its_pages_serve_all_sizes() -> None:
    page, pages = bounds.PAGE, bounds.Pages()
    pages.resize(1, 3 * page)
    pages.resize(2, page)
    pages.resize(1, 4 * page)  # another block lies behind it: it moves
    assert pages.touched_bytes() == 8 * page
    pages.resize(3, 2 * page)
    pages.resize(3, 3 * page - 1)  # where the first one was, and it grows there
    assert pages.touched_bytes() == 8 * page
    pages.free(2)
    pages.resize(3, 4 * page)
    assert pages.touched_bytes() == 8 * page
    pages.resize(4, 61 * page)  # no chunk has as much left
    assert pages.touched_bytes() == 69 * page
