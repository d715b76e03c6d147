"""What holds usage back before it is sealed."""

from dataclasses import replace

import pytest

from meterledger.domain.blocking import BlockReason, BlockRules, block_reason, stripe_customer
from meterledger.domain.instant import DAY, MINUTE, parse_instant
from meterledger.domain.meter import Catalogue, Meter

NOW = parse_instant("2026-11-10T12:00:00Z")
OCTOBER_END = parse_instant("2026-11-01T00:00:00Z")
RULES = BlockRules(
    catalogue=Catalogue((Meter(event_name="api_requests", features=("api_calls",)),), frozenset({"support"})),
    now=NOW,
)
CALENDAR = replace(RULES, calendar_periods=True)


def reason(
    rules: BlockRules = RULES, *, feature: str = "api_calls", customer: str = "cus_1", at: int = NOW
) -> BlockReason | None:
    """Return what holds back one usage event that is good but for what is named."""
    return block_reason(rules, feature, stripe_customer(rules, customer, None, at), at)


def test_good_usage_is_not_held_back() -> None:
    """Usage of a known meter and customer, now, is sent."""
    assert reason() is None
    assert reason(CALENDAR) is None


@pytest.mark.parametrize("feature", ["support", "nobody_knows"])
def test_usage_without_a_meter_is_held_back(feature: str) -> None:
    """A feature that no meter counts cannot be sent."""
    assert reason(feature=feature) is BlockReason.NO_METER


def test_usage_of_a_meter_that_stripe_lacks_is_held_back() -> None:
    """A meter of the config that Stripe has not, or has no longer, cannot take usage."""
    assert reason(replace(RULES, missing_meters=frozenset({"api_requests"}))) is BlockReason.NO_METER
    assert reason(replace(RULES, missing_meters=frozenset({"other"}))) is None


@pytest.mark.parametrize("customer", ["acme", "CUS_1", "xcus_1", "cus-1", "42"])
def test_usage_of_no_stripe_customer_is_held_back(customer: str) -> None:
    """Without a customers file only an id of Stripe's own form can be sent."""
    assert reason(customer=customer) is BlockReason.UNKNOWN_CUSTOMER


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (0, None),
        (35 * DAY, None),
        (35 * DAY + 1, BlockReason.TOO_OLD),
        (400 * DAY, BlockReason.TOO_OLD),
        (-5 * MINUTE, None),
        (-5 * MINUTE - 1, BlockReason.IN_FUTURE),
        (-DAY, BlockReason.IN_FUTURE),
    ],
)
def test_usage_outside_of_stripes_window_is_held_back(age: int, expected: BlockReason | None) -> None:
    """35 days back and 5 minutes ahead are taken, a microsecond more is not."""
    assert expected is reason(at=NOW - age)


@pytest.mark.parametrize(
    ("now", "at", "expected"),
    [
        ("2026-11-04T00:00:00Z", OCTOBER_END - 1, BlockReason.CLOSED_PERIOD),
        ("2026-11-03T23:59:59.999999Z", OCTOBER_END - 1, None),
        ("2026-11-04T00:00:00Z", OCTOBER_END, None),
        ("2026-11-04T00:00:00Z", parse_instant("2026-10-01T00:00:00Z"), BlockReason.CLOSED_PERIOD),
    ],
)
def test_usage_of_a_closed_period_is_held_back(now: str, at: int, expected: BlockReason | None) -> None:
    """72 hours after the end of a calendar month its usage would be taken and never billed."""
    rules = replace(CALENDAR, now=parse_instant(now))

    assert expected is reason(rules, at=at)
    assert reason(replace(rules, include_closed=True), at=at) is None
    assert reason(replace(rules, calendar_periods=False), at=at) is None


def test_the_reasons_are_tried_in_their_order() -> None:
    """Of several reasons the first of the list is given, so that the mend is the one to begin with."""
    everything = replace(CALENDAR, missing_meters=frozenset({"api_requests"}))
    old = NOW - 60 * DAY

    assert reason(everything, customer="acme", at=old) is BlockReason.NO_METER
    assert reason(CALENDAR, customer="acme", at=old) is BlockReason.UNKNOWN_CUSTOMER
    assert reason(CALENDAR, at=old) is BlockReason.TOO_OLD
    assert reason(replace(CALENDAR, include_closed=True), at=old) is BlockReason.TOO_OLD


def test_codes_are_those_of_the_contract() -> None:
    """Every reason has its code of the contract and one line on what to do."""
    contract = {
        "no_meter", "unknown_customer", "ambiguous_customer", "too_old", "in_future", "closed_period",
        "superseded", "value_needs_v1",
    }  # fmt: skip

    assert {one.value for one in BlockReason} <= contract
    assert all(one.mend and "\n" not in one.mend for one in BlockReason)
