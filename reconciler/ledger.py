"""The record of what was begun, what waits for approval, and what was approved: an SQLite file.

Answers for surviving `kill -9` between the record and the deed (the record comes first). It is disposable:
without it nothing is allowed that would not be anyway. Where the file is, and whether to believe it, is
`state_folder`'s; what may begin is `core.guard`'s.
"""

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from reconciler.core.action import Class
from reconciler.core.budget import HOUR_S, Bucket, Kind
from reconciler.core.guard import Record, Standing, Verdict, after
from reconciler.core.item import Batch, Item

APPLICATION = 0x666C7972  # in the file's header: not some other program's database
VERSION = 1

_TABLES = """
CREATE TABLE owner (installation TEXT NOT NULL);
CREATE TABLE bucket (kind TEXT PRIMARY KEY, level REAL NOT NULL, at REAL NOT NULL);
CREATE TABLE begun (
    kind TEXT NOT NULL, user TEXT NOT NULL, at REAL NOT NULL, is_approved INTEGER NOT NULL,
    PRIMARY KEY (kind, user)
);
CREATE TABLE pending (
    batch TEXT PRIMARY KEY, reason TEXT NOT NULL, because TEXT NOT NULL,
    since REAL NOT NULL, seen REAL NOT NULL
);
CREATE TABLE pending_item (
    batch TEXT NOT NULL, user TEXT NOT NULL, app_name TEXT NOT NULL, klass TEXT NOT NULL, what TEXT NOT NULL
);
CREATE TABLE approved (
    user TEXT NOT NULL, app_name TEXT NOT NULL, klass TEXT NOT NULL, what TEXT NOT NULL, until REAL NOT NULL,
    PRIMARY KEY (user, app_name, klass, what)
);
"""


class LedgerError(Exception):
    """A record that cannot be used, or is in use; str() is one line."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A batch that waits for somebody's approval, or was approved and is not done yet."""

    batch: Batch
    since: float
    approved_until: float | None = None  # for how long all of it is approved


class Ledger:
    """An open record; moments are unix seconds by the caller's clock. Everything raises LedgerError."""

    def __init__(self, database: sqlite3.Connection) -> None:
        """`database` holds our tables, as `create` makes them."""
        self._database = database

    def record(self, now: float) -> Record:
        """What is known of the last hour. Budgets refill from the first time that anybody asked."""
        with self._writing() as database:
            _believe_the_clock(database, now)
            database.executemany(
                "INSERT OR IGNORE INTO bucket VALUES (?, 0, ?)", [(kind, now) for kind in Kind]
            )
        return read(self._database, now)

    def begin(self, verdict: Verdict, standing: Standing) -> None:
        """Write down that everything newly admitted is begun; only then may it be."""
        buckets = after(verdict, standing)
        if not (buckets or any(verdict.approved.values())):
            return
        with self._writing() as database:
            database.executemany(
                "INSERT OR REPLACE INTO bucket VALUES (?, ?, ?)",
                [(kind, bucket.level, bucket.at) for kind, bucket in buckets.items()],
            )
            for users, is_approved in ((verdict.takes, False), (verdict.approved, True)):
                database.executemany(
                    "INSERT OR REPLACE INTO begun VALUES (?, ?, ?, ?)",
                    [
                        (kind, user, standing.now, is_approved)
                        for kind, them in users.items()
                        for user in them
                    ],
                )

    def hold(self, batches: Iterable[Batch], now: float, *, are_all: bool = True) -> None:
        """List these for approval; `are_all`: the others are not held any more."""
        with self._writing() as database:
            known: dict[str, float] = dict(database.execute("SELECT batch, since FROM pending").fetchall())
            held = {batch.id: batch for batch in batches}
            gone = known.keys() - held.keys() if are_all else _lapsed(database, now)
            _forget(database, [*gone, *held])
            for batch in held.values():
                database.execute(
                    "INSERT INTO pending VALUES (?, ?, ?, ?, ?)",
                    (batch.id, batch.reason, batch.because, min(known.get(batch.id, now), now), now),
                )
                database.executemany(
                    "INSERT INTO pending_item VALUES (?, ?, ?, ?, ?)",
                    [(batch.id, *_columns(item)) for item in batch.items],
                )

    def pending(self, now: float) -> tuple[Pending, ...]:
        """What waits for approval, the longest first."""
        with self._reading() as database:
            rows = database.execute(
                "SELECT batch, reason, because, since FROM pending WHERE seen > ? ORDER BY since, batch",
                (now - HOUR_S,),
            ).fetchall()
            held = [
                (Batch(reason, because, _items(database, batch), batch), since)
                for batch, reason, because, since in rows
            ]
            until = _approved(database, now)
        return tuple(
            Pending(
                batch,
                since,
                min(until[item] for item in batch.items) if until.keys() >= {*batch.items} else None,
            )
            for batch, since in held
        )

    def approve(self, items: Iterable[Item], now: float) -> None:
        """Allow exactly these for an hour."""
        with self._writing() as database:
            database.executemany(
                "INSERT OR REPLACE INTO approved VALUES (?, ?, ?, ?, ?)",
                [(*_columns(item), now + HOUR_S) for item in items],
            )

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction; whoever reads sees all of it or nothing."""
        with self._reading() as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
            except BaseException:
                database.rollback()
                raise
            database.commit()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            yield self._database
        except sqlite3.Error as error:
            raise LedgerError(
                f"the record of budgets cannot be used: {error}; nothing is begun without it: "
                "look at the folder of --state"
            ) from None


def create(database: sqlite3.Connection, installation: str) -> None:
    """Make an empty database an empty record, all at once."""
    database.execute("BEGIN IMMEDIATE")
    for statement in filter(str.strip, _TABLES.split(";")):
        database.execute(statement)
    database.execute("INSERT INTO owner VALUES (?)", (installation,))
    database.execute(f"PRAGMA application_id = {APPLICATION}")
    database.execute(f"PRAGMA user_version = {VERSION}")
    database.commit()


def in_memory() -> Ledger:
    """A record that ends with the process."""
    database = sqlite3.connect(":memory:", isolation_level=None)
    create(database, "")
    return Ledger(database)


def read(database: sqlite3.Connection, now: float) -> Record:
    """What a database knows of the last hour; changes nothing."""
    begun: dict[Kind, set[str]] = {kind: set() for kind in Kind}
    unapproved = dict.fromkeys(Kind, 0)
    for kind, user, is_approved in database.execute(
        "SELECT kind, user, is_approved FROM begun WHERE at > ?", (now - HOUR_S,)
    ):
        begun[Kind(kind)].add(user)
        unapproved[Kind(kind)] += not is_approved
    buckets: Mapping[Kind, Bucket] = {
        Kind(kind): Bucket(level, at) for kind, level, at in database.execute("SELECT * FROM bucket")
    }
    return Record(
        buckets=buckets,
        begun={kind: frozenset(users) for kind, users in begun.items()},
        unapproved=unapproved,
        approved=frozenset(_approved(database, now)),
    )


def _approved(database: sqlite3.Connection, now: float) -> dict[Item, float]:
    """What is approved now, and until when."""
    rows = database.execute(
        "SELECT user, app_name, klass, what, until FROM approved WHERE until > ? AND until <= ?",
        (now, now + HOUR_S),
    )
    return {_item(columns): until for *columns, until in rows}


def _believe_the_clock(database: sqlite3.Connection, now: float) -> None:
    """Forget what is over an hour old; what seems to lie ahead of a clock that was set back is as of now."""
    database.execute("DELETE FROM begun WHERE at <= ?", (now - HOUR_S,))
    database.execute("UPDATE begun SET at = ? WHERE at > ?", (now, now))
    database.execute("UPDATE bucket SET at = ? WHERE at > ?", (now, now))
    database.execute("DELETE FROM approved WHERE until <= ? OR until > ?", (now, now + HOUR_S))


def _lapsed(database: sqlite3.Connection, now: float) -> list[str]:
    rows = database.execute("SELECT batch FROM pending WHERE seen <= ?", (now - HOUR_S,))
    return [batch for (batch,) in rows]


def _forget(database: sqlite3.Connection, batches: Iterable[str]) -> None:
    rows = [(batch,) for batch in batches]
    database.executemany("DELETE FROM pending WHERE batch = ?", rows)
    database.executemany("DELETE FROM pending_item WHERE batch = ?", rows)


def _items(database: sqlite3.Connection, batch: str) -> tuple[Item, ...]:
    rows = database.execute("SELECT user, app_name, klass, what FROM pending_item WHERE batch = ?", (batch,))
    return tuple(sorted(_item(row) for row in rows))


def _item(row: Sequence[str]) -> Item:
    user, app_name, klass, what = row
    return Item(user, app_name, Class(klass), what)


def _columns(item: Item) -> tuple[str, str, str, str]:
    return item.user, item.app_name, item.klass.value, item.what
