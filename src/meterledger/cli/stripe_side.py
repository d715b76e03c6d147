"""What push needs besides the ledger: Stripe, and the clock, stopwatch, sleep, chance and pace."""

import asyncio
import random
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from meterledger.cli.context import Context
    from meterledger.config import Settings
    from meterledger.stripe_gateway.access import StripeAccess
    from meterledger.stripe_gateway.gateway import StripeGateway
    from meterledger.usecases.door import Counterpart
    from meterledger.usecases.sending import Surroundings


@asynccontextmanager
async def open_stripe(
    context: "Context", settings: "Settings", access: "StripeAccess", concurrency: int
) -> "AsyncIterator[tuple[Counterpart, Surroundings, StripeGateway]]":
    """Open the way to Stripe for a push or a worker."""
    from meterledger.domain.pace import Pace, allowed_per_second
    from meterledger.stripe_gateway.gateway import open_gateway
    from meterledger.usecases.door import Counterpart
    from meterledger.usecases.sending import Surroundings

    clock = context.clock()
    dates: list[int | None] = [None]

    def on_date(date: int) -> None:
        dates[0] = date
        note = getattr(clock, "note", None)
        if note:
            note(date)

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
    async with open_gateway(access, clock, concurrency=concurrency, on_date=on_date) as gateway:
        stripe = Counterpart(access=access, gateway=gateway, server_date=lambda: dates[0], reports=gateway)
        yield stripe, around, gateway
