"""What v2 remembers, taken out of one account's journal and into another account."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from meterledger.simulator.happenings import catch_up
from meterledger.simulator.rules import Rules
from meterledger.simulator.state.account import Account
from meterledger.simulator.state.account_book import AccountBook
from simulator.conversation import MINUTE, START
from simulator.one_journal import OneJournal
from simulator.v2_conversation import V2Conversation, v2_fields


@dataclass
class Kept:
    """A journal that keeps the latest document of everything, as a state file does."""

    documents: dict[tuple[str, str], bytes] = field(default_factory=dict)

    def put(self, kind: str, key: str, document: object) -> None:
        """Keep a document."""
        self.documents[kind, key] = msgspec.json.encode(document)

    def drop(self, kind: str, key: str) -> None:
        """Forget a document."""
        del self.documents[kind, key]


def kept_of(talk: V2Conversation) -> Kept:
    """Let a conversation's account be kept from now on."""
    kept = Kept()
    talk.stripe.accounts = AccountBook(Rules(), OneJournal(kept))
    return kept


def restored(kept: Kept) -> Account:
    """Return an account made of the documents that are kept."""
    journal = Kept(dict(kept.documents))
    account = Account("acct_simulator", livemode=False, rules=Rules(), journal=journal)
    for kind, book in account.restorable().items():
        for (its, key), document in list(kept.documents.items()):
            if its == kind:
                book.restore(key, document)
    return account


def reports(account: Account) -> list[Any]:
    """Return the data of an account's error reports, a minute after the start."""
    catch_up(account, START + MINUTE)
    return [event.data for event in account.core_events.newest_first(START + MINUTE) if event.data]


def test_sessions_open_reports_and_events_survive() -> None:
    """A token still opens its session, and a report that was not published yet is, once."""
    talk = V2Conversation()
    kept = kept_of(talk)
    talk.meter()
    token = talk.session()
    talk.stream(token, v2_fields(), v2_fields("-1", identifier="x"), v2_fields(event_name="nothing"))
    account = restored(kept)
    session = account.sessions.find(token)
    assert session is not None
    assert session.expires_at == START + 15 * MINUTE
    assert [event.type for event in account.core_events.newest_first(START)] == ["v1.billing.meter.created"]
    assert reports(account) == reports(talk.stripe.accounts.all()[0])
    assert len(reports(account)) == 2
    assert reports(restored(kept)) == reports(account)


def test_what_is_over_leaves_the_state() -> None:
    """Published reports and sessions that are long over are dropped from the journal."""
    talk = V2Conversation()
    kept = kept_of(talk)
    talk.meter()
    talk.stream(talk.session(), v2_fields("-1"))
    talk.clock.advance(2 * 86_400)
    talk.session()
    kinds = [kind for kind, _ in kept.documents]
    assert (kinds.count("open_report"), kinds.count("stream_session")) == (0, 1)


def test_a_cancelation_survives() -> None:
    """An event that was canceled counts no more after a restart either."""
    talk = V2Conversation()
    kept = kept_of(talk)
    talk.meter()
    talk.event("5", identifier="x")
    talk.event("7", identifier="y")
    document = {"event_name": "api_requests", "type": "cancel", "cancel": {"identifier": "x"}}
    assert talk.v2("/v2/billing/meter_event_adjustments", document).status == 200
    account = restored(kept)
    (series,) = account.usage.series()
    assert account.usage.measure(series).total == 7
    assert account.usage.shown(series, START).total() == 7
