"""Summaries by window: what is asked, what is read, and what cannot be."""

import asyncio
from decimal import Decimal

import pytest

from meterledger.stripe_gateway.access import StripeAccess
from meterledger.stripe_gateway.gateway import Read, open_gateway
from support.scripted_calls import KEY, NOW, error
from support.scripted_calls import ignore_date as _ignore
from support.scripted_server import Answer, ScriptedServer, answer

HOUR = 3600


def read_windows(reply: Answer) -> tuple[Read, str]:
    """Read the windows of one customer, and return what was asked."""

    async def read() -> tuple[Read, str]:
        async with ScriptedServer([reply]) as server:
            access = StripeAccess(key=KEY, mode="test", base=server.url)
            async with open_gateway(access, lambda: NOW, concurrency=1, on_date=_ignore) as gateway:
                found = await gateway.window_values("mtr_1", "cus_a", (0, 2 * HOUR), "hour")
            return found, server.requests[0].target

    return asyncio.run(read())


def page(*values: tuple[int, object], has_more: bool = False) -> Answer:
    """Return a page of summaries."""
    data = [
        {"object": "billing.meter_event_summary", "start_time": at, "aggregated_value": value}
        for at, value in values
    ]
    return answer(200, {"object": "list", "data": data, "has_more": has_more, "url": "/v1/x"})


def test_values_are_read_by_window() -> None:
    """Floats become decimals by their shortest text; a hundred windows are asked for at once."""
    found, target = read_windows(page((HOUR, 0.1), (0, 25)))
    assert found.value == {0: Decimal("25.0"), HOUR: Decimal("0.1")}
    for part in (
        "customer=cus_a",
        "start_time=0",
        "end_time=7200",
        "value_grouping_window=hour",
        "limit=100",
    ):
        assert part in target


@pytest.mark.parametrize(
    ("reply", "for_now"),
    [
        (answer(403, error(message="no")), False),
        (answer(400, error(message="no")), False),
        (answer(429, error(message="slow down")), True),
        (answer(500, error("api_error", message="Oops")), True),
        (page((0, 1.0), has_more=True), False),
        (page((0, "much")), False),
        (answer(200, {}), False),
    ],
)
def test_what_cannot_be_read_is_a_warning(reply: Answer, *, for_now: bool) -> None:
    """A refusal is told from a Stripe that is busy for now; a page that is not whole is no value."""
    found, _ = read_windows(reply)
    assert (found.value, found.for_now) == (None, for_now)
    assert found.warning
