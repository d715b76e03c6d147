"""Followed files: how far each was taken."""

from dataclasses import asdict

from meterledger.domain.instant import Instant
from meterledger.domain.place import Place
from meterledger.ledger.database import Database
from meterledger.ledger.imports import OpenImport


class FollowedStore:
    """Owns the places of files that are followed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def place(self, source: str, path: str) -> Place | None:
        """Return how far a file was taken under a source, if it ever was."""
        row = self._database.row("followed_place", source=source, path=path)
        return Place(**{name: row[name] for name in row.keys()}) if row else None  # noqa: SIM118 # a row is no dict

    def keep(self, source: str, path: str, place: Place, target: OpenImport | None, now: Instant) -> None:
        """Keep how far a file was taken, in the transaction of the caller that has the rows before it."""
        with self._database.transaction():
            self._database.run("add_source", name=source)
            known = self._database.row("source_by_name", name=source)
            self._database.run(
                "keep_followed_place",
                **asdict(place),
                **{"import": target.id if target else None},
                source=known["id"] if known else None,
                path=path,
                updated_at=now,
            )

    def note_taken(self, target: OpenImport, sha256: str, size_bytes: int) -> None:
        """Record the digest and the size of all that an import has taken up to now."""
        with self._database.transaction():
            self._database.run(
                "note_taken_by_import", **{"import": target.id}, sha256=sha256, size_bytes=size_bytes
            )
