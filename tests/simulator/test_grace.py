"""How long drafts stay open: the rules, and how they are typed."""

import pytest

from meterledger.simulator.billing.grace import Condition, GraceRule, GraceRules, parse_grace

HOUR = 3600
MONTH = 28 * 24 * HOUR
CYCLE, METERED = Condition.SUBSCRIPTION_CYCLE, Condition.METERED_PRICE


def test_what_is_typed() -> None:
    """A default and rules with one condition or both."""
    assert parse_grace(None, []) == GraceRules(default_seconds=HOUR)
    assert parse_grace("90m", ["metered_price=6h", "subscription_cycle+metered_price=3d"]) == GraceRules(
        default_seconds=5400,
        rules=(
            GraceRule(conditions=frozenset({METERED}), seconds=6 * HOUR),
            GraceRule(conditions=frozenset({CYCLE, METERED}), seconds=72 * HOUR),
        ),
    )


@pytest.mark.parametrize(
    ("default", "rules", "told"),
    [
        ("73h", [], "73h"),
        ("soon", [], "'soon'"),
        ("1500ms", [], "1500ms"),
        (None, ["metered_price"], "'metered_price'"),
        (None, ["metered=1h"], "'metered=1h'"),
        (None, ["=1h"], "'=1h'"),
        (None, ["metered_price=4d"], "4d"),
        (None, ["metered_price=x"], "'x'"),
        (None, ["metered_price+=1h"], "'metered_price+=1h'"),
    ],
)
def test_what_is_not_understood(default: str | None, rules: list[str], told: str) -> None:
    """Anything else is refused, and the message quotes it."""
    with pytest.raises(ValueError, match=r"grace|duration") as refusal:
        parse_grace(default, rules)
    assert told in str(refusal.value)


def test_the_longest_rule_that_matches() -> None:
    """A rule needs all its conditions; of several the longest applies, before a longer default too."""
    rules = parse_grace(
        "48h", ["metered_price=2h", "subscription_cycle=6h", "subscription_cycle+metered_price=4h"]
    )
    assert rules.seconds_for({CYCLE, METERED}, MONTH) == 6 * HOUR
    assert rules.seconds_for({METERED}, MONTH) == 2 * HOUR
    assert rules.seconds_for(set(), MONTH) == 48 * HOUR


def test_grace_is_shorter_than_the_period() -> None:
    """What is as long as the period is passed over: for a shorter rule, the default, or Stripe's hour."""
    day = 24 * HOUR
    rules = parse_grace("12h", ["metered_price=24h", "subscription_cycle=8h"])
    assert rules.seconds_for({CYCLE, METERED}, day) == 8 * HOUR
    assert rules.seconds_for({METERED}, day) == 12 * HOUR
    assert parse_grace("24h", []).seconds_for({METERED}, day) == HOUR
