"""Knobs from the environment of real processes: older names, bad values, sources."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import pytest

from hakmem_tools.model.descriptors import Descriptors, Knob
from hakmem_tools.model.settings import SettingError, parse_value
from hakmem_tools.native.header import find_library
from hakmem_tools.native.library import Library
from hakmem_tools.observe.counters import CountersSource
from hakmem_tools.observe.live_knobs import set_knob
from tests.integration.observe.puppet import clean_environment, library_path, puppet
from tests.integration.observe.test_bad_input import hakmem

#: Each older name, a value for it, and the knob (with its index) and value that come of it.
LEGACY = {
    "HAKMEM_TINY_USE_SUPERSLAB": ("0", "superslab_enable", 0),
    "HAKMEM_TINY_MUST_ADOPT": ("0", "must_adopt", 0),
    "HAKMEM_TINY_FAST_CAP": ("33", "front_cap", 33),
    "HAKMEM_TINY_TLS_SLL": ("0", "front_enable", 0),
    "HAKMEM_TINY_TLS_LIST": ("off", "front_enable", 0),
    "HAKMEM_SLL_MULTIPLIER": ("3", "front_cap_multiplier", 3),
    **{f"HAKMEM_TINY_SLL_CAP_C{i}": ("40", f"front_cap_class_{i}", 40) for i in range(8)},
    "HAKMEM_TINY_REFILL_COUNT_HOT": ("17", "front_refill", 17),
    "HAKMEM_TINY_MAG_CAP": ("34", "front_cap", 34),
    "HAKMEM_TINY_REG_SCAN_MAX": ("16", "ss_empty_scan_limit", 16),
    "HAKMEM_TINY_MID_REFILL_SIMPLE": ("1", "refill_ramp", 0),
    "HAKMEM_TINY_MAILBOX_SLOWDISC": ("0", "must_adopt", 0),
    "HAKMEM_TINY_MAILBOX_SLOWDISC_PERIOD": ("8", "adopt_period", 8),
    "HAKMEM_SS_ACQUIRE_DEBUG": ("1", "debug_acquire", 1),
    "HAKMEM_SS_FREE_DEBUG": ("1", "debug_release", 1),
    "HAKMEM_SHARED_POOL_STAGE_STATS": ("1", "stats", "counters"),
    "HAKMEM_SHARED_POOL_LOCK_STATS": ("1", "stats", "counters"),
    "HAKMEM_SUPER_REG_DEBUG": ("1", "debug_superslab", 1),
    "HAKMEM_WRAP_TINY": ("0", "superslab_enable", 0),
    "HAKMEM_WRAP_L2": ("0", "mid_enable", 0),
    "HAKMEM_WRAP_L25": ("0", "large_enable", 0),
    "HAKMEM_WMAX_MID": ("1.5", "w_max_mid", 1.5),
    "HAKMEM_WMAX_LARGE": ("1.25", "w_max_large", 1.25),
    "HAKMEM_POOL_TLS_FREE": ("0", "mid_front", 0),
    "HAKMEM_DISABLE_BIGCACHE": ("1", "bigcache", 0),
    "HAKMEM_DISABLE_ELO": ("1", "learn", "off"),
    "HAKMEM_DISABLE_BATCH": ("yes", "batch", 0),
    "HAKMEM_EVO_POLICY": ("off", "learn", "off"),
    "HAKMEM_EVO_SAMPLE": ("3", "learn_sample", 3),
    "HAKMEM_PROF": ("1", "sites", "sampled"),
    "HAKMEM_PROF_SAMPLE": ("2", "site_sample", 2),
    "HAKMEM_ACE_SAMPLE": ("9", "ace_windows", 9),
    "HAKMEM_STATS_DUMP": ("1", "stats", "counters"),
    "HAKMEM_TINY_COUNTERS_DUMP": ("1", "stats", "counters"),
    "HAKMEM_TINY_TRACE_RING": ("1", "trace_ring", 1),
    "HAKMEM_TINY_RF_TRACE": ("1", "trace_ring", 1),
    "HAKO_HAKMEM_LARGE_MMAP": ("0", "large_mmap", 0),
}
#: Names of the specification that are the knobs' own.
CANONICAL = {
    "HAKMEM_MODE": "fast", "HAKMEM_TINY_GEOMETRY": "pow2", "HAKMEM_SUPERSLAB_LG": "20",
    "HAKMEM_TINY_CAP_C7": "820", "HAKMEM_BIGCACHE_CAP_MB": "64", "HAKMEM_SAMPLE_BYTES": "4096",
    "HAKMEM_TINY_SS_ADOPT": "0", "HAKMEM_SS_EMPTY_REUSE": "0", "HAKMEM_SS_EMPTY_SCAN_LIMIT": "16",
    "HAKMEM_SAFE_FREE": "1", "HAKMEM_CAP_MID": "100", "HAKMEM_CAP_LARGE": "10",
    "HAKMEM_MID_DYN1": "14336", "HAKMEM_FREE_POLICY": "keep", "HAKMEM_THP": "off",
    "HAKMEM_FREEZE_SEC": "5", "HAKMEM_CANARY_FRAC": "0.1", "HAKMEM_ACE_ENABLED": "1",
    "HAKMEM_ACE_TRACE": "1", "HAKMEM_SITE_RULES": "1", "HAKMEM_STATS": "off",
    "HAKMEM_LEARN": "0", "HAKMEM_LEARN_WINDOW_MS": "100", "HAKMEM_LEARN_MIN_SAMPLES": "10",
    "HAKMEM_TARGET_HIT_MID": "0.5", "HAKMEM_TARGET_HIT_LARGE": "0.5",
    "HAKMEM_CAP_STEP_MID": "2", "HAKMEM_CAP_STEP_LARGE": "2",
    "HAKMEM_BUDGET_MID": "10", "HAKMEM_BUDGET_LARGE": "10",
}  # fmt: skip
#: What no knob of any type takes, by kind; a negative number is below every knob's range.
BAD = {
    "empty": "", "negative": "-1", "overflow": "9" * 40, "text": "plenty",
    "trailing garbage": "1x", "unicode": "\u0661\u2460", "10 kB long": "7" * 10240,
}  # fmt: skip
#: Every knob of the library; of an indexed one its last value.
KNOBS = {knob.name: knob for knob in Library(find_library()).descriptors.knobs}
TOLD = re.compile(
    r"hakmem: (?P<name>\w+)=(?P<given>[ -~]*): "
    r"(?P<why>not understood; allowed is|outside) (?P<allowed>\S.*); using (?P<used>\S+)\n"
)


@pytest.fixture(scope="module")
def descriptors() -> Descriptors:
    return Library(find_library()).descriptors


def run_true(environment: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    """A program that allocates, under libhakmem with these variables."""
    return subprocess.run(
        ["sort", "/dev/null"], capture_output=True, check=False,
        env=clean_environment() | environment | {"LD_PRELOAD": str(library_path())},
    )  # fmt: skip


@pytest.mark.parametrize("name", LEGACY)
def test_an_older_name_works_and_warns_once(name: str, descriptors: Descriptors) -> None:
    text, table_name, value = LEGACY[name]
    with puppet(env={name: text}) as process, CountersSource(process.pid) as source:
        found = {
            row.knob.name if row.index is None else f"{row.knob.name}_{row.index}": row
            for row in source.knobs()
        }
        assert (found[table_name].value, found[table_name].source) == (value, "env")
    done = run_true({name: text})
    told = [line for line in done.stderr.decode().splitlines() if "is an old name" in line]
    assert done.returncode == 0
    assert len(told) == 1
    assert told[0].startswith(f"hakmem: {name} is an old name, and works; ")
    assert found[table_name].knob.env.split("<")[0] in told[0]


def test_every_name_of_the_specification_is_taken_without_a_word() -> None:
    with puppet(env=CANONICAL) as process, CountersSource(process.pid) as source:
        given = {row.knob.env_name(row.index): row for row in source.knobs() if row.source == "env"}
    assert given.keys() == CANONICAL.keys()
    for name, row in given.items():
        assert row.value == row.knob.present(parse_value(row.knob, CANONICAL[name]))
        assert not row.refused
    quiet = {name: text for name, text in CANONICAL.items() if "TRACE" not in name}
    assert run_true(quiet).stderr == b""


def index_of(knob: Knob) -> int | None:
    return None if knob.count == 1 else knob.count - 1


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("knob_name", KNOBS)
def test_a_bad_value_of_any_knob_is_refused_in_one_line_and_the_program_runs(
    knob_name: str, kind: str
) -> None:
    knob = KNOBS[knob_name]
    name = knob.env_name(index_of(knob))
    done = run_true({name: BAD[kind]})
    assert done.returncode == 0
    line = done.stderr.decode("ascii")
    told = TOLD.fullmatch(line)
    assert told is not None, line
    assert len(line) < 300
    assert told["name"] == name
    assert told["given"].rstrip(".").replace("?", "") in BAD[kind]
    number = parse_value(knob, told["used"])
    if told["why"] == "outside" and knob.type != "enum":
        assert number == (knob.min if kind == "negative" else knob.max)
    else:
        assert number == knob.default


@pytest.mark.parametrize("kind", BAD)
def test_all_knobs_at_once_may_be_bad_and_the_page_shows_what_is_used(kind: str) -> None:
    given = {knob.env_name(index_of(knob)): BAD[kind] for knob in KNOBS.values()}
    given["HAKMEM_PAGE"] = "1"  # without a page there is nothing to see
    given["HAKMEM_LEARN_WINDOW_MS"] = "10"
    with puppet(env=given) as process, CountersSource(process.pid) as source:
        process.do("blocks = [libc.malloc(size) for size in range(0, 1 << 20, 4099)]")
        process.do("for block in blocks: libc.free(block)")
        rows = {row.knob.env_name(row.index): row for row in source.knobs()}
        for name in given.keys() - {"HAKMEM_PAGE", "HAKMEM_LEARN_WINDOW_MS"}:
            row = rows[name]
            assert row.refused, name
            if isinstance(row.value, str):
                assert row.value in row.knob.choices
            else:
                assert row.knob.min <= row.value <= row.knob.max


LIVE = [name for name, knob in KNOBS.items() if knob.scope == "live"]


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("knob_name", LIVE)
def test_a_bad_value_of_any_live_knob_is_never_sent_to_a_process(
    target: CountersSource, knob_name: str, kind: str
) -> None:
    knob = KNOBS[knob_name]
    name = knob.env_name(index_of(knob))
    before = target.snapshot().policy_version
    with pytest.raises(SettingError) as refused:
        set_knob(target, f"{name}={BAD[kind]}", wait_s=0)
    line = str(refused.value)
    assert line.startswith(f"{name}=")
    assert "not understood; allowed is" in line or "outside" in line
    assert knob.allowed in line
    assert "\n" not in line
    assert len(line) < 400
    assert target.snapshot().policy_version == before


@pytest.fixture(scope="module")
def target() -> Iterator[CountersSource]:
    with puppet() as process:
        process.do("libc.free(libc.malloc(1))")
        with CountersSource(process.pid) as source:
            yield source


@pytest.mark.parametrize("kind", BAD)
def test_the_command_refuses_a_bad_value_in_one_line(target: CountersSource, kind: str) -> None:
    done = hakmem("knobs", "set", f"HAKMEM_FRONT_REFILL={BAD[kind]}", "-p", str(target.pid))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert len(done.stderr) < 400


@pytest.mark.parametrize(
    ("environment", "value", "source"),
    [
        ({}, 1, "default"),
        ({"HAKMEM_MODE": "minimal"}, 0, "mode"),
        ({"HAKMEM_MODE": "minimal", "HAKMEM_BIGCACHE": "1"}, 1, "env"),
        ({"HAKMEM_MODE": "minimal", "HAKMEM_DISABLE_BIGCACHE": "0"}, 1, "env"),
        ({"HAKMEM_DISABLE_BIGCACHE": "1", "HAKMEM_BIGCACHE": "1"}, 1, "env"),
        ({"HAKMEM_DISABLE_BIGCACHE": "maybe"}, 1, "default"),
    ],
)
def test_a_value_says_where_it_came_from(
    environment: dict[str, str], value: int, source: str
) -> None:
    with puppet(env=environment) as process, CountersSource(process.pid) as page:
        row = next(row for row in page.knobs() if row.knob.name == "bigcache")
        assert (row.value, row.source) == (value, source)
