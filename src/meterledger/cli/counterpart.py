"""Stripe as the other side of a command: the gateway opened, its clock noted."""

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from meterledger.cli.context import Clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from meterledger.stripe_gateway.access import StripeAccess
    from meterledger.usecases.door import Counterpart


@asynccontextmanager
async def open_counterpart(
    access: "StripeAccess", clock: Clock, *, concurrency: int = 1
) -> "AsyncIterator[Counterpart]":
    """Open the way to Stripe for one command; a clock that goes by the server's is told each ``Date``."""
    from meterledger.stripe_gateway.gateway import open_gateway
    from meterledger.usecases.door import Counterpart

    dates: list[int | None] = [None]

    def on_date(date: int) -> None:
        dates[0] = date
        note = getattr(clock, "note", None)
        if note:
            note(date)

    async with open_gateway(access, clock, concurrency=concurrency, on_date=on_date) as gateway:
        yield Counterpart(access=access, gateway=gateway, server_date=lambda: dates[0], reports=gateway)
