"""What the tests of call-site profiles share: the program with known sites, sums by function."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from hakmem_tools.model.profile import Profile
from hakmem_tools.model.profile_estimate import Amount
from hakmem_tools.model.profile_records import Record
from hakmem_tools.native.library import Library
from hakmem_tools.observe.symbolise import name_frames

HERE = Path(__file__).parent
TURNS = 4000
#: Bytes that sites.c asks for in TURNS turns, by function: in all, and still in use.
ASKED = {
    "keep": 1000 * TURNS,
    "keep_zeroed": 500 * TURNS,
    "drop": 2000 * TURNS,
    "grow": sum(400 * (i % 20 + 1) for i in range(TURNS)),
    "keep_aligned": 300 * TURNS,
    "sweep": (2 << 20) * (TURNS // 10),
}
KEPT = {
    "keep": ASKED["keep"],
    "keep_zeroed": ASKED["keep_zeroed"],
    "grow": 8000 * (TURNS // 20),
    "keep_aligned": ASKED["keep_aligned"],
}


def build(source: str, into: Path, *flags: str) -> Path:
    """Compiles a program that sits beside the tests, with frame pointers and lines."""
    compiler = "g++" if source.endswith(".cpp") else "gcc"
    words = ["-O1", "-g", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls", "-fno-builtin"]
    path = into / source.partition(".")[0]
    subprocess.run([compiler, *words, *flags, "-o", path, HERE / source], check=True)
    return path


class Sites:
    """A running sites.c."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.pid = process.pid

    def says(self, word: str) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline().strip() == word

    def go(self) -> None:
        """Does all turns; returns when it is done."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.says("done")

    def is_alive(self) -> bool:
        return self.process.poll() is None


@contextmanager
def running(binary: Path, environment: Mapping[str, str], turns: int = TURNS) -> Iterator[Sites]:
    """The program, waiting for its line; ended afterwards."""
    process = subprocess.Popen(
        [binary, str(turns)],
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        sites = Sites(process)
        sites.says("ready" if turns else "leaking")
        yield sites
    finally:
        process.kill()
        process.communicate()


def profile_of(*batches: list[Record]) -> Profile:
    """A profile of records, its frames named."""
    profile = Profile.of(record for batch in batches for record in batch)
    name_frames(profile)
    return profile


def by_site(profile: Profile, view: str) -> dict[str, Amount]:
    """A view's amounts by the function that called the allocator."""

    def function(stack: int) -> str:
        frames = profile.stack_frames(stack)
        return frames[0].name if frames else "?"

    return profile.group(view, lambda key: function(key.stack))


def lies_within(amount: Amount, truth: float) -> bool:
    """Five standard errors: a chance of one in a million that a right estimate lies outside."""
    return abs(amount.weighted - truth) <= 5 * amount.variance**0.5 + 0.001 * truth


def preload(library: Library) -> dict[str, str]:
    """Under libhakmem, with samples close together."""
    return {"LD_PRELOAD": str(library.path), "HAKMEM_SAMPLE_BYTES": "20000"}


NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")


@contextmanager
def run_by_nobody(binary: Path, library: Library) -> Iterator[int]:
    """sites.c under libhakmem as a user without any privilege, leaking already; its pid."""
    preloaded = ["env", f"LD_PRELOAD={library.path}", str(binary), "0"]
    process = subprocess.Popen(
        [*NOBODY, *preloaded], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        Sites(process).says("leaking")
        yield process.pid
    finally:
        process.kill()
        process.communicate()


def leak_line(source: str) -> int:
    """The line that a program beside the tests calls LEAK."""
    text = (HERE / source).read_text().splitlines()
    return next(number for number, row in enumerate(text, start=1) if "LEAK" in row)


@contextmanager
def leaking_program(directory: Path, environment: Mapping[str, str]) -> Iterator[int]:
    """leak.cpp, which has begun to leak; its pid."""
    with running(build("leak.cpp", directory), environment, turns=0) as program:
        yield program.pid


@contextmanager
def leaking_extension(directory: Path, environment: Mapping[str, str]) -> Iterator[int]:
    """A Python program that leaks in leakmodule.c, and has begun to; its pid."""
    python = Path("/usr/bin/python3")
    where = "import sysconfig; print(sysconfig.get_path('include'))"
    include = subprocess.check_output([python, "-c", where], text=True).strip()
    assert Path(include, "Python.h").exists(), "libpython3-dev is not installed"
    built = build("leakmodule.c", directory, "-shared", "-fPIC", f"-I{include}")
    built.rename(built.with_suffix(".so"))
    turn = "leakmodule.remember('x' * 5000); time.sleep(0.0005)"
    script = f"import leakmodule, time\nprint('leaking', flush=True)\nwhile True:\n    {turn}\n"
    process = subprocess.Popen(
        [python, "-c", script],
        env={"PYTHONPATH": str(directory), "PATH": "/usr/bin", **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "leaking"
        yield process.pid
    finally:
        process.kill()
        process.communicate()
