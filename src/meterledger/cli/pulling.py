"""How commands pull subscriptions and invoices from Stripe."""

import random
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meterledger.cli.context import Clock, Context
from meterledger.cli.output import count_text, say
from meterledger.cli.progress import progress_bar
from meterledger.cli.reading import access_of, ask_stripe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from meterledger.ledger import Ledger
    from meterledger.usecases.paced_requests import PacedRequests
    from meterledger.usecases.pull_billing import PullReport

KeyFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Read the key from this file, not STRIPE_API_KEY.")
]


def paced_requests(clock: Clock) -> "PacedRequests":
    """Return how requests are paced, by the machine's own time."""
    import asyncio

    from meterledger.usecases.paced_requests import PacedRequests

    return PacedRequests(
        clock=clock,
        monotonic=time.monotonic,
        sleep=asyncio.sleep,
        chance=random.random,  # noqa: TID251 # the rim: chance is passed in from here
    )


@contextmanager
def requests_shown(context: Context) -> "Iterator[Callable[[], None]]":
    """Yield what is told of each request: an account with many subscriptions takes minutes."""
    with progress_bar(wanted=not context.quiet) as bar:
        if bar is None:
            yield lambda: None
            return
        task = bar.add_task("Asking Stripe", total=None, rate="")
        made = 0

        def told() -> None:
            nonlocal made
            made += 1
            bar.update(task, rate=f"{count_text(made)} request{'s' * (made != 1)}")

        yield told


def pull_from_stripe(
    context: Context, ledger: "Ledger", api_key_file: Path | None, clock: Clock
) -> "PullReport":
    """Pull subscriptions and invoices into the ledger."""
    from meterledger.usecases.pull_billing import pull_billing

    access = access_of(context, api_key_file)
    paced = paced_requests(clock)
    with requests_shown(context) as paced.on_request:
        return ask_stripe(
            access,
            clock,
            lambda gateway, server_date: pull_billing(
                ledger, gateway, access, paced=paced, server_date=server_date
            ),
        )


def pull_and_warn(context: Context, ledger: "Ledger", api_key_file: Path | None, clock: Clock) -> None:
    """Pull before a report is made, and say what could not be read."""
    say_warnings(pull_from_stripe(context, ledger, api_key_file, clock).warnings)


def say_warnings(warnings: list[str]) -> None:
    """Say, on stderr, what could not be read."""
    for warning in warnings:
        say(f"Warning: {warning}", style="yellow")
