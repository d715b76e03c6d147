"""Files that grow, followed into a ledger in made-up time: a script is what happens at each wait."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from meterledger.config import Source
from meterledger.ledger import Ledger, open_ledger
from meterledger.readers import InputFormat
from meterledger.usecases.follow import FollowOptions, follow_usage
from meterledger.usecases.followed_file import QUIET_WAITS_IN_A_LINE
from meterledger.usecases.followed_import import Words
from meterledger.usecases.import_usage import ImportOptions, ImportReport
from support.importing import HEADER, Importing

Action = Callable[[], object]
SETTLING_WAITS = QUIET_WAITS_IN_A_LINE + 2
"""How often a follower waits until it has gone over to a new file, and to spare."""


class FollowingShop(Importing):
    """A folder with a ledger and files that grow."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.said: list[str] = []
        """Notes and warnings of all runs."""

    def path(self, name: str) -> Path:
        """Return the path of a file."""
        return self.folder / name

    def add(self, name: str, content: str | bytes) -> None:
        """Add to a file, as a writer does that has just opened it."""
        with self.path(name).open("ab") as file:
            file.write(content.encode() if isinstance(content, str) else content)

    def add_rows(self, name: str, *rows: str) -> None:
        """Add rows to a file, below a header if it is new."""
        header = "" if self.path(name).exists() else f"{HEADER}\n"
        self.add(name, header + "".join(f"{one}\n" for one in rows))

    def rotate(self, name: str, to: str, content: str | None = None) -> None:
        """Rename a file, and begin a new one if there is content for it."""
        self.path(name).rename(self.path(to))
        if content is not None:
            self.add(name, content)

    def follow(
        self,
        *names: str,
        script: Iterable[Action] = (),
        until_idle: int | None = None,
        declared: InputFormat | None = None,
        delimiter: str | None = None,
        over: Callable[[Path], Ledger] | None = None,
    ) -> ImportReport:
        """
        Follow files: at each wait of the follower one action happens, and some waits later it is stopped.

        Args:
            names: The files.
            script: What happens.
            until_idle: End by idleness instead, in microseconds; the script may then not come to its end.
            declared: The format that the user names.
            delimiter: What the user says stands between fields.
            over: Opens the ledger in another way.
        """
        actions = iter(script)
        settling = SETTLING_WAITS

        def wait(microseconds: int) -> bool:
            nonlocal settling
            if microseconds == 0:
                return False
            if (action := next(actions, None)) is not None:
                action()
            elif until_idle is None:
                settling -= 1
            return settling == 0

        options = FollowOptions(
            reading=ImportOptions(
                files=[os.fspath(self.path(name)) for name in names],
                source=Source(name="default"),
                input_format=declared,
                delimiter=delimiter,
            ),
            until_idle=until_idle,
        )
        words = Words(note=self.said.append, warn=self.said.append)
        if over is not None:
            ledger = over(self.ledger_path)
            try:
                return follow_usage(ledger, self.settings, options, clock=self.clock, wait=wait, words=words)
            finally:
                ledger.database.close()
        with open_ledger(self.ledger_path) as ledger:
            return follow_usage(ledger, self.settings, options, clock=self.clock, wait=wait, words=words)

    def ids(self) -> list[str]:
        """Return the request_id of every usage event, in the order of recording."""
        return [one for (one,) in self.query("SELECT request_id FROM usage_events ORDER BY id")]

    def lines(self) -> dict[str, int]:
        """Return the line of every usage event."""
        return dict(self.query("SELECT request_id, line FROM usage_events"))

    def rows_read(self) -> int:
        """Return how many rows all imports together have read."""
        return int(self.query("SELECT COALESCE(SUM(rows_read), 0) FROM imports")[0][0])
