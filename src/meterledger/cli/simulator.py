"""`meterledger simulator`: a local stand-in for Stripe's Billing Meters."""

import inspect
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from meterledger.simulator.options import Flag, Options


def simulator() -> None:
    """
    Run a local Stripe for Billing Meters. It is not Stripe and bills nobody.

    Point any Stripe client at it, with any key that begins like one. Open its
    address in a browser to see what it holds and to move its clock; for programs
    that is /_simulator/ledger and /_simulator/clock. It runs until Ctrl-C and
    forgets everything then, unless --state names a file.
    """


class SimulatorCommand(TyperCommand):
    """
    The command with the options of the simulator's own table.

    They are made when somebody asks for them, so that no other command has to import the simulator.
    """

    @cached_property
    def _table(self) -> Any:
        """A command that has the options, and does nothing."""
        from meterledger.simulator.options import flags

        def table(**_: Any) -> None:
            pass

        table.__signature__ = inspect.Signature(list(map(_parameter, flags())))  # type: ignore[attr-defined]
        table.__annotations__ = {}
        app = typer.Typer(add_completion=False)
        app.command()(table)
        return typer.main.get_command(app)

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options."""
        params: list[Any] = self._table.get_params(ctx)
        return params

    def options(self, ctx: Any) -> "Options":
        """Return what was typed."""
        from meterledger.simulator.options import read_options

        return read_options(ctx.params)

    def invoke(self, ctx: Any) -> None:
        """Run the simulator until it is told to stop."""
        from meterledger.simulator.plan import StartError
        from meterledger.simulator.runner import run

        try:
            run(self.options(ctx))
        except StartError as failure:
            typer.echo(f"meterledger simulator: {failure}", err=True)
            raise typer.Exit(2) from None


def _parameter(flag: "Flag") -> inspect.Parameter:
    kind = list[flag.kind] if flag.repeatable else flag.kind  # type: ignore[name-defined]
    option = typer.Option(flag.spelled, metavar=flag.metavar, help=flag.text, rich_help_panel=flag.panel)
    return inspect.Parameter(
        flag.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None if flag.repeatable else flag.default,
        annotation=Annotated[kind | None if flag.default is None else kind, option],
    )
