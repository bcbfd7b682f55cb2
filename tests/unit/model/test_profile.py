"""A profile's sums, views and trees, on one that was made by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakmem_tools.model.plain_text import plain
from hakmem_tools.model.profile import WHOLE, Moment, NoSuchView, Profile
from hakmem_tools.model.profile_diff import changes
from hakmem_tools.model.profile_records import (
    CallFrame,
    Key,
    Rows,
    Stack,
    Tick,
    bucket_start,
    size_bucket,
)
from hakmem_tools.model.profile_tree import call_tree
from hakmem_tools.model.profile_trust import quality
from hakmem_tools.model.profile_views import (
    GROUPS,
    asking_frames,
    place_text,
    rows,
    site_frame,
)
from tests.unit.model.profiles import SECOND, START, R, header, small_profile


@pytest.fixture
def profile() -> Profile:
    return Profile.of(small_profile())


def weights(profile: Profile, view: str, during: Moment = WHOLE) -> dict[int, float]:
    return {key: amount.weighted / R for key, amount in profile.amounts(view, during).items()}


def test_live_is_what_was_allocated_less_what_was_freed(profile: Profile) -> None:
    assert weights(profile, "live") == {1: 10, 2: 2}
    assert weights(profile, "cumulative") == {1: 10, 2: 12}
    assert weights(profile, "freed") == {2: 10}


def test_live_at_a_moment_leaves_out_what_came_later(profile: Profile) -> None:
    assert weights(profile, "live", Moment(None, START + SECOND)) == {1: 4, 2: 1}


def test_cumulative_between_two_moments_is_of_that_time_alone(profile: Profile) -> None:
    during = Moment(START + SECOND, START + 2 * SECOND)
    assert weights(profile, "cumulative", during) == {1: 6}


def test_temporary_blocks_lived_less_than_a_millisecond(profile: Profile) -> None:
    assert weights(profile, "temporary") == {2: 9}


def test_leak_candidates_are_old_and_live(profile: Profile) -> None:
    assert profile.old_age() == (10 * SECOND).bit_length() - 1
    assert weights(profile, "leaks") == {1: 10}


def test_leaks_without_recorded_ages_are_refused_with_the_reason(profile: Profile) -> None:
    with pytest.raises(NoSuchView, match="no ages"):
        profile.amounts("leaks", Moment(None, START + SECOND))


def test_growth_is_the_difference_of_two_moments_with_its_interval(profile: Profile) -> None:
    growth = profile.growth(lambda key: key.stack, Moment(START + SECOND, None))
    assert growth[1].value == 6 * R
    assert 0 < growth[1].low < 6 * R < growth[1].high
    assert growth[2].value == R
    assert growth[2].low < 0


def test_growth_of_what_does_not_change_is_narrower_than_two_live_sets_apart() -> None:
    """A large live set that stays cancels: its error is not the growth's."""
    records = [
        header(),
        Stack(1, ((1, 5),)),
        Key(1, 1, 1, None, None, size_bucket(64)),
        Tick(START + SECOND, allocated=Rows.pack([(1, 0, 1000, 64000, 1000 * R)])),
        Tick(START + 2 * SECOND, allocated=Rows.pack([(1, 0, 4, 256, 4 * R)])),
    ]
    growth = Profile.of(records).growth(lambda _: 0, Moment(START + SECOND, None))[0]
    assert growth.value == 4 * R
    assert growth.high - growth.low < 20 * R


def test_a_view_is_summed_anew_when_a_tick_has_come(profile: Profile) -> None:
    before = weights(profile, "live")
    profile.add(Tick(START + 50 * SECOND, allocated=Rows.pack([(1, 0, 1, 64, R)])))
    assert weights(profile, "live")[1] == before[1] + 1


def test_frees_whose_allocation_was_lost_do_not_make_bytes_negative(profile: Profile) -> None:
    profile.add(Tick(START + 50 * SECOND, freed=Rows.pack([(1, 3, 99, 99 * 64, 99 * R)])))
    assert weights(profile, "live") == {2: 2}


def test_lifetimes_are_a_histogram_of_what_was_freed(profile: Profile) -> None:
    lifetimes = profile.lifetimes()
    assert {age: amount.samples for age, amount in lifetimes.items()} == {15: 9, 30: 1}


def test_faults_and_madvise_calls_are_added_up_by_stack(profile: Profile) -> None:
    found = {(row.stack, row.cause): (row.count, row.size_bytes) for row in profile.caused()}
    assert found == {(1, 0): (20, 0), (2, 1): (2, 8192)}


def test_a_profile_without_its_end_says_so() -> None:
    assert Profile.of(small_profile()[:-1]).missing
    assert Profile.of(small_profile()).missing == ()


@pytest.mark.parametrize("by", sorted(GROUPS))
def test_every_grouping_keeps_the_total(profile: Profile, by: str) -> None:
    made = rows(profile, "live", by)
    assert sum(row.estimate.value for row in made) == 12 * R
    assert sum(row.share for row in made) == pytest.approx(1)


def test_rows_are_ranked_and_say_where(profile: Profile) -> None:
    first, second = rows(profile, "live")
    assert first.label == "node_new at /src/tree.cc:12 (inlined)"
    assert (second.label, second.truncated) == ("libnet.so+0x500", True)


def test_truncated_and_lost_samples_are_part_of_every_view(profile: Profile) -> None:
    about = quality(profile, "live")
    assert about.truncated_share == pytest.approx(1 / 6)
    assert (about.lost, about.lost_total) == ({"the map was full": 3}, 3)
    assert quality(Profile.of([header()]), "live").truncated_share is None


def test_the_site_is_whoever_asked_the_allocator() -> None:
    frames = (
        CallFrame("/usr/lib/libhakmem.so", 1, "hak_malloc"),
        CallFrame("/lib/libstdc++.so", 2, "operator new"),
        CallFrame("/app", 3, "std::vector<int>::push_back", inlined=True),
        CallFrame("/app", 4, "serve", "/src/s.cc", 7),
    )
    assert asking_frames(frames) == frames[2:]
    assert site_frame(frames) == frames[3]
    assert site_frame(frames[:2]) == frames[0]
    assert site_frame(()) is None
    assert place_text(frames[3]) == "serve at /src/s.cc:7"


def test_a_call_tree_adds_up_and_can_be_turned_round(profile: Profile) -> None:
    amounts = profile.group("live", lambda key: key.stack)
    down = call_tree(profile, amounts)
    assert down.amount.weighted == 12 * R
    (main,) = down.ranked()
    assert [node.name for node in main.ranked()] == ["parse", "libnet.so+0x500"]
    assert main.ranked()[1].truncated
    names = [(depth, node.name) for depth, node in down.walk()]
    assert names[:3] == [(0, "main"), (1, "parse"), (2, "node_new")]
    up = call_tree(profile, amounts, inverted=True)
    assert [node.name for node in up.ranked()] == ["node_new", "libnet.so+0x500"]


def test_a_stack_that_was_lost_is_still_counted() -> None:
    tick = Tick(START, allocated=Rows.pack([(9, 0, 2, 128, 2 * R)]))
    lost = Profile.of([header(), tick])
    (row,) = rows(lost, "live")
    assert (row.label, row.estimate.value, row.truncated) == ("(no stack)", 2 * R, True)


def test_two_profiles_are_matched_by_name_not_by_number(profile: Profile) -> None:
    records = small_profile()
    other = Profile.of(
        [Stack(7, r.frames) if isinstance(r, Stack) and r.id == 1 else r for r in records]
    )
    other.add(Key(1, 7, 7, 3, 0, size_bucket(64)))
    for by in ("stack", "site"):
        assert all(change.estimate.value == 0 for change in changes(profile, other, "live", by))


@given(st.lists(st.tuples(*[st.integers(0, 200)] * 2, *[st.integers(0, 1 << 30)] * 3)))
def test_rows_survive_packing(items: list[tuple[int, int, int, int, int]]) -> None:
    assert Rows.pack(items).unpack() == sorted(items)


@given(st.integers(0, 1 << 62))
def test_a_size_lies_in_its_bucket(size: int) -> None:
    bucket = size_bucket(size)
    assert bucket_start(bucket) <= size < bucket_start(bucket + 1)
    assert size_bucket(bucket_start(bucket)) == bucket


@given(st.text())
def test_plain_text_is_printable_and_plain_twice_is_the_same(text: str) -> None:
    shown = plain(text)
    assert not any(ord(character) < 32 or ord(character) == 127 for character in shown)
    assert plain(shown) == shown


def test_sums_that_grow_tick_by_tick_are_those_of_all_ticks_at_once() -> None:
    records = small_profile()
    growing = Profile.of([r for r in records if not isinstance(r, Tick)])
    for tick in (r for r in records if isinstance(r, Tick)):
        growing.add(tick)
        whole = Profile.of(
            [r for r in records if not isinstance(r, Tick) or r.time_ns <= tick.time_ns]
        )
        for view in ("live", "cumulative", "freed", "temporary"):
            for during in (WHOLE, Moment(START + SECOND, None), Moment(None, START + SECOND)):
                assert growing.amounts(view, during) == whole.amounts(view, during)
        assert growing.lifetimes() == whole.lifetimes()


def test_moments_in_any_order_give_the_same_sums(profile: Profile) -> None:
    moments = [Moment(None, START + n * SECOND) for n in (40, 1, 2, 0, 40, 2)]
    found = [weights(profile, "cumulative", during) for during in moments]
    assert found[0] == found[4] == {1: 10, 2: 12}
    assert found[1] == {1: 4, 2: 10}
    assert found[2] == found[5] == {1: 10, 2: 10}
    assert found[3] == {}
