"""From the fields of a customers file to what holds of a customer."""

import pytest

from meterledger.domain.customer_row import (
    CUSTOMER_FIELDS,
    CustomerReason,
    CustomerRow,
    CustomerRowError,
    read_customer_row,
)
from meterledger.domain.customers import BillingInterval, CustomerStatus
from meterledger.domain.instant import parse_instant


def read(plans: tuple[str, ...] = (), **fields: str | None) -> CustomerRow:
    """Read a row that is good but for what is named."""
    row: dict[str, str | None] = dict.fromkeys(CUSTOMER_FIELDS)
    row |= {"customer_id": "acme", "stripe_customer_id": "cus_A"} | fields
    return read_customer_row([row[name] for name in CUSTOMER_FIELDS], plans)


def refused(plans: tuple[str, ...] = (), **fields: str | None) -> CustomerRowError:
    """Return why a row is refused."""
    with pytest.raises(CustomerRowError) as error:
        read(plans, **fields)
    return error.value


def test_two_fields_are_enough() -> None:
    """What is left out is active, monthly, without plan, subscription and anchor, and holds since ever."""
    row = read()
    state = row.state

    assert (state.customer_id, state.stripe_customer_id, state.subscription_id) == ("acme", "cus_A", "")
    assert (state.plan, state.status, state.billing_cycle_anchor) == (None, CustomerStatus.ACTIVE, None)
    assert (str(state.interval), row.effective_at) == ("month", None)


def test_every_field_is_read() -> None:
    """White space around a field does not count; times have the forms that usage times have."""
    row = read(
        customer_id=" acme ",
        subscription_id="sub_1",
        plan="pro",
        status="past_due",
        billing_cycle_anchor="2026-01-31T12:00:00+02:00",
        interval="3 months",
        effective_at="1793491200",
    )

    assert (row.state.customer_id, row.state.subscription_id, row.state.plan) == ("acme", "sub_1", "pro")
    assert row.state.status is CustomerStatus.PAST_DUE
    assert row.state.billing_cycle_anchor == parse_instant("2026-01-31T10:00:00Z")
    assert row.state.interval == BillingInterval(unit="month", count=3)
    assert row.effective_at == parse_instant("2026-11-01T00:00:00Z")


@pytest.mark.parametrize("status", CustomerStatus)
def test_every_status_of_stripe_is_taken(status: CustomerStatus) -> None:
    """Stripe's words for a subscription's status are ours; two of them end it."""
    assert read(status=status.value).state.status is status
    assert status.is_ended == (status.value in {"canceled", "incomplete_expired"})


@pytest.mark.parametrize(
    ("text", "unit", "count"),
    [
        ("day", "day", 1),
        ("1 month", "month", 1),
        ("36 months", "month", 36),
        ("156 weeks", "week", 156),
        ("1095 days", "day", 1095),
        ("3 years", "year", 3),
    ],
)
def test_intervals_are_words_or_counts(text: str, unit: str, count: int) -> None:
    """A word, or a count and the word, up to the three years that Stripe takes."""
    interval = read(interval=text).state.interval

    assert interval == BillingInterval(unit=unit, count=count)
    assert read(interval=str(interval)).state.interval == interval


@pytest.mark.parametrize(
    "text",
    ["months", "3 month", "3months", "1 months", "0 months", "03 months", "monthly", "37 months", "4 years",
     "-1 months", "Month", "1.5 months", "٣ months", "99999 days"],
)  # fmt: skip
def test_other_intervals_are_refused(text: str) -> None:
    """There is one way to write each; nothing is guessed."""
    assert refused(interval=text).reason is CustomerReason.INVALID_INTERVAL


@pytest.mark.parametrize(
    ("fields", "reason", "words"),
    [
        ({"customer_id": " "}, CustomerReason.MISSING_FIELD, "customer_id is missing"),
        (
            {"customer_id": None, "stripe_customer_id": ""},
            CustomerReason.MISSING_FIELD,
            "customer_id and stripe_customer_id are missing",
        ),
        ({"subscription_id": "s" * 256}, CustomerReason.FIELD_TOO_LONG, "256 characters"),
        ({"stripe_customer_id": "acct_1"}, CustomerReason.NO_STRIPE_CUSTOMER, "'acct_1'"),
        ({"stripe_customer_id": "cus_"}, CustomerReason.NO_STRIPE_CUSTOMER, "'cus_'"),
        ({"stripe_customer_id": "CUS_A"}, CustomerReason.NO_STRIPE_CUSTOMER, "'CUS_A'"),
        ({"plan": "prro"}, CustomerReason.UNKNOWN_PLAN, "did you mean pro?"),
        ({"plan": "zzz"}, CustomerReason.UNKNOWN_PLAN, "known: basic, pro"),
        ({"status": "cancelled"}, CustomerReason.UNKNOWN_STATUS, "did you mean canceled?"),
        ({"status": "Active"}, CustomerReason.UNKNOWN_STATUS, "did you mean active?"),
        ({"billing_cycle_anchor": "soon"}, CustomerReason.INVALID_TIME, "billing_cycle_anchor 'soon'"),
        ({"effective_at": "2026-10-01T00:00:00"}, CustomerReason.TIME_WITHOUT_OFFSET, "effective_at"),
    ],
)
def test_each_rule_names_field_value_and_mend(
    fields: dict[str, str | None], reason: CustomerReason, words: str
) -> None:
    """A bad row is refused for the first rule that it breaks."""
    error = refused(("pro", "basic"), **fields)

    assert error.reason is reason
    assert words in error.message


def test_without_plans_in_the_config_any_plan_is_taken() -> None:
    """Who does not use plans here may still have the column in the file."""
    assert read(plan="whatever").state.plan == "whatever"
