"""Named statements: portable, each with a use, and their parameters in order."""

import ast
import re
from importlib import resources
from pathlib import Path

import pglast
import pytest

import meterledger
from meterledger.ledger.statements import Statement, all_statements, parse_statements

SOURCES = Path(meterledger.__file__).parent


def as_postgresql(statement: Statement) -> str:
    """Return a statement with PostgreSQL's own parameters."""
    return re.sub(r"\?(\d+)", r"$\1", statement.numbered)


def texts_and_patterns() -> tuple[set[str], list[re.Pattern[str]]]:
    """Return every text constant of the package, and a pattern for every text that is put together."""
    texts: set[str] = set()
    patterns = []
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.add(node.value)
            if isinstance(node, ast.JoinedStr):
                parts = [
                    re.escape(str(part.value)) if isinstance(part, ast.Constant) else r"(\w+)"
                    for part in node.values
                ]
                patterns.append(re.compile("".join(parts)))
    return texts, [one for one in patterns if one.groups == 1]


@pytest.mark.parametrize("name", sorted(all_statements()))
def test_every_statement_is_postgresql(name: str) -> None:
    """Each statement parses as PostgreSQL too, as one statement, so that such a ledger can come later."""
    statement = all_statements()[name]

    assert len(pglast.parse_sql(as_postgresql(statement))) == 1


def test_every_statement_is_used() -> None:
    """No statement is left over: each is named in the code, whole or put together from a word there."""
    texts, patterns = texts_and_patterns()
    unused = [
        name
        for name in all_statements()
        if name not in texts
        and not any((match := one.fullmatch(name)) and match[1] in texts for one in patterns)
    ]

    assert sorted(unused) == []


def test_statements_keep_to_the_portable_subset() -> None:
    """Functions of dates, of JSON and of SQLite alone stay out of the statements."""
    foreign = re.compile(
        r"strftime|julianday|unixepoch|datetime\s*\(|json_|->>|ifnull|rowid|\bglob\b|autoincrement|\bor\s+replace\b"
        r"|\bor\s+ignore\b|group_concat|typeof|printf",
        re.IGNORECASE,
    )
    found = {name: foreign.findall(one.numbered) for name, one in all_statements().items()}

    assert {name: words for name, words in found.items() if words} == {}


def test_every_file_of_statements_is_read() -> None:
    """Each .sql file of the package names at least one statement, and no name stands twice in one."""
    folder = resources.files("meterledger.ledger") / "sql"
    names = [
        name
        for file in folder.iterdir()
        if file.name.endswith(".sql")
        for name in re.findall(r"(?m)^-- name: (.+)$", file.read_text())
    ]

    assert sorted(names) == sorted(all_statements())


def test_a_statement_is_cut_out_with_its_parameters() -> None:
    """Comments and casts are no parameters, and a parameter named twice is one."""
    found = parse_statements(
        "-- name: first\n-- Holds: 12:30, not :this\nSELECT :b, :a, x::text, :b\nFROM t;\n\n"
        "-- name: second\nSELECT 1;\n"
    )

    assert list(found) == ["first", "second"]
    assert found["first"].parameters == ("b", "a")
    assert found["first"].numbered == "SELECT ?1, ?2, x::text, ?1\nFROM t"
    assert found["first"].arguments({"a": 1, "b": 2, "c": 3}) == (2, 1)
    assert found["second"].parameters == ()


def test_a_missing_argument_is_an_error() -> None:
    """A parameter that is not given is never taken for NULL."""
    statement = parse_statements("-- name: one\nSELECT :a;\n")["one"]

    with pytest.raises(KeyError, match="a"):
        statement.arguments({"b": 1})


def test_a_statement_for_many_rows_repeats_its_values() -> None:
    """What the rows share is one parameter each, and the rest is numbered row by row."""
    statement = parse_statements(
        "-- name: one\nINSERT INTO t (a, b, c) VALUES (:a, :b, :c) ON CONFLICT (a) DO NOTHING;\n"
    )["one"]

    assert statement.for_rows(("b",), 2) == (
        "INSERT INTO t (a, b, c) VALUES (?2, ?1, ?3), (?4, ?1, ?5) ON CONFLICT (a) DO NOTHING"
    )
    assert statement.for_rows((), 1) == statement.numbered


def test_a_statement_without_values_is_for_no_rows() -> None:
    """A statement that has nothing to repeat is refused by name."""
    statement = parse_statements("-- name: one\nSELECT :a;\n")["one"]

    with pytest.raises(ValueError, match="one has no VALUES row"):
        statement.for_rows((), 2)
