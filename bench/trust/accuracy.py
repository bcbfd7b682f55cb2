"""Does the truth lie in the intervals of a profile, with the sampler of the library itself?

    .venv/bin/python -m bench.trust.accuracy [--runs 200]

Runs known.c under libhakmem with a seed of its own each time (HAKMEM_SAMPLE_SEED), profiles it
through the probes, and holds each site's live and cumulative bytes against what the program says
it asked for. Prints a JSON line for each site and view, a summary last. The exit code is 1 when the
truth lay inside less than 93 % of the time, over all sites, or when that of one site did so seldom
enough that chance does not explain it (70 are looked at: of 200 runs, 185 for one of them do not
speak against 95 %). A site without a sample has what is then stated: at most unseen_bytes(). Needs
root (BPF) and gcc.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from hakmem_tools.model.profile import Profile
from hakmem_tools.model.profile_estimate import Amount, interval, unseen_bytes
from hakmem_tools.native.library import open_library
from hakmem_tools.observe.profile_source import ProfileRequest
from hakmem_tools.observe.profiler import open_profile
from hakmem_tools.observe.symbolise import name_frames

VIEWS = ("cumulative", "live")
PROMISED = 0.93
#: Several sizes round up: the limits are told in whole bytes.
_ROUNDING = 1.0


class Outcome(msgspec.Struct, frozen=True):
    """One site in one run: the truth in bytes, and the limits that were stated for it."""

    site: str
    view: str
    truth: int
    low: float
    high: float
    samples: int

    @property
    def inside(self) -> bool:
        """Whether the truth lies within the limits."""
        return self.low - _ROUNDING <= self.truth <= self.high + _ROUNDING


def build(directory: Path) -> Path:
    """known.c as a program, with frame pointers and lines."""
    program = directory / "known"
    source = Path(__file__).with_name("known.c")
    flags = ("-O1", "-g", "-fno-omit-frame-pointer", "-fno-builtin")
    subprocess.run(["gcc", *flags, "-o", program, source], check=True)
    return program


def run(program: Path, seed: int) -> list[Outcome]:
    """One run with this seed. Raises SourceUnavailable without BPF."""
    environment = {"LD_PRELOAD": str(open_library().path), "HAKMEM_SAMPLE_SEED": str(seed)}
    process = subprocess.Popen(
        [program],
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        source = open_profile(ProfileRequest(pid=process.pid, faults=False))
        try:
            process.stdin.write("\n")
            process.stdin.flush()
            truths = list(iter(process.stdout.readline, "done\n"))
            records, end = source.end("done")
        finally:
            source.close()
        profile = Profile.of([source.header, *records, end])
    finally:
        process.kill()
        process.communicate()
    assert profile.lost == {}, profile.lost
    name_frames(profile)
    return [outcome for line in truths for outcome in _outcomes(profile, line)]


def _outcomes(profile: Profile, line: str) -> Iterator[Outcome]:
    site, *truths = line.split()
    unseen = unseen_bytes(profile.header.sample_bytes)
    for view, truth in zip(VIEWS, map(int, truths), strict=True):
        amount = _by_function(profile, view).get(site, Amount())
        low, high = interval(amount) if amount.samples else (0.0, unseen)
        yield Outcome(site, view, truth, low, high, amount.samples)


def _by_function(profile: Profile, view: str) -> dict[str, Amount]:
    def function(stack: int) -> str:
        frames = profile.stack_frames(stack)
        return frames[0].name if frames else "?"

    return profile.group(view, lambda key: function(key.stack))


def shares(outcomes: list[Outcome]) -> dict[tuple[str, str], float]:
    """How often the truth lay inside, by site and view."""
    found: dict[tuple[str, str], list[bool]] = {}
    for outcome in outcomes:
        found.setdefault((outcome.site, outcome.view), []).append(outcome.inside)
    return {key: sum(inside) / len(inside) for key, inside in found.items()}


def is_too_seldom(inside: int, runs: int, looks: int) -> bool:
    """Whether so few of the runs speak against PROMISED, with so many sites looked at (5 %)."""

    def chance(count: int) -> float:
        ways = math.comb(runs, count)
        return float(ways * PROMISED**count * (1 - PROMISED) ** (runs - count))

    return sum(map(chance, range(inside + 1))) < 0.05 / looks


def main() -> int:
    """Prints what came out of all runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    options = parser.parse_args()
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="hakmem-trust-") as name:
        program = build(Path(name))
        for seed in range(1, options.runs + 1):
            outcomes += run(program, seed)
            print(f"\raccuracy: run {seed} of {options.runs}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    found = shares(outcomes)
    for (site, view), share in found.items():
        print(json.dumps({"site": site, "view": view, "inside": share, "runs": options.runs}))
    worst = min(found, key=lambda key: found[key])
    inside = sum(outcome.inside for outcome in outcomes) / len(outcomes)
    failed = [
        key
        for key, share in found.items()
        if is_too_seldom(round(share * options.runs), options.runs, len(found))
    ]
    summary = {
        "runs": options.runs,
        "sites": len(found) // len(VIEWS),
        "inside": inside,
        "below_promise": sum(share < PROMISED for share in found.values()),
        "not_by_chance": failed,
        "worst": {"site": worst[0], "view": worst[1], "inside": found[worst]},
        "promised": PROMISED,
    }
    print(json.dumps({"summary": summary}))
    return int(inside < PROMISED or bool(failed))


if __name__ == "__main__":
    sys.exit(main())
