"""One SQLite file per sweep: its plan, every finished run, and every look taken at them.

`experiment` writes it, reports read it. Each run is one transaction, so a kill at any moment loses
at most the run that was going on; that run has no row and is made again. A run's key is unique, so
none is counted twice. Blocks are written before their first run, with their order: what comes next
is read from here, not from memory.

It holds one connection, used by one thread. It judges and computes nothing.
"""

from __future__ import annotations

import contextlib
import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from hakmem_tools.model.trial import Phase, RssSample, Status, Trial, TrialKey
from hakmem_tools.tune.plan import Plan

SCHEMA_VERSION = 1
_Record = TypeVar("_Record")

_SCHEMA = """
create table meta (name text primary key, value text not null);
create table block (
    phase text not null, block integer not null, host text not null, arms text not null,
    origin text not null, origin_block integer not null,
    primary key (phase, block), unique (phase, origin, origin_block));
create table trial (
    phase text not null, block integer not null, position integer not null, arm text not null,
    host text not null, status text not null, started_ns integer not null, exit_code integer,
    detail text not null, metrics text not null, missing text not null, rss text not null,
    primary key (phase, block, position),
    foreign key (phase, block) references block (phase, block));
create table look (number integer primary key, blocks integer not null, spent real not null,
    settled text not null);
"""


class StoreError(RuntimeError):
    """The file cannot be used: one line that names it, the reason and the next step."""


class Block(msgspec.Struct, frozen=True):
    """A planned block: which arms run, in which order, on which host ('' for any)."""

    phase: Phase
    number: int
    host: str
    arms: tuple[str, ...]


class LookRecord(msgspec.Struct, frozen=True):
    """A look that was taken: measured blocks by then, error spent, arms settled because of it."""

    blocks: int
    spent: float
    settled: tuple[str, ...]


class Store:
    """An open sweep file. Close it, or use it as a context manager."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self.path = path

    @classmethod
    def create(cls, path: Path, plan: Plan) -> Store:
        """Start a new file; StoreError if it exists or cannot be written."""
        # An empty file is what a kill in the middle of this very function leaves behind.
        if path.exists() and path.stat().st_size:
            raise StoreError(f"{path}: exists already; resume it, or give another name with -o")
        store = cls(_connect(path), path)
        with store._writing() as connection:
            connection.executescript("begin immediate;" + _SCHEMA)
            store._set("schema_version", SCHEMA_VERSION)
            store._set("identity", uuid.uuid4().hex)
            store._set("plan", plan)
            store._set("seconds", 0.0)
        return store

    @classmethod
    def open(cls, path: Path) -> Store:
        """Open an existing file; StoreError if it is not a sweep of this schema."""
        if not path.is_file():
            raise StoreError(f"{path}: no such sweep file")
        store = cls(_connect(path), path)
        try:
            version = store.get("schema_version", int)
        except (sqlite3.DatabaseError, msgspec.DecodeError):
            version = None
        if version is None:
            store.close()
            raise StoreError(f"{path}: not a sweep file")
        if version != SCHEMA_VERSION:
            store.close()
            raise StoreError(f"{path}: schema {version}, this version reads {SCHEMA_VERSION}")
        return store

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the file."""
        self._connection.close()

    @property
    def plan(self) -> Plan:
        """The plan this file was made for."""
        plan = self.get("plan", Plan)
        assert plan is not None  # written in the transaction that made the file
        return plan

    @property
    def identity(self) -> str:
        """A random name of this file, by which a merge knows what it has already taken in."""
        return self.get("identity", str) or ""

    @property
    def seconds(self) -> float:
        """Measuring time used so far, over all sessions."""
        return self.get("seconds", float) or 0.0

    def get(self, name: str, kind: type[_Record]) -> _Record | None:
        """A named record, or None."""
        row = self._connection.execute("select value from meta where name = ?", (name,)).fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=kind)

    def put(self, name: str, value: object) -> None:
        """Write a named record."""
        with self._writing():
            self._set(name, value)

    def add_block(self, block: Block) -> None:
        """Plan a block; doing so again changes nothing."""
        with self._writing() as connection:
            connection.execute(
                "insert or ignore into block values (?, ?, ?, ?, ?, ?)",
                (block.phase, block.number, block.host, _text(block.arms), self.identity,
                 block.number),
            )  # fmt: skip

    def blocks(self, phase: Phase) -> list[Block]:
        """Planned blocks of a phase in order, finished or not."""
        rows = self._connection.execute(
            "select block, host, arms from block where phase = ? order by block", (phase,)
        )
        return [
            Block(phase, number, host, msgspec.json.decode(arms, type=tuple[str, ...]))
            for number, host, arms in rows
        ]

    def add_trial(self, trial: Trial, seconds: float = 0.0) -> bool:
        """Write one finished run and the time it took; False if that run is there already."""
        with self._writing() as connection:
            added = self._insert(connection, trial)
            if added:
                self._set("seconds", self.seconds + seconds)
        return added

    def add_block_trials(self, block: Block, trials: list[Trial], seconds: float) -> bool:
        """Write all runs of a block, or none if it has some already; their host becomes its own."""
        with self._writing() as connection:
            if self.done_positions(block.phase, block.number):
                return False
            connection.execute(
                "update block set host = ? where phase = ? and block = ?",
                (trials[0].host, block.phase, block.number),
            )
            for trial in trials:
                self._insert(connection, trial)
            self._set("seconds", self.seconds + seconds)
        return True

    def trials(self, phase: Phase | None = None) -> list[Trial]:
        """Every finished run, failed ones too, in the order of the plan."""
        query, arguments = "select * from trial", ()
        if phase is not None:
            query, arguments = query + " where phase = ?", (str(phase),)  # type: ignore[assignment]
        rows = self._connection.execute(query + " order by phase, block, position", arguments)
        return [_trial(row) for row in rows]

    def done_positions(self, phase: Phase, block: int) -> set[int]:
        """Positions of a block that have their run."""
        rows = self._connection.execute(
            "select position from trial where phase = ? and block = ?", (phase, block)
        )
        return {row[0] for row in rows}

    def add_look(self, look: LookRecord) -> None:
        """Write down a look, so that an interrupted sweep spends no error twice."""
        with self._writing() as connection:
            connection.execute(
                "insert into look (blocks, spent, settled) values (?, ?, ?)",
                (look.blocks, look.spent, _text(look.settled)),
            )

    def looks(self) -> list[LookRecord]:
        """Looks taken so far, in order."""
        rows = self._connection.execute("select blocks, spent, settled from look order by number")
        return [
            LookRecord(blocks, spent, msgspec.json.decode(settled, type=tuple[str, ...]))
            for blocks, spent, settled in rows
        ]

    def merge(self, other: Store) -> int:
        """Take in the runs of another file of the same plan, whole blocks; returns runs added.

        Blocks that came from the same file before are passed over, so merging twice is merging
        once. The looks are forgotten: they belong to data that were fewer. StoreError if the two
        files measured different things.
        """
        mine, theirs = self.plan.fingerprint, other.plan.fingerprint
        if mine != theirs:
            raise StoreError(
                f"{other.path}: another experiment ({theirs}, not {mine}):"
                " command, arms and metric must agree to merge"
            )
        added = 0
        with self._writing() as connection:
            for phase, number, host, arms, origin, origin_block in other._connection.execute(
                "select * from block order by phase, block"
            ).fetchall():
                known = connection.execute(
                    "select 1 from block where phase = ? and origin = ? and origin_block = ?",
                    (phase, origin, origin_block),
                ).fetchone()
                if known or not other._complete(phase, number, arms):
                    continue
                (fresh,) = connection.execute(
                    "select coalesce(max(block) + 1, 0) from block where phase = ?", (phase,)
                ).fetchone()
                connection.execute(
                    "insert into block values (?, ?, ?, ?, ?, ?)",
                    (phase, fresh, host, arms, origin, origin_block),
                )
                for row in other._rows(phase, number):
                    connection.execute(
                        "insert into trial values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                        (phase, fresh, *row[2:]),
                    )
                    added += 1
            if added:
                connection.execute("delete from look")
                self._set("merged", True)
                self._set("seconds", self.seconds + other.seconds)
        return added

    def _insert(self, connection: sqlite3.Connection, trial: Trial) -> bool:
        cursor = connection.execute(
            "insert or ignore into trial values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (trial.key.phase, trial.key.block, trial.key.position, trial.arm, trial.host,
             trial.status, trial.started_ns, trial.exit_code, trial.detail,
             _text(trial.metrics), _text(trial.missing),
             _text([(round(one.seconds, 4), one.bytes) for one in trial.rss])),
        )  # fmt: skip
        return cursor.rowcount == 1

    def _complete(self, phase: str, block: int, arms: str) -> bool:
        return len(self._rows(phase, block)) == len(msgspec.json.decode(arms))

    def _rows(self, phase: str, block: int) -> list[tuple[object, ...]]:
        return self._connection.execute(
            "select * from trial where phase = ? and block = ? order by position", (phase, block)
        ).fetchall()

    def _set(self, name: str, value: object) -> None:
        self._connection.execute("insert or replace into meta values (?, ?)", (name, _text(value)))

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, all or nothing; a full disk becomes one clear line."""
        connection = self._connection
        try:
            if not connection.in_transaction:
                connection.execute("begin immediate")
            yield connection
            connection.execute("commit")
        except sqlite3.Error as error:
            self._roll_back()
            raise StoreError(f"{self.path}: cannot write: {error}; runs so far are kept") from None
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("rollback")


def _connect(path: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, timeout=10.0, isolation_level=None)
        connection.execute("pragma foreign_keys = on")
        # The default rollback journal keeps a sweep in one file once it is closed; a journal left
        # by a kill is rolled back at the next open.
        connection.execute("pragma synchronous = normal")
    except sqlite3.Error as error:
        if "not a database" in str(error):
            raise StoreError(f"{path}: not a sweep file") from None
        raise StoreError(f"{path}: cannot open: {error}") from None
    return connection


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _trial(row: tuple[object, ...]) -> Trial:
    (
        phase,
        block,
        position,
        arm,
        host,
        status,
        started,
        exit_code,
        detail,
        metrics,
        missing,
        rss,
    ) = row
    samples = msgspec.json.decode(str(rss), type=list[tuple[float, int]])
    return msgspec.convert(
        {
            "key": TrialKey(str(phase), int(str(block)), int(str(position))),
            "arm": arm, "host": host, "status": Status(str(status)), "started_ns": started,
            "exit_code": exit_code, "detail": detail,
            "metrics": msgspec.json.decode(str(metrics)),
            "missing": msgspec.json.decode(str(missing)),
            "rss": [RssSample(seconds, size) for seconds, size in samples],
        },
        Trial,
    )  # fmt: skip
