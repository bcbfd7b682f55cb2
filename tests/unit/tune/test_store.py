"""The sweep file: what it keeps, what it refuses, and what merging does."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from hakmem_tools.model.trial import Arm, Phase, RssSample, Status, Trial, TrialKey
from hakmem_tools.tune.plan import Plan
from hakmem_tools.tune.store import Block, LookRecord, Store, StoreError, holds_data

PLAN = Plan(command=("true",), arms=(Arm("a", {}), Arm("b", {"X": "1"})))


def trial(block: int, position: int, arm: str = "a", **changes: object) -> Trial:
    values: dict[str, object] = {
        "key": TrialKey(Phase.MEASURE, block, position),
        "arm": arm,
        "host": "here",
        "status": Status.OK,
        "started_ns": 12,
        "metrics": {"wall": 0.5},
        "missing": {"instructions": "not supported"},
        "rss": [RssSample(0.01, 4096)],
    }
    return Trial(**{**values, **changes})  # type: ignore[arg-type]


def filled(path: Path, blocks: int = 2) -> Store:
    store = Store.create(path, PLAN)
    for number in range(blocks):
        store.add_block(Block(Phase.MEASURE, number, "", ("a", "b")))
        store.add_trial(trial(number, 0, "a"), 0.5)
        store.add_trial(trial(number, 1, "b"), 0.5)
    return store


def test_what_is_written_is_read_again_after_closing(tmp_path: Path) -> None:
    filled(tmp_path / "s.db").close()
    with Store.open(tmp_path / "s.db") as store:
        assert store.plan == PLAN
        assert store.trials() == [
            trial(n, p, arm) for n in (0, 1) for p, arm in enumerate(("a", "b"))
        ]
        assert store.seconds == pytest.approx(2.0)


def test_a_run_that_is_there_already_is_not_counted_again(tmp_path: Path) -> None:
    with filled(tmp_path / "s.db", 1) as store:
        assert not store.add_trial(trial(0, 0, "b", metrics={"wall": 9.0}), 0.5)
        assert store.trials()[0].metrics == {"wall": 0.5}
        assert store.seconds == pytest.approx(1.0)


def test_failed_and_timed_out_runs_stay(tmp_path: Path) -> None:
    with filled(tmp_path / "s.db", 1) as store:
        store.add_block(Block(Phase.MEASURE, 1, "", ("a", "b")))
        store.add_trial(trial(1, 0, status=Status.TIMEOUT, metrics={}, detail="over 3 s"))
        store.add_trial(trial(1, 1, status=Status.FAILED, exit_code=-11, metrics={}))
        assert [one.status for one in store.trials()][2:] == [Status.TIMEOUT, Status.FAILED]


def test_looks_are_kept_in_order(tmp_path: Path) -> None:
    looks = [LookRecord(5, 0.2, ()), LookRecord(10, 0.4, ("b",))]
    with filled(tmp_path / "s.db") as store:
        for look in looks:
            store.add_look(look)
        assert store.looks() == looks


def test_merging_takes_whole_blocks_once(tmp_path: Path) -> None:
    with filled(tmp_path / "one.db") as one, filled(tmp_path / "two.db", 3) as two:
        two.add_block(Block(Phase.MEASURE, 3, "", ("a", "b")))
        two.add_trial(trial(3, 0))  # half a block: its pair is not there
        assert one.merge(two) == 6
        assert one.merge(two) == 0
        assert len(one.trials()) == 10
        assert [block.number for block in one.blocks(Phase.MEASURE)] == [0, 1, 2, 3, 4]
        two.add_trial(trial(3, 1, "b"))
        assert one.merge(two) == 2  # now that it is whole


def test_another_experiment_cannot_be_merged(tmp_path: Path) -> None:
    other = Plan(command=("false",), arms=PLAN.arms)
    with (
        filled(tmp_path / "one.db") as one,
        Store.create(tmp_path / "two.db", other) as two,
        pytest.raises(StoreError, match="another experiment"),
    ):
        one.merge(two)


def test_a_file_that_exists_is_not_overwritten_and_a_foreign_one_not_opened(tmp_path: Path) -> None:
    filled(tmp_path / "s.db").close()
    with pytest.raises(StoreError, match="exists already"):
        Store.create(tmp_path / "s.db", PLAN)
    (tmp_path / "text").write_text("hello, this is not a database, nor was it ever one " * 20)
    with pytest.raises(StoreError, match="not a sweep file"):
        Store.open(tmp_path / "text")
    sqlite3.connect(tmp_path / "empty.db").execute("create table x (y)")
    with pytest.raises(StoreError, match="not a sweep file"):
        Store.open(tmp_path / "empty.db")
    with pytest.raises(StoreError, match="no such"):
        Store.open(tmp_path / "none.db")


def test_a_full_disk_is_one_line_and_the_runs_before_it_are_kept(tmp_path: Path) -> None:
    with filled(tmp_path / "s.db", 1) as store:
        # SQLite's own page limit gives the same error as a full disk.
        (pages,) = store._connection.execute("pragma page_count").fetchone()
        store._connection.execute(f"pragma max_page_count = {pages}")
        store.add_block(Block(Phase.MEASURE, 1, "", ("a", "b")))
        with pytest.raises(StoreError, match="full") as caught:
            store.add_trial(trial(1, 0, detail="x" * 100_000))
        assert "\n" not in str(caught.value)
        assert len(store.trials()) == 2


def test_a_file_left_blank_by_a_kill_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.sweep"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("begin immediate")
    connection.execute("commit")  # this writes a header and no table
    connection.close()
    assert path.stat().st_size > 0
    assert not holds_data(path)
    Store.create(path, PLAN).close()
    assert holds_data(path)
