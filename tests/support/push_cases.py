"""Rows, faults and looks at the ledger that the tests of push share."""

from collections.abc import Callable

from support.pushing import HOUR, SECOND, START, Row, World
from support.strict_stripe import Arrival, Fault


def many(lanes: int, events: int, feature: str = "calls") -> list[Row]:
    """Return rows of several customers, their times interleaved."""
    return [
        Row(
            key=f"{feature}-{lane}-{event}",
            customer=f"cus_{lane}",
            feature=feature,
            quantity=str(event + 1),
            at=START - HOUR + (event * lanes + lane) * SECOND,
        )
        for event in range(events)
        for lane in range(lanes)
    ]


SEATS = [
    Row(key=f"s{number}", feature="seats", quantity=str(number), at=START - 10 * HOUR + number * HOUR)
    for number in range(1, 6)
]


def only_first(fault: Fault, count: int = 1) -> Callable[[Arrival], Fault | None]:
    """Return a fault that strikes the first requests alone."""
    return lambda arrival: fault if arrival.number <= count else None


def always(fault: Fault) -> Callable[[Arrival], Fault | None]:
    """Return a fault that strikes every request."""
    return lambda _arrival: fault


def attempts(world: World) -> list[tuple[object, ...]]:
    """Return number, key and outcome of every attempt, in order."""
    return world.select("SELECT attempt, idempotency_key, outcome FROM delivery_attempts ORDER BY id")


def nothing_in_flight(world: World) -> bool:
    """Tell whether every attempt has an outcome."""
    return world.select("SELECT COUNT(*) FROM delivery_attempts WHERE outcome IS NULL") == [(0,)]
