"""Grace periods: rules for some come before the one for all, and the longest that matches counts."""

import pytest

from meterledger.domain.grace import Grace, GraceRule
from meterledger.domain.instant import HOUR

RULES = (
    GraceRule(grace_period=6 * HOUR, meters=frozenset({"calls"})),
    GraceRule(grace_period=24 * HOUR, customers=frozenset({"acme", "cus_b"})),
    GraceRule(grace_period=72 * HOUR, meters=frozenset({"seats"}), customers=frozenset({"cus_b"})),
)


@pytest.mark.parametrize(
    ("event_name", "customers", "hours"),
    [
        ("calls", ("zoo", "cus_z"), 6),
        ("calls", ("acme", "cus_a"), 24),
        ("seats", ("zoo", "cus_z"), 1),
        ("seats", ("bee", "cus_b"), 72),
        ("calls", ("bee", "cus_b"), 24),
        (None, ("zoo",), 1),
        (None, ("acme",), 24),
    ],
)
def test_the_longest_rule_that_matches_counts(
    event_name: str | None, customers: tuple[str, ...], hours: int
) -> None:
    """A rule with meters and customers wants both; a customer matches by either of its ids."""
    grace = Grace(default=HOUR, is_configured=False, rules=RULES)
    assert grace.period_of(event_name, customers) == (hours * HOUR, hours > 1)


def test_a_rule_may_be_shorter_than_the_default() -> None:
    """The default is for what no rule matches, as in Stripe, where it comes last."""
    short = GraceRule(grace_period=2 * HOUR, meters=frozenset({"calls"}))
    assert Grace(default=12 * HOUR, rules=(short,)).period_of("calls", ["acme"]) == (2 * HOUR, True)
