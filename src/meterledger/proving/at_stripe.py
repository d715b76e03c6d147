"""What a world does at its local Stripe: push, and read the error reports."""

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from meterledger.domain.instant import Instant
from meterledger.domain.way import Way
from meterledger.ledger import Ledger
from meterledger.proving.crashes import CrashPoints, MortalGateway
from meterledger.proving.history import Push
from meterledger.proving.local_stripe import KEY
from meterledger.proving.second_pusher import SecondPusher
from meterledger.stripe_gateway.access import StripeAccess
from meterledger.stripe_gateway.gateway import open_gateway
from meterledger.stripe_gateway.server_clock import read_server_clock
from meterledger.usecases.door import Counterpart
from meterledger.usecases.push import PushOptions, PushReport, push
from meterledger.usecases.reconcile import reconcile_errors
from meterledger.usecases.sending import Surroundings

if TYPE_CHECKING:
    from meterledger.proving.world import World


class _Stopwatch:
    """Time that only passes where somebody sleeps, and then at once."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        """Let others go on, and the stopwatch by so much."""
        self.seconds += seconds
        await asyncio.sleep(0)


async def pushing(
    world: "World", ledger: Ledger, step: Push, points: CrashPoints, second: SecondPusher
) -> PushReport:
    """Push by the way in that a step says, and die or be held where it says."""
    access = StripeAccess(key=KEY, mode="test", base=world.stripe.base)
    clock = read_server_clock(world.stripe.base)
    dates: list[Instant | None] = [None]

    def on_date(date: Instant) -> None:
        dates[0] = date
        clock.note(date)

    def on_answer(number: int) -> None:
        if number == step.jump_after:
            world.wait(step.jump)
        if number == step.held_after:
            second.come(world, step)
        clock.note(world.now)

    stopwatch = _Stopwatch()
    around = Surroundings(clock=clock, monotonic=stopwatch, sleep=stopwatch.sleep, chance=world.chance.random)
    settings = replace(world.settings, stripe=replace(world.settings.stripe, api=Way(step.way)))
    options = PushOptions(
        limit=step.limit,
        concurrency=step.concurrency,
        include_closed=step.include_closed,
        retry_rejected=step.retry_rejected,
        retry_codes=(step.retry_code,) if step.retry_code else (),
    )
    async with open_gateway(access, clock, concurrency=step.concurrency, on_date=on_date) as gateway:
        mortal = MortalGateway(inner=world.parts.gateway(gateway), points=points, on_answer=on_answer)
        stripe = Counterpart(access=access, gateway=mortal, server_date=lambda: dates[0], reports=gateway)
        try:
            return await push(ledger, settings, options, stripe, around)
        finally:
            await mortal.landed()


async def reading_reports(world: "World", ledger: Ledger) -> None:
    """Read what Stripe reported."""
    access = StripeAccess(key=KEY, mode="test", base=world.stripe.base)

    def clock() -> Instant:
        return world.now

    async with open_gateway(access, clock, concurrency=1, on_date=lambda _date: None) as gateway:
        stripe = Counterpart(access=access, gateway=gateway, server_date=clock, reports=gateway)
        await reconcile_errors(ledger, world.settings, stripe, clock)
