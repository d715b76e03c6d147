"""`meterledger init`: a commented config and an empty ledger, where there are none."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meterledger.cli.context import context_of, machine_clock
from meterledger.cli.output import Format, harmless, print_json, say
from meterledger.cli.reading import ask_stripe
from meterledger.errors import MeterledgerError

if TYPE_CHECKING:
    from meterledger.domain.declared_meter import DeclaredMeter


def init(
    ctx: typer.Context,
    format_: Annotated[Format, typer.Option("--format", help="How to print the result.")] = Format.TABLE,
) -> None:
    """
    Make a commented config and an empty ledger, where there are none; overwrite nothing.

    With a key in STRIPE_API_KEY, the config gets the account's meters.
    """
    from meterledger.config import CONFIG_NAME
    from meterledger.usecases.init import config_text, init_config, init_ledger

    context = context_of(ctx)
    config = context.config or context.config_path or Path.cwd() / CONFIG_NAME
    made_config = not config.exists() and init_config(config, config_text(_meters_of_account()))
    context.config = config
    ledger = context.settings.ledger_path
    made_ledger = init_ledger(ledger)
    if format_ is Format.JSON:
        print_json(
            "init",
            {
                "config": str(config),
                "ledger": str(ledger),
                "config_created": made_config,
                "ledger_created": made_ledger,
            },
        )
        return
    if context.quiet:
        return
    for what, path, made in (("config", config, made_config), ("ledger", ledger, made_ledger)):
        typer.echo(harmless(f"{what} {'made' if made else 'there already'}: {path}"))
    if made_config:
        say("Next: look through the meters of the config, then `meterledger import FILE`.")
    else:
        say("Next: `meterledger import FILE`.")


def _meters_of_account() -> "list[DeclaredMeter]":
    """Read the account's meters if there is a key; a config can be made without them."""
    if not os.environ.get("STRIPE_API_KEY"):
        return []
    from meterledger.stripe_gateway.access import read_access

    try:
        meters = ask_stripe(
            read_access(os.environ), machine_clock, lambda gateway, _: gateway.account_meters()
        )
    except MeterledgerError as error:
        say(
            f"Warning: {error.message}; the config has an example instead of the account's meters",
            style="yellow",
        )
        return []
    if meters.warning:
        say(f"Warning: {meters.warning}; the config has an example instead", style="yellow")
    return [meter for meter in meters.value or [] if meter.active]
