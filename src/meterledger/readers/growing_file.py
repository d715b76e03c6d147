"""
A file that is being written, and standard input: complete rows as they come.

What is read is taken: the next call goes on behind it. A row that is not complete stays where it is.
"""

import hashlib
import io
import os
import select
import stat
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

from meterledger.domain.place import FINGERPRINT_BYTES, Place
from meterledger.errors import InputError
from meterledger.readers.files import HEAD_BYTES, InputFile, printable, reading_errors, refuse_device
from meterledger.readers.formats import BOM, InputFormat, check_compression, recognized
from meterledger.readers.lines import MAX_ROW_BYTES
from meterledger.readers.row_ends import end_of_rows, first_row

READ_BYTES = 2 * 1024 * 1024
"""What is read at once: more than a row may have, so that every reading takes something."""
_FOLLOWED_FORMATS = frozenset({InputFormat.CSV, InputFormat.TSV, InputFormat.JSONL})


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What the user said of the form of an input; None where it has to be found out."""

    input_format: InputFormat | None = None
    delimiter: str | None = None


class GrowingInput(ABC):
    """What a growing file and a stream have in common: pieces in, rows out."""

    def __init__(self, name: str, form: Form) -> None:
        self.name = printable(name)
        self._given = name
        self._form = form
        self._begin()

    def _begin(self) -> None:
        self.bytes_taken = 0
        """Bytes taken since it was opened, or began anew."""
        self._format: InputFormat | None = None
        self._header: str | None = None
        self._lines_taken = 0
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """SHA-256 of the bytes taken since it was opened."""
        return self._digest.hexdigest()

    @property
    def input_format(self) -> InputFormat:
        """The format, once rows were read."""
        return self._format or self._form.input_format or InputFormat.CSV

    @property
    def header(self) -> str | None:
        """The header of CSV and TSV, without its line end, once it was read."""
        return self._header

    @property
    def lines_taken(self) -> int:
        """Lines of the file that were taken, in this run or before."""
        return self._lines_taken

    @property
    @abstractmethod
    def left_bytes(self) -> int:
        """How much is there that is no complete row yet."""

    @abstractmethod
    def read(self, *, final: bool = False) -> InputFile | None:
        """
        Take the next complete rows, at most ``READ_BYTES`` of them; None where there are none now.

        Args:
            final: Nothing will be added: what stands at the end is the last row, with a line end or without.

        Raises:
            InputError: It is not readable, or not of the format that it is said to be.
        """

    @abstractmethod
    def close(self) -> None:
        """Close it."""

    @property
    def delimiter(self) -> str | None:
        """What stands between the fields of CSV and TSV; None where each line is a row."""
        if self.input_format is InputFormat.JSONL:
            return None
        return self._form.delimiter or ("\t" if self.input_format is InputFormat.TSV else ",")

    def _is_recognized(self, head: bytes, *, final: bool) -> bool:
        """Tell whether the format is known, as it is from the first line on."""
        if self._format is None and head.strip() and (final or b"\n" in head or len(head) >= HEAD_BYTES):
            compression = check_compression(self._given, head, self._form.input_format)
            found = (
                None
                if compression
                else recognized(self._given, head, declared=self._form.input_format, compression=None)
            )
            if found not in _FOLLOWED_FORMATS:
                raise InputError(
                    f"{self.name} is {compression or found}, which does not grow by lines",
                    hint="import it without --follow",
                )
            self._format = found
        return self._format is not None

    def _end_of_rows(self, piece: bytes) -> int:
        """Return how many bytes of a piece are complete rows; behind a header only."""
        bom = len(BOM) if not self._lines_taken and piece.startswith(BOM) else 0
        end = end_of_rows(piece[bom:], self.delimiter) + bom
        return end if end > bom and (len(piece) >= READ_BYTES or self._has_header(piece[:end])) else 0

    def _has_header(self, rows: bytes) -> bool:
        if self.delimiter is None or self._header is not None:
            return True
        return first_row(rows.removeprefix(BOM), self.delimiter) is not None

    def _rows(self, content: bytes) -> InputFile:
        """Make rows readable as a file: below the header, if that was taken before."""
        above = "" if self._header is None else f"{self._header}\n"
        before = self._lines_taken - above.count("\n")
        if self.delimiter is not None and self._header is None:
            row = first_row(content.removeprefix(BOM), self.delimiter) or b""
            self._header = row.decode(errors="replace").rstrip("\r\n")
        self._lines_taken += content.count(b"\n") + (not content.endswith(b"\n"))
        return InputFile(
            name=self.name,
            file=io.BytesIO(above.encode() + content),
            sha256=self.sha256,
            size_bytes=len(content),
            input_format=self.input_format,
            delimiter=self.delimiter or ",",
            lines_before=before,
        )


class GrowingFile(GrowingInput):
    """
    One file, open until it is closed, whatever happens to its name.

    Args:
        name: The file as the user named it.
        path: Where it is now.
        form: What the user said of its form.

    Raises:
        InputError: It is missing, not readable, or no plain file.
    """

    def __init__(self, name: str, path: str, form: Form) -> None:
        super().__init__(name, form)
        self.path = path
        with reading_errors(name):
            # Not blocking: opening a pipe would wait for its writer.
            self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                found = _plain(self._given, os.fstat(self._descriptor))
            except BaseException:
                os.close(self._descriptor)
                raise
        self.place = Place(device=str(found.st_dev), inode=str(found.st_ino), fingerprint=_fingerprint(b""))
        """How far it was taken; what ``read`` returned is before it."""
        self._searched = 0
        """Up to where no line end was found behind a place, for a line longer than what is read at once."""

    @property
    def left_bytes(self) -> int:
        """How much stands behind what was taken."""
        return max(0, self._status.st_size - self.place.bytes_taken)

    @property
    def is_deleted(self) -> bool:
        """Tell whether nothing but this descriptor leads to it any more."""
        return self._status.st_nlink == 0

    @property
    def is_rewritten(self) -> bool:
        """Tell whether what was taken is no longer what stands there: cut off, or written anew."""
        if self._status.st_size < self.place.bytes_taken:
            return True
        head, tail = self._fingerprints(self.place)
        return head != self.place.fingerprint or self.place.tail_fingerprint not in {None, tail}

    @property
    def modified_ns(self) -> int:
        """When it was written last, by its file system."""
        return self._status.st_mtime_ns

    def resume(self, place: Place) -> bool:
        """Go on at a place, if this is its file and what was taken still stands; tell whether it is."""
        before = self.place
        if not place.is_in(before.device, before.inode):
            return False
        self.place = place
        if self.is_rewritten:
            self.place = before
            return False
        self._lines_taken, self._header = place.lines_taken, place.header
        return True

    def begin_anew(self) -> None:
        """Go on at the first byte: it is another file by content, though not by its numbers."""
        self._begin()
        self._searched = 0
        device, inode = self.place.device, self.place.inode
        self.place = Place(device=device, inode=inode, fingerprint=_fingerprint(b""))

    def read(self, *, final: bool = False) -> InputFile | None:
        """Take the next complete rows."""
        with reading_errors(self._given):
            piece = os.pread(self._descriptor, READ_BYTES, self.place.bytes_taken)
            # Looked at behind the reading, so that what was read is what stood behind what was taken.
            if not piece or self.is_rewritten:
                return None
            if not self._is_recognized(os.pread(self._descriptor, HEAD_BYTES, 0), final=final):
                return None
            is_all = len(piece) < READ_BYTES
            end = len(piece) if final and is_all and self._has_header(piece) else self._end_of_rows(piece)
            if end:
                return self._take(piece[:end], self.place.bytes_taken + end)
            return None if is_all else self._read_long_line(piece, final=final)

    def close(self) -> None:
        """Close it."""
        os.close(self._descriptor)

    @property
    def _status(self) -> os.stat_result:
        return os.fstat(self._descriptor)

    def _read_long_line(self, piece: bytes, *, final: bool) -> InputFile | None:
        """Take a line that is longer than a row may be: of what is read, only its head."""
        position = max(self._searched, self.place.bytes_taken)
        while block := os.pread(self._descriptor, READ_BYTES, position):
            found = block.find(b"\n")
            if found >= 0:
                return self._take(piece[: MAX_ROW_BYTES + 1] + b"\n", position + found + 1)
            position += len(block)
        self._searched = position
        return self._take(piece[: MAX_ROW_BYTES + 1] + b"\n", position) if final else None

    def _take(self, content: bytes, end: int) -> InputFile:
        start = self.place.bytes_taken
        if len(content) == end - start:
            self._digest.update(content)
        else:
            for position in range(start, end, READ_BYTES):
                self._digest.update(os.pread(self._descriptor, min(READ_BYTES, end - position), position))
        self.bytes_taken += end - start
        rows = self._rows(content)
        place = replace(self.place, bytes_taken=end, lines_taken=self._lines_taken, header=self._header)
        head, tail = self._fingerprints(place)
        fingerprint = head if start < FINGERPRINT_BYTES else place.fingerprint
        self.place = replace(place, fingerprint=fingerprint, tail_fingerprint=tail)
        return rows

    def _fingerprints(self, place: Place) -> tuple[str, str]:
        """Return those of the head, and of what stands before a place, as the file is now."""
        size = place.fingerprint_bytes
        starts = (0, place.bytes_taken - size)
        head, tail = (_fingerprint(os.pread(self._descriptor, size, start)) for start in starts)
        return head, tail


class GrowingStream(GrowingInput):
    """Standard input: taken as it comes, without a place to go on at."""

    def __init__(self, name: str, descriptor: int, form: Form) -> None:
        super().__init__(name, form)
        refuse_device(name, descriptor)
        self._descriptor = descriptor
        self._head = b""
        self._piece = b""
        self._skipped = 0
        self._digested = 0
        """How much of the piece is in the digest: the head of a line whose middle was skipped."""
        self.is_at_end = False
        """Whether its writer has closed it."""

    @property
    def left_bytes(self) -> int:
        """How much came that is no complete row."""
        return len(self._piece) + self._skipped

    def read(self, *, final: bool = False) -> InputFile | None:
        """Take the next complete rows that came."""
        while True:
            with reading_errors(self._given):
                self._receive()
            final = final or self.is_at_end
            if not self._piece or not self._is_recognized(self._head, final=final):
                return None
            end = self._end_of_rows(self._piece)
            if end or len(self._piece) < READ_BYTES:
                break
            self._skip_line()
        if end == 0 and final and self._has_header(self._piece):
            end = len(self._piece)
        if end == 0:
            return None
        content, self._piece = self._piece[:end], self._piece[end:]
        self._digest.update(content[self._digested :])
        self.bytes_taken += len(content) + self._skipped
        self._skipped = self._digested = 0
        return self._rows(content)

    def _skip_line(self) -> None:
        """Of a line that is longer than a row may be, keep the head: enough to refuse it."""
        self._digest.update(self._piece[self._digested :])
        self._digested = MAX_ROW_BYTES + 1
        self._skipped += len(self._piece) - self._digested
        self._piece = self._piece[: self._digested]

    def close(self) -> None:
        """Leave it open: it is not ours."""

    def _receive(self) -> None:
        while len(self._piece) < READ_BYTES and not self.is_at_end:
            if not select.select([self._descriptor], [], [], 0)[0]:
                return
            block = os.read(self._descriptor, READ_BYTES - len(self._piece))
            self.is_at_end = not block
            self._piece += block
            self._head = (self._head + block)[:HEAD_BYTES] if len(self._head) < HEAD_BYTES else self._head


def file_at(name: str, path: str, form: Form) -> GrowingFile | None:
    """Open the file at a path; None if there is none, InputError if it cannot be read."""
    try:
        return GrowingFile(name, path, form)
    except InputError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise


def _plain(name: str, status: os.stat_result) -> os.stat_result:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{name} is no plain file", hint="pipe it into `meterledger import --follow -`")
    return status


def _fingerprint(head: bytes) -> str:
    return hashlib.sha256(head).hexdigest()
