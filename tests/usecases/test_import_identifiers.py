"""Usage that comes back under the identifier that it was, or would be, sealed with is the same usage."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from meterledger.config import Source
from meterledger.domain.preset import Preset
from meterledger.domain.source import source_of_preset
from meterledger.ledger.imports import Counts
from meterledger.ledger.rejects import RejectFilter
from meterledger.usecases.export_rejects import export_rejects
from meterledger.usecases.import_usage import ImportOptions, import_usage
from meterledger.usecases.push import PushOptions
from meterledger.usecases.select_rejects import REJECTION, Selection
from meterledger.usecases.void_import import void_import
from support.push_cases import SEATS, many
from support.pushing import HOUR, START, Row, World
from support.strict_stripe import Fault

ROWS = [*many(2, 5), *SEATS, Row(key="x", quantity="0.10", at=START)]
BODIES = source_of_preset(Preset.STRIPE_METER_EVENTS, "bodies")


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Make a ledger that holds usage which is not sent yet."""
    world = World(tmp_path / "w")
    world.import_rows(ROWS)
    return world


def import_bodies(world: World, bodies: list[str], source: str = "bodies", *, again: bool = True) -> Counts:
    """Import request bodies as a file of Stripe's own form; return what became of them."""
    file = world.folder / "bodies.jsonl"
    file.write_text("".join(f"{body}\n" for body in bodies))
    options = ImportOptions(
        files=[str(file)], source=source_of_preset(Preset.STRIPE_METER_EVENTS, source), again=again
    )
    with world.ledger() as ledger:
        return import_usage(ledger, world.settings, options, clock=world.time.clock).counts


def changed(body: str, **parts: str) -> str:
    """Return a body with another value of its payload."""
    found = json.loads(body)
    return json.dumps({**found, "payload": found["payload"] | parts})


def test_a_new_ledger_previews_the_same_bodies(world: World, tmp_path: Path) -> None:
    """What preview wrote, imported into a new ledger, is what that one sends, byte for byte."""
    bodies, _ = world.preview()
    other = World(tmp_path / "other", world.config, world.time)
    counts = import_bodies(other, bodies)

    assert counts == Counts(rows_read=len(ROWS), accepted=len(ROWS))
    assert sorted(other.preview()[0]) == sorted(bodies)
    other.push()
    assert sorted(arrival.text for arrival in other.stripe.arrivals) == sorted(bodies)


@pytest.mark.parametrize("pushed", [0, 4, None], ids=["before", "during", "after"])
def test_in_its_own_ledger_a_body_is_a_duplicate(world: World, pushed: int | None) -> None:
    """The ledger that the bodies came from knows them, sealed or not, and counts nothing twice."""
    bodies, _ = world.preview()
    if pushed != 0:
        world.push(PushOptions(limit=pushed))

    assert import_bodies(world, bodies) == Counts(rows_read=len(ROWS), duplicates=len(ROWS))
    assert import_bodies(world, bodies, "elsewhere") == Counts(rows_read=len(ROWS), duplicates=len(ROWS))
    world.push()
    assert len(world.stripe.counts()) == len(ROWS)


def test_the_usage_that_bodies_were_made_of_is_a_duplicate_of_them(world: World, tmp_path: Path) -> None:
    """Where bodies came first, the file that they were made from counts for nothing more."""
    bodies, _ = world.preview()
    other = World(tmp_path / "other", world.config, world.time)
    import_bodies(other, bodies)

    assert other.import_rows(ROWS).counts == Counts(rows_read=len(ROWS), duplicates=len(ROWS))
    more = [*ROWS[:3], Row(key="new", at=START)]
    assert other.import_rows(more).counts == Counts(rows_read=4, accepted=1, duplicates=3)
    other.push()
    assert len(other.stripe.counts()) == len(ROWS) + 1


def test_another_value_under_a_known_identifier_is_a_conflict(world: World) -> None:
    """A body that says something else than the usage of its identifier is kept apart, with what differs."""
    bodies, _ = world.preview()
    world.push(PushOptions(limit=3))
    counts = import_bodies(world, [changed(body, value="999") for body in bodies])

    assert counts == Counts(rows_read=len(ROWS), conflicts=len(ROWS))
    kept = world.select("SELECT differences FROM rejects")
    assert {json.loads(str(differences))[0]["field"] for (differences,) in kept} == {"quantity"}


def test_an_identifier_of_usage_that_was_taken_back_is_free(world: World) -> None:
    """Usage of an import that was voided before it was sent stands in nobody's way."""
    bodies, _ = world.preview()
    with world.ledger() as ledger:
        void_import(ledger, 1, note="mistake", clock=world.time.clock)

    assert import_bodies(world, bodies) == Counts(rows_read=len(ROWS), accepted=len(ROWS))
    assert sorted(world.preview()[0]) == sorted(bodies)


def test_taking_back_under_another_source_frees_bodies_that_were_duplicates(world: World) -> None:
    """Their file is not skipped: the usage that it was a duplicate of is gone."""
    bodies, _ = world.preview()
    assert import_bodies(world, bodies, again=False).duplicates == len(ROWS)
    with world.ledger() as ledger:
        void_import(ledger, 1, note="mistake", clock=world.time.clock)

    assert import_bodies(world, bodies, again=False) == Counts(rows_read=len(ROWS), accepted=len(ROWS))
    assert import_bodies(world, bodies, again=False) == Counts(rows_read=len(ROWS), duplicates=len(ROWS))


def test_taking_bodies_back_frees_the_rows_that_were_duplicates_of_them(world: World, tmp_path: Path) -> None:
    """The other way round: the file that the bodies were made of is read again."""
    bodies, _ = world.preview()
    other = World(tmp_path / "other", world.config, world.time)
    import_bodies(other, bodies)
    assert other.import_rows(ROWS).counts.duplicates == len(ROWS)
    with other.ledger() as ledger:
        void_import(ledger, 1, note="mistake", clock=world.time.clock)

    assert other.import_rows(ROWS).counts == Counts(rows_read=len(ROWS), accepted=len(ROWS))


def test_what_a_second_void_frees_is_read_again_too(world: World) -> None:
    """An import is taken back in two steps where some of it was sending; each of them frees keys."""
    bodies, _ = world.preview()
    world.stripe.fault = lambda _arrival: Fault.LOST_REQUEST
    world.push(PushOptions(limit=1))
    with world.ledger() as ledger:
        void_import(ledger, 1, note="mistake", clock=world.time.clock)
    assert import_bodies(world, bodies, again=False).duplicates == 1
    world.time.advance(24 * HOUR)
    world.stripe.fault = lambda _arrival: None
    world.push(PushOptions(limit=1, max_duration=0))
    world.resolve_by_truth()
    with world.ledger() as ledger:
        void_import(ledger, 1, note="the rest", clock=world.time.clock)

    counts = import_bodies(world, bodies, again=False)
    assert counts == Counts(rows_read=len(ROWS), accepted=1, duplicates=len(ROWS) - 1)


def test_a_mended_row_that_was_a_duplicate_of_a_body_is_open_again_without_it(
    world: World, tmp_path: Path
) -> None:
    """It was closed with no usage event of its own; once any usage is taken back it is refused anew."""
    bodies, _ = world.preview()
    other = World(tmp_path / "other", world.config, world.time)
    bad = [replace(ROWS[0], quantity="bad")]
    other.import_rows(bad)
    import_bodies(other, bodies)
    written = io.BytesIO()
    with other.ledger() as ledger:
        export_rejects(ledger, Selection(matching=RejectFilter(kind=REJECTION)), written.write)
    mended = other.folder / "mended.jsonl"
    mended.write_text(written.getvalue().decode().replace('"bad"', f'"{ROWS[0].quantity}"'))
    options = ImportOptions(files=[str(mended)], source=Source(name="default"))
    with other.ledger() as ledger:
        assert import_usage(ledger, other.settings, options, clock=world.time.clock).counts.duplicates == 1
    assert other.select("SELECT closed_as, accepted_as FROM rejects") == [("accepted", None)]
    with other.ledger() as ledger:
        void_import(ledger, 2, note="mistake", clock=world.time.clock)

    assert other.import_rows(bad).counts == Counts(rows_read=1, rejected=1)
    assert other.select("SELECT COUNT(*) FROM rejects WHERE closed_at IS NULL") == [(1,)]
