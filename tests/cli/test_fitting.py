"""Tables on a narrow terminal: file names are shortened in the middle, and whole everywhere else."""

import pytest

from meterledger.cli.fitting import FileName, file_text, filled, print_files


@pytest.mark.parametrize(
    ("name", "narrow"),
    [
        ("usage.csv:3", "usage.csv:3"),
        ("/srv/billing/2026/usage.csv:3", "…/2026/usage.csv:3"),
        ("/srv/customers-of-ours/usage.csv:3", "…/usage.csv:3"),
        ("usage-of-all-workers-2026-10-31.csv:12345", "usage-of…10-31.csv:12345"),
    ],
)
def test_a_long_name_is_shortened_in_the_middle(
    monkeypatch: pytest.MonkeyPatch, name: str, narrow: str
) -> None:
    """At 80 columns a name fits its column; on a wide terminal and in a pipe it is whole."""
    file, _, line = name.partition(":")
    monkeypatch.setenv("COLUMNS", "80")
    assert file_text(file, f":{line}") == narrow
    monkeypatch.setenv("COLUMNS", "160")
    assert file_text(file, f":{line}") == name
    monkeypatch.delenv("COLUMNS")
    assert file_text(file, f":{line}") == name


def test_empty_columns_are_left_out() -> None:
    """A column that is empty in every row takes no room, and the order of the others stays."""
    columns, rows = filled([("id", "right"), ("note", "left"), ("n", "right")], [[1, "", 0], [2, None, 3]])

    assert columns == [("id", "right"), ("n", "right")]
    assert rows == [[1, 0], [2, 3]]


def test_rows_that_become_lines_have_whole_names(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name is short in a table, where it would be broken, and whole where each row is lines of its own."""
    monkeypatch.setenv("COLUMNS", "80")
    name = "exports/usage of all workers/2026-10-31.csv"
    print_files([("file", "fold"), ("n", "right")], [[FileName(name, ":2"), "1"]])
    print_files([("file", "fold"), ("n", "left")], [[FileName(name, ":2"), "x" * 70]])
    table, lines = capsys.readouterr().out.split("\n\n")[:2]

    assert name not in table
    assert "…/2026-10-31.csv:2" in table
    assert f"{name}:2" in lines
