"""One follower for each file and ledger, one worker for each ledger: locks that end with their process."""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from meterledger.domain.usage import shown
from meterledger.errors import InUseError, LedgerError
from meterledger.usecases.holder import this_process

_HOLDER_BYTES = 1024


@contextmanager
def only_follower(ledger: Path, source: str, path: str) -> Iterator[None]:
    """
    Be the only one that follows a file into a ledger under a source.

    Raises:
        InUseError: Another process follows it; the message says which.
    """
    name = hashlib.sha256(f"{source}\0{path}".encode(errors="surrogateescape")).hexdigest()[:16]
    what = f"{shown(path, 200)} is followed into this ledger already"
    with _only_holder(ledger.resolve().with_name(f"{ledger.name}-follow-{name}"), what):
        yield


@contextmanager
def only_worker(ledger: Path) -> Iterator[None]:
    """
    Be the only worker that pushes a ledger.

    Raises:
        InUseError: Another process does; the message says which.
    """
    real = ledger.resolve()
    with _only_holder(real.with_name(f"{real.name}-watch"), "a worker pushes this ledger already"):
        yield


@contextmanager
def _only_holder(lock: Path, what: str) -> Iterator[None]:
    """
    Hold a lock.

    The system gives the lock back when its process ends, however it ends. The file that carries it is
    removed at an orderly end, and does no harm if it stays.
    """
    try:
        descriptor = _locked(lock, what)
    except OSError as error:
        raise LedgerError(
            f"{lock} cannot be written: {error.strerror}", hint="check the permissions of the ledger's folder"
        ) from error
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(this_process()).encode(), 0)
        yield
    finally:
        # Removed before it is given back: whoever waits for it sees that it is no longer the one.
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def _locked(lock: Path, what: str) -> int:
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(lock, descriptor):
                return descriptor
        except BlockingIOError as error:
            holder = os.pread(descriptor, _HOLDER_BYTES, 0).decode(errors="replace") or "another process"
            os.close(descriptor)
            raise InUseError(f"{what}, by {holder}", hint="let it go on, or end it first") from error
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_at(lock: Path, descriptor: int) -> bool:
    """Tell whether a lock is the file that stands there, and not one that was removed."""
    try:
        found = lock.stat()
    except FileNotFoundError:
        return False
    own = os.fstat(descriptor)
    return (found.st_dev, found.st_ino) == (own.st_dev, own.st_ino)
