"""A Stripe of subscriptions and drafts in memory, which loses answers and dies as it is told."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import cast

from meterledger.domain.billing_facts import PulledInvoice, PulledItem
from meterledger.domain.instant import Instant
from meterledger.stripe_gateway.access import StripeAccess
from meterledger.stripe_gateway.billing import Billing, Changed, Page, Refusal
from meterledger.stripe_gateway.gateway import Read
from meterledger.usecases.paced_requests import PacedRequests

ACCESS = StripeAccess(key="sk_test_drafts", mode="test", base="http://127.0.0.1:12111")


class Died(BaseException):
    """The process died here: nothing of it goes on."""


@dataclass(slots=True)
class Billed:
    """What can be asked of subscriptions and invoices."""

    items: list[PulledItem] = field(default_factory=list)
    invoices_by_id: dict[str, PulledInvoice] = field(default_factory=dict)
    refusals: dict[str, Refusal] = field(default_factory=dict)
    """Read -> what it brings instead."""
    odd: tuple[str, ...] = ()
    """What is wrong with invoices that lists leave out."""
    script: list[str] = field(default_factory=list)
    """
    What becomes of the next moves: done, answer_lost, request_lost, dies_before, dies_after, odd_after, a
    status.
    """
    moves: list[tuple[str, Instant, str]] = field(default_factory=list)
    """Invoice, deadline and key of each request that was carried out or refused."""

    async def subscriptions(self, meters: Mapping[str, str], after: str | None) -> Page | Refusal:
        """Return every item."""
        assert meters
        assert after is None
        return self.refusals.get("subscriptions") or Page(rows=(list(self.items),))

    async def invoices(
        self, *, created_since: Instant | None, status: str | None, after: str | None
    ) -> Page | Refusal:
        """Return the invoices of a status, or those made since."""
        assert after is None
        found = [
            one
            for one in self.invoices_by_id.values()
            if (status is None or one.status == status) and one.created >= (created_since or 0)
        ]
        return self.refusals.get("invoices") or Page(
            rows=tuple(found), unreadable=len(self.odd), odd=self.odd
        )

    async def invoice(self, invoice_id: str) -> PulledInvoice | Refusal | None:
        """Return one invoice."""
        refusal = self.refusals.get("invoice") or self.refusals.get(invoice_id)
        return refusal or self.invoices_by_id.get(invoice_id)

    async def move_deadline(self, invoice_id: str, deadline: Instant, idempotency_key: str) -> Changed:
        """Move a deadline, as the script says."""
        what = self.script.pop(0) if self.script else "done"
        if what == "dies_before":
            raise Died
        if what == "request_lost":
            return Changed(status=None, message="connection reset")
        self.moves.append((invoice_id, deadline, idempotency_key))
        if what.isdigit():
            return Changed(status=int(what), message="no")
        self.invoices_by_id[invoice_id] = replace(self.invoices_by_id[invoice_id], finalizes_at=deadline)
        if what == "odd_after":
            self.refusals[invoice_id] = Refusal(warning=f"{invoice_id}: no status", is_odd=True)
        if what == "dies_after":
            raise Died
        return Changed(status=None if what == "answer_lost" else 200)


@dataclass(slots=True)
class DraftStripe:
    """What a pull and an extension need of Stripe, and the time."""

    now: Instant
    account: str | None = "acct_1"
    billed: Billed = field(default_factory=Billed)
    meters: dict[str, str] | None = field(default_factory=lambda: {"mtr_1": "calls"})
    dies_after: int | None = None
    """How many requests are made before the process dies."""
    dies_of: type[BaseException] = Died
    """What that is; CancelledError is what a signal makes of it."""

    @property
    def billing(self) -> Billing:
        """Subscriptions and invoices."""
        return cast("Billing", self.billed)

    async def account_id(self) -> Read:
        """Return the account's id."""
        return Read(value=self.account)

    async def meter_names(self) -> Read:
        """Return the meters."""
        warning = "" if self.meters else "its meters could not be read (403)"
        return Read(value=self.meters, warning=warning)

    def paced(self) -> PacedRequests:
        """Return requests that wait for nothing, and die where that is asked for."""

        async def sleep(_seconds: float) -> None:
            if self.dies_after is not None:
                self.dies_after -= 1
                if self.dies_after < 0:
                    raise self.dies_of
            await asyncio.sleep(0)

        return PacedRequests(
            clock=lambda: self.now,
            monotonic=lambda: self.now / 1_000_000,
            sleep=sleep,
            chance=lambda: 0.5,
        )
