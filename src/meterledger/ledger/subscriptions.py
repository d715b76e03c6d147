"""What Stripe said of subscriptions and invoices, and the deadlines that were moved: all with its history."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from meterledger.domain.billing_facts import (
    BillingFacts,
    InvoiceVersion,
    ItemVersion,
    PulledInvoice,
    PulledItem,
    PulledLine,
    billed_items,
)
from meterledger.domain.dues import BilledItem
from meterledger.domain.instant import Instant
from meterledger.domain.quantity import Quantity
from meterledger.ledger.database import Database, Row

SAME_KEY_ANSWERS = 2
"""After so many answers under one key the next attempt takes another: v1 replays what it answered."""

_LATEST: Instant = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """One reading of Stripe: of whose account, what of it could be read whole, and when."""

    account_id: str | None
    mode: str
    host: str
    stripe_account: str
    subscriptions_read: bool
    invoices_read: bool
    recorded_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """An intent to move a draft's deadline."""

    invoice_id: str
    stripe_customer_id: str
    from_deadline: Instant
    to_deadline: Instant
    idempotency_key: str
    number: int = 0
    """Its number in the ledger; 0 as long as it is not there."""

    def numbered(self, number: int) -> "Extension":
        """Return it with its number."""
        return replace(self, number=number)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtensionOutcome:
    """What became of one: what the invoice said of its deadline afterwards."""

    is_extended: bool
    http_status: int | None
    message: str
    deadline: Instant | None


@dataclass(frozen=True, slots=True)
class UnsentUsage:
    """A usage event that is sealed and not accepted."""

    stripe_customer_id: str
    event_name: str
    event_time: Instant
    quantity: Quantity


class SubscriptionStore:
    """Owns what was pulled, and the moves of deadlines; rows are added, and never changed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def billed_items(self, as_of: Instant | None = None) -> dict[tuple[str, str], list[BilledItem]]:
        """Return (Stripe customer, event name) -> the items that bill it, as known at an instant."""
        return billed_items(self.facts(as_of))

    def facts(self, as_of: Instant | None = None) -> BillingFacts:
        """Return all that is known at an instant; None for now."""
        known_by = _LATEST if as_of is None else as_of
        items: dict[str, list[ItemVersion]] = {}
        for row in self._database.stream("billing_items", as_of=known_by):
            items.setdefault(row["item_id"], []).append(ItemVersion(row["recorded_at"], _item(row)))
        lines: dict[int, list[PulledLine]] = {}
        for invoice, item_id, start, end, price_id in self._database.stream("billing_lines", as_of=known_by):
            line = PulledLine(item_id=item_id, price_id=price_id, start=start, end=end)
            lines.setdefault(invoice, []).append(line)
        first: dict[str, InvoiceVersion] = {}
        latest: dict[str, InvoiceVersion] = {}
        for row in self._database.stream("billing_invoices", as_of=known_by):
            version = InvoiceVersion(row["recorded_at"], _invoice(row, lines.get(row["id"], [])))
            first.setdefault(row["invoice_id"], version)
            latest[row["invoice_id"]] = version
        return BillingFacts(items=items, first_invoices=first, invoices=latest)

    def latest_pull(self, as_of: Instant | None = None) -> Pull | None:
        """Return the latest reading of Stripe."""
        row = self._database.row("latest_billing_pull", as_of=_LATEST if as_of is None else as_of)
        if row is None:
            return None
        return Pull(
            account_id=row["account_id"],
            mode=row["mode"],
            host=row["host"],
            stripe_account=row["stripe_account"],
            subscriptions_read=bool(row["subscriptions_read"]),
            invoices_read=bool(row["invoices_read"]),
            recorded_at=row["recorded_at"],
        )

    def record(
        self, pull: Pull, items: Sequence[PulledItem], invoices: Iterable[PulledInvoice]
    ) -> tuple[int, int]:
        """
        Record a reading, and what is new by it, in one transaction.

        An item that a whole list lacks has ended. What was final is never a draft again, whatever a slower
        reading says. Returns how many items and how many invoices brought something new.
        """
        with self._database.transaction():
            known = self.facts()
            new_items = [one for one in items if one != _known_item(known, one.item_id)]
            if pull.subscriptions_read:
                listed = {one.item_id for one in items}
                new_items += [
                    replace(one, ended_at=pull.recorded_at)
                    for one in known.latest()
                    if one.item_id not in listed and one.ended_at is None
                ]
            new_invoices = [one for one in invoices if _is_news(known.invoices.get(one.invoice_id), one)]
            self._database.run(
                "add_billing_pull",
                account_id=pull.account_id,
                mode=pull.mode,
                host=pull.host,
                stripe_account=pull.stripe_account,
                subscriptions_read=int(pull.subscriptions_read),
                invoices_read=int(pull.invoices_read),
                recorded_at=pull.recorded_at,
            )
            self._database.run_many("add_billing_item", _item_rows(new_items, pull.recorded_at))
            for invoice in new_invoices:
                self._add_invoice(invoice, pull.recorded_at)
        return len(new_items), len(new_invoices)

    def begin_extension(self, extension: Extension, now: Instant) -> int:
        """Commit the intent to move a deadline, before the request leaves; return its number."""
        with self._database.transaction():
            row = self._database.row(
                "add_deadline_extension",
                invoice_id=extension.invoice_id,
                stripe_customer_id=extension.stripe_customer_id,
                from_deadline=extension.from_deadline,
                to_deadline=extension.to_deadline,
                idempotency_key=extension.idempotency_key,
                requested_at=now,
            )
        if row is None:
            raise AssertionError("unreachable: the statement returns the row it wrote")
        number: int = row["id"]
        return number

    def settle_extension(
        self, number: int, outcome: ExtensionOutcome, read_back: PulledInvoice | None, now: Instant
    ) -> None:
        """Record what became of an intent, with what the invoice said where that is new."""
        with self._database.transaction():
            self._database.run(
                "add_deadline_extension_outcome",
                extension=number,
                outcome="extended" if outcome.is_extended else "not_extended",
                http_status=outcome.http_status,
                message=outcome.message,
                deadline=outcome.deadline,
                recorded_at=now,
            )
            if read_back is not None and _is_news(self._latest_invoice(read_back.invoice_id), read_back):
                self._add_invoice(read_back, now)

    def open_extensions(self) -> list[Extension]:
        """Return the intents whose outcome nobody knows, in the order in which they were made."""
        return [
            Extension(
                number=row["id"],
                invoice_id=row["invoice_id"],
                stripe_customer_id=row["stripe_customer_id"],
                from_deadline=row["from_deadline"],
                to_deadline=row["to_deadline"],
                idempotency_key=row["idempotency_key"],
            )
            for row in self._database.rows("open_deadline_extensions")
        ]

    def extended_beside_open(self, span: int) -> dict[str, Instant]:
        """
        Return the invoices that a run moved before it was cut off, each with the deadline that it was given.

        None where no intent is open.

        Args:
            span: How long a run may last, in microseconds.
        """
        rows = self._database.rows("deadlines_extended_beside_open", span=span)
        return {row["invoice_id"]: row["to_deadline"] for row in rows}

    def answers_of(self, invoice_id: str, from_deadline: Instant, to_deadline: Instant) -> int:
        """
        Return how many answers this very change has had; one that made it counts for as many as use a key up.

        It was made, and somebody has moved the deadline back: its key would only bring that answer again.
        """
        row = self._database.row(
            "answered_deadline_extensions",
            same_key_answers=SAME_KEY_ANSWERS,
            invoice_id=invoice_id,
            from_deadline=from_deadline,
            to_deadline=to_deadline,
        )
        return row["count"] if row else 0

    def unsent_sealed(self, since: Instant, until: Instant) -> Iterator[UnsentUsage]:
        """Yield usage of [since, until) that is sealed and not accepted."""
        for customer, event_name, event_time, quantity, scale in self._database.stream(
            "unsent_sealed_usage", since=since, until=until
        ):
            yield UnsentUsage(customer, event_name, event_time, Quantity(quantity, scale))

    def _latest_invoice(self, invoice_id: str) -> InvoiceVersion | None:
        """Return an invoice as it was last seen, without a look at all others."""
        row = self._database.row("latest_billing_invoice", invoice_id=invoice_id)
        if row is None:
            return None
        lines = [
            PulledLine(item_id=item_id, price_id=price_id, start=start, end=end)
            for item_id, start, end, price_id in self._database.tuples("billing_lines_of", invoice=row["id"])
        ]
        return InvoiceVersion(row["recorded_at"], _invoice(row, lines))

    def _add_invoice(self, invoice: PulledInvoice, now: Instant) -> None:
        row = self._database.row(
            "add_billing_invoice",
            invoice_id=invoice.invoice_id,
            subscription_id=invoice.subscription_id,
            stripe_customer_id=invoice.stripe_customer_id,
            status=invoice.status,
            billing_reason=invoice.billing_reason,
            created_at=invoice.created,
            auto_advance=int(invoice.auto_advance),
            finalizes_at=invoice.finalizes_at,
            finalized_at=invoice.finalized_at,
            finalization_error=invoice.finalization_error,
            recorded_at=now,
        )
        if row is None:
            raise AssertionError("unreachable: the statement returns the row it wrote")
        number = row["id"]
        self._database.run_many(
            "add_billing_line",
            [(number, line.item_id, line.start, line.end, line.price_id) for line in invoice.lines],
        )


def _known_item(known: BillingFacts, item_id: str) -> PulledItem | None:
    versions = known.items.get(item_id)
    return versions[-1].item if versions else None


def _is_news(before: InvoiceVersion | None, invoice: PulledInvoice) -> bool:
    """Tell whether an invoice says something new: what was final, or gone, is no draft any more."""
    if before is None:
        return True
    return before.invoice != invoice and (before.invoice.is_draft or not invoice.is_draft)


def _item(row: Row) -> PulledItem:
    return PulledItem(
        item_id=row["item_id"],
        subscription_id=row["subscription_id"],
        stripe_customer_id=row["stripe_customer_id"],
        event_name=row["event_name"],
        price_id=row["price_id"],
        status=row["status"],
        billing_mode=row["billing_mode"],
        anchor=row["anchor"],
        interval_unit=row["interval_unit"],
        interval_count=row["interval_count"],
        start=row["start_at"],
        period_start=row["period_start"],
        period_end=row["period_end"],
        cancel_at=row["cancel_at"],
        ended_at=row["ended_at"],
        has_thresholds=bool(row["has_thresholds"]),
        has_pending_update=bool(row["has_pending_update"]),
    )


def _item_rows(items: Iterable[PulledItem], now: Instant) -> Iterator[tuple[object, ...]]:
    for item in items:
        yield (
            item.item_id,
            item.subscription_id,
            item.stripe_customer_id,
            item.event_name,
            item.price_id,
            item.status,
            item.billing_mode,
            item.anchor,
            item.interval_unit,
            item.interval_count,
            item.start,
            item.period_start,
            item.period_end,
            item.cancel_at,
            item.ended_at,
            int(item.has_thresholds),
            int(item.has_pending_update),
            now,
        )


def _invoice(row: Row, lines: list[PulledLine]) -> PulledInvoice:
    return PulledInvoice(
        invoice_id=row["invoice_id"],
        subscription_id=row["subscription_id"],
        stripe_customer_id=row["stripe_customer_id"],
        status=row["status"],
        billing_reason=row["billing_reason"],
        created=row["created_at"],
        auto_advance=bool(row["auto_advance"]),
        finalizes_at=row["finalizes_at"],
        finalized_at=row["finalized_at"],
        finalization_error=row["finalization_error"],
        lines=tuple(sorted(lines)),
    )
