"""What of the library a small program has in memory: lib/layout.ld says what lies together.

A fault on a page of a file maps the 64 KiB around it, so it is not the code that runs which counts
but how far apart it lies. Callgrind tells every instruction that ran, by its address; the kernel
tells what is mapped.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from tests.integration.preload import LIBRARY, LIMIT_S, ROOT, preloaded_environment

PIECE, PAGE = 64 << 10, 4096
WORKLOADS = ROOT / "build" / "bench"
SMALL = {
    "c7": ["--threads", "4", "--waves", "4"],
    "slots": ["--preset", "tiny", "--threads", "2", "--steps", "50000"],
    "larson": ["--preset", "loop", "--threads", "2", "--replaced", "2000"],
}


@pytest.fixture(scope="module")
def symbols() -> dict[str, int]:
    """Addresses in the library by name; of a static function's namesakes, any."""
    with LIBRARY.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        return {symbol.name: symbol["st_value"] for symbol in table.iter_symbols()}


def test_what_every_program_runs_fits_one_piece(symbols: dict[str, int]) -> None:
    """Else move something out of layout.ld's list that not every program runs."""
    first, end = symbols["_init"], symbols["hak_common_end"]
    assert first % PIECE == 0
    assert symbols["malloc"] in range(first, end)
    assert PIECE // 2 < end - first <= PIECE


def executed(workload: str, directory: Path) -> dict[int, str]:
    """Addresses in the library of the instructions that ran, each with its function."""
    valgrind = shutil.which("valgrind")
    assert valgrind, "valgrind is not installed: run `make install-deps` first"
    output = directory / "callgrind.out"
    command = [valgrind, "--tool=callgrind", "--dump-instr=yes", "--compress-pos=no"]
    command += ["--compress-strings=no", f"--callgrind-out-file={output}", WORKLOADS / workload]
    subprocess.run(
        [*command, *SMALL[workload]],
        env=preloaded_environment(),
        capture_output=True,
        timeout=LIMIT_S,
        check=True,
    )
    found, library, function = {}, False, ""
    for line in output.read_text().splitlines():
        if line.startswith("ob="):
            library = line.endswith(LIBRARY.name)
        elif line.startswith("fn="):
            function = line[3:]
        elif library and line.startswith("0x"):
            found[int(line.split()[0], 16)] = function
    return found


@pytest.mark.parametrize("workload", SMALL)
def test_a_small_program_runs_nothing_else(
    workload: str, symbols: dict[str, int], tmp_path: Path
) -> None:
    """Else add the functions that are named here to layout.ld's list, or make them HAK_COLD."""
    end = symbols["hak_common_end"]
    for _ in range(5):
        ran = executed(workload, tmp_path)
        others = {function for address, function in ran.items() if address >= end}
        if "hak_purge_tick" not in others:  # by the clock: the machine is busy
            break
    assert len(ran) > 2000, "callgrind saw next to nothing of the library"
    assert sorted(others) == []


def mapped_bytes(smaps: str, wanted: str) -> list[int]:
    """What is in memory of each mapping whose line matches."""
    parts = re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", smaps, flags=re.MULTILINE)
    found = [part for part in parts if re.search(wanted, part.partition("\n")[0])]
    return [
        int(match[1]) * 1024
        for part in found
        for match in re.finditer(r"^Rss:\s+(\d+)", part, re.M)
    ]


def test_texts_are_not_kept_in_memory(symbols: dict[str, int]) -> None:
    """Neither where the library has them nor in its page, where a look at a site is near them."""
    with subprocess.Popen(
        [WORKLOADS / "c7", "--threads", "4", "--waves", "20", "--hold"],
        env=preloaded_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        smaps = Path(f"/proc/{process.pid}/smaps").read_text()
        process.communicate(timeout=LIMIT_S)
    texts = symbols["hak_rarely_read_end"] - symbols["hak_rarely_read"]
    first, *_ = mapped_bytes(smaps, rf" r--p 00000000 .*/{re.escape(LIBRARY.name)}$")
    assert texts >= 32 << 10
    assert 0 < first <= symbols["hak_rarely_read"]
    # A head, the process's block and, for each of five threads, two or three pages of a block.
    assert 0 < sum(mapped_bytes(smaps, r" rw-s .*memfd:hakmem")) <= 17 * PAGE
