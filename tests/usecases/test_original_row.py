"""The original row of a usage event, from its file as long as that is there and the same."""

import os
from pathlib import Path
from typing import Any

import pytest

from meterledger.ledger import open_ledger
from meterledger.usecases import original_row
from meterledger.usecases.explain import explain
from support.importing import HEADER, Importing, row


@pytest.fixture
def ledger(tmp_path: Path) -> Importing:
    """Return an empty ledger with a config beside it."""
    return Importing(tmp_path)


def told(ledger: Importing, what: str) -> list[tuple[Any, Any]]:
    """Return text and note of the original rows of all usage events of a name."""
    with open_ledger(ledger.ledger_path) as opened:
        found = explain(opened, ledger.settings, what, now=ledger.clock()).usage_events
    return [(one["original_row"], one["original_row_note"]) for one in found]


def test_the_row_is_shown_as_it_stands(ledger: Importing, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by its absolute path, whatever the working folder is by then."""
    ledger.write("a.csv", row("r0"), row("r1", " 1.0 "), row("r2"))
    monkeypatch.chdir(ledger.folder)
    ledger.run("a.csv")
    monkeypatch.chdir("/")

    assert told(ledger, "r1") == [(row("r1", " 1.0 "), None)]
    assert ledger.query("SELECT file, path FROM imports") == [("a.csv", str(ledger.folder / "a.csv"))]


def test_a_row_of_several_lines_is_shown_whole(ledger: Importing) -> None:
    """Quoted line breaks before it and in it count as lines; CR LF, a mark and blank lines do no harm."""
    content = (
        "\ufeffnote," + HEADER + '\r\n"a\r\nb",' + row("r0") + '\r\n\r\n"c ""\n\n d",' + row("r1") + "\r\n"
        ",x\r\n"
        "," + row("r2")
    )
    ledger.run(ledger.write_bytes("a.csv", content.encode()))

    assert told(ledger, "r1") == [('"c ""\n\n d",' + row("r1"), None)]
    assert told(ledger, "r2") == [("," + row("r2"), None)]


def test_a_json_row_is_a_line(ledger: Importing) -> None:
    """Spaces and the order of keys are those of the file."""
    text = (
        '{ "quantity":1, "request_id":"r1","customer_id":"cus_1","feature":"api_calls", '
        '"event_time":"2026-10-31T12:00:00Z"}'
    )
    ledger.run(ledger.write_bytes("a.jsonl", f"\n\n{text}\n".encode()))

    assert told(ledger, "r1") == [(text, None)]


def test_many_rows_of_a_file_cost_one_reading(ledger: Importing, monkeypatch: pytest.MonkeyPatch) -> None:
    """A customer's rows are found in whatever order they are shown, and their file is read once for all."""
    rows = [row(f"r{number}", event_time=f"2026-10-31T12:00:{59 - number}Z") for number in range(20)]
    path = ledger.write("a.csv", *rows)
    ledger.run(path)
    monkeypatch.setattr(original_row, "READ_AT_MOST_BYTES", Path(path).stat().st_size)

    assert told(ledger, "cus_1") == [(text, None) for text in rows]


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda path: path.unlink(), "is no longer there"),
        (lambda path: path.write_text(path.read_text() + "\n"), "has changed since"),
        (lambda path: path.write_text(path.read_text().replace("r1", "r9")), "has changed since"),
        (_folder, "has changed since"),
        (_pipe, "has changed since"),
    ],
    ids=["gone", "longer", "same size", "folder", "pipe"],
)
def test_another_file_in_its_place_is_said_and_not_shown(ledger: Importing, change: Any, words: str) -> None:
    """Only the very bytes that were imported are shown; nothing waits for a pipe."""
    path = Path(ledger.write("a.csv", row("r1")))
    ledger.run(str(path))
    change(path)
    [(text, note)] = told(ledger, "r1")

    assert text is None
    assert note == f"{path} {words}"


def test_a_file_too_large_is_not_read(ledger: Importing, monkeypatch: pytest.MonkeyPatch) -> None:
    """One command reads so much and no more: the files behind that are said, not read."""
    path = ledger.write("a.csv", row("r1"))
    size = Path(path).stat().st_size
    ledger.run(path)
    ledger.run(ledger.write("b.csv", row("r1")), source="gateway")
    monkeypatch.setattr(original_row, "READ_AT_MOST_BYTES", size)
    [first, (text, note)] = told(ledger, "r1")

    assert first == (row("r1"), None)
    assert text is None
    assert "is not read" in note


def test_a_long_row_is_cut(ledger: Importing) -> None:
    """At most some thousand characters are shown, and the note says so."""
    long = f"{row('r1')},{'x' * 200_000}"
    ledger.run(ledger.write("a.csv", long, header=HEADER + ",note"))
    [(text, note)] = told(ledger, "r1")

    assert text == long[: original_row.SHOWN_AT_MOST_CHARACTERS]
    assert "cut after" in note
