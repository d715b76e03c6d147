"""What holds usage back before it is sealed."""

from dataclasses import replace

import pytest

from meterledger.domain.blocking import BlockReason, BlockRules, block_reason, stripe_customer
from meterledger.domain.instant import DAY, MINUTE, parse_instant
from meterledger.domain.meter import Catalogue, Meter

NOW = parse_instant("2026-11-10T12:00:00Z")
RULES = BlockRules(
    catalogue=Catalogue((Meter(event_name="api_requests", features=("api_calls",)),), frozenset({"support"})),
    now=NOW,
)


def reason(
    rules: BlockRules = RULES, *, feature: str = "api_calls", customer: str = "cus_1", at: int = NOW
) -> BlockReason | None:
    """Return what holds back one usage event that is good but for what is named."""
    return block_reason(rules, feature, stripe_customer(rules, customer, None, at), at)


def test_good_usage_is_not_held_back() -> None:
    """Usage of a known meter and customer, now, is sent."""
    assert reason() is None


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


def test_the_reasons_are_tried_in_their_order() -> None:
    """Of several reasons the first of the list is given, so that the mend is the one to begin with."""
    everything = replace(RULES, missing_meters=frozenset({"api_requests"}))
    old = NOW - 60 * DAY

    assert reason(everything, customer="acme", at=old) is BlockReason.NO_METER
    assert reason(RULES, customer="acme", at=old) is BlockReason.UNKNOWN_CUSTOMER
    assert reason(RULES, at=old) is BlockReason.TOO_OLD


def test_codes_are_those_of_the_contract() -> None:
    """Every reason has its code of the contract and one line on what to do."""
    contract = {
        "no_meter", "unknown_customer", "ambiguous_customer", "too_old", "in_future", "closed_period",
        "superseded", "value_needs_v1",
    }  # fmt: skip

    assert {one.value for one in BlockReason} <= contract
    assert all(one.mend and "\n" not in one.mend for one in BlockReason)
