"""Files that a command writes: whole or not at all, readable by their owner alone, never over another."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from meterledger.errors import UsageError


@contextmanager
def written_file(path: Path | None, *, force: bool | None = None) -> Iterator[IO[bytes]]:
    """
    Yield a file that appears whole or not at all, readable by its owner alone; or standard output.

    Args:
        path: Where; None for standard output.
        force: Overwrite what is there; else UsageError. None where the command has no --force.
    """
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    refuse_to_overwrite(path, force=force)
    unfinished: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=".meterledger-", dir=path.parent)
        unfinished = Path(name)
        with os.fdopen(handle, "wb") as file:
            yield file
        if force:
            unfinished.replace(path)
        else:
            os.link(unfinished, path)
    except FileExistsError as error:
        raise _exists(path, force) from error
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", hint="name another file") from error
    finally:
        if unfinished is not None:
            unfinished.unlink(missing_ok=True)


def refuse_to_overwrite(path: Path, *, force: bool | None = None) -> None:
    """Raise UsageError where a file is there already, before work is done for nothing."""
    if path.exists() and not force:
        raise _exists(path, force)


def _exists(path: Path, force: bool | None) -> UsageError:  # as it was given
    way_out = "" if force is None else ", or overwrite it with --force"
    return UsageError(f"{path} exists", hint=f"name another file{way_out}")
