"""What the journal hears of billing is enough to go on from."""

import msgspec

from meterledger.simulator.state.account_book import AccountBook
from simulator.billing_conversation import DECEMBER, JANUARY, NOVEMBER, BillingConversation
from simulator.conversation import DAY, HOUR
from simulator.one_journal import OneJournal


class _Diary:
    """Keeps the last document of every object, by kind and key, in the order they first came."""

    def __init__(self) -> None:
        self.documents: dict[tuple[str, str], bytes] = {}

    def put(self, kind: str, key: str, document: object) -> None:
        """Keep a document."""
        self.documents[kind, key] = msgspec.json.encode(document)

    def drop(self, kind: str, key: str) -> None:
        """Forget a document."""
        self.documents.pop((kind, key), None)


def _recorded(diary: _Diary) -> BillingConversation:
    talk = BillingConversation()
    talk.stripe.accounts = AccountBook(talk.stripe.accounts._rules, OneJournal(diary))
    return talk


def test_billing_goes_on_after_a_restart() -> None:
    """Restored in the middle of grace, the drafts, the deadlines and the later periods are the same."""
    diary = _Diary()
    before = _recorded(diary)
    before.subscribe(before.price(unit_amount=None, unit_amount_decimal="0.125"), before.licensed())
    before.subscribe(customer="cus_B", **{"billing_mode[type]": "classic"})
    before.subscribe(customer="cus_C", cancel_at=JANUARY + DAY)
    before.cancel(before.subscribe(customer="cus_D"))
    before.use("3.5", NOVEMBER)
    before.go_to(NOVEMBER + DAY)
    changed = {"items[0][id]": "si_test_3", "items[0][price]": before.price(unit_amount=3)}
    before.change("sub_test_2", **changed)
    before.use("8", NOVEMBER + DAY, customer="cus_B")
    before.go_to(DECEMBER)
    moved = before.invoices(customer="cus_C")[0]["id"]
    before.post(f"/v1/invoices/{moved}", {"automatically_finalizes_at": DECEMBER + 2 * DAY})

    after = _recorded(_Diary())
    after.go_to(DECEMBER)
    account = after.stripe.accounts.open(None, livemode=False, now=DECEMBER)
    for kind, restorable in account.restorable().items():
        for (stored, key), document in diary.documents.items():
            if stored == kind:
                restorable.restore(key, document)

    for talk in (before, after):
        talk.go_to(DECEMBER + HOUR)
        talk.use("1", NOVEMBER + DAY, customer="cus_C")
        talk.go_to(JANUARY + 40 * DAY)
    assert after.invoices() == before.invoices()
    assert after.billing_ledger() == before.billing_ledger()
    assert after.happened() == before.happened()
