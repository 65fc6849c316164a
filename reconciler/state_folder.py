"""The folder of `--state`: where the record is kept, who may use it, and whether what is there is believed.

Answers for one working process at a time, for nobody else reading it, and for a file that is broken, another
installation's or newer counting as no record at all.
"""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path

import structlog

from reconciler.core.guard import Record
from reconciler.ledger import APPLICATION, VERSION, Ledger, LedgerError, create, read

FILE, LOCK = "ledger.sqlite3", "lock"
BUSY_S = 5.0  # for somebody who approves meanwhile

log = structlog.get_logger()


def folder_for(told: Path | None, environ: Mapping[str, str], installation: str) -> Path:
    """What `--state` says, else a folder for the installation below `$XDG_STATE_HOME` or `~/.local/state`."""
    if told is not None:
        return told
    return _base(environ) / installation


def _base(environ: Mapping[str, str]) -> Path:
    home = environ.get("XDG_STATE_HOME", "").strip()
    return (Path(home) if home else Path.home() / ".local" / "state") / "reconciler"


def found_folder(told: Path | None, environ: Mapping[str, str]) -> Path:
    """What `--state` says, else the one folder that holds a record. Raises LedgerError."""
    if told is not None:
        return told
    base = _base(environ)
    found = sorted(path.parent for path in base.glob(f"*/{FILE}"))
    if len(found) != 1:
        why = "has no record" if not found else f"has records of {', '.join(path.name for path in found)}"
        raise LedgerError(f"{base} {why}; give --state as the reconciler that works was given it")
    return found[0]


@contextlib.contextmanager
def working(folder: Path, installation: str, now: float) -> Iterator[Ledger]:
    """The record for the one process that acts by it. Raises LedgerError when another one does already."""
    _make(folder)
    with _lock_file(folder) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LedgerError(
                f"another reconciler works with {folder}; stop it, or give this one its own --state"
            ) from None
        with contextlib.closing(_database(folder, installation, now, is_working=True)) as database:
            yield Ledger(database)


@contextlib.contextmanager
def beside(folder: Path, installation: str | None, now: float) -> Iterator[Ledger]:
    """The record for whoever only lists and approves, also while another process works with it.

    `installation` None: whichever it is.
    """
    if installation is None and not (folder / FILE).exists():
        raise LedgerError(f"--state {folder}: there is no record; give the folder that the reconciler uses")
    _make(folder)
    with contextlib.closing(_database(folder, installation, now, is_working=False)) as database:
        yield Ledger(database)


def look(folder: Path, installation: str, now: float) -> Record | None:
    """What the record says, changing nothing; None: there is none that can be believed."""
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        with contextlib.closing(_connect(path, mode="ro")) as database:
            return None if _fault(database, installation) else read(database, now)
    except (sqlite3.Error, ValueError):
        return None


def _database(folder: Path, installation: str | None, now: float, *, is_working: bool) -> sqlite3.Connection:
    path = folder / FILE
    try:
        if path.exists() and path.stat().st_size:  # killed before it was made a record, it is empty
            database = _connect(path)
            fault = _fault(database, installation)
            if not fault:
                return database
            database.close()
            if not is_working:
                raise LedgerError(f"{path}: {fault}; is --state the one that the reconciler works with?")
            _set_aside(path, fault, now)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        database = _connect(path)
        create(database, installation or "")
    except (sqlite3.Error, OSError) as error:
        raise LedgerError(f"--state {folder}: {error}; it must be a folder that can be written to") from None
    return database


def _connect(path: Path, *, mode: str = "rw") -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    database = sqlite3.connect(uri, timeout=BUSY_S, isolation_level=None, uri=True)
    with contextlib.suppress(sqlite3.DatabaseError):  # not a database: `_fault` says so
        database.execute("PRAGMA synchronous = FULL")
        if mode == "rw":
            database.execute("PRAGMA journal_mode = WAL")
    return database


def _fault(database: sqlite3.Connection, installation: str | None) -> str:
    """Why this database is not to be believed; empty: it is."""
    try:
        if database.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
            return "it is not a record of this program's"
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version != VERSION:
            return f"it was written by another version of this program ({version}, not {VERSION})"
        owners = {owner for (owner,) in database.execute("SELECT installation FROM owner")}
        if installation is not None and owners != {installation}:
            return f"it is the record of installation {', '.join(sorted(owners)) or 'nobody'}"
        (health,) = database.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        return f"it is damaged: {error}"
    return "" if health == "ok" else f"it is damaged: {health}"


def _set_aside(path: Path, fault: str, now: float) -> None:
    """Keep it for whoever wants to look, and begin anew with nothing allowed."""
    aside = path.with_name(f"{path.name}.{int(now)}.aside")
    path.replace(aside)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    log.warning("ledger.set_aside", path=str(path), because=fault, kept_as=aside.name)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise LedgerError(f"--state {folder}: {error.strerror}; it must be a folder of your own") from None


@contextlib.contextmanager
def _lock_file(folder: Path) -> Iterator[int]:
    try:
        lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LedgerError(f"--state {folder}: {error.strerror}; it must be a folder of your own") from None
    try:
        yield lock
    finally:
        os.close(lock)
