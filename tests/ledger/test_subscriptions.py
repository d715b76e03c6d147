"""What was pulled, with its history; and moves of deadlines, which count only with proof."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from meterledger.ledger import Ledger, create_ledger, open_ledger
from meterledger.ledger.subscriptions import Extension, ExtensionOutcome
from meterledger.usecases.verify import verify
from support.billing_facts import at, draft, final, line, pull, pulled_item

EXTENSION = Extension(
    invoice_id="in_1",
    stripe_customer_id="cus_1",
    from_deadline=at("11-01T01:00"),
    to_deadline=at("11-01T07:00"),
    idempotency_key="key",
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of an empty ledger."""
    create_ledger(tmp_path / "usage.db")
    return tmp_path / "usage.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    """Return an empty ledger."""
    with open_ledger(path) as opened:
        yield opened


def test_what_was_said_comes_back_as_it_was(ledger: Ledger) -> None:
    """Items, invoices and lines survive the way through the tables, every field of them."""
    item = pulled_item(cancel_at=at("11-20"), has_thresholds=True, has_pending_update=True)
    invoice = draft(finalization_error="tax", lines=(line("10-01", "10-12"), line("10-12", "11-01")))
    assert ledger.subscriptions.record(pull(at("11-01")), [item], [invoice]) == (1, 1)
    facts = ledger.subscriptions.facts()
    assert facts.items["si_1"][0].item == item
    assert facts.invoices["in_1"].invoice == invoice
    assert ledger.subscriptions.latest_pull() == pull(at("11-01"))


def test_a_row_stands_only_where_something_is_new(ledger: Ledger) -> None:
    """The same word twice is recorded once; the reading itself is, each time."""
    for day in ("11-01", "11-02"):
        ledger.subscriptions.record(pull(at(day)), [pulled_item()], [draft()])
    assert [len(v) for v in ledger.subscriptions.facts().items.values()] == [1]
    latest = ledger.subscriptions.latest_pull()
    assert latest is not None
    assert latest.recorded_at == at("11-02")


def test_what_was_known_then_can_be_told(ledger: Ledger) -> None:
    """As of an instant, what was recorded later is hidden: deadline and price are those of then."""
    ledger.subscriptions.record(pull(at("11-01")), [pulled_item()], [draft()])
    ledger.subscriptions.record(pull(at("11-02")), [pulled_item(price_id="price_2")], [final("11-01T01:00")])
    then = ledger.subscriptions.billed_items(at("11-01T12:00"))["cus_1", "calls"][0]
    now = ledger.subscriptions.billed_items()["cus_1", "calls"][0]
    assert (then.price_changes, then.invoices[0].is_final) == ((), False)
    assert (now.price_changes, now.invoices[0].is_final) == ((at("11-02"),), True)
    assert ledger.subscriptions.billed_items(at("10-31")) == {}


def test_what_a_whole_list_lacks_has_ended(ledger: Ledger) -> None:
    """An item that is gone bills nothing more; a list that was not read whole says nothing."""
    ledger.subscriptions.record(pull(at("11-01")), [pulled_item()], [])
    ledger.subscriptions.record(pull(at("11-02"), whole=False), [], [])
    assert ledger.subscriptions.facts().latest()[0].ended_at is None
    ledger.subscriptions.record(pull(at("11-03")), [], [])
    assert ledger.subscriptions.facts().latest()[0].ended_at == at("11-03")


def test_final_stays_final(ledger: Ledger) -> None:
    """A slower reading that still has the draft changes nothing."""
    ledger.subscriptions.record(pull(at("11-02")), [], [final("11-01T01:00")])
    assert ledger.subscriptions.record(pull(at("11-02")), [], [draft()]) == (0, 0)
    assert not ledger.subscriptions.facts().invoices["in_1"].invoice.is_draft


def test_an_intent_stays_open_until_somebody_knows(ledger: Ledger) -> None:
    """A second one for the same invoice is refused before that; with its outcome the deadline is known."""
    number = ledger.subscriptions.begin_extension(EXTENSION, at("11-01T00:30"))
    assert ledger.subscriptions.open_extensions() == [EXTENSION.numbered(number)]
    with pytest.raises(Exception, match="not settled"):
        ledger.subscriptions.begin_extension(EXTENSION, at("11-01T00:31"))
    told = draft(finalizes_at=at("11-01T07:00"))
    outcome = ExtensionOutcome(is_extended=True, http_status=200, message="", deadline=told.finalizes_at)
    ledger.subscriptions.settle_extension(number, outcome, told, at("11-01T00:32"))
    assert ledger.subscriptions.open_extensions() == []
    assert ledger.subscriptions.facts().invoices["in_1"].invoice == told


def test_extended_needs_the_invoices_word(ledger: Ledger) -> None:
    """A deadline before the one asked for is no success, whatever Stripe answered."""
    number = ledger.subscriptions.begin_extension(EXTENSION, at("11-01T00:30"))
    claimed = ExtensionOutcome(is_extended=True, http_status=200, message="", deadline=at("11-01T01:00"))
    with pytest.raises(Exception, match="the invoice said so"):
        ledger.subscriptions.settle_extension(number, claimed, None, at("11-01T00:32"))
    assert ledger.subscriptions.open_extensions()


def test_answers_are_counted(ledger: Ledger) -> None:
    """What was answered under a key is replayed by Stripe: it has to be known how often that was."""
    for status in (500, None, 500):
        number = ledger.subscriptions.begin_extension(EXTENSION, at("11-01T00:30"))
        failed = ExtensionOutcome(is_extended=False, http_status=status, message="x", deadline=None)
        ledger.subscriptions.settle_extension(number, failed, None, at("11-01T00:32"))
    same = ("in_1", EXTENSION.from_deadline, EXTENSION.to_deadline)
    assert ledger.subscriptions.answers_of(*same) == 2
    number = ledger.subscriptions.begin_extension(EXTENSION, at("11-01T00:40"))
    made = ExtensionOutcome(is_extended=True, http_status=None, message="", deadline=EXTENSION.to_deadline)
    ledger.subscriptions.settle_extension(number, made, None, at("11-01T00:42"))
    assert ledger.subscriptions.answers_of(*same) == 4


def test_a_settled_move_costs_no_look_at_all_that_was_pulled(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of drafts are moved one by one: each is compared with itself alone."""
    ledger.subscriptions.record(pull(at("11-01")), [pulled_item()], [draft()])
    number = ledger.subscriptions.begin_extension(EXTENSION, at("11-01T00:40"))
    made = ExtensionOutcome(is_extended=True, http_status=200, message="", deadline=EXTENSION.to_deadline)
    moved = draft(finalizes_at=EXTENSION.to_deadline)

    def refuse(_statement: str, **_arguments: object) -> None:
        raise AssertionError("every row is read")

    with monkeypatch.context() as patched:
        patched.setattr(ledger.database, "stream", refuse)
        ledger.subscriptions.settle_extension(number, made, moved, at("11-01T00:42"))
    assert ledger.subscriptions.facts().invoices["in_1"].invoice == moved


_TABLES = {
    "billing_pulls": "mode = 'live'",
    "billing_items": "event_name = 'other'",
    "billing_invoices": "status = 'paid'",
    "billing_lines": "price_id = 'other'",
    "deadline_extensions": "to_deadline = to_deadline + 1",
    "deadline_extension_outcomes": "message = 'other'",
}


@pytest.fixture
def connection(ledger: Ledger, path: Path) -> Iterator[sqlite3.Connection]:
    """Return a plain connection to a ledger with a row in every table."""
    ledger.subscriptions.record(pull(at("11-01")), [pulled_item()], [draft()])
    number = ledger.subscriptions.begin_extension(EXTENSION, at("11-01T00:30"))
    failed = ExtensionOutcome(is_extended=False, http_status=400, message="x", deadline=None)
    ledger.subscriptions.settle_extension(number, failed, None, at("11-01T00:32"))
    with closing(sqlite3.connect(path, isolation_level=None)) as plain:
        yield plain


@pytest.mark.parametrize("table", _TABLES)
def test_history_is_only_added_to(connection: sqlite3.Connection, table: str) -> None:
    """No program changes, removes or replaces a row."""
    for statement in (
        f"UPDATE {table} SET {_TABLES[table]}",  # noqa: S608 # names from above
        f"DELETE FROM {table}",  # noqa: S608 # as above
        f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}",  # noqa: S608 # as above
    ):
        with pytest.raises(sqlite3.IntegrityError, match="never"):
            connection.execute(statement)


def test_a_deadline_is_never_shortened(ledger: Ledger) -> None:
    """An intent to finalize earlier, or at the same time, cannot be written."""
    for to in (EXTENSION.from_deadline, EXTENSION.from_deadline - 1):
        with pytest.raises(Exception, match="CHECK"):
            ledger.subscriptions.begin_extension(replace(EXTENSION, to_deadline=to), at("11-01"))


def test_verify_finds_what_was_written_past_the_triggers(ledger: Ledger, path: Path) -> None:
    """A final invoice that is a draft again, and an extension without proof, break an invariant each."""
    ledger.subscriptions.record(pull(at("11-02")), [], [final("11-01T01:00")])
    number = ledger.subscriptions.begin_extension(EXTENSION, at("11-01T00:30"))
    with closing(sqlite3.connect(path, isolation_level=None)) as plain:
        plain.execute("DROP TRIGGER deadline_extension_outcomes_refuse_unproved")
        plain.execute(
            "INSERT INTO deadline_extension_outcomes VALUES (?, 'extended', 200, '', ?, 1)",
            (number, EXTENSION.from_deadline),
        )
        plain.execute(
            "INSERT INTO billing_invoices (invoice_id, subscription_id, stripe_customer_id, status, "
            "billing_reason, created_at, auto_advance, recorded_at) "
            "VALUES ('in_1', 'sub_1', 'cus_1', 'draft', 'subscription_cycle', 1, 1, 1)"
        )
    assert {one.name for one in verify(ledger) if not one.ok} == {"extended_has_proof", "final_stays_final"}
