"""Invoices: their lines, and what they come to."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from enum import StrEnum

from meterledger.simulator.billing.subscriptions import Collection
from meterledger.simulator.metering.tally import MAX_VALUE_TEXT, ZERO
from meterledger.simulator.state.book import Book, Journal
from meterledger.simulator.state.timeline import Timeline

FINALIZE_INVOICE = "finalize_invoice"

_PRODUCT = Context(prec=MAX_VALUE_TEXT + 200)  # digits; holds any sum of values times any price exactly
_UNIT = Decimal(1)


class InvoiceStatus(StrEnum):
    """Stripe's words; nothing is ever voided or given up here."""

    DRAFT = "draft"
    OPEN = "open"
    PAID = "paid"
    UNCOLLECTIBLE = "uncollectible"
    VOID = "void"


class BillingReason(StrEnum):
    """Why an invoice was made."""

    CREATE = "subscription_create"
    CYCLE = "subscription_cycle"
    UPDATE = "subscription_update"
    UPCOMING = "upcoming"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """
    What an invoice bills of one item.

    Attributes:
        id: `il_...`.
        item: The id of the subscription's item.
        price: The id of the price that it is billed at.
        product: The id of what is sold.
        label: The product's name.
        unit_amount: What a unit costs, in the currency's smallest unit.
        start: What it bills lies from here on, in epoch seconds.
        end: And before here.
        metered: Whether a meter tells the quantity.
        counted: What the meter made of the usage, or the quantity of a licensed price; exact, negative where
            corrections outweigh. None as long as the meter is still asked.
        events: How many events it was made of.
    """

    id: str
    item: str
    price: str
    product: str
    label: str
    unit_amount: Decimal
    start: int
    end: int
    metered: bool
    counted: Decimal | None = None
    events: int = 0

    @property
    def quantity(self) -> Decimal:
        """What is billed: never less than nothing."""
        return ZERO if self.counted is None else max(ZERO, self.counted)

    @property
    def amount(self) -> int:
        """What it comes to, in the currency's smallest unit; halves are rounded up."""
        exact = _PRODUCT.multiply(self.quantity, self.unit_amount)
        return int(exact.quantize(_UNIT, rounding=ROUND_HALF_UP, context=_PRODUCT))


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """
    An invoice; instants are whole seconds since the epoch.

    Attributes:
        id: `in_...`.
        livemode: Whether it is of live mode.
        created: When it was made.
        customer: Whom it bills; an id.
        subscription: What for; an id.
        subscription_metadata: The subscription's metadata when it was made.
        reason: Why it was made.
        currency: Three letters.
        period_start: The start of the period that ended with it.
        period_end: And its end.
        lines: What it bills.
        status: Whether it is a draft.
        auto_advance: Whether a draft is finalized by itself.
        automatically_finalizes_at: When it is.
        finalized_at: When it was.
        number: Its number, once it is final.
        collection: How it is paid.
        days_until_due: How long it may stay unpaid, where it is sent.
        description: For people.
        metadata: The client's own.
    """

    id: str
    livemode: bool
    created: int
    customer: str
    subscription: str
    subscription_metadata: dict[str, str]
    reason: BillingReason
    currency: str
    period_start: int
    period_end: int
    lines: tuple[Line, ...]
    status: InvoiceStatus = InvoiceStatus.DRAFT
    auto_advance: bool
    automatically_finalizes_at: int | None
    finalized_at: int | None = None
    number: str | None = None
    collection: Collection
    days_until_due: int | None
    description: str | None = None
    metadata: dict[str, str]

    @property
    def total(self) -> int:
        """What it comes to, in the currency's smallest unit."""
        return sum(line.amount for line in self.lines)


class InvoiceBook:
    """
    The invoices of one account.

    Args:
        journal: Hears of every change.
        timeline: Where their finalizations are planned.
    """

    KIND = "invoice"

    def __init__(self, journal: Journal, timeline: Timeline) -> None:
        self._timeline = timeline
        self._book: Book[Invoice] = Book(Invoice, self.KIND, "invoice", journal)
        self._planned: dict[str, int] = {}  # of drafts
        self._of_customer: dict[str, list[str]] = {}

    def put(self, invoice: Invoice) -> Invoice:
        """Take in a new invoice, or a changed one in its place, and return it."""
        is_new = self._book.find(invoice.id) is None
        return self._index(self._book.put(invoice), is_new=is_new)

    def get(self, invoice_id: str) -> Invoice:
        """
        Return an invoice.

        Raises:
            ApiError: 404 `resource_missing`.
        """
        return self._book.get(invoice_id)

    def newest_first(self, customer: str | None = None) -> list[Invoice]:
        """Return every invoice, or those of a customer, the newest first."""
        if customer is None:
            return self._book.newest_first()
        return [self._book.get(invoice_id) for invoice_id in reversed(self._of_customer.get(customer, ()))]

    def oldest_first(self) -> list[Invoice]:
        """Return every invoice, the oldest first."""
        return list(self._book)

    def restore(self, key: str, document: bytes) -> None:
        """Take in an invoice of a state file."""
        is_new = self._book.find(key) is None
        self._book.restore(key, document)
        self._index(self._book.get(key), is_new=is_new)

    def _index(self, invoice: Invoice, *, is_new: bool) -> Invoice:
        if is_new:
            self._of_customer.setdefault(invoice.customer, []).append(invoice.id)
        due = invoice.automatically_finalizes_at
        if due is None:
            self._planned.pop(invoice.id, None)
        elif self._planned.get(invoice.id) != due:
            self._planned[invoice.id] = due
            self._timeline.plan(due, FINALIZE_INVOICE, invoice.id)
        return invoice
