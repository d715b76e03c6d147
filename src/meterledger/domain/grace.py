"""Grace periods: how long a draft invoice waits before it finalizes, by the rules that are set in Stripe."""

from collections.abc import Iterable
from dataclasses import dataclass

from meterledger.domain.billing_period import DEFAULT_GRACE_PERIOD


@dataclass(frozen=True, slots=True, kw_only=True)
class GraceRule:
    """A grace period in microseconds, for these meters and these customers; for all where none is named."""

    grace_period: int
    meters: frozenset[str] = frozenset()
    """Event names."""
    customers: frozenset[str] = frozenset()
    """Ids of the product or of Stripe."""

    def matches(self, event_name: str | None, customers: Iterable[str]) -> bool:
        """Tell whether the rule is for a meter and a customer, by any of the customer's ids."""
        return (not self.meters or event_name in self.meters) and (
            not self.customers or not self.customers.isdisjoint(customers)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Grace:
    """The grace period of everything, in microseconds, and the rules that come before it."""

    default: int = DEFAULT_GRACE_PERIOD
    is_configured: bool = False
    """Whether anybody said so, or it is taken for Stripe's default."""
    rules: tuple[GraceRule, ...] = ()

    def period_of(self, event_name: str | None, customers: Iterable[str]) -> tuple[int, bool]:
        """
        Return the grace period of a meter and customer, and whether anybody said so.

        Of several rules that match the longest counts, as in Stripe; without one, the default.
        """
        ids = tuple(customers)
        matching = [rule.grace_period for rule in self.rules if rule.matches(event_name, ids)]
        return (max(matching), True) if matching else (self.default, self.is_configured)

    def shortest_of(self, event_name: str | None) -> int:
        """Return the shortest grace period that usage of a meter may have, whoever the customer is."""
        rules = (rule for rule in self.rules if not rule.meters or event_name in rule.meters)
        return min((self.default, *(rule.grace_period for rule in rules)))
