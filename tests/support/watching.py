"""A worker in made-up time: a script is what happens at which second of its life."""

import asyncio
from collections.abc import Awaitable, Callable, MutableSequence, Sequence
from dataclasses import dataclass, field

from meterledger.ledger import Ledger
from meterledger.stripe_gateway.gateway import Read
from meterledger.usecases.door import Counterpart, PushGateway
from meterledger.usecases.metrics import Figures
from meterledger.usecases.push import Pusher, PushOptions, PushReport
from meterledger.usecases.sending import Surroundings
from meterledger.usecases.watching import Happening, What, Worker
from support.broken_parts import FaithfulGateway
from support.pushing import Row, World
from support.strict_stripe import Fault
from support.virtual_time import run_in

INTERVAL_SECONDS = 5.0
"""The default of --interval."""

Script = Sequence[tuple[float, Callable[[], object]]]


def importing(world: World, *rows: Row) -> Callable[[], object]:
    """Return the import of rows, as another process does it."""
    return lambda: world.import_rows(rows)


def set_fault(world: World, fault: Fault | None) -> Callable[[], None]:
    """Return the change of what goes wrong at Stripe."""

    def change() -> None:
        world.stripe.fault = lambda _arrival: fault

    return change


@dataclass(slots=True)
class Life:
    """What a worker told, and how it ended."""

    happened: MutableSequence[Happening] = field(default_factory=list)
    published: MutableSequence[tuple[float, bool]] = field(default_factory=list)
    """When figures were published, and whether all was up."""
    figures: Figures = field(default_factory=Figures)
    report: PushReport = field(default_factory=PushReport)

    def of(self, what: What) -> list[Happening]:
        """Return what happened of one kind."""
        return [one for one in self.happened if one.what is what]


@dataclass(slots=True)
class GatewayOfAccount(FaithfulGateway):
    """A gateway whose read of the account is told what to do."""

    account: Callable[[], Awaitable[Read]]

    async def account_id(self) -> Read:
        """Do as told."""
        return await self.account()


def worker_of(
    world: World,
    ledger: Ledger,
    life: Life,
    options: PushOptions | None = None,
    gateway: PushGateway | None = None,
) -> Worker:
    """Return a worker over an open ledger of a world."""

    def publish(figures: Figures) -> None:
        life.figures = figures
        life.published.append((world.time.monotonic(), figures.up))

    return Worker(
        run=Pusher(
            ledger=ledger,
            settings=world.settings,
            options=options or PushOptions(),
            stripe=Counterpart(
                access=world.access,
                gateway=gateway or world.stripe,
                server_date=world.time.clock,
                reports=world.reports,
            ),
            around=Surroundings(
                clock=world.time.clock,
                monotonic=world.time.monotonic,
                sleep=asyncio.sleep,
                chance=world.chance,
            ),
        ),
        interval=INTERVAL_SECONDS,
        tell=life.happened.append,
        publish=publish,
    )


def live(
    world: World,
    script: Script,
    options: PushOptions | None = None,
    *,
    life: Life | None = None,
    until: float = 60.0,
    gateway: PushGateway | None = None,
) -> Life:
    """Let a worker live through a script, and stop it at a second of its life."""
    life = life or Life()
    begun = world.time.monotonic()

    async def lived(ledger: Ledger) -> None:
        worker = worker_of(world, ledger, life, options, gateway)
        task = asyncio.ensure_future(worker.live())
        for at, action in [*script, (until, worker.stop)]:
            await asyncio.wait({task}, timeout=begun + at - world.time.monotonic())
            if task.done():
                break
            action()
        life.report = await task

    with world.ledger() as ledger:
        run_in(world.time, lived(ledger))
    return life
