"""Limits on calls per second, as buckets that refill with real time."""

from typing import Literal, NamedTuple

from meterledger.simulator.protocol.api_errors import RateLimitedError, RateReason

Limits = Literal["live", "test"]

# Stripe's limits, in calls (of the stream: events) per second and account.
LIVE_METER_EVENTS = 1000
LIVE_STREAM_EVENTS = 10_000
LIVE_CALLS = 100
LIVE_ENDPOINT_CALLS = 25
TEST_CALLS = 25


class Demand(NamedTuple):
    """
    What a call takes from the limits.

    Attributes:
        endpoint: Its method and path pattern.
        is_meter_event: Whether it brings one meter event.
        streamed: Events it brings to the stream; 0 for every other call.
        connected: Whether a platform makes it for another account.
    """

    endpoint: str
    is_meter_event: bool = False
    streamed: int = 0
    connected: bool = False


class RateLimits:
    """
    The limits of one account.

    Args:
        limits: Stripe's own, of live or of test mode; none when None.
        events_per_second: One more, on calls that bring one meter event; none when None.
    """

    def __init__(self, limits: Limits | None, events_per_second: int | None) -> None:
        self._limits = limits
        self._events_per_second = events_per_second
        self._buckets: dict[str, _Bucket] = {}

    def take(self, demand: Demand, now: float) -> None:
        """
        Let a call through at an instant (seconds of a real clock that never goes back).

        Raises:
            RateLimitedError: A limit is reached; the call takes nothing from the others.
        """
        taken: list[tuple[_Bucket, int]] = []
        for share in self._shares(demand):
            bucket = self._buckets.get(share.name)
            if bucket is None:
                bucket = self._buckets[share.name] = _Bucket(share.per_second, now)
            if not bucket.has(share.amount, now):
                raise RateLimitedError(share.reason)
            taken.append((bucket, share.amount))
        for bucket, amount in taken:
            bucket.take(amount)

    def _shares(self, demand: Demand) -> list["_Share"]:
        shares = []
        if self._events_per_second is not None and demand.is_meter_event:
            shares.append(_Share("own", self._events_per_second, "endpoint-rate"))
        match self._limits:
            case "test":
                shares.append(_Share("all", TEST_CALLS, "global-rate"))
            case "live":
                shares += _live_shares(demand)
        return shares


class _Share(NamedTuple):
    """What a call takes from one bucket, and what its refusal gives as the reason."""

    name: str
    per_second: int
    reason: RateReason
    amount: int = 1


def _live_shares(demand: Demand) -> list[_Share]:
    every_call = _Share("all", LIVE_CALLS, "global-rate")
    if demand.connected and (demand.is_meter_event or demand.streamed):
        return [every_call]
    if demand.is_meter_event:
        return [_Share("meter events", LIVE_METER_EVENTS, "endpoint-rate")]
    if demand.streamed:
        return [_Share("stream", LIVE_STREAM_EVENTS, "endpoint-rate", demand.streamed)]
    return [_Share(demand.endpoint, LIVE_ENDPOINT_CALLS, "endpoint-rate"), every_call]


class _Bucket:
    """Holds what a second may bring, and fills up again within a second."""

    def __init__(self, per_second: int, now: float) -> None:
        self._per_second = per_second
        self._left = float(per_second)
        self._filled_at = now

    def has(self, amount: int, now: float) -> bool:
        gained = (now - self._filled_at) * self._per_second
        self._left = min(float(self._per_second), self._left + gained)
        self._filled_at = now
        return self._left >= amount

    def take(self, amount: int) -> None:
        self._left -= amount
