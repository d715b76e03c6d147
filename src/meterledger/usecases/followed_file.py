"""One followed file through its rotations: which file is read under its name, and when the next one is."""

from enum import Enum, auto
from typing import Protocol

from meterledger.domain.place import Place
from meterledger.errors import InputError
from meterledger.readers.files import printable
from meterledger.readers.growing_file import Form, GrowingFile, GrowingStream, file_at
from meterledger.readers.rotation import is_replaced, missed_names, rotated_file
from meterledger.usecases.followed_import import FollowedImport, Following

QUIET_WAITS = 1
"""For how many waits a file that was rotated away has to be quiet to be at its end."""
QUIET_WAITS_IN_A_LINE = 5
"""The same where its last line has no end yet: half a row may read like a whole one."""


class Step(Enum):
    """What one look at an input has brought."""

    TOOK = auto()
    """Something was taken: there may be more."""
    PENDING = auto()
    """Nothing, but it is to be looked at again before the run may end."""
    NOTHING = auto()
    ENDED = auto()
    """It will never bring anything any more."""


class Followed(Protocol):
    """An input that is followed."""

    def step(self) -> Step:
        """Take what is there, at most one piece; raises InputError if it cannot be followed on."""

    def end(self, *, is_interrupted: bool) -> None:
        """Bring it to an orderly end; raises InputError where that shows that it was never there."""

    def give_up(self) -> None:
        """Finish what was read of it: it cannot be read any further."""

    def close(self) -> None:
        """Close what is open; what was written stays."""


class FollowedStream:
    """Standard input: no place is kept, and its end is the end."""

    def __init__(self, run: Following, stream: GrowingStream) -> None:
        self._run = run
        self._stream = stream
        self._import = FollowedImport(run, stream, None)

    def step(self) -> Step:
        """Take what came."""
        rows = self._stream.read()
        if rows is not None:
            self._import.write(rows, None)
            return Step.TOOK
        return Step.ENDED if self._stream.is_at_end else Step.NOTHING

    def end(self, *, is_interrupted: bool) -> None:  # noqa: ARG002 # it makes no difference here
        """Finish the import; what is no complete row is lost with the pipe."""
        if self._stream.left_bytes and not self._stream.is_at_end:
            self._run.words.warn(
                f"the last {self._stream.left_bytes} bytes of standard input are no complete row, and were "
                "not taken; send them again"
            )
        self._import.finish()

    def give_up(self) -> None:
        """Finish the import."""
        self._import.give_up()

    def close(self) -> None:
        """Do nothing: standard input is not ours to close."""


class FollowedFile:
    """A file that is followed by its name, which may lead to another file at any time."""

    def __init__(self, run: Following, name: str, path: str, form: Form) -> None:
        self._run = run
        self._name = name
        self._shown = printable(name)
        self._path = path
        self._key = printable(path)
        self._form = form
        self._file: GrowingFile | None = None
        self._import: FollowedImport | None = None
        self._is_waited_for = False
        self._pending_since: int | None = None

    def step(self) -> Step:
        """Take what was added; go over to the next file when this one was rotated away and is at its end."""
        if self._file is None and not self._begin():
            return Step.NOTHING
        file, current = self._opened()
        if (rows := file.read()) is not None:
            current.write(rows, file.place)
            self._pending_since = None
            return Step.TOOK
        if file.is_rewritten:
            self._run.words.warn(f"{self._shown} was cut off or written anew; it is read from its start")
            current.finish()
            file.begin_anew()
            self._import = FollowedImport(self._run, file, self._key)
            return Step.TOOK
        if not is_replaced(self._path, file.place):
            return Step.NOTHING
        # A writer goes on in the old file for a moment: it is at its end when it was quiet while we waited.
        if self._pending_since is None:
            self._pending_since = self._run.waits
        if self._run.waits - self._pending_since < (
            QUIET_WAITS_IN_A_LINE if file.left_bytes else QUIET_WAITS
        ):
            return Step.PENDING
        self._pending_since = None
        self._go_over()
        return Step.TOOK

    def end(self, *, is_interrupted: bool) -> None:
        """Finish the import; a last line without its end is left for the next run."""
        if self._file is None:
            if not is_interrupted and self._place() is None:
                raise InputError(f"{self._shown} does not exist", hint="check the path")
            return
        file, current = self._opened()
        if file.is_deleted:
            self._take_rest()
        elif file.left_bytes:
            self._run.words.note(
                f"{self._shown}: the last {file.left_bytes} bytes are no complete row yet; "
                "they are left for the next run"
            )
        current.finish()

    def give_up(self) -> None:
        """Finish the import, and close the file."""
        if self._import is not None:
            self._import.give_up()
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _opened(self) -> tuple[GrowingFile, FollowedImport]:
        if self._file is None or self._import is None:
            raise AssertionError("unreachable: it was opened before")
        return self._file, self._import

    def _place(self) -> Place | None:
        return self._run.ledger.followed.place(self._run.options.source.name, self._key)

    def _begin(self) -> bool:
        """Open the file that is to be read first, if there is one: the remembered one, else the one there."""
        there = file_at(self._name, self._path, self._form)
        place = self._place()
        if place is None or (there is not None and there.resume(place)):
            return self._open(there)
        if (old := rotated_file(self._name, self._path, place, self._form)) is not None:
            if there is not None:
                there.close()
            return self._open(old)
        if there is not None:
            self._run.words.warn(
                f"{self._shown} is not the file any more of which {place.bytes_taken} bytes were taken; "
                "it is read from its start. If that one was rotated and compressed, import the rotated file "
                "as a whole: what was taken is a duplicate then"
            )
        return self._open(there)

    def _open(self, file: GrowingFile | None) -> bool:
        if file is not None:
            self._file, self._import = file, FollowedImport(self._run, file, self._key)
            if not file.place.bytes_taken:
                # From now on it is found again, even if it is rotated before its first row was taken.
                self._import.keep(file.place)
        elif not self._is_waited_for:
            self._is_waited_for = True
            if self._run.is_waiting:
                self._run.words.note(f"{self._shown} does not exist yet; waiting for it")
        return file is not None

    def _take_rest(self) -> None:
        file, current = self._opened()
        while (rows := file.read(final=True)) is not None:
            current.write(rows, file.place)

    def _go_over(self) -> None:
        """Take what is left of the file that was rotated away, and open the one that came instead."""
        file, current = self._opened()
        self._take_rest()
        current.finish()
        since, old = file.modified_ns, (file.place.device, file.place.inode)
        self.close()
        if not self._open(file_at(self._name, self._path, self._form)):
            return
        there, _ = self._opened()
        if missed := missed_names(self._path, since, {old, (there.place.device, there.place.inode)}):
            self._run.words.warn(
                f"{self._shown} was rotated more than once since it was read last; import these too: "
                + ", ".join(missed)
            )
