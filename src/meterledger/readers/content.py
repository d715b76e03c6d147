"""The content of an input file as a stream that ends where it cannot be read on, and remembers why."""

import os
from typing import IO, Protocol

from meterledger.errors import IncompleteInputError
from meterledger.readers.compression import Compression, DamageError, Unpacked


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Content:
    """What a file holds, unpacked. ``damage`` says after the end whether it was the true end."""

    def __init__(
        self,
        file: IO[bytes],
        *,
        compression: Compression | None = None,
        size_bytes: int = 0,
        modified_ns: int | None = None,
    ) -> None:
        self._file = file
        self._size_bytes = size_bytes
        self._modified_ns = modified_ns
        self._source: _Readable = Unpacked(file, compression, size_bytes) if compression else file
        self.damage: DamageError | None = None

    def read(self, size: int) -> bytes:
        """Return the next bytes, ``size`` of them while there are; none at the end, or behind damage."""
        pieces = []
        while size > 0 and (piece := self._piece(size)):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def _piece(self, size: int) -> bytes:
        if self.damage:
            return b""
        try:
            block = self._source.read(size)
        except DamageError as error:
            self.damage = error
        except OSError as error:
            self.damage = DamageError(
                f"reading failed ({error.strerror or error})", hint="look after the disk, and import it again"
            )
        else:
            if block:
                return block
        self._look_for_change()
        return b""

    def raise_damage(self, name: str, line: int) -> None:
        """Raise IncompleteInputError if the end was no true end; ``line`` is the last one that was read."""
        self._look_for_change()
        if self.damage:
            raise IncompleteInputError(
                f"{name} {_how_far(line)}: {self.damage.message}", hint=self.damage.hint
            )

    def _look_for_change(self) -> None:
        """Note that the file is not what it was when it was hashed; that explains any other damage."""
        if self._modified_ns is None:
            return
        now = os.fstat(self._file.fileno())
        if (now.st_size, now.st_mtime_ns) != (self._size_bytes, self._modified_ns):
            self.damage = DamageError(
                "it was changed while it was read", hint="import it again when nothing writes to it any more"
            )


def _how_far(line: int) -> str:
    return f"could only be read up to line {line}" if line else "could not be read from its first line on"
