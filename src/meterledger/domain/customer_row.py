"""From the fields of a customers file to what holds of a customer, or to the first rule that a row breaks."""

import difflib
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from meterledger.domain.customers import (
    NO_SUBSCRIPTION,
    STRIPE_CUSTOMER_PREFIX,
    BillingInterval,
    CustomerState,
    CustomerStatus,
)
from meterledger.domain.instant import Instant, OffsetMissingError, TimeError, parse_instant
from meterledger.domain.usage import MAX_FIELD_CHARS, shown

CUSTOMER_FIELDS = (
    "customer_id",
    "stripe_customer_id",
    "subscription_id",
    "plan",
    "status",
    "billing_cycle_anchor",
    "interval",
    "effective_at",
)
"""The order in which readers bring the fields of a customers file."""

REQUIRED_CUSTOMER_FIELDS = ("customer_id", "stripe_customer_id")

_LONGEST = {"day": 1095, "week": 156, "month": 36, "year": 3}
"""Stripe's longest billing interval is three years."""

_INTERVAL = re.compile(r"(1 )?(day|week|month|year)|([1-9]\d{0,3}) (day|week|month|year)s", re.ASCII)
_KNOWN_SHOWN = 8

_Value = TypeVar("_Value")


class CustomerReason(StrEnum):
    """Why a row of a customers file is refused; rows that cannot be read have the reason that usage has."""

    MISSING_FIELD = "missing_field"
    FIELD_TOO_LONG = "field_too_long"
    NO_STRIPE_CUSTOMER = "no_stripe_customer"
    UNKNOWN_PLAN = "unknown_plan"
    UNKNOWN_STATUS = "unknown_status"
    INVALID_TIME = "invalid_time"
    TIME_WITHOUT_OFFSET = "time_without_offset"
    INVALID_INTERVAL = "invalid_interval"
    CONTRADICTION = "contradiction"


class CustomerRowError(ValueError):
    """A row of a customers file cannot be taken; the message names field, value and mend."""

    def __init__(self, reason: CustomerReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerRow:
    """One row: what holds, and since when if the row itself says so."""

    state: CustomerState
    effective_at: Instant | None


def read_customer_row(values: Sequence[str | None], plans: Collection[str]) -> CustomerRow:
    """
    Read one row.

    Args:
        values: The fields in the order of ``CUSTOMER_FIELDS``.
        plans: The plans of the config; empty where it has none, and then any plan is taken.

    Raises:
        CustomerRowError: The first rule that the row breaks.
    """
    fields = {name: (text or "").strip() or None for name, text in zip(CUSTOMER_FIELDS, values, strict=True)}
    if missing := [name for name in REQUIRED_CUSTOMER_FIELDS if not fields[name]]:
        plural = "are" if len(missing) > 1 else "is"
        raise CustomerRowError(
            CustomerReason.MISSING_FIELD, f"{' and '.join(missing)} {plural} missing; fill it in"
        )
    for name, text in fields.items():
        if text and len(text) > MAX_FIELD_CHARS:
            raise CustomerRowError(
                CustomerReason.FIELD_TOO_LONG,
                f"{name} {shown(text)} has {len(text)} characters; shorten it to at most {MAX_FIELD_CHARS}",
            )
    state = CustomerState(
        customer_id=fields["customer_id"] or "",
        subscription_id=fields["subscription_id"] or NO_SUBSCRIPTION,
        stripe_customer_id=_stripe_customer_id(fields["stripe_customer_id"] or ""),
        plan=fields["plan"] and _plan(fields["plan"], plans),
        status=_given(fields["status"], _status) or CustomerStatus.ACTIVE,
        billing_cycle_anchor=_instant("billing_cycle_anchor", fields["billing_cycle_anchor"]),
        interval=_given(fields["interval"], _interval) or BillingInterval(),
    )
    return CustomerRow(state=state, effective_at=_instant("effective_at", fields["effective_at"]))


def _given(text: str | None, read: Callable[[str], _Value]) -> _Value | None:
    return None if text is None else read(text)


def _stripe_customer_id(text: str) -> str:
    if not text.startswith(STRIPE_CUSTOMER_PREFIX) or text == STRIPE_CUSTOMER_PREFIX:
        raise CustomerRowError(
            CustomerReason.NO_STRIPE_CUSTOMER,
            f"stripe_customer_id {shown(text)} is no Stripe customer; write its id, cus_…",
        )
    return text


def _plan(text: str, plans: Collection[str]) -> str:
    if plans and text not in plans:
        raise CustomerRowError(
            CustomerReason.UNKNOWN_PLAN,
            f"plan {shown(text)} is not in the config ({_nearest(text, plans)}); mend it, or add "
            "[plans.NAME] to the config",
        )
    return text


def _status(text: str) -> CustomerStatus:
    try:
        return CustomerStatus(text)
    except ValueError as error:
        raise CustomerRowError(
            CustomerReason.UNKNOWN_STATUS,
            f"status {shown(text)} is none of Stripe's ({_nearest(text, list(CustomerStatus))}); mend it",
        ) from error


def _interval(text: str) -> BillingInterval:
    match = _INTERVAL.fullmatch(text)
    if match is None or match[3] == "1":
        raise CustomerRowError(
            CustomerReason.INVALID_INTERVAL,
            f"interval {shown(text)} cannot be read; write day, week, month or year, or a count such as "
            "'3 months'",
        )
    unit, count = match[2] or match[4], int(match[3] or 1)
    if count > _LONGEST[unit]:
        raise CustomerRowError(
            CustomerReason.INVALID_INTERVAL,
            f"interval {shown(text)} is longer than three years, which is Stripe's longest; shorten it",
        )
    return BillingInterval(unit=unit, count=count)


def _instant(name: str, text: str | None) -> Instant | None:
    try:
        return None if text is None else parse_instant(text)
    except OffsetMissingError as error:
        raise CustomerRowError(
            CustomerReason.TIME_WITHOUT_OFFSET,
            f"{name} {shown(text or '')} has no offset; write one such as Z or +02:00",
        ) from error
    except TimeError as error:
        raise CustomerRowError(
            CustomerReason.INVALID_TIME,
            f"{name} {shown(text or '')}: {error}; write it like 2026-10-01T00:00:00Z",
        ) from error


def _nearest(text: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(text, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(sorted(known)[:_KNOWN_SHOWN])}"
