"""How commands that only read ask Stripe: one gateway, and the time it told last."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from meterledger.cli.context import Clock, Context
from meterledger.cli.counterpart import open_counterpart

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from meterledger.stripe_gateway.access import StripeAccess
    from meterledger.stripe_gateway.gateway import StripeGateway

_Answer = TypeVar("_Answer")


def access_of(context: Context, api_key_file: Path | None) -> "StripeAccess":
    """Return how Stripe is reached; UsageError without a key, or for one that may not go there."""
    from meterledger.stripe_gateway.access import read_access

    return read_access(os.environ, api_key_file, context.settings.stripe.account)


def ask_stripe(
    access: "StripeAccess",
    clock: Clock,
    question: "Callable[[StripeGateway, Callable[[], int | None]], Awaitable[_Answer]]",
) -> _Answer:
    """Open the way to Stripe and ask; the question gets the gateway and the time that Stripe told last."""
    import asyncio

    async def asked() -> _Answer:
        async with open_counterpart(access, clock) as (stripe, gateway):
            return await question(gateway, stripe.server_date)

    return asyncio.run(asked())
