"""
Named SQL statements.

They live in ``sql/*.sql``, each below a line ``-- name: what_it_does``, with ``:named`` parameters, in
the subset that SQLite and PostgreSQL share.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

_NAME = re.compile(r"^-- name: ([a-z0-9_]+)$", re.MULTILINE)
_VALUES = re.compile(r"(?P<head>.*\bVALUES\s*)(?P<row>\([^()]*\))(?P<tail>.*)", re.DOTALL)
_PARAMETER = re.compile(r"(?<![:\w]):([a-z_][a-z0-9_]*)")


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: its text as written, and with numbered parameters, in the order of ``parameters``."""

    name: str
    text: str
    numbered: str
    parameters: tuple[str, ...]

    def arguments(self, given: Mapping[str, object]) -> tuple[object, ...]:
        """Return the arguments in order; raises KeyError for a missing one."""
        return tuple(given[name] for name in self.parameters)

    @cache  # noqa: B019 # statements live as long as the program
    def for_rows(self, shared: tuple[str, ...], rows: int) -> str:
        """
        Return it with numbered parameters for many rows at once: its one VALUES row, repeated.

        Parameters that the rows share come first, in the order given; then those of each row.
        """
        match = _VALUES.fullmatch(_bare(self.text))
        if match is None:
            msg = f"{self.name} has no VALUES row"
            raise ValueError(msg)
        own = [name for name in self.parameters if name not in shared]

        def numbered(part: str, row: int) -> str:
            numbers = {name: at for at, name in enumerate(shared, 1)}
            numbers |= {name: len(shared) + row * len(own) + at for at, name in enumerate(own, 1)}
            return _PARAMETER.sub(lambda found: f"?{numbers[found[1]]}", part)

        repeated = ", ".join(numbered(match["row"], row) for row in range(rows))
        return numbered(match["head"], 0) + repeated + numbered(match["tail"], 0)


def parse_statements(text: str) -> dict[str, Statement]:
    """Return the statements of one file by name."""
    _, *parts = _NAME.split(text)
    return {
        name: _statement(name, sql.strip().rstrip(";"))
        for name, sql in zip(parts[::2], parts[1::2], strict=True)
    }


def _statement(name: str, text: str) -> Statement:
    bare = _bare(text)
    parameters = tuple(dict.fromkeys(_PARAMETER.findall(bare)))
    numbered = _PARAMETER.sub(lambda match: f"?{parameters.index(match[1]) + 1}", bare)
    return Statement(name, text, numbered, parameters)


def _bare(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--"))


@cache
def all_statements() -> Mapping[str, Statement]:
    """Return every statement of the package by name; raises ValueError if a name stands twice."""
    found: dict[str, Statement] = {}
    folder = resources.files("meterledger.ledger") / "sql"
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith(".sql"):
            continue
        statements = parse_statements(file.read_text())
        if twice := found.keys() & statements.keys():
            msg = f"{file.name} names again: {sorted(twice)}"
            raise ValueError(msg)
        found.update(statements)
    return found
