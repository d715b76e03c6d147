"""A ledger with unsent usage of October, a Stripe with its draft, and commands that extend it."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from meterledger.domain.billing_facts import PulledInvoice
from meterledger.domain.dues import DeadlineSource
from meterledger.domain.instant import HOUR, Instant
from meterledger.usecases.extend_deadlines import Extender, ExtendOptions, ExtendReport, Line, Result
from meterledger.usecases.known_dues import known_dues
from meterledger.usecases.pull_billing import pull_billing
from support.billing_facts import at, draft, line, pulled_item
from support.delivered_ledger import LedgerBuilder, ledger_builder
from support.draft_stripe import ACCESS, DraftStripe

OLD, NEW = at("11-01T01:00"), at("11-01T07:00")
"""The draft's deadline, and six hours later."""


@dataclass(slots=True)
class Desk:
    """A ledger with unsent usage of October, and a Stripe with its draft."""

    built: LedgerBuilder
    stripe: DraftStripe

    def run(
        self,
        *,
        customer: str | None = None,
        by: int = 6 * HOUR,
        to: Instant | None = None,
        dry_run: bool = False,
        answer: bool | None = None,
        before_moving: Sequence[PulledInvoice] = (),
    ) -> ExtendReport:
        """Pull, then extend; ``before_moving`` is what happens to invoices while a person is asked."""

        def confirm(_lines: Sequence[Line]) -> bool:
            self.stripe.billed.invoices_by_id |= {one.invoice_id: one for one in before_moving}
            return answer is not False

        async def extended() -> ExtendReport:
            paced = self.stripe.paced()
            await pull_billing(
                self.built.ledger, self.stripe, ACCESS, paced=paced, server_date=lambda: self.stripe.now
            )
            extender = Extender(
                ledger=self.built.ledger, settings=self.built.settings, gateway=self.stripe, paced=paced
            )
            return await extender.run(
                ExtendOptions(
                    by=by if to is None else None,
                    to=to,
                    customer=customer,
                    dry_run=dry_run,
                    confirm=confirm,
                )
            )

        return asyncio.run(extended())

    def results(self, report: ExtendReport) -> list[tuple[Result, Instant | None]]:
        """Return what became of each draft, and the deadline that it told last."""
        return [(one.result, one.now_at) for one in report.lines]

    @property
    def moves(self) -> list[tuple[str, Instant, str]]:
        """What Stripe was asked to move."""
        return self.stripe.billed.moves

    @property
    def due(self) -> tuple[Instant, DeadlineSource]:
        """The deadline of the usage, as the audit has it."""
        dues = known_dues(self.built.ledger, self.built.settings)
        found = dues.at("cus_1", None, "api_requests", at("10-15")).due
        return found.deadline, found.source


@contextmanager
def extend_desk(folder: Path) -> Iterator[Desk]:
    """Yield a desk ten minutes after the end of October."""
    stripe = DraftStripe(now=at("11-01T00:10"), meters={"mtr_1": "api_requests"})
    stripe.billed.items = [pulled_item(event_name="api_requests")]
    stripe.billed.invoices_by_id = {"in_1": draft()}
    with ledger_builder(folder) as built:
        built.usage("r1", "2026-10-15T00:00:00Z", recorded="2026-11-01T00:05:00Z", customer="cus_1")
        yield Desk(built, stripe)


def with_second_draft(desk: Desk) -> None:
    """Add another customer whose draft is behind."""
    with_another_draft(desk, 2)


def with_another_draft(desk: Desk, number: int) -> None:
    """Add a customer of this number whose draft is behind."""
    item, customer, subscription = f"si_{number}", f"cus_{number}", f"sub_{number}"
    desk.stripe.billed.items.append(
        pulled_item(
            item_id=item,
            subscription_id=subscription,
            stripe_customer_id=customer,
            event_name="api_requests",
        )
    )
    other = replace(
        draft(invoice_id=f"in_{number}", lines=(line("10-01", "11-01", item=item),)),
        stripe_customer_id=customer,
        subscription_id=subscription,
    )
    desk.stripe.billed.invoices_by_id[other.invoice_id] = other
    at_night = "2026-11-01T00:05:00Z"
    desk.built.usage(f"r9-{number}", "2026-10-15T00:00:00Z", recorded=at_night, customer=customer)
