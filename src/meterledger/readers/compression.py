"""Compressed files: recognized by their first bytes, unpacked piece by piece, with a limit."""

import bz2
import lzma
import sys
import zlib
from enum import StrEnum
from typing import IO, Protocol

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAX_EXPANSION = 250
"""How many times its size a compressed file may grow, beyond ``EXPANSION_FREE_BYTES``."""
EXPANSION_FREE_BYTES = 256 * 1024 * 1024
_MAX_XZ_BYTES = 128 * 1024 * 1024
"""The memory that a dictionary of xz may take: twice what ``xz -9`` asks for."""
_PACKED_BYTES = 64 * 1024
_UNPACKED_BYTES = 128 * 1024
_LONGEST_MAGIC_BYTES = 6


class Compression(StrEnum):
    """The compressions that can be read."""

    GZIP = "gzip"
    BZIP2 = "bzip2"
    XZ = "xz"
    ZSTANDARD = "zstandard"


COMPRESSION_SUFFIXES = {
    ".gz": Compression.GZIP,
    ".bz2": Compression.BZIP2,
    ".xz": Compression.XZ,
    ".zst": Compression.ZSTANDARD,
}
_MAGIC = {
    Compression.GZIP: (b"\x1f\x8b",),
    Compression.BZIP2: (b"BZh",),
    Compression.XZ: (b"\xfd7zXZ\x00",),
    # A file may begin with a frame that readers skip; there are sixteen marks for these.
    Compression.ZSTANDARD: (b"\x28\xb5\x2f\xfd", *(bytes((n, 0x2A, 0x4D, 0x18)) for n in range(0x50, 0x60))),
}


def compression_of(head: bytes) -> Compression | None:
    """Tell how content is compressed by its first bytes."""
    return next((compression for compression, magic in _MAGIC.items() if head.startswith(magic)), None)


class DamageError(Exception):
    """Content that cannot be read on; says what is wrong, and what to do."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Unpacked:
    """The content of a compressed file, of all its members, streams or frames one after the other."""

    def __init__(self, file: IO[bytes], compression: Compression, size_bytes: int) -> None:
        self._file = file
        self._compression = compression
        self._limit = size_bytes * MAX_EXPANSION + EXPANSION_FREE_BYTES
        self._produced = 0
        self._packed = b""
        self._codec = _codec(compression)
        self._ended = False

    def read(self, size: int) -> bytes:
        """
        Return the next bytes, at most ``size``; none at the end.

        Raises:
            DamageError: The content is damaged, cut off, followed by something else, or grows too large.
            OSError: The file cannot be read.
        """
        while not self._ended:
            if self._codec.eof and not self._next_member():
                break
            if piece := self._piece(min(size, _UNPACKED_BYTES)):
                self._produced += len(piece)
                if self._produced > self._limit:
                    raise self._grows_too_large()
                return piece
        return b""

    def _piece(self, size: int) -> bytes:
        packed, self._packed = self._packed, b""
        at_end = False
        if not packed and self._codec.needs_input:
            packed = self._file.read(_PACKED_BYTES)
            at_end = not packed
        try:
            piece = self._codec.decompress(packed, size)
        except (OSError, EOFError, zlib.error, lzma.LZMAError, zstd.ZstdError) as error:
            raise self._broken(f"its {self._compression} content is damaged ({error})") from error
        if at_end and not piece and not self._codec.eof:
            raise self._broken(f"its {self._compression} content is cut off")
        return piece

    def _next_member(self) -> bool:
        """Go on with what follows the end of a member; zeros there are padding."""
        behind = self._codec.unused_data.lstrip(b"\0")
        while len(behind) < _LONGEST_MAGIC_BYTES and (packed := self._file.read(_PACKED_BYTES)):
            behind = (behind + packed).lstrip(b"\0")
        if not behind:
            self._ended = True
            return False
        if compression_of(behind) is not self._compression:
            raise self._broken(f"something else follows the end of its {self._compression} content")
        self._codec, self._packed = _codec(self._compression), behind
        return True

    def _broken(self, message: str) -> DamageError:
        return DamageError(message, hint="get the file again, whole; rows that are in already are duplicates")

    def _grows_too_large(self) -> DamageError:
        return DamageError(
            f"its {self._compression} content grows to more than {MAX_EXPANSION} times its size "
            f"and {EXPANSION_FREE_BYTES // 1024**2} MiB, which is the limit",
            hint="unpack it first, if you trust it",
        )


class _Codec(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def _codec(compression: Compression) -> _Codec:
    match compression:
        case Compression.GZIP:
            return _Gzip()
        case Compression.BZIP2:
            return bz2.BZ2Decompressor()
        case Compression.XZ:
            return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MAX_XZ_BYTES)
        case Compression.ZSTANDARD:
            return zstd.ZstdDecompressor()


class _Gzip:
    """One member of gzip, with the methods that the other decompressors have."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def needs_input(self) -> bool:
        return not self._inflate.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inflate.decompress(self._inflate.unconsumed_tail + data, max_length)
