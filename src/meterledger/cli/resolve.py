"""`meterledger resolve`: a person settles a meter event in doubt."""

from enum import StrEnum
from typing import Annotated

import typer

from meterledger.cli.context import context_of
from meterledger.cli.output import Format, print_json, say
from meterledger.errors import UsageError


class Settled(StrEnum):
    """What a person found out."""

    SENT = "sent"
    NOT_SENT = "not-sent"


def resolve(
    ctx: typer.Context,
    identifier: Annotated[str, typer.Argument(help="The identifier of the meter event.")],
    settled_as: Annotated[
        Settled, typer.Option("--as", help="Whether Stripe has it; not-sent goes back to pending.")
    ],
    note: Annotated[str, typer.Option(metavar="TEXT", help="How this is known; kept in the ledger.")],
    format_: Annotated[Format, typer.Option("--format", help="How to print the result.")] = Format.TABLE,
) -> None:
    """Settle a meter event that is in doubt, by what you know of Stripe's totals."""
    context = context_of(ctx)
    if not note.strip():
        raise UsageError("--note is empty", hint="say how you know it")
    clock = context.clock()
    with context.ledger() as ledger:
        state = ledger.outbox.resolve(
            identifier, sent=settled_as is Settled.SENT, note=note.strip(), now=clock()
        )
    if format_ is Format.JSON:
        print_json("resolve", {"identifier": identifier, "state": state.value})
        return
    typer.echo(f"{identifier} is {state.value} now")
    if not context.quiet and settled_as is Settled.NOT_SENT:
        say("Next: `meterledger push` sends it again, under the same identifier.")
