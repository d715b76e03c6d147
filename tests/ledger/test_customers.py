"""What customers files said, as the ledger keeps it: added to, and never changed."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from meterledger.domain.customers import BillingInterval, CustomerState, CustomerStatus
from meterledger.ledger import Ledger, open_ledger
from meterledger.ledger.customers import CustomerFile, NewState
from support.importing import ledger_file

FILE = CustomerFile(
    file="customers.csv",
    sha256="a" * 64,
    size_bytes=10,
    input_format="csv",
    program_version="1",
    rows_read=1,
)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Open a new ledger."""
    with open_ledger(ledger_file(tmp_path)) as opened:
        yield opened


def state(stripe_customer_id: str = "cus_A", *, plan: str | None = None, at: int | None = None) -> NewState:
    """Return what a row says of one customer."""
    return NewState(
        state=CustomerState(
            customer_id="acme",
            subscription_id="",
            stripe_customer_id=stripe_customer_id,
            plan=plan,
            status=CustomerStatus.TRIALING,
            billing_cycle_anchor=77,
            interval=BillingInterval(unit="week", count=2),
        ),
        effective_at=at,
        line=2,
    )


def record(ledger: Ledger, *states: NewState, now: int = 100) -> None:
    """Record states as one file."""
    with ledger.database.transaction():
        ledger.customers.record(FILE, states, now)


def stripe_customer_at(ledger: Ledger, event_time: int, as_of: int | None = None) -> list[str]:
    """Return to whom usage of the one customer is billed."""
    book = ledger.customers.book(as_of)
    assert book is not None
    return [one.stripe_customer_id for one in book.held("acme", None, event_time)]


def test_without_a_customers_file_there_is_no_book(ledger: Ledger) -> None:
    """No file, no checks; and none as of an instant before the first."""
    assert ledger.customers.book() is None
    record(ledger, state())
    assert ledger.customers.book(99) is None
    assert ledger.customers.book(100) is not None


def test_what_is_recorded_comes_back_whole(ledger: Ledger) -> None:
    """Every field, with the file and line it came from."""
    new = state(plan="pro", at=5)
    record(ledger, new)
    [found] = ledger.customers.states()

    assert (found.state, found.effective_at) == (new.state, 5)
    assert (found.file, found.line, found.recorded_at) == ("customers.csv", 2, 100)


def test_the_book_is_of_its_time(ledger: Ledger) -> None:
    """What was recorded after an instant does not count for a question about it, whenever it holds."""
    record(ledger, state("cus_A"))
    record(ledger, state("cus_B", at=50), now=200)

    assert stripe_customer_at(ledger, 60) == ["cus_B"]
    assert stripe_customer_at(ledger, 49) == ["cus_A"]
    assert stripe_customer_at(ledger, 60, as_of=199) == ["cus_A"]


def test_states_of_one_customer_are_found_by_either_id(ledger: Ledger) -> None:
    """By a Stripe customer that it no longer has, the whole history is found."""
    record(ledger, state("cus_A"))
    record(ledger, state("cus_B", at=50), now=200)

    for name in ("acme", "cus_A", "cus_B"):
        assert [one.state.stripe_customer_id for one in ledger.customers.states_of(name)] == [
            "cus_A",
            "cus_B",
        ]
    assert list(ledger.customers.states_of("beta")) == []


def test_a_later_instant_of_this_ledgers_own_counts_for_its_clock(ledger: Ledger) -> None:
    """A clock that was set back behind an import of customers is noticed."""
    record(ledger, state(), now=12_345)

    assert ledger.outbox.latest_own_instant() == 12_345


_STATE = (
    "INSERT INTO subscription_states VALUES "
    "({id}, 'acme', '', {stripe}, NULL, {status}, NULL, 'month', {count}, {at}, 1, 2)"
)


def _insert(**values: object) -> str:
    good = {"id": "NULL", "stripe": "'cus_B'", "status": "'active'", "count": 1, "at": 5}
    return _STATE.format(**(good | values))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE subscription_states SET status = 'canceled'",
        "DELETE FROM subscription_states",
        "UPDATE customer_files SET file = 'other'",
        "DELETE FROM customer_files",
        _insert(at="NULL"),
        _insert(id=1).replace("INSERT", "INSERT OR REPLACE"),
        _insert(at="NULL").replace("INSERT", "INSERT OR REPLACE"),
        _insert(stripe="'acct_1'"),
        _insert(stripe="'cus_'"),
        _insert(status="'cancelled'"),
        _insert(count=0),
        "INSERT OR REPLACE INTO customer_files VALUES (1, 'x', '" + "b" * 64 + "', 1, 'csv', '1', 1, 1)",
    ],
)
def test_history_is_only_added_to(ledger: Ledger, statement: str) -> None:
    """No program can change or take back what was said, nor say what no customers file could."""
    record(ledger, state())
    with closing(sqlite3.connect(ledger.path)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(_insert())
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(statement)
