"""The simulator's reference holds what the simulator has: endpoints, switches, faults and state."""

import re
from dataclasses import fields
from typing import get_args, get_type_hints

import pytest

from docs.pages import DOCS, ROOT, section
from meterledger.simulator.faults.kinds import Kind
from meterledger.simulator.faults.places import NAMES
from meterledger.simulator.routes import ROUTES
from meterledger.simulator.rules import Readings

REFERENCE = DOCS / "simulator-reference.md"


def _cells(heading: str) -> list[list[str]]:
    """Return the rows of a section's tables, cell by cell."""
    rows = re.findall(r"^\| (.*) \|$", section(REFERENCE, heading), re.MULTILINE)
    return [row.split(" | ") for row in rows]


def _listed_endpoints() -> set[str]:
    """Return the paths of the table of endpoints, its shorthand written out."""
    found: set[str] = set()
    for cell, _ in (row for row in _cells("Endpoints") if len(row) == 2):
        whole = ""
        for code in re.findall(r"`(?:[A-Z]+ )?(\S+)`", cell):
            if code.startswith("…"):
                found.add(f"{whole}/{{id}}{code[1:]}")
                continue
            if code.endswith("[/{id}]"):
                whole = code.removesuffix("[/{id}]")
                found |= {whole, f"{whole}/{{id}}"}
            else:
                found.add(code)
    return found


def test_the_table_of_endpoints_is_what_is_routed() -> None:
    """No endpoint is missing in the reference, and none stands there that the simulator has not."""
    assert _listed_endpoints() == {path for _, path in ROUTES}


@pytest.mark.parametrize("reading", fields(Readings), ids=lambda reading: reading.name)
def test_each_switch_is_told_with_its_words_and_its_default(reading: object) -> None:
    """A switch shows the words that it takes, and the last column is the reading in force."""
    name, default = getattr(reading, "name", ""), getattr(reading, "default", None)
    words = r"\|".join(get_args(get_type_hints(Readings)[name]))
    option = f"--{name.replace('_', '-')}"
    [row] = [row for row in _cells("Where Stripe leaves it open") if row[0].startswith(f"`{option} ")]
    assert row[0] == f"`{option} {words}`"
    assert row[-1] == f"`{default}`"


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_of_fault_is_told(kind: Kind) -> None:
    """What a plan may say stands in the table of kinds."""
    assert any(row[0] == f"`{kind}`" for row in _cells("Faults"))


@pytest.mark.parametrize("place", NAMES)
def test_every_place_of_a_fault_is_told(place: str) -> None:
    """What `on` takes stands in the row of it."""
    [row] = [row for row in _cells("Faults") if row[0] == "`on`"]
    assert f"`{place}`" in row[1]


def test_every_folder_of_the_simulator_is_told() -> None:
    """The page of the architecture leads through the simulator's folders."""
    package = ROOT / "src" / "meterledger" / "simulator"
    folders = [path.parent.name for path in package.glob("*/__init__.py")]
    text = section(DOCS / "architecture.md", "The simulator")
    assert folders
    assert not [folder for folder in folders if f"| `{folder}/` |" not in text]
