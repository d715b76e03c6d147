"""One account's whole state, kept apart by account id and mode."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from meterledger.simulator.api_errors import FORBIDDEN, ApiError
from meterledger.simulator.concurrency import ConcurrencyBook
from meterledger.simulator.customers import CustomerBook
from meterledger.simulator.idempotency import IdempotencyStore
from meterledger.simulator.identifiers import IdentifierBook
from meterledger.simulator.meters import Meter, MeterBook, MeterSpec
from meterledger.simulator.rate_limit import RateLimiter
from meterledger.simulator.usage import UsageBook

OWN_ACCOUNT = "acct_simulator"

_ACCOUNT_ID = re.compile(r"acct_[A-Za-z0-9_]{1,100}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """
    What the simulator was told to be like.

    Attributes:
        only_key: The one API key to accept; any well-formed one when None.
        known_customers_only: Refuse usage for customers that were not made here.
        events_per_second: Limit on meter-event calls per account and second; none when None.
        seeds: Meters that every account starts with.
    """

    only_key: str | None = None
    known_customers_only: bool = False
    events_per_second: int | None = None
    seeds: tuple[MeterSpec, ...] = ()


class IdSource:
    """Numbers the simulator's objects, so that the same calls give the same ids."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def next(self, prefix: str, *, livemode: bool) -> str:
        """Return the next id with the prefix; ids of test mode say so."""
        number = self._last.get(prefix, 0) + 1
        self._last[prefix] = number
        return f"{prefix}{number}" if livemode else f"{prefix}test_{number}"


class Account:
    """The state of one account in one mode."""

    def __init__(self, account_id: str, *, livemode: bool, rules: Rules, ids: IdSource) -> None:
        self.account_id = account_id
        self.livemode = livemode
        self.ids = ids
        self.meters = MeterBook()
        self.customers = CustomerBook(known_only=rules.known_customers_only)
        self.identifiers = IdentifierBook()
        self.idempotency = IdempotencyStore()
        self.usage = UsageBook()
        self.concurrency = ConcurrencyBook()
        self.limiter: RateLimiter | None = None

    def add_meter(self, spec: MeterSpec, now: float) -> Meter:
        """
        Make a meter, at an instant in epoch seconds.

        Raises:
            ApiError: An active meter has its event name.
        """
        meter_id = self.ids.next("mtr_", livemode=self.livemode)
        meter = Meter(
            meter_id=meter_id, livemode=self.livemode, spec=spec, created=int(now), updated=int(now)
        )
        self.meters.add(meter)
        return meter


class AccountBook:
    """
    Every account that was called, made at its first call.

    Args:
        rules: What the simulator was told to be like.
        stopwatch: Seconds of a real clock that never goes back; the limits are about real traffic.
    """

    def __init__(self, rules: Rules, stopwatch: Callable[[], float]) -> None:
        self._rules = rules
        self._stopwatch = stopwatch
        self._ids = IdSource()
        self._accounts: dict[tuple[str, bool], Account] = {}

    def open(self, account_id: str | None, *, livemode: bool, now: float) -> Account:
        """
        Return an account, made now (epoch seconds) if this is its first call.

        Raises:
            ApiError: 403, the Stripe-Account header names no account id.
        """
        key = (OWN_ACCOUNT if account_id is None else account_id, livemode)
        account = self._accounts.get(key)
        if account is None:
            account = self._accounts[key] = self._make(*key, now)
        return account

    def all(self) -> list[Account]:
        """Return every account, by id and mode."""
        return [account for _, account in sorted(self._accounts.items())]

    def _make(self, account_id: str, livemode: bool, now: float) -> Account:  # noqa: FBT001 - half of the key
        if _ACCOUNT_ID.fullmatch(account_id) is None:
            raise ApiError(
                f"The key has no access to account '{account_id}', or there is no such account.",
                status=FORBIDDEN,
                code="account_invalid",
            )
        account = Account(account_id, livemode=livemode, rules=self._rules, ids=self._ids)
        if self._rules.events_per_second is not None:
            account.limiter = RateLimiter(self._rules.events_per_second, self._stopwatch())
        for spec in self._rules.seeds:
            account.add_meter(spec, now)
        return account
