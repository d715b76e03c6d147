"""What was counted for whom, per billing period and per invoice, and what stands on no invoice at all."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from itertools import groupby
from typing import Any

from meterledger.simulator.billing.invoices import Invoice, InvoiceStatus, Line
from meterledger.simulator.billing.invoicing import as_of
from meterledger.simulator.billing.subscriptions import Item, Segment, Status, Subscription
from meterledger.simulator.instants import LATEST_EPOCH_SECONDS, format_instant
from meterledger.simulator.metering.tally import ZERO, add, plain
from meterledger.simulator.metering.usage import Measured, Series, Span
from meterledger.simulator.state.account import Account

_EVER = Span(-(2**62), 2**62)  # wider than any timestamp


Row = dict[str, Any]
"""A row of the ledger's page, fit for JSON."""


class _State(StrEnum):
    """What has become of a period's usage."""

    RUNNING = "running"
    DRAFT = "draft"
    FINAL = "final"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stay:
    """
    A period, or a part of it with one price, of one item.

    Attributes:
        state: What has become of its usage.
        subscription: Whose it is.
        item: The item's id.
        meter: The id of what counts it.
        segment: Its price and its span.
        invoice: What bills it; None where nothing does, or not yet.
        billed: What stands on that.
        billed_events: And of how many events.
        counted: The same before it was cut to nothing for being negative.
        closed: Whether usage that comes now stands nowhere.
    """

    state: _State
    subscription: Subscription
    item: str
    meter: str
    segment: Segment
    invoice: str | None = None
    billed: Decimal = ZERO
    billed_events: int = 0
    counted: Decimal = ZERO
    closed: bool = False


def billing_rows(accounts: list[Account], now: float) -> dict[str, list[Row]]:
    """
    Return the billing part of the ledger's page, as of now (epoch seconds).

    Returns:
        `periods`: a row for each item, period and price; `invoices`; and `unbilled`: usage outside of every
        period of an item with its meter.
    """
    rows: dict[str, list[Row]] = {"periods": [], "invoices": [], "unbilled": []}
    for account in accounts:
        invoices = _counted(account, account.invoices.oldest_first(), now)
        stays = sorted((*_invoiced(account, invoices), *_others(account)), key=_place)
        rows["periods"] += _period_rows(account, stays)
        rows["invoices"] += [_invoice_row(account, invoice) for _, invoice in invoices]
        rows["unbilled"] += _unbilled_rows(account, stays)
    return rows


def rows_of_invoices(
    account: Account, chosen: Iterable[Invoice], now: float
) -> Iterator[tuple[Row, list[Row]]]:
    """Yield the row of each of some invoices, as of now (epoch seconds), and the rows of its periods."""
    invoices = _counted(account, chosen, now)
    periods: dict[object, list[Row]] = defaultdict(list)
    for period in _period_rows(account, sorted(_invoiced(account, invoices), key=_place)):
        periods[period["invoice"]].append(period)
    for _, invoice in invoices:
        yield _invoice_row(account, invoice), periods[invoice.id]


def rows_of_open_usage(account: Account) -> tuple[list[Row], list[Row]]:
    """Return the rows of the periods that no invoice was made for, and those of `unbilled`."""
    invoices = [(invoice, invoice) for invoice in account.invoices.oldest_first()]
    others = sorted(_others(account), key=_place)
    stays = sorted((*_invoiced(account, invoices), *others), key=_place)
    return list(_period_rows(account, others)), list(_unbilled_rows(account, stays))


def _counted(account: Account, stored: Iterable[Invoice], now: float) -> list[tuple[Invoice, Invoice]]:
    return [(invoice, as_of(account, invoice, now)) for invoice in stored]


def _invoiced(account: Account, invoices: list[tuple[Invoice, Invoice]]) -> Iterator[_Stay]:
    for stored, invoice in invoices:
        subscription = account.subscriptions.get(invoice.subscription)
        is_final = invoice.status is not InvoiceStatus.DRAFT
        for line, held in zip(invoice.lines, stored.lines, strict=True):
            meter = account.prices.get(line.price).meter
            if meter is None or line.end <= line.start:
                continue
            yield _Stay(
                state=_State.FINAL if is_final else _State.DRAFT,
                subscription=subscription,
                item=line.item,
                meter=meter,
                segment=Segment(price=line.price, start=line.start, end=line.end),
                invoice=invoice.id,
                billed=line.quantity,
                billed_events=line.events,
                counted=line.counted or ZERO,
                closed=held.counted is not None,
            )


def _others(account: Account) -> Iterator[_Stay]:
    for subscription in account.subscriptions.oldest_first():
        for item in subscription.items:
            for segment in item.dropped:
                yield from _stay(account, subscription, item, segment, _State.DROPPED)
            if subscription.status is Status.ACTIVE:
                for segment in item.segments(subscription.period_end):
                    yield from _stay(account, subscription, item, segment, _State.RUNNING)


def _stay(
    account: Account, subscription: Subscription, item: Item, segment: Segment, state: _State
) -> Iterator[_Stay]:
    meter = account.prices.get(segment.price).meter
    if meter is not None:
        yield _Stay(
            state=state,
            subscription=subscription,
            item=item.id,
            meter=meter,
            segment=segment,
            closed=state is _State.DROPPED,
        )


def _place(stay: _Stay) -> tuple[str, str, str, int]:
    return (stay.subscription.customer, stay.item, stay.meter, stay.segment.start)


def _period_rows(account: Account, stays: list[_Stay]) -> Iterator[Row]:
    for _, group in groupby(stays, key=lambda stay: _place(stay)[:-1]):
        together = list(group)
        series = _series(account, together[0])
        spans = [Span(stay.segment.start, stay.segment.end) for stay in together]
        measured = (
            [Measured() for _ in spans] if series is None else account.usage.measure_each(series, spans)
        )
        for stay, found in zip(together, measured, strict=True):
            yield _period_row(account, stay, found)


def _period_row(account: Account, stay: _Stay, measured: Measured) -> Row:
    return {
        **_whose(account),
        "customer": stay.subscription.customer,
        "subscription": stay.subscription.id,
        "item": stay.item,
        "price": stay.segment.price,
        "meter": stay.meter,
        "event_name": account.meters.get(stay.meter).spec.event_name,
        "start": stay.segment.start,
        "start_time": _text(stay.segment.start),
        "end": stay.segment.end,
        "end_time": _text(stay.segment.end),
        "state": stay.state,
        "events": measured.events,
        "total": plain(measured.total),
        "invoice": stay.invoice,
        "billed_events": stay.billed_events,
        "billed": plain(stay.billed),
        "late_events": measured.events - stay.billed_events if stay.closed else 0,
        "late": plain(add(measured.total, stay.counted.copy_negate())) if stay.closed else "0",
    }


def _invoice_row(account: Account, invoice: Invoice) -> Row:
    return {
        **_whose(account),
        "id": invoice.id,
        "customer": invoice.customer,
        "subscription": invoice.subscription,
        "billing_reason": invoice.reason,
        "status": invoice.status,
        "period_start": invoice.period_start,
        "period_end": invoice.period_end,
        "created": invoice.created,
        "automatically_finalizes_at": invoice.automatically_finalizes_at,
        "finalized_at": invoice.finalized_at,
        "total": invoice.total,
        "lines": [_line_row(account, line) for line in invoice.lines],
    }


def _line_row(account: Account, line: Line) -> Row:
    return {
        "id": line.id,
        "item": line.item,
        "price": line.price,
        "meter": account.prices.get(line.price).meter,
        "start": line.start,
        "end": line.end,
        "events": line.events,
        "quantity": plain(line.quantity),
        "amount": line.amount,
    }


def _unbilled_rows(account: Account, stays: list[_Stay]) -> Iterator[Row]:
    covered: dict[tuple[str, str], list[Span]] = {}
    for stay in stays:
        end = stay.segment.end
        if stay.state is _State.RUNNING and stay.subscription.ends_at is None:
            end = _EVER.end  # usage a little ahead of the period belongs to the next one
        spans = covered.setdefault((stay.meter, stay.subscription.customer), [])
        spans.append(Span(stay.segment.start, end))
    for series in account.usage.series():
        gaps = _gaps(covered.get((series.meter_id, series.customer), []))
        for gap, measured in zip(gaps, account.usage.measure_each(series, gaps), strict=True):
            if measured.events:
                yield {
                    **_whose(account),
                    "customer": series.customer,
                    "meter": series.meter_id,
                    "event_name": account.meters.get(series.meter_id).spec.event_name,
                    "start": None if gap.start == _EVER.start else gap.start,
                    "end": None if gap.end == _EVER.end else gap.end,
                    "events": measured.events,
                    "total": plain(measured.total),
                }


def _gaps(spans: list[Span]) -> list[Span]:
    """Return what lies outside of all the spans."""
    gaps = []
    reached = _EVER.start
    for span in sorted(spans):
        if span.start > reached:
            gaps.append(Span(reached, span.start))
        reached = max(reached, span.end)
    if reached < _EVER.end:
        gaps.append(Span(reached, _EVER.end))
    return gaps


def _series(account: Account, stay: _Stay) -> Series | None:
    return account.usage.find(account.meters.get(stay.meter), stay.subscription.customer)


def _whose(account: Account) -> Row:
    return {"account": account.account_id, "livemode": account.livemode}


def _text(instant: int) -> str:
    return format_instant(min(instant, LATEST_EPOCH_SECONDS))
