"""Settings that are walked by paired windows, in real processes: what wins stays, what hurts goes.

Each workload is made so that its sizes say what is best.
"""

from __future__ import annotations

from hakmem_tools.observe.counters import CountersSource
from tests.integration.learn.test_learning import LEARN, learning, run_until
from tests.integration.learn.test_pins import knob, windows
from tests.integration.observe.puppet import Puppet

ENVIRONMENT = {
    "HAKMEM_LEARN_WINDOW_MS": "50",
    "HAKMEM_LEARN_MIN_SAMPLES": "16",
    "HAKMEM_MMAP_THRESHOLD": "1M",  # nothing is dealt out
}
#: 300 blocks that come and go together, so that every window has blocks of its own.
NINE_KIB = """
for _ in range(30):
    blocks = [libc.malloc(9000) for _ in range(300)]
    for block in blocks[:-100]: libc.free(block)
    for block in blocks[-100:]: libc.free(block)
blocks = [libc.malloc(9000) for _ in range(300)]
"""
FREE_ALL = "for block in blocks: libc.free(block)\nblocks = []"


def growing(first: int, most: int, times: str) -> str:
    """A block of `first` bytes that grows by realloc, again and again."""
    return f"""
for _ in range(100):
    size, block = {first}, libc.malloc({first})
    while size < {most}:
        size = size * {times}
        block = libc.realloc(block, size)
    libc.free(block)
"""


GROW = growing(20, 30000, "6 // 5")
#: In steps that the room of a class does not take in, up to where the lowest arm begins.
CREEP = growing(30000, 65000, "9 // 8")
#: Tiny blocks in swings that are longer than a list of the start's capacity.
SWING = """
for _ in range(20):
    blocks = [libc.malloc(1000) for _ in range(300)]
    for block in blocks: libc.free(block)
"""


def test_the_extra_class_gets_the_size_that_is_asked_for_and_stays() -> None:
    with learning(**ENVIRONMENT, HAKMEM_TINY_GEOMETRY="pow2") as (process, source):
        process.do("blocks = []")
        work = f"{FREE_ALL}\n{NINE_KIB}"
        run_until(process, source, work, lambda _: knob(source, "mid_dyn1").value == 9216)
        stays = 0
        while stays < 12:  # more than any trial lasts without a move
            windows(process, source, work, 1)
            stays = stays + 1 if knob(source, "mid_dyn1").value == 9216 else 0
        with CountersSource(process.pid) as fresh:  # the class had another size at first
            extra = next(row for row in fresh.snapshot().classes if row.size_bytes == 9216)
        assert extra.get("refilled") > 0
        assert knob(source, "mid_dyn1").learned


def test_where_a_class_fits_no_extra_one_is_tried() -> None:
    with learning(**ENVIRONMENT) as (process, source):
        process.do("blocks = []")
        work = f"{FREE_ALL}\n{NINE_KIB.replace('9000', '12000')}"
        for _ in range(10):
            windows(process, source, work, 2)
            extra = knob(source, "mid_dyn1")
            assert (extra.value, extra.source) == (0, "default")


def copied(process: Puppet, source: CountersSource, work: str = GROW) -> float:
    """The share of reallocs that copy their block."""
    before = source.snapshot()
    process.do(work)
    counts = source.snapshot().delta(before).scalars
    return counts["realloc_moves"] / (counts["realloc_moves"] + counts["realloc_stays"])


def test_blocks_that_grow_by_realloc_learn_to_have_room_and_are_copied_less() -> None:
    with learning(**ENVIRONMENT, HAKMEM_MODE="balanced") as (process, source):
        plain = copied(process, source)
    with learning(**ENVIRONMENT) as (process, source):
        stays = 0
        while stays < 12:
            windows(process, source, GROW, 1)
            value = knob(source, "realloc_slack").value
            stays = stays + 1 if isinstance(value, float) and value > 0 else 0
        assert copied(process, source) < 0.8 * plain


def test_blocks_that_creep_up_keep_their_room_while_requests_are_dealt_to_the_arms() -> None:
    """A block that is dealt goes to the pools or is mapped, never into pages."""
    pools = {"HAKMEM_REALLOC_PAGES": "0"}
    with learning(HAKMEM_MODE="balanced", **pools) as (process, source):
        plain = copied(process, source, CREEP)
    with learning(HAKMEM_FREEZE_SEC="86400", HAKMEM_LEARN_SAMPLE="16", **pools) as (
        process,
        source,
    ):
        run_until(process, source, CREEP, lambda counts: counts["learn_state"] == LEARN)
        assert copied(process, source, CREEP * 10) <= plain


def drains(process: Puppet, source: CountersSource) -> int:
    """Times that the list was full in a fixed amount of work."""
    before = source.snapshot()
    for _ in range(10):
        process.do(SWING)
    counts = source.snapshot().delta(before)
    return next(row for row in counts.classes if row.size_bytes == 1024).get("drains")


def test_the_ace_controller_gives_a_list_that_swings_more_room_and_leaves_it() -> None:
    with learning(**ENVIRONMENT, HAKMEM_MODE="balanced") as (process, source):
        plain = drains(process, source)
        assert source.snapshot().scalars["front_moves"] == 0
    with learning(**ENVIRONMENT, HAKMEM_ACE_WINDOWS="1000") as (process, source):
        moved = run_until(process, source, SWING, lambda now: now["front_moves"] > 0)
        assert moved["drain_permille"] == 500  # the slow loop has had no step yet
        for _ in range(3):
            windows(process, source, SWING, 8)
            assert drains(process, source) < 0.6 * plain


def test_the_slow_loop_moves_the_ceiling_up_for_good_after_it_has_tried_both_ladders() -> None:
    environment = ENVIRONMENT | {"HAKMEM_LEARN_WINDOW_MS": "20"}
    tried, settled = set(), 0
    with learning(**environment) as (process, source):
        for _ in range(400):
            windows(process, source, SWING, 5)  # one step of the slow loop
            now = source.snapshot().scalars
            tried.add((now["front_ceiling"], now["drain_permille"]))
            settled = settled + 1 if now["front_ceiling"] == 256 else 0
            if settled == 10:  # a trial lasts one step
                break
        assert settled == 10, tried
        assert len({drain for _, drain in tried}) > 1, tried
