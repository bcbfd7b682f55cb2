"""Real programs leave the same output and exit code under libhakmem as without it.

Each test first proves that the library was loaded into the program it speaks of (the dynamic
loader's own report), then compares stdout byte by byte, stderr and the exit code.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.integration import inputs
from tests.integration.preload import (
    LIBRARY,
    Outcome,
    clean_environment,
    first_difference,
    preloaded_environment,
    programs_with_library,
    run,
)
from tests.integration.redis_session import Session

PROGRAMS = Path(__file__).parent / "programs"
PYTHON = "/usr/bin/python3"


@pytest.fixture(autouse=True)
def library() -> Path:
    assert LIBRARY.is_file(), f"{LIBRARY} is not there: run `make build` first"
    return LIBRARY


def program(name: str) -> str:
    """The path of a program that packages.apt installs."""
    found = shutil.which(name, path="/usr/bin:/bin:/usr/local/bin")
    assert found, f"{name} is not installed: run `make install-deps` first"
    return found


def same(
    argv: list[str | Path],
    cwd: Path,
    *,
    speaks_of: str,
    code: int = 0,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    normalise: Callable[[bytes], bytes] = bytes,
) -> Outcome:
    """Runs a program both ways and compares; `speaks_of` must be seen to load the library."""
    plain = run(argv, preload=False, cwd=cwd, stdin=stdin, env=env)
    ours = run(argv, preload=True, cwd=cwd, stdin=stdin, env=env)
    assert plain.code == code, f"the program fails by itself: {plain.stderr.decode()[-2000:]}"
    assert ours.code == code, ours.stderr.decode(errors="replace")[-2000:]
    assert speaks_of in ours.loaded
    assert plain.stdout, "an empty output proves nothing"
    one, other = normalise(plain.stdout), normalise(ours.stdout)
    assert one == other, first_difference(one, other)
    one, other = normalise(plain.stderr), normalise(ours.stderr)
    assert one == other, first_difference(one, other)
    return ours


def test_redis_answers_the_same_after_load_saves_and_a_restart(tmp_path: Path) -> None:
    def life(environment: dict[str, str], directory: Path) -> bytes:
        directory.mkdir()
        session = Session(directory, environment)
        answers = []
        with session.server() as process:
            answers.append(session.ask(inputs.redis_commands(6000)))
            answers.append(session.ask(inputs.redis_questions()))
            answers.append(session.save_in_child(process))
            session.benchmark(6000)
            answers.append(session.ask(b"DBSIZE\nLLEN mylist\nGET counter:__rand_int__\n"))
            answers.append(session.ask(inputs.redis_questions()))
            session.ask(b"SHUTDOWN SAVE\n")
            answers.append(b"ended with %d" % process.wait(60))
        with session.server() as process:
            answers.append(session.ask(inputs.redis_questions()))
            answers.append(session.ask(b"FLUSHALL\nDBSIZE\n"))
            session.ask(b"SHUTDOWN NOSAVE\n")
            answers.append(b"ended with %d" % process.wait(60))
        return b"\n".join(answers)

    assert program("redis-benchmark")
    reports = tmp_path / "reports"
    reports.mkdir()
    plain = life(clean_environment(), tmp_path / "plain")
    ours = life(preloaded_environment(reports / "loader"), tmp_path / "ours")
    loaded = programs_with_library(reports)
    assert {"redis-server", "redis-cli", "redis-benchmark"} <= loaded
    assert b"rdb_last_bgsave_status:ok" in plain
    assert plain.count(b"ended with 0") == 2
    assert plain == ours, first_difference(plain, ours)


@pytest.mark.parametrize("objects", ["pymalloc", "malloc"])
def test_pythons_own_tests_pass_with_the_same_words(tmp_path: Path, objects: str) -> None:
    suites = ["test_dict", "test_list", "test_json", "test_re", "test_set", "test_zlib"]
    ours = same(
        [PYTHON, "-m", "test", "-v", *suites],
        tmp_path,
        speaks_of=PYTHON.rsplit("/", 1)[1],
        env={"PYTHONMALLOC": objects, "PYTHONHASHSEED": "0", "TMPDIR": str(tmp_path)},
        normalise=_without_times,
    )
    assert b"All 6 tests OK" in ours.stdout


def _without_times(text: bytes) -> bytes:
    """Drops what the test runner says of the clock, the machine's load and its process id."""
    kept = [
        line
        for line in text.splitlines()
        if not re.match(rb"== |0:\d\d:\d\d |Ran \d+ tests? in |Total duration|\d:\d\d:\d\d", line)
    ]
    return re.sub(rb"0x[0-9a-f]+|test_python_\d+\w*|\b\d+(\.\d+)? (ms|sec)", b"_", b"\n".join(kept))


def test_gcc_writes_the_same_object_for_a_large_file(tmp_path: Path) -> None:
    (tmp_path / "large.c").write_text(inputs.c_source(600))
    objects = []
    for preload in (False, True):
        ended = run(
            [program("gcc"), "-O2", "-c", "large.c", "-o", f"{preload}.o"],
            preload=preload,
            cwd=tmp_path,
        )
        assert (ended.code, ended.stderr) == (0, b"")
        objects.append((tmp_path / f"{preload}.o").read_bytes())
    assert {"gcc", "cc1", "as"} & ended.loaded >= {"cc1", "as"}
    assert objects[0] == objects[1]


def test_git_packs_and_prints_the_same_history(tmp_path: Path) -> None:
    git = program("git")
    history = inputs.git_history(400)
    script = (
        f"{git} init -q -b main repo && cd repo && {git} fast-import --quiet && "
        f"{git} log -p --stat --all && {git} log --format=%H -M -S ab | sort && "
        f"{git} -c pack.threads=2 repack -qadf && {git} fsck --strict --no-progress && "
        f"{git} grep -c a main -- . && {git} blame -s HEAD -- dir0/file0.txt; "
        f"code=$?; cd .. && rm -rf repo; exit $code"
    )
    same(["/bin/sh", "-c", script], tmp_path, speaks_of="git", stdin=history)


def test_sqlite_answers_the_same_over_a_million_rows(tmp_path: Path) -> None:
    ours = same(
        [program("sqlite3"), ":memory:"],
        tmp_path,
        speaks_of="sqlite3",
        stdin=inputs.sql_script(1_000_000),
    )
    assert ours.stdout.startswith(b"1000000|")
    assert ours.stdout.endswith(b"ok\n")


def test_node_turns_json_over_the_same(tmp_path: Path) -> None:
    script = (PROGRAMS / "json.js").read_text()
    same([program("node"), "-e", script], tmp_path, speaks_of="node", code=11)


def test_a_perl_script_says_the_same(tmp_path: Path) -> None:
    script = PROGRAMS / "words.pl"
    same(
        [program("perl"), script],
        tmp_path,
        speaks_of="perl",
        code=5,
        env={"PERL_HASH_SEED": "0"},
    )


def test_a_bash_script_says_the_same(tmp_path: Path) -> None:
    same([program("bash"), PROGRAMS / "arrays.sh"], tmp_path, speaks_of="bash", code=9)


@pytest.mark.parametrize(
    "knobs",
    [
        {},
        {"HAKMEM_MODE": "minimal"},
        {"HAKMEM_MODE": "learning", "HAKMEM_LOG": "off"},  # this mode tells its trials on stderr
        {"HAKMEM_TINY_GEOMETRY": "pow2", "HAKMEM_SUPERSLAB_LG": "19"},
        {"HAKMEM_TINY_SS_ADOPT": "0", "HAKMEM_SS_EMPTY_REUSE": "0"},
    ],
    ids=lambda knobs: ",".join(f"{k}={v}" for k, v in knobs.items()) or "defaults",
)
def test_threads_that_free_each_others_blocks_add_up_to_the_same(
    tmp_path: Path, threads: Path, knobs: dict[str, str]
) -> None:
    same([threads], tmp_path, speaks_of="threads", code=7, env=knobs)


@pytest.fixture(scope="module")
def threads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """programs/threads.cpp, compiled."""
    directory = tmp_path_factory.mktemp("threads")
    source, binary = PROGRAMS / "threads.cpp", directory / "threads"
    compiled = run(
        [program("g++"), "-std=c++17", "-O1", "-Wall", "-pthread", source, "-o", binary],
        preload=False,
        cwd=directory,
    )
    assert compiled.code == 0, compiled.stderr.decode()
    return binary
