"""Import in chunks: each is kept whole, and a killed import is completed by the next."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from meterledger.usecases import parsing
from meterledger.usecases.import_usage import Progress
from support.importing import Importing, Ticking, counts, row


@pytest.fixture
def ledger(tmp_path: Path) -> Importing:
    """Return an empty ledger with a config beside it."""
    return Importing(tmp_path)


class Killed(BaseException):
    """Stands for a signal that ends the process."""


ROWS_OF_A_KILLED_IMPORT = [row("r0", "n/a"), *(row(f"r{n}") for n in range(1, 8)), row("r3", "9"), row("r0")]
CHUNK = 3


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut files into chunks of three rows."""
    monkeypatch.setattr(parsing, "CHUNK_ROWS", CHUNK)


def killing_clock(at: int) -> Iterator[int]:
    """Yield a few instants, then kill."""
    ticking = Ticking()
    for _ in range(at):
        yield ticking()
    raise Killed


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("at", range(6))
def test_an_import_killed_between_chunks_is_completed_by_the_next(tmp_path: Path, at: int) -> None:
    """Wherever an import is cut off its chunks are whole, and the same command brings it to the same end."""
    killed, whole = Importing(_made(tmp_path / "killed")), Importing(_made(tmp_path / "whole"))
    clock = killing_clock(at)
    with pytest.raises(Killed):
        killed.run(killed.write("a.csv", *ROWS_OF_A_KILLED_IMPORT), clock=lambda: next(clock))
    chunks = max(0, at - 1)
    kept = killed.query("SELECT rows_read, finished_at FROM imports")

    assert kept == ([] if at == 0 else [(min(chunks * CHUNK, 10), None)])
    assert killed.query("SELECT accepted + conflicts + rejected FROM imports") == killed.query(
        "SELECT (SELECT COUNT(*) FROM usage_events) + (SELECT COUNT(*) FROM rejects) FROM imports"
    )

    again = killed.run(killed.write("a.csv", *ROWS_OF_A_KILLED_IMPORT))
    whole.run(whole.write("a.csv", *ROWS_OF_A_KILLED_IMPORT))
    ends = [
        (
            one.usage(),
            [reject[:2] + reject[3:] for reject in one.rejects()],
            one.query("SELECT * FROM unsealed"),
        )
        for one in (killed, whole)
    ]

    assert not again.files[0].skipped
    assert again.files[0].complete
    assert again.counts.rows_read == 10
    assert ends[0] == ends[1]


@pytest.mark.usefixtures("small_chunks")
def test_an_import_killed_after_a_commit_keeps_that_chunk(ledger: Importing) -> None:
    """What was reported as read is in the ledger, even if the process dies at the next breath."""
    reported: list[int] = []

    def advance(_bytes: int, rows: int) -> None:
        reported.append(rows)
        if len(reported) == 2:
            raise Killed

    path = ledger.write("a.csv", *ROWS_OF_A_KILLED_IMPORT)
    with pytest.raises(Killed):
        ledger.run(path, progress=Progress(advance=advance))

    assert ledger.query("SELECT rows_read FROM imports") == [(sum(reported),)]
    assert len(ledger.usage()) == 5


@pytest.mark.usefixtures("small_chunks")
def test_a_strict_import_that_is_killed_keeps_nothing(ledger: Importing) -> None:
    """All or nothing holds for a strict import that never came to its end, too."""
    before = ledger.dump()
    clock = killing_clock(3)
    path = ledger.write("a.csv", *(row(f"r{n}") for n in range(9)))
    with pytest.raises(Killed):
        ledger.run(path, strict=True, clock=lambda: next(clock))

    assert before == ledger.dump()


@pytest.mark.usefixtures("small_chunks")
def test_the_size_of_chunks_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Duplicates and conflicts are found alike within a chunk and across chunks."""
    rows = [row(f"r{n % 4}", str(n % 3), region=str(n)) for n in range(17)] + [row("x", "n/a")]
    ends = []
    for size in (1, 2, 5, 100):
        monkeypatch.setattr(parsing, "CHUNK_ROWS", size)
        folder = Importing(_made(tmp_path / str(size)))
        report = folder.run(folder.write("a.csv", *rows))
        ends.append((counts(report), folder.usage(), sorted(folder.rejects())))

    assert [ends[0]] * 4 == ends


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
