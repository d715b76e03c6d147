"""Customers and their subscriptions from a customers file, so that the simulator knows who will be billed."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from meterledger.simulator.instants import parse_instant
from meterledger.simulator.seeds.rows import Row, SeedError

CUSTOMER_PREFIX = "cus_"
SUBSCRIPTION_PREFIX = "sub_"
MAX_FIELD = 255  # characters
STATUSES = (
    *("active", "trialing", "past_due", "unpaid", "paused"),
    *("incomplete", "incomplete_expired", "canceled"),
)
LONGEST_INTERVALS = {"day": 1095, "week": 156, "month": 36, "year": 3}  # three years, as with Stripe

_REQUIRED = ("customer_id", "stripe_customer_id")
_COLUMNS = (
    *_REQUIRED,
    *("subscription_id", "plan", "status", "billing_cycle_anchor", "interval", "effective_at"),
)
_INTERVAL = re.compile(r"(?:(?P<count>[1-9][0-9]{0,3}) )?(?P<unit>day|week|month|year)(?P<plural>s?)")
_MILLISECONDS = re.compile(r"[0-9]{12,14}")

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionSeed:
    """
    A subscription that a customers file names.

    Attributes:
        id: `sub_...`; None where the file has none that is Stripe's: the simulator gives it one.
        metadata: The file's words: `plan`, and `subscription_id` where that is not the id.
        anchor: Of the billing cycle, in whole epoch seconds; None where the file does not say.
        interval: `day`, `week`, `month` or `year`.
        count: How many of them a billing period has.
        status: Stripe's word.
    """

    id: str | None
    metadata: Mapping[str, str]
    anchor: int | None
    interval: str
    count: int
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerSeed:
    """
    A customer of a customers file, however many rows it has there.

    Attributes:
        id: `cus_...`.
        metadata: The file's words: `customer_id`, and `plan` where it has one; several are listed.
        subscriptions: One for each row.
    """

    id: str
    metadata: Mapping[str, str]
    subscriptions: tuple[SubscriptionSeed, ...]


def read_customers(rows: Iterable[Row]) -> tuple[CustomerSeed, ...]:
    """
    Read the rows of a customers file, one for each customer and subscription.

    Raises:
        SeedError: The first row that is not understood, with its line and column.
    """
    customers: dict[str, list[tuple[Row, SubscriptionSeed]]] = {}
    seen: dict[tuple[str, ...], Row] = {}
    for row in rows:
        _check_fields(row)
        subscription = _subscription(row)
        if _is_new(row, seen):
            customers.setdefault(row.values["stripe_customer_id"], []).append((row, subscription))
    return tuple(
        CustomerSeed(
            id=customer_id,
            metadata=_named(
                customer_id=_listed(row.values["customer_id"] for row, _ in read),
                plan=_listed(row.values.get("plan", "") for row, _ in read),
            ),
            subscriptions=tuple(subscription for _, subscription in read),
        )
        for customer_id, read in customers.items()
    )


def _check_fields(row: Row) -> None:
    for column in _REQUIRED:
        if not row.values.get(column):
            raise SeedError(row.line, column, "is missing")
    for column in _COLUMNS:
        length = len(row.values.get(column, ""))
        if length > MAX_FIELD:
            raise SeedError(row.line, column, f"has {length} characters, and at most {MAX_FIELD} may be")
    customer_id = row.values["stripe_customer_id"]
    if not customer_id.startswith(CUSTOMER_PREFIX) or customer_id == CUSTOMER_PREFIX:
        raise SeedError(row.line, "stripe_customer_id", f"{customer_id!r} is no customer's id, cus_...")


def _subscription(row: Row) -> SubscriptionSeed:
    status = _read(row, "status", _status) or "active"
    anchor = _read(row, "billing_cycle_anchor", _seconds)
    count, interval = _read(row, "interval", _interval) or (1, "month")
    _read(row, "effective_at", _seconds)
    name = row.values.get("subscription_id", "")
    is_own = name.startswith(SUBSCRIPTION_PREFIX) and name != SUBSCRIPTION_PREFIX
    return SubscriptionSeed(
        id=name if is_own else None,
        metadata=_named(plan=row.values.get("plan", ""), subscription_id="" if is_own else name),
        anchor=anchor,
        interval=interval,
        count=count,
        status=status,
    )


def _is_new(row: Row, seen: dict[tuple[str, ...], Row]) -> bool:
    """Tell whether a row's customer and subscription come for the first time; else it has to say the same."""
    subscription = row.values.get("subscription_id", "")
    is_own = subscription.startswith(SUBSCRIPTION_PREFIX)  # and so one in all the account
    key = (subscription,) if is_own else (row.values["customer_id"], subscription)
    before = seen.setdefault(key, row)
    for column in _COLUMNS:
        if before.values.get(column, "") != row.values.get(column, ""):
            raise SeedError(row.line, column, f"says other than line {before.line} of the same subscription")
    return before is row


def _read(row: Row, column: str, read: Callable[[str], _Value]) -> _Value | None:
    text = row.values.get(column, "")
    try:
        return read(text) if text else None
    except ValueError as failure:
        raise SeedError(row.line, column, str(failure)) from None


def _status(text: str) -> str:
    if text not in STATUSES:
        raise ValueError(f"{text!r} is none of {', '.join(STATUSES)}")
    return text


def _seconds(text: str) -> int:
    return int(text) // 1000 if _MILLISECONDS.fullmatch(text) else int(parse_instant(text))


def _interval(text: str) -> tuple[int, str]:
    found = _INTERVAL.fullmatch(text)
    count = int(found["count"] or 1) if found else 0
    if found is None or (count == 1) == bool(found["plural"]):
        raise ValueError(f"{text!r} is no interval; write day, week, month or year, or such as '3 months'")
    if count > LONGEST_INTERVALS[found["unit"]]:
        raise ValueError(f"{text!r} is longer than three years, which is Stripe's longest")
    return count, found["unit"]


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(filter(None, texts)))


def _named(**texts: str) -> dict[str, str]:
    return {name: text for name, text in texts.items() if text}
