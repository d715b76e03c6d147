"""Closures in the ledger: what they keep, what they count as of an instant, and what frees keys."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from meterledger.domain.delivery import Result, State
from meterledger.errors import LedgerError
from support.outbox_desk import PENDING, Desk, open_desk, put_in, world_with_usage
from support.pushing import START, World

LATER = START + 60_000_000


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Make a ledger with two usage events to copy."""
    return world_with_usage(tmp_path_factory.mktemp("template") / "w")


@pytest.fixture
def desk(template: World, tmp_path: Path) -> Iterator[Desk]:
    """Open a copy of it, under a lease."""
    with open_desk(template, tmp_path / "w") as desk:
        yield desk


def closures(desk: Desk) -> list[tuple[object, ...]]:
    """Return every closure."""
    return desk.sql(
        "SELECT usage_event, state, note, closed_at, already_billed_at FROM usage_closures ORDER BY 1"
    )


def test_voiding_closes_what_is_unsealed(desk: Desk) -> None:
    """Both usage events leave the outbox, with note and time; the import says so too."""
    done = desk.ledger.closures.void(1, "wrong file", desk.token, LATER)

    assert (done.unsealed, done.already_billed, done.dissolved) == (2, 0, 0)
    assert closures(desk) == [
        (1, "voided", "wrong file", LATER, None),
        (2, "voided", "wrong file", LATER, None),
    ]
    assert desk.unsealed() == []
    assert desk.sql("SELECT voided_at, void_note FROM imports") == [(LATER, "wrong file")]


def test_voiding_takes_pending_meter_events_back(desk: Desk) -> None:
    """What Stripe certainly has not taken is canceled, its identifier is free, its usage is closed."""
    put_in(desk, State.PENDING)
    done = desk.ledger.closures.void(1, "wrong file", desk.token, LATER)

    assert (done.unsealed, done.dissolved) == (2, 1)
    assert desk.sql("SELECT state, dissolved_at FROM meter_events") == [("canceled", LATER)]
    assert desk.ledger.closures.usage_by_state(1) == {"voided": 2}


def test_what_a_person_called_not_sent_is_taken_back(desk: Desk) -> None:
    """After resolve --as not-sent nothing of it is at Stripe, so that taking it back is right."""
    put_in(desk, State.IN_DOUBT)
    [(identifier,)] = desk.sql("SELECT identifier FROM meter_events")
    desk.ledger.outbox.resolve(str(identifier), sent=False, note="seen", now=START)

    assert desk.ledger.closures.void(1, "wrong file", desk.token, LATER).dissolved == 1


@pytest.mark.parametrize(
    "state", [State.SENDING, State.ACCEPTED, State.CONFIRMED, State.REJECTED, State.IN_DOUBT]
)
def test_voiding_leaves_what_may_have_been_sent(desk: Desk, state: State) -> None:
    """Whatever a meter event may have told Stripe stays as it is, and can be listed."""
    put_in(desk, state)
    done = desk.ledger.closures.void(1, "wrong file", desk.token, LATER)

    assert (done.unsealed, done.dissolved) == (1, 0)
    assert [row["state"] for row in desk.ledger.closures.sealed(1)] == [state]


def test_voiding_twice_does_the_rest(desk: Desk) -> None:
    """An import that was taken back in part keeps its first note, and the rest is closed the second time."""
    claimed = desk.claim()
    desk.ledger.closures.void(1, "first", desk.token, START)
    desk.finish(claimed, Result.NOT_SENT, PENDING)
    done = desk.ledger.closures.void(1, "second", desk.token, LATER)

    assert (done.unsealed, done.dissolved) == (1, 1)
    assert [row[2] for row in closures(desk)] == ["second", "first"]
    assert desk.sql("SELECT voided_at, void_note FROM imports") == [(START, "first")]


def test_voiding_needs_the_lease(desk: Desk) -> None:
    """Another token is no right to change anything."""
    with pytest.raises(LedgerError, match="taken over"):
        desk.ledger.closures.void(1, "x", desk.token + 1, LATER)

    assert closures(desk) == []


def test_closures_are_counted_as_of_an_instant(desk: Desk) -> None:
    """Voided usage that had been already billed counts as that until it was taken back."""
    desk.sql("INSERT INTO usage_closures VALUES (1, 'already_billed', NULL, '', ?, NULL)", START)
    desk.ledger.closures.void(1, "mistake", desk.token, LATER)
    counts = desk.ledger.closures.counts

    assert counts(START - 1) == {"already_billed": 0, "written_off": 0, "voided": 0}
    assert counts(LATER - 1) == {"already_billed": 1, "written_off": 0, "voided": 0}
    assert counts(LATER) == {"already_billed": 0, "written_off": 0, "voided": 2}
    assert [usage.usage_event for usage in desk.ledger.unsealed.all(LATER - 1)] == [2]


def test_writing_off_keeps_reason_and_note(desk: Desk) -> None:
    """A closure says what blocked the usage, and what a person said."""
    closed = desk.ledger.closures.write_off(
        [(2, "too_old")], [], note="credited", token=desk.token, now=LATER
    )
    row = desk.ledger.closures.closure_of(2)

    assert closed == 1
    assert row is not None
    assert (row["state"], row["blocked_reason"], row["note"]) == ("written_off", "too_old", "credited")
    assert desk.ledger.closures.closure_of(1) is None


@pytest.mark.parametrize("state", ["written_off", "voided", "already_billed"])
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE usage_closures SET note = 'x'",
        "UPDATE usage_closures SET closed_at = closed_at + 1",
        "UPDATE usage_closures SET state = 'already_billed'",
        "UPDATE usage_closures SET state = 'written_off'",
        "UPDATE usage_closures SET state = 'voided'",
        "UPDATE usage_closures SET state = 'voided', already_billed_at = closed_at, blocked_reason = 'x'",
        "INSERT OR REPLACE INTO usage_closures VALUES (1, 'voided', NULL, '', 9, NULL)",
        "DELETE FROM usage_closures",
    ],
)
def test_the_ledger_itself_keeps_closures(desk: Desk, state: str, change: str) -> None:
    """What is closed stays closed as it is, whatever program writes."""
    desk.sql("INSERT INTO usage_closures VALUES (1, ?, NULL, 'note', ?, NULL)", state, START)
    with pytest.raises(sqlite3.IntegrityError, match="closed for good"):
        desk.sql(change)

    assert closures(desk) == [(1, state, "note", START, None)]


@pytest.mark.parametrize("state", ["written_off", "already_billed"])
def test_only_voided_usage_was_something_else_before(desk: Desk, state: str) -> None:
    """The instant of an earlier closure belongs to voided usage alone, and is not after it."""
    with pytest.raises(sqlite3.IntegrityError):
        desk.sql("INSERT INTO usage_closures VALUES (1, ?, NULL, '', 5, 4)", state)
    with pytest.raises(sqlite3.IntegrityError):
        desk.sql("INSERT INTO usage_closures VALUES (1, 'voided', NULL, '', 5, 6)")


def test_a_voided_import_takes_no_more_rows(desk: Desk) -> None:
    """An import that still runs while it is taken back ends with its next chunk, and stays taken back."""
    desk.ledger.closures.void(1, "x", desk.token, LATER)
    with pytest.raises(sqlite3.IntegrityError, match="takes no more rows"):
        desk.sql("UPDATE imports SET rows_read = rows_read + 1, accepted = accepted + 1")
    with pytest.raises(sqlite3.IntegrityError, match="taken back once"):
        desk.sql("UPDATE imports SET voided_at = NULL")


def test_closed_usage_is_never_sealed(desk: Desk) -> None:
    """No meter event takes usage that is closed, and sealed usage is not closed."""
    claimed = desk.claim()
    with pytest.raises(sqlite3.IntegrityError, match="sealed cannot be closed"):
        desk.sql("INSERT INTO usage_closures VALUES (1, 'voided', NULL, '', 5, NULL)")
    desk.sql("INSERT INTO usage_closures VALUES (2, 'voided', NULL, '', 5, NULL)")
    with pytest.raises(sqlite3.IntegrityError, match="never sealed"):
        desk.sql(
            "INSERT INTO meter_event_usage (meter_event, usage_event, linked_at) VALUES (?, 2, 9)", claimed.id
        )
