"""What the ledger says Stripe has taken, beside what Stripe's summaries say, customer by customer."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

from meterledger.config import Settings
from meterledger.domain.meter import Aggregation
from meterledger.domain.quantity import ZERO, Quantity
from meterledger.errors import StripeError
from meterledger.ledger import Ledger

if TYPE_CHECKING:
    from meterledger.stripe_gateway.gateway import Read

_MINUTE_SECONDS = 60


class SummaryGateway(Protocol):
    """Reads what Stripe has counted."""

    async def meter_ids(self) -> "Read":
        """Return event name -> meter id."""

    async def summary(self, meter_id: str, customer: str, start: int, end: int) -> "Read":
        """Return the total of a customer in [start, end), in epoch seconds at full minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedTotal:
    """One meter and customer, on both sides."""

    event_name: str
    stripe_customer_id: str
    ledger: Decimal
    stripe: Decimal

    @property
    def is_equal(self) -> bool:
        """Tell whether both sides say the same, to the last digit."""
        return self.ledger == self.stripe


@dataclass(slots=True)
class _Span:
    total: Quantity
    first: int
    last: int


async def compare_totals(ledger: Ledger, settings: Settings, gateway: SummaryGateway) -> list[ComparedTotal]:
    """Compare every meter and customer that Stripe has taken usage of; StripeError if it cannot be read."""
    ids = await gateway.meter_ids()
    if ids.value is None:
        raise StripeError(ids.warning)
    compared = []
    for (event_name, customer), span in _spans(ledger, settings).items():
        start = span.first - span.first % _MINUTE_SECONDS
        end = span.last - span.last % _MINUTE_SECONDS + _MINUTE_SECONDS
        read = await gateway.summary(ids.value.get(event_name, ""), customer, start, end)
        if read.value is None:
            raise StripeError(read.warning)
        compared.append(
            ComparedTotal(
                event_name=event_name,
                stripe_customer_id=customer,
                ledger=Decimal(str(span.total)),
                stripe=read.value,
            )
        )
    return compared


def _spans(ledger: Ledger, settings: Settings) -> dict[tuple[str, str], _Span]:
    """Return each meter and customer with its total, and the seconds of its first and last event."""
    spans: dict[tuple[str, str], _Span] = {}
    for row in ledger.reports.accepted_totals():
        span = spans.setdefault(
            (row["event_name"], row["stripe_customer_id"]), _Span(ZERO, row["first"], row["last"])
        )
        span.total += Quantity(row["quantity"], row["scale"])
        span.first, span.last = min(span.first, row["first"]), max(span.last, row["last"])
    spans.update(_of_last_meters(ledger, settings, spans))
    return spans


def _of_last_meters(
    ledger: Ledger, settings: Settings, spans: dict[tuple[str, str], _Span]
) -> Iterator[tuple[tuple[str, str], _Span]]:
    """Replace the sums of `last` meters by their last value, which is what Stripe bills."""
    last_meters = {
        meter.event_name for meter in settings.catalogue.meters if meter.aggregation is Aggregation.LAST
    }
    for row in ledger.reports.last_accepted_values():
        key = (row["event_name"], row["stripe_customer_id"])
        if row["event_name"] in last_meters:
            yield key, _Span(Quantity(row["quantity"], row["scale"]), spans[key].first, spans[key].last)
