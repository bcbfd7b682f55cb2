"""The confusion matrix of call sites, against counting by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakmem_tools.model.site_score import (
    POLICIES,
    Judged,
    confusion_lines,
    confusion_of,
    confusion_record,
)

SMALL, MEDIUM, LARGE, DEFAULT = POLICIES


def judged(*pairs: tuple[str, str | None]) -> list[Judged]:
    return [Judged(f"f{i}", label, inferred) for i, (label, inferred) in enumerate(pairs)]


def test_precision_recall_and_accuracy_are_those_of_the_book() -> None:
    confusion = confusion_of(
        judged(
            (SMALL, SMALL), (SMALL, SMALL), (SMALL, DEFAULT), (SMALL, None),
            (MEDIUM, MEDIUM), (MEDIUM, SMALL), (DEFAULT, DEFAULT),
        )
    )  # fmt: skip
    small, medium, large, default = confusion.scores
    assert (small.precision, small.recall) == (2 / 3, 2 / 4)
    assert (medium.precision, medium.recall) == (1, 1 / 2)
    assert (large.precision, large.recall) == (None, None)
    assert (default.precision, default.recall) == (1 / 2, 1)
    assert confusion.accuracy == 4 / 7
    assert [site.function for site in confusion.wrong] == ["f2", "f5"]
    assert [site.function for site in confusion.not_seen] == ["f3"]


def test_without_sites_nothing_is_claimed() -> None:
    confusion = confusion_of([])
    assert confusion.accuracy is None
    assert "no sites" in confusion_lines("x", confusion)[0]
    assert confusion_record(confusion)["accuracy"] is None


@pytest.mark.parametrize("pair", [("TINY", SMALL), (SMALL, "TINY")])
def test_a_name_that_is_no_policy_is_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="TINY is no policy"):
        confusion_of(judged(pair))


def test_people_see_the_matrix_the_shares_and_each_site_that_is_wrong() -> None:
    lines = confusion_lines("here", confusion_of(judged((SMALL, SMALL), (SMALL, MEDIUM))))
    assert lines[0] == "here: 1 of 2 sites taken for what they are (50 %)"
    assert lines[2].split() == [SMALL, "1", "1", "0", "0", "1.00", "0.50"]
    assert lines[4].split() == [LARGE, "0", "0", "0", "0", "-", "-"]
    assert lines[-1] == "  f1 is SMALL_FREQUENT, taken for MEDIUM"


@given(st.lists(st.tuples(st.sampled_from(POLICIES), st.sampled_from([*POLICIES, None]))))
def test_every_site_is_in_one_cell_or_not_seen(pairs: list[tuple[str, str | None]]) -> None:
    confusion = confusion_of(judged(*pairs))
    assert confusion.sites == len(pairs)
    assert confusion.right + len(confusion.wrong) + len(confusion.not_seen) == len(pairs)
    assert sum(score.labelled for score in confusion.scores) == len(pairs)
