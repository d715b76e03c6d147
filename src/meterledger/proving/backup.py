"""A copy of a ledger, and what the model knew then."""

import copy
from dataclasses import dataclass
from pathlib import Path

from meterledger.proving.model import Model

_BESIDE = ("-wal", "-shm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A ledger as it was at rest; its head file is not part of it."""

    content: bytes
    model: Model
    files: int
    """How many files had been handed over."""

    def put_back(self, path: Path) -> Model:
        """Put it in the ledger's place, and return what the model knew."""
        for name in _BESIDE:
            path.with_name(path.name + name).unlink(missing_ok=True)
        path.write_bytes(self.content)
        return copy.deepcopy(self.model)


def backed_up(path: Path, model: Model, files: int) -> Backup:
    """Copy a ledger that nobody has open: whatever was beside it is in it by then."""
    return Backup(content=path.read_bytes(), model=copy.deepcopy(model), files=files)
