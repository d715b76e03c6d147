"""
The head: a small file beside the ledger that names its last push.

A ledger restored from a backup does not know what it sent since; the head, which is written before the
first claim of each push and at its end, tells that there was more.
"""

import contextlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import msgspec

from meterledger.domain.instant import Instant
from meterledger.errors import LedgerError

_SCHEMA = "meterledger.head/1"
_MAX_BYTES = 4096


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """A push by its number and when it began; ``finished_at`` once it ended by itself."""

    push: int
    started_at: Instant
    finished_at: Instant | None = None
    schema: str = _SCHEMA


@dataclass(frozen=True, slots=True)
class HeadFile:
    """The head of one ledger, through links to the ledger itself."""

    ledger: Path

    @property
    def path(self) -> Path:
        """Where it is: ``<ledger>.head``."""
        real = Path(os.path.realpath(self.ledger))
        return real.with_name(f"{real.name}.head")

    def read(self) -> Head | None:
        """
        Return the head; None if there is no such file.

        Raises:
            ValueError: It is damaged, or cannot be read; the message says which.
        """
        try:
            with self.path.open("rb") as file:
                content = file.read(_MAX_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ValueError(f"{self.path} cannot be read: {error.strerror}") from error
        try:
            head = msgspec.json.decode(content, type=Head)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{self.path} is damaged") from error
        if head.schema != _SCHEMA:
            raise ValueError(f"{self.path} was written by another version of meterledger")
        return head

    def write(self, head: Head) -> None:
        """Replace the head, whole or not at all, and safe from a power cut; LedgerError if that fails."""
        path = self.path
        unfinished: str | None = None
        try:
            handle, unfinished = tempfile.mkstemp(
                prefix=".new-head-", dir=path.parent
            )  # private to its owner
            with os.fdopen(handle, "wb") as file:
                file.write(msgspec.json.encode(head) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, path)  # noqa: PTH105 # as mkstemp names it
            _sync_folder(path.parent)
        except OSError as error:
            if unfinished:
                with contextlib.suppress(OSError):
                    os.unlink(unfinished)  # noqa: PTH108 # as above
            raise LedgerError(
                f"the ledger's head {path} cannot be written: {error.strerror}",
                hint="make room, or mend the permissions of the folder, then run the same command again",
            ) from error


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
