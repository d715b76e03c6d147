"""How long a draft invoice stays open for late usage: a default, and rules for some invoices."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from meterledger.simulator.instants import HOUR_SECONDS, parse_duration

DEFAULT_GRACE_SECONDS = HOUR_SECONDS
MAX_GRACE_SECONDS = 72 * HOUR_SECONDS


class Condition(StrEnum):
    """What can be true of an invoice for a rule to match it."""

    SUBSCRIPTION_CYCLE = "subscription_cycle"
    METERED_PRICE = "metered_price"


@dataclass(frozen=True, slots=True, kw_only=True)
class GraceRule:
    """A grace period, in seconds, for the invoices that meet all the conditions."""

    conditions: frozenset[Condition]
    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GraceRules:
    """What the grace period is where no rule matches, in seconds, and the rules."""

    default_seconds: int = DEFAULT_GRACE_SECONDS
    rules: tuple[GraceRule, ...] = ()

    def seconds_for(self, met: Collection[Condition], period_seconds: int) -> int:
        """
        Return an invoice's grace period, in seconds.

        Of the rules that match the longest applies. A grace period has to be shorter than the billing
        period: one that is not is passed over, and where nothing is left it is Stripe's hour.

        Args:
            met: The conditions that the invoice meets.
            period_seconds: The length of its billing period.
        """
        matching = [rule.seconds for rule in self.rules if rule.conditions.issubset(met)]
        short = [seconds for seconds in matching if seconds < period_seconds]
        if short:
            return max(short)
        return self.default_seconds if self.default_seconds < period_seconds else DEFAULT_GRACE_SECONDS


def parse_grace(default: str | None, rules: Sequence[str]) -> GraceRules:
    """
    Read grace periods as they are typed.

    Args:
        default: Such as `1h`; Stripe's hour where None.
        rules: Such as `metered_price=6h` or `subscription_cycle+metered_price=12h`.

    Raises:
        ValueError: One of them is not understood, or longer than 72 h. The message quotes it.
    """
    return GraceRules(
        default_seconds=DEFAULT_GRACE_SECONDS if default is None else _seconds(default),
        rules=tuple(_rule(text) for text in rules),
    )


def _rule(text: str) -> GraceRule:
    words, equals, duration = text.partition("=")
    known = tuple(Condition)
    named = words.split("+")
    if not equals or any(word not in known for word in named):
        raise ValueError(
            f"{text!r} is no grace rule; write {known[0]}=12h, {known[1]}=12h or {'+'.join(known)}=12h"
        )
    return GraceRule(conditions=frozenset(Condition(word) for word in named), seconds=_seconds(duration))


def _seconds(text: str) -> int:
    seconds = parse_duration(text)
    if seconds > MAX_GRACE_SECONDS:
        raise ValueError(f"a grace period of {text} is too long; it has at most 72h")
    if seconds != int(seconds):
        raise ValueError(f"a grace period of {text} is not in whole seconds")
    return int(seconds)
