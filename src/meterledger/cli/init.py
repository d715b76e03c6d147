"""`meterledger init`: a commented config and an empty ledger, where there are none."""

from pathlib import Path
from typing import Annotated

import typer

from meterledger.cli.context import context_of
from meterledger.cli.output import Format, print_json, say


def init(
    ctx: typer.Context,
    format_: Annotated[Format, typer.Option("--format", help="How to print the result.")] = Format.TABLE,
) -> None:
    """Make a commented config and an empty ledger, where there are none; overwrite nothing."""
    from meterledger.config import CONFIG_NAME
    from meterledger.usecases.init import init_config, init_ledger

    context = context_of(ctx)
    config = context.config or context.config_path or Path.cwd() / CONFIG_NAME
    made_config = init_config(config)
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
    for what, path, made in (("config", config, made_config), ("ledger", ledger, made_ledger)):
        typer.echo(f"{what} {'made' if made else 'there already'}: {path}")
    if not context.quiet:
        say("Next: name your meters in the config, then `meterledger import FILE`.")
