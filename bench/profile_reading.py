"""How long a profile takes to open and to be named: python -m bench.profile_reading [--units N].

Makes a recording of ten minutes of a busy server, and compiles a C++ program with about 7.5 MB of
debug information a unit (14 units: 105 MB, some two minutes of compiling); prints one JSON line
for each measurement. Used by people; no test fails on a clock.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import tempfile
import time
from pathlib import Path

from hakmem_tools.model.profile_records import Header, Key, Module, Record, Rows, Stack, Tick
from hakmem_tools.observe.elf import ElfFile
from hakmem_tools.observe.recording import ProfileWriter, read_profile
from hakmem_tools.observe.symbolise import Symboliser

_R = 512 * 1024
_TYPES = 24
_UNIT = """
struct T{u}_{n} {{ int a; std::string s; std::vector<T{u}_{n}> kids; double d[{n} + 1]; }};
static inline int help{u}_{n}(std::map<std::string, T{u}_{n}> &m, const std::string &k) {{
  m[k].kids.push_back(T{u}_{n}{{}});
  return (int)m.size();
}}
int work{u}_{n}(int n) {{
  std::map<std::string, T{u}_{n}> m;
  std::unordered_map<int, T{u}_{n}> o;
  for (int k = 0; k < n; k++) {{ help{u}_{n}(m, std::to_string(k)); o[k].s = "x"; }}
  std::vector<T{u}_{n}> v(n);
  std::sort(v.begin(), v.end(), [](auto &a, auto &b) {{ return a.a < b.a; }});
  return m.size() + o.size();
}}
"""
_INCLUDES = "".join(
    f"#include <{name}>\n" for name in ("map", "vector", "string", "unordered_map", "algorithm")
)


def say(name: str, **values: object) -> None:
    """One measurement."""
    print(json.dumps({"measured": name, **values}), flush=True)


def measure_recording(directory: Path) -> None:
    """2000 samples and as many frees a second from 3000 keys in 1500 stacks."""
    path = directory / "busy.hakprof"
    dice = random.Random(5)
    sizes = [16 << dice.randrange(12) for _ in range(3000)]
    header = Header(1, 1, "/busy", "busy", "hakmem", _R, 0, 0, "bpf")
    with ProfileWriter(path, header) as writer:
        stacks: list[Record] = []
        for number in range(1500):
            places = ((dice.randrange(1, 9), dice.randrange(1 << 22)) for _ in range(24))
            stacks.append(Stack(number, tuple(places)))
        writer.write([*stacks, *(Key(i, i % 1500, i % 16, 3, 0, 20) for i in range(3000))])
        for tick in range(600):
            writer.write([Tick(tick, _rows(dice, sizes, 1), _rows(dice, sizes, 12))])
    start = time.perf_counter()
    profile = read_profile(path)
    opened = time.perf_counter()
    amounts = profile.amounts("live")
    for amount in amounts.values():
        amount.estimate()
    say(
        "ten minutes",
        megabytes=path.stat().st_size / 1e6,
        open_s=opened - start,
        first_view_s=time.perf_counter() - opened,
        keys=len(amounts),
    )


def _rows(dice: random.Random, sizes: list[int], ages: int) -> Rows:
    sums: dict[tuple[int, int], list[int]] = {}
    for _ in range(2000):
        key = min(2999, int(dice.expovariate(1 / 400)))
        row = sums.setdefault((key, dice.randrange(ages)), [0, 0, 0])
        row[0] += 1
        row[1] += sizes[key]
        row[2] += _R + sizes[key] // 2
    return Rows.pack((key, age, *row) for (key, age), row in sums.items())  # type: ignore[misc]


def measure_names(directory: Path, units: int) -> None:
    """200 places all over a large program, and the same again from the cache."""
    program = _compile(directory, units)
    places = _places(program)
    with ElfFile(str(program)) as file:
        module = Module(1, str(program), file.build_id(), *file.identity)
    for look in ("first", "second"):
        start = time.perf_counter()
        with Symboliser({1: module}, cache_directory=directory / "cache") as symboliser:
            found = symboliser.resolve(places)
        say(
            f"{look} look",
            megabytes=program.stat().st_size / 1e6,
            places=len(places),
            frames=sum(len(frames) for frames in found.values()),
            seconds=time.perf_counter() - start,
        )


def _compile(directory: Path, units: int) -> Path:
    objects = []
    for unit in range(units):
        source = directory / f"u{unit}.cc"
        source.write_text(
            _INCLUDES + "#include <regex>\n#include <functional>\n"
            + "".join(_UNIT.format(u=unit, n=n) for n in range(_TYPES))
        )  # fmt: skip
        objects.append(source.with_suffix(".o"))
        subprocess.run(["g++", "-O1", "-g", "-c", source, "-o", objects[-1]], check=True)
    main = directory / "main.cc"
    main.write_text("int main() { return 0; }\n")
    program = directory / "large"
    subprocess.run(["g++", "-g", "-Wl,--build-id", main, *objects, "-o", program], check=True)
    return program


def _places(program: Path) -> list[tuple[int, int]]:
    out = subprocess.run(["nm", "-S", program], check=True, capture_output=True, text=True).stdout
    rows = [line.split() for line in out.splitlines()]
    functions = [(int(r[0], 16), int(r[1], 16)) for r in rows if len(r) == 4 and r[2] in "tTwW"]
    dice = random.Random(3)
    with ElfFile(str(program)) as file:
        chosen = (dice.choice(functions) for _ in range(200))
        offsets = [file.offset_of(a + dice.randrange(max(1, size))) for a, size in chosen]
    return [(1, offset) for offset in offsets if offset is not None]


def main() -> None:
    """Measures both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=14, help="units of the program (14)")
    units = parser.parse_args().units
    with tempfile.TemporaryDirectory() as directory:
        measure_recording(Path(directory))
        measure_names(Path(directory), units)


if __name__ == "__main__":
    main()
