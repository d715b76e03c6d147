"""`meterledger simulator`: a local stand-in for Stripe's Billing Meters."""

from pathlib import Path
from typing import Annotated

import typer


def simulator(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes any free one.")] = 12111,
    clock: Annotated[
        str | None,
        typer.Option(
            metavar="INSTANT", help="Start at this instant, e.g. 2026-11-01T00:00:00Z, and run from there."
        ),
    ] = None,
    freeze: Annotated[bool, typer.Option("--freeze", help="Let the clock stand still.")] = False,
    seed_from: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Make the meters of this meterledger.toml.")
    ] = None,
    known_customers_only: Annotated[
        bool,
        typer.Option("--known-customers-only", help="Refuse usage of customers that were not made here."),
    ] = False,
    key: Annotated[
        str | None, typer.Option(metavar="KEY", help="Accept this API key only, to rehearse a wrong one.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(metavar="N", help="Meter-event calls per second and account; above, 429.")
    ] = None,
    latency: Annotated[
        str | None, typer.Option(metavar="SPAN", help="Hold back the answer to each meter event, e.g. 20ms.")
    ] = None,
) -> None:
    """
    Run a local, in-memory Stripe for Billing Meters. It is not Stripe and bills nobody.

    Point any Stripe client at it; what it counted stands at /_simulator/ledger, its clock at
    /_simulator/clock. It runs until Ctrl-C and forgets everything then.
    """
    from meterledger.simulator.options import Options, StartError
    from meterledger.simulator.runner import run

    options = Options(
        host=host,
        port=port,
        clock=clock,
        freeze=freeze,
        seed_from=seed_from,
        known_customers_only=known_customers_only,
        key=key,
        limit=limit,
        latency=latency,
    )
    try:
        run(options)
    except StartError as failure:
        typer.echo(f"meterledger simulator: {failure}", err=True)
        raise typer.Exit(2) from None
