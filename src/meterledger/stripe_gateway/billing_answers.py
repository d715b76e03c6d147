"""Subscriptions and invoices from Stripe's answers: whatever their form, nothing here trips."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from meterledger.domain.billing_facts import PulledInvoice, PulledItem, PulledLine
from meterledger.domain.instant import SECOND, Instant

_ID = re.compile(r"[A-Za-z0-9_-]{1,255}", re.ASCII)
_WORD = re.compile(r"[a-z0-9_]{1,100}", re.ASCII)
_MAX_SECONDS = 32_503_680_000
"""The year 3000: what follows from it has to lie in a calendar, which ends with the year 9999."""
_MAX_COUNTS = {"day": 4000, "week": 600, "month": 120, "year": 10}
"""Unit -> the most of an interval; Stripe takes three years."""
_MADE_TOGETHER_SECONDS = 60
"""Items made so soon after their subscription came with it, and bill since it began."""


def id_of(found: object) -> str | None:
    """Return an id of Stripe's; None if it is none, or could lead to another path."""
    return found if isinstance(found, str) and _ID.fullmatch(found) else None


def table(found: object) -> Mapping[str, Any]:
    """Return a JSON object; an empty one if it is none."""
    return found if isinstance(found, dict) else {}


def rows_of(found: object) -> Sequence[Any] | None:
    """Return the rows of a list of Stripe's; None if it is none."""
    rows = table(found).get("data")
    return rows if isinstance(rows, list) else None


def items_of(
    subscription: Mapping[str, Any], items: Sequence[Any], meters: Mapping[str, str]
) -> list[PulledItem] | None:
    """
    Return the items of a subscription that bill a meter; None if the answer does not say what is needed.

    Args:
        subscription: As Stripe has it.
        items: All of its items.
        meters: Meter id -> event name.
    """
    subscription_id, customer = id_of(subscription.get("id")), _customer(subscription)
    anchor = _instant(subscription.get("billing_cycle_anchor"))
    began = _instant(subscription.get("start_date"))
    status = _word(subscription.get("status"))
    if subscription_id is None or customer is None or anchor is None or began is None or status is None:
        return None
    created = _instant(subscription.get("created"))
    found = []
    for item in map(table, items):
        price = table(item.get("price"))
        recurring = table(price.get("recurring"))
        meter = recurring.get("meter")
        if meter is None:
            continue
        unit, count = recurring.get("interval"), recurring.get("interval_count")
        item_id, price_id = id_of(item.get("id")), id_of(price.get("id"))
        start, end = (_instant(item.get(f"current_period_{one}")) for one in ("start", "end"))
        made = _instant(item.get("created"))
        if (
            not isinstance(meter, str)
            or meter not in meters
            or item_id is None
            or price_id is None
            or start is None
            or end is None
            or start >= end
            or not isinstance(unit, str)
            or isinstance(count, bool)
            or not isinstance(count, int)
            or not 1 <= count <= _MAX_COUNTS.get(unit, 0)
        ):
            return None
        came_later = None not in (made, created) and made > created + _MADE_TOGETHER_SECONDS * SECOND  # type: ignore[operator] # neither is None
        found.append(
            PulledItem(
                item_id=item_id,
                subscription_id=subscription_id,
                stripe_customer_id=customer,
                event_name=meters[meter],
                price_id=price_id,
                status=status,
                billing_mode=_word(table(subscription.get("billing_mode")).get("type")),
                anchor=anchor,
                interval_unit=unit,
                interval_count=count,
                start=made if came_later and made is not None else began,
                period_start=start,
                period_end=end,
                cancel_at=_end(subscription, end),
                ended_at=_instant(subscription.get("ended_at")),
                has_thresholds=bool(
                    table(subscription.get("billing_thresholds")) or table(item.get("billing_thresholds"))
                ),
                has_pending_update=bool(table(subscription.get("pending_update"))),
            )
        )
    return found


def odd_keys_of_invoice(found: Mapping[str, Any]) -> list[str]:
    """Return the keys of an invoice that are needed, and are not as Stripe writes them."""
    told = {
        "object": found.get("object") if found.get("object") == "invoice" else None,
        "id": id_of(found.get("id")),
        "customer": _customer(found),
        "status": _word(found.get("status")),
        "created": _instant(found.get("created")),
    }
    return [key for key, value in told.items() if value is None]


def invoice_of(found: Mapping[str, Any], lines: Sequence[Any]) -> PulledInvoice | None:
    """
    Return an invoice with the lines that bill a period which is over; None if it does not say what is needed.

    Lines of items that are billed ahead are left out, and so are empty ones, such as a first invoice has.
    """
    invoice_id, customer = id_of(found.get("id")), _customer(found)
    status, reason = _word(found.get("status")), _word(found.get("billing_reason"))
    created = _instant(found.get("created"))
    parent = table(table(found.get("parent")).get("subscription_details"))
    subscription_id = _id_or_object(parent.get("subscription")) or _id_or_object(found.get("subscription"))
    if odd_keys_of_invoice(found):
        return None
    error = table(found.get("last_finalization_error"))
    return PulledInvoice(
        invoice_id=invoice_id or "",
        subscription_id=subscription_id or "",
        stripe_customer_id=customer or "",
        status=status or "",
        billing_reason=reason or "unknown",
        created=created or 0,
        auto_advance=found.get("auto_advance") is True,
        finalizes_at=_instant(found.get("automatically_finalizes_at")),
        finalized_at=_instant(table(found.get("status_transitions")).get("finalized_at")),
        finalization_error=(_word(error.get("code")) or "unknown") if error else None,
        lines=tuple(sorted({line for line in map(_line, lines) if line and line.end <= (created or 0)})),
    )


def _line(found: object) -> PulledLine | None:
    line = table(found)
    details = table(table(line.get("parent")).get("subscription_item_details"))
    item_id = id_of(details.get("subscription_item"))
    price_id = _id_or_object(table(table(line.get("pricing")).get("price_details")).get("price"))
    start, end = (_instant(table(line.get("period")).get(one)) for one in ("start", "end"))
    if item_id is None or price_id is None or start is None or end is None or start >= end:
        return None
    return PulledLine(item_id=item_id, price_id=price_id, start=start, end=end)


def _end(subscription: Mapping[str, Any], period_end: Instant) -> Instant | None:
    cancel_at = _instant(subscription.get("cancel_at"))
    at_period_end = subscription.get("cancel_at_period_end") is True
    return period_end if cancel_at is None and at_period_end else cancel_at


def _customer(found: Mapping[str, Any]) -> str | None:
    return _id_or_object(found.get("customer"))


def _id_or_object(found: object) -> str | None:
    """Return an id that may stand alone, or in the object that it names."""
    return id_of(table(found).get("id")) if isinstance(found, dict) else id_of(found)


def _word(found: object) -> str | None:
    return found if isinstance(found, str) and _WORD.fullmatch(found) else None


def _instant(found: object) -> Instant | None:
    is_second = isinstance(found, int) and not isinstance(found, bool) and 0 <= found <= _MAX_SECONDS
    return found * SECOND if is_second else None  # type: ignore[operator] # it is an int
