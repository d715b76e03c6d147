"""Stripe as the other side of a command: the gateway opened, its clock noted; and what a push needs."""

import gc
import random
import time
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from meterledger.cli.context import Clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from meterledger.cli.context import Context
    from meterledger.config import Settings
    from meterledger.stripe_gateway.access import StripeAccess
    from meterledger.stripe_gateway.gateway import StripeGateway
    from meterledger.usecases.door import Counterpart
    from meterledger.usecases.sending import Surroundings


NEW_OBJECTS_BETWEEN_COLLECTIONS = 50_000
"""A push makes tens of them for each meter event and drops them by itself; the SDK's are no garbage ever."""


@asynccontextmanager
async def open_counterpart(
    access: "StripeAccess", clock: Clock, *, concurrency: int = 1
) -> "AsyncIterator[tuple[Counterpart, StripeGateway]]":
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
        stripe = Counterpart(access=access, gateway=gateway, server_date=lambda: dates[0], reports=gateway)
        yield stripe, gateway


@asynccontextmanager
async def open_stripe(
    context: "Context", settings: "Settings", access: "StripeAccess", concurrency: int
) -> "AsyncIterator[tuple[Counterpart, Surroundings, StripeGateway]]":
    """Open the way to Stripe for a push or a worker, with clock, stopwatch, sleep, chance and pace."""
    import asyncio

    from meterledger.domain.pace import Pace, allowed_per_second
    from meterledger.usecases.sending import Surroundings

    clock = context.clock()
    rate = allowed_per_second(
        is_stripe=access.is_stripe,
        mode=access.mode,
        connected=bool(access.stripe_account),
        way=settings.stripe.api,
    )
    around = Surroundings(
        clock=clock,
        monotonic=time.monotonic,
        sleep=asyncio.sleep,
        chance=random.random,  # noqa: TID251 # the rim: chance is passed in from here
        pace=Pace(rate),
    )
    async with open_counterpart(access, clock, concurrency=concurrency) as (stripe, gateway):
        with rare_collections():
            yield stripe, around, gateway


@contextmanager
def rare_collections() -> "Iterator[None]":
    """Let the garbage collector leave alone what start-up made, and run seldom."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS_BETWEEN_COLLECTIONS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
