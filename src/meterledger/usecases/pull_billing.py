"""Pull subscriptions and invoices from Stripe: when periods end, and when their invoices finalize."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from meterledger.domain.billing_facts import DELETED, BillingFacts, PulledInvoice, PulledItem
from meterledger.domain.customers import BillingInterval
from meterledger.domain.dues import NEVER
from meterledger.domain.instant import DAY, Instant, to_text
from meterledger.errors import UsageError
from meterledger.ledger import Ledger
from meterledger.ledger.subscriptions import Pull
from meterledger.stripe_gateway.access import StripeAccess
from meterledger.stripe_gateway.billing import Billing, Page, Refusal
from meterledger.usecases.door import recognized
from meterledger.usecases.paced_requests import PacedRequests

if TYPE_CHECKING:
    from meterledger.stripe_gateway.gateway import Read

LOOK_BACK = 45 * DAY
"""How far back final invoices and ended subscriptions matter: usage over 35 days old is not taken."""

MAX_PAGES = 4000
"""Of one list: 200,000 objects."""

MAX_SINGLE_READS = 500
"""Drafts known before that no list shows any more are read one by one."""

_ODD_NAMED = 10
"""Rows of another form that a warning names."""

_NEVER_BEGAN = "incomplete_expired"


class BillingGateway(Protocol):
    """Reads account, meters, subscriptions and invoices."""

    @property
    def billing(self) -> Billing:
        """Subscriptions and invoices."""

    async def account_id(self) -> "Read":
        """Return the account's id, or a warning."""

    async def meter_names(self) -> "Read":
        """Return meter id -> event name, or a warning."""


@dataclass(slots=True, kw_only=True)
class PullReport:
    """What a pull brought."""

    pull: Pull
    items: int = 0
    invoices: int = 0
    drafts: int = 0
    new_items: int = 0
    new_invoices: int = 0
    warnings: list[str] = field(default_factory=list)
    odd_invoices: tuple[str, ...] = ()
    """Where all invoices were listed, what is wrong with those that were left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    """The rows of a list, whether they are all of it, and what is wrong with those that were left out."""

    rows: list[Any] = field(default_factory=list)
    is_whole: bool = False
    has_ended: bool = False
    """Whether the list was read to its end, perhaps without rows of another form."""
    odd: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class _Pulling:
    gateway: BillingGateway
    paced: PacedRequests
    warnings: list[str]

    async def subscriptions(self) -> _Listed:
        """Return the items of all subscriptions."""
        names = await self.gateway.meter_names()
        if names.value is None:
            self.warnings.append(names.warning)
            return _Listed()
        listed = await self._pages(
            "subscriptions", lambda after: self.gateway.billing.subscriptions(names.value, after)
        )
        return _Listed(rows=[item for items in listed.rows for item in items], is_whole=listed.is_whole)

    async def invoices(self, now: Instant) -> _Listed:
        """Return the drafts, and what was made lately."""
        # Drafts first: what finalizes meanwhile is in the second list as it is then.
        drafts = await self._pages("invoices", self._invoice_pages("draft", None))
        if not drafts.has_ended and not drafts.rows:
            return drafts
        lately = await self._pages("invoices", self._invoice_pages(None, now - LOOK_BACK))
        return _Listed(
            rows=drafts.rows + lately.rows,
            is_whole=drafts.is_whole and lately.is_whole,
            has_ended=drafts.has_ended and lately.has_ended,
            odd=tuple(dict.fromkeys(drafts.odd + lately.odd)),
        )

    def _invoice_pages(
        self, status: str | None, since: Instant | None
    ) -> Callable[[str | None], Awaitable[Page | Refusal]]:
        return lambda after: self.gateway.billing.invoices(created_since=since, status=status, after=after)

    async def missing(self, known: dict[str, PulledInvoice]) -> list[PulledInvoice]:
        """Return drafts that were known and are in no list, as they are now."""
        found = []
        for invoice_id, before in sorted(known.items())[:MAX_SINGLE_READS]:
            read = await self.paced.ask(partial(self.gateway.billing.invoice, invoice_id))
            if read is None:
                found.append(replace(before, status=DELETED, finalizes_at=None))
            elif isinstance(read, PulledInvoice):
                found.append(read)
            else:
                self.warnings.append(read.warning)
        return found

    async def _pages(
        self, what: str, page_after: Callable[[str | None], Awaitable[Page | Refusal]]
    ) -> _Listed:
        rows: list[Any] = []
        unreadable, after = 0, None
        odd: list[str] = []
        for _ in range(MAX_PAGES):
            page = await self.paced.ask(partial(page_after, after))
            if isinstance(page, Refusal):
                self.warnings.append(page.warning)
                return _Listed(rows=rows)
            rows += page.rows
            unreadable += page.unreadable
            odd += page.odd
            after = page.after
            if after is None:
                break
        else:
            self.warnings.append(f"{what}: there are more than {MAX_PAGES} pages")
        if unreadable:
            which = "; ".join(odd[:_ODD_NAMED])
            warning = f"{what}: {unreadable} have another form than Stripe's, and are left out"
            told = f"{warning}: {which}" if which else warning
            # A draft may be in both lists of invoices.
            self.warnings += [told] if told not in self.warnings else []
        has_ended = after is None
        return _Listed(rows=rows, is_whole=has_ended and not unreadable, has_ended=has_ended, odd=tuple(odd))


async def pull_billing(
    ledger: Ledger,
    gateway: BillingGateway,
    access: StripeAccess,
    *,
    paced: PacedRequests,
    server_date: Callable[[], Instant | None],
) -> PullReport:
    """
    Read what decides when usage is billed, and record what is new.

    What the key may not read is a warning; what was known of it stays.

    Raises:
        UsageError: The ledger belongs to another account, mode or host.
        StripeError: The key is refused, or Stripe cannot be reached or cannot tell for now.
    """
    account, warnings = await recognized(ledger, gateway, access, server_date, paced.clock)
    _refuse_other_pulls(ledger, access, account)
    pulling = _Pulling(gateway=gateway, paced=paced, warnings=warnings)
    now = paced.clock()
    listed = await pulling.subscriptions()
    drawn = await pulling.invoices(now)
    facts = ledger.subscriptions.facts()
    items = [one for one in listed.rows if _matters(one, facts, now)]
    invoices = {one.invoice_id: one for one in drawn.rows}
    if drawn.is_whole:
        known = {key: one.invoice for key, one in facts.invoices.items() if one.invoice.is_draft}
        gone = {key: one for key, one in known.items() if key not in invoices}
        invoices |= {one.invoice_id: one for one in await pulling.missing(gone)}
    metered = facts.items.keys() | {one.item_id for one in items}
    kept = [one for one in (_of_items(one, metered) for one in invoices.values()) if one.lines]
    pull = Pull(
        account_id=account,
        mode=access.mode,
        host=access.base,
        stripe_account=access.stripe_account,
        subscriptions_read=listed.is_whole,
        invoices_read=drawn.is_whole,
        recorded_at=paced.clock(),
    )
    new_items, new_invoices = ledger.subscriptions.record(pull, items, kept)
    return PullReport(
        pull=pull,
        items=len(items),
        invoices=len(kept),
        drafts=sum(one.is_draft for one in kept),
        new_items=new_items,
        new_invoices=new_invoices,
        warnings=warnings,
        odd_invoices=drawn.odd if drawn.has_ended else (),
    )


def _matters(item: PulledItem, facts: BillingFacts, now: Instant) -> bool:
    """Tell whether an item bills usage that can still be sent, or was known to."""
    if item.status == _NEVER_BEGAN:
        return False
    return item.item_id in facts.items or item.ended_at is None or item.ended_at > now - LOOK_BACK


def _of_items(invoice: PulledInvoice, metered: "set[str]") -> PulledInvoice:
    """Return an invoice with the lines of metered items alone."""
    return replace(invoice, lines=tuple(line for line in invoice.lines if line.item_id in metered))


def _refuse_other_pulls(ledger: Ledger, access: StripeAccess, account: str | None) -> None:
    """Raise UsageError if an unbound ledger has facts of another account: periods would be mixed up."""
    before = ledger.subscriptions.latest_pull()
    if before is None:
        return
    same = (before.mode, before.host, before.stripe_account) == (
        access.mode,
        access.base,
        access.stripe_account,
    )
    if not same or (account and before.account_id and account != before.account_id):
        raise UsageError(
            f"this ledger has pulled from {before.account_id or 'another account'} at {before.host}, "
            f"{before.mode} mode",
            hint="use the key and host of that pull, or another ledger",
        )


def pulled_customers(ledger: Ledger) -> list[dict[str, Any]]:
    """
    Return the subscriptions that bill a meter, with what customers files call their customers.

    Where no file names a Stripe customer, its own id stands for it; metadata is not guessed at.
    """
    own_ids: dict[str, set[str]] = {}
    for recorded in ledger.customers.states():
        own_ids.setdefault(recorded.state.stripe_customer_id, set()).add(recorded.state.customer_id)
    return [
        {
            "customer_id": customer_id,
            "stripe_customer_id": item.stripe_customer_id,
            "subscription_id": item.subscription_id,
            "status": item.status,
            "event_name": item.event_name,
            "billing_cycle_anchor": to_text(item.anchor),
            "interval": str(BillingInterval(unit=item.interval_unit, count=item.interval_count)),
            "period_start": to_text(item.period_start),
            "period_end": to_text(item.period_end),
            "ends_at": None if item.end == NEVER else to_text(item.end),
            "billing_mode": item.billing_mode,
        }
        for item in ledger.subscriptions.facts().latest()
        for customer_id in sorted(own_ids.get(item.stripe_customer_id, {item.stripe_customer_id}))
    ]
