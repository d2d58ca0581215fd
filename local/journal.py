"""What a local server remembers beyond its own end: documents in a file that is whole after `kill -9`."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Change:
    """The document that a key of a collection has from now on; None: it has none any more."""

    collection: str
    key: str
    document: bytes | None


class Journal:
    """Documents by collection and key, in a file of SQLite's; without a `path` nothing is remembered.

    One process at a time has the file. Its threads may share the journal.
    """

    def __init__(self, path: Path | None) -> None:
        self._lock = threading.Lock()
        self._connection = _connect(path) if path else None

    @property
    def remembers(self) -> bool:
        """Whether it has a file."""
        return self._connection is not None

    def write(self, *changes: Change) -> None:
        """Stores all changes or none. They outlive the process from the moment that this returns."""
        if self._connection is None:
            return
        with self._lock, self._connection as transaction:
            for change in changes:
                row = (change.collection, change.key)
                if change.document is None:
                    transaction.execute("DELETE FROM documents WHERE collection = ? AND key = ?", row)
                else:
                    transaction.execute(
                        "INSERT INTO documents (collection, key, document) VALUES (?, ?, ?) "
                        "ON CONFLICT DO UPDATE SET document = excluded.document",
                        (*row, change.document),
                    )

    def read(self, collection: str) -> dict[str, bytes]:
        """The documents of a collection by key, the one that was stored first comes first."""
        if self._connection is None:
            return {}
        question = "SELECT key, document FROM documents WHERE collection = ? ORDER BY rowid"
        with self._lock:
            return dict(self._connection.execute(question, (collection,)))


def _connect(path: Path) -> sqlite3.Connection:
    """A write-ahead log without waiting for the disk: "If the application running SQLite crashes, the data will be
    safe" (https://www.sqlite.org/pragma.html#pragma_synchronous). Only the end of the machine could lose something.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, check_same_thread=False)
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS documents "
        "(collection TEXT NOT NULL, key TEXT NOT NULL, document BLOB NOT NULL, PRIMARY KEY (collection, key))"
    )
    return connection
