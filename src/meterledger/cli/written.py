"""A file that a command writes: whole or not at all, its owner's alone, over no other unless forced."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from meterledger.errors import UsageError


@contextmanager
def written(path: Path | None, *, force: bool) -> Iterator[IO[bytes]]:
    """Yield a file that appears whole or not at all, readable by its owner alone; or standard output."""
    import tempfile

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
        raise _exists(path) from error
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", hint="name another file") from error
    finally:
        if unfinished is not None:
            unfinished.unlink(missing_ok=True)


def refuse_to_overwrite(path: Path, *, force: bool) -> None:
    """Raise UsageError where a file is there already, before work is done for nothing."""
    if path.exists() and not force:
        raise _exists(path)


def _exists(path: Path) -> UsageError:
    return UsageError(f"{path} exists", hint="name another file, or overwrite it with --force")
