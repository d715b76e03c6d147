"""Files that a command writes: whole or not at all, readable by their owner alone, never over another."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from meterledger.errors import UsageError

if TYPE_CHECKING:
    from meterledger.cli.context import Context


STDOUT = Path("-")
"""What names standard output where one document is written."""


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
    """Raise UsageError where a file cannot be written or would cost another: before work is done."""
    from meterledger.ledger.own_files import is_a_ledger

    # Unlike pathlib's, these do not raise for a name that is too long, or a folder that may not be read.
    if not os.path.lexists(path):
        if not os.path.isdir(path.parent):  # noqa: PTH112 # as above
            raise UsageError(
                f"{path} cannot be written: there is no folder {path.parent}", hint="name another file"
            )
        return
    if not force:
        raise _exists(path, force)
    if os.path.exists(path) and not os.path.isfile(path):  # noqa: PTH110, PTH113 # as above
        raise UsageError(f"{path} is no file, and is not replaced by one", hint="name a file")
    if is_a_ledger(path):
        raise UsageError(f"{path} is a ledger, and is never overwritten", hint="name another file")


def refuse_own_files(path: Path | None, context: "Context") -> None:
    """Raise UsageError for the ledger, a file that stands beside it, or the config."""
    from meterledger.ledger.own_files import is_own_file, is_same_file

    if path is None:
        return
    config = context.config_path
    if config is not None and is_same_file(path, config):
        raise UsageError(f"{path} is the config, and is never overwritten", hint="name another file")
    if is_own_file(path, context.settings.ledger_path):
        raise UsageError(f"{path} belongs to the ledger, and is never overwritten", hint="name another file")


def _exists(path: Path, force: bool | None) -> UsageError:  # as it was given
    way_out = "" if force is None else ", or overwrite it with --force"
    return UsageError(f"{path} exists", hint=f"name another file{way_out}")
