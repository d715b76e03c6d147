"""`meterledger resolve`: a person settles a meter event in doubt."""

from enum import StrEnum
from typing import Annotated

import typer

from meterledger.cli.context import context_of
from meterledger.cli.output import Format, harmless, print_json, required_note, say


class Settled(StrEnum):
    """What a person found out."""

    SENT = "sent"
    NOT_SENT = "not-sent"


def resolve(
    ctx: typer.Context,
    identifiers: Annotated[
        list[str], typer.Argument(metavar="IDENTIFIER", help="The identifier of the meter event, or several.")
    ],
    settled_as: Annotated[
        Settled, typer.Option("--as", help="Whether Stripe has it; not-sent goes back to pending.")
    ],
    note: Annotated[str, typer.Option(metavar="TEXT", help="How this is known; kept in the ledger.")],
    format_: Annotated[Format, typer.Option("--format", help="How to print the result.")] = Format.TABLE,
) -> None:
    """Settle a meter event that is in doubt, by what you know of Stripe's totals."""
    context = context_of(ctx)
    said = required_note(note)
    clock = context.clock()
    sent = settled_as is Settled.SENT
    with context.ledger() as ledger, ledger.database.transaction():
        states = {one: ledger.outbox.resolve(one, sent=sent, note=said, now=clock()) for one in identifiers}
        voided = sorted({number for one in identifiers for number in ledger.closures.voided_imports_of(one)})
    for number in voided if not sent else ():
        say(
            f"Warning: it is of import {number}, which was taken back: `meterledger imports void {number}` "
            "again, before a push sends it.",
            style="yellow",
        )
    if format_ is Format.JSON:
        resolved = [{"identifier": one, "state": state.value} for one, state in states.items()]
        print_json("resolve", {**resolved[0], "resolved": resolved})
        return
    for one, state in states.items():
        typer.echo(harmless(f"{one} is {state.value} now"))
    if not (context.quiet or sent or voided):
        say("Next: `meterledger push` sends it again, under the same identifier.")
