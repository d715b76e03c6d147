"""The program: global options, every command, and the one place where errors become exit codes."""

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer
from typer.exceptions import TyperException

from meterledger import __version__
from meterledger.cli.audit import audit
from meterledger.cli.context import Context, context_of
from meterledger.cli.customers import customers
from meterledger.cli.customers_pull import pull as pull_customers
from meterledger.cli.deadline import deadline
from meterledger.cli.demo import demo
from meterledger.cli.doctor import doctor
from meterledger.cli.explain import explain
from meterledger.cli.import_ import import_
from meterledger.cli.imports import imports
from meterledger.cli.init import init
from meterledger.cli.meters import meters
from meterledger.cli.output import print_error_json, say_error
from meterledger.cli.preview import preview
from meterledger.cli.prove import prove
from meterledger.cli.push import push
from meterledger.cli.reconcile import reconcile
from meterledger.cli.rejects import rejects
from meterledger.cli.resolve import resolve
from meterledger.cli.simulator import SimulatorCommand, simulator
from meterledger.cli.sources import sources
from meterledger.cli.status import status
from meterledger.cli.streams import abandon_stdout, prepare_streams
from meterledger.cli.verify import verify
from meterledger.cli.write_off import write_off
from meterledger.errors import ExitCode, Interrupted, MeterledgerError, OutputError, UsageError


def _exit_codes() -> str:
    lines = (f"{code.value}: {code.meaning}" for code in ExitCode)
    return "Exit codes (the highest that applies):\n\n" + "\n\n".join(lines)


app = typer.Typer(
    name="meterledger",
    help="A durable local ledger that gets billable usage onto the right Stripe invoice exactly once.",
    epilog=_exit_codes(),
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"meterledger {__version__}")
        raise typer.Exit


@app.callback()
def _global_options(
    ctx: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            envvar="METERLEDGER_CONFIG",
            metavar="FILE",
            help="The config; else meterledger.toml here or in a parent folder.",
        ),
    ] = None,
    ledger: Annotated[
        Path | None,
        typer.Option(envvar="METERLEDGER_LEDGER", metavar="FILE", help="The ledger; else the config's path."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but results and errors.")] = False,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", help="Say which config and ledger are used, and where a bug happened."
        ),
    ] = False,
    version: Annotated[  # noqa: ARG001 # acts by its callback
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    context = context_of(ctx)
    context.config, context.ledger_option = config, ledger
    context.quiet, context.verbose = quiet, verbose


app.command("init")(init)
app.command("import")(import_)
app.add_typer(imports, name="imports")
app.add_typer(rejects, name="rejects")
customers.command("pull")(pull_customers)
app.add_typer(customers, name="customers")
app.add_typer(sources, name="sources")
app.add_typer(meters, name="meters")
app.command("preview")(preview)
app.command("push")(push)
app.command("status")(status)
app.command("audit")(audit)
app.add_typer(deadline, name="deadline")
app.command("resolve")(resolve)
app.command("reconcile")(reconcile)
app.command("write-off")(write_off)
app.command("explain")(explain)
app.command("verify")(verify)
app.command("doctor")(doctor)
app.command("simulator", cls=SimulatorCommand)(simulator)
app.command("demo")(demo)
app.command("prove")(prove)


def run(arguments: Sequence[str]) -> int:
    """Run the program with these arguments, and return its exit code."""
    command = typer.main.get_command(app)
    context = Context()
    wants_json = "--format=json" in arguments or (
        "--format" in arguments[:-1] and arguments[list(arguments).index("--format") + 1] == "json"
    )
    try:
        code = command.main(args=list(arguments), prog_name="meterledger", standalone_mode=False, obj=context)
        sys.stdout.flush()
    except MeterledgerError as error:
        return _fail(error, wants_json=wants_json)
    except (BrokenPipeError, SystemExit):
        # Whoever read our output has had enough of it; typer ends by SystemExit then.
        abandon_stdout()
        return int(ExitCode.DONE)
    except TyperException as error:
        return _fail(_in_our_words(error), wants_json=wants_json)
    except Exception as error:  # noqa: BLE001 # a bug is reported as one, not as a traceback
        if context.verbose or os.environ.get("METERLEDGER_DEBUG"):
            traceback.print_exc()
        bug = MeterledgerError(
            f"this is a bug: {type(error).__name__}: {error}",
            hint="nothing that was committed is lost; `meterledger --verbose …` shows where it happened",
        )
        return _fail(bug, wants_json=wants_json)
    if code == ExitCode.INTERRUPTED and not context.interruption_reported:
        return _fail(Interrupted(), wants_json=wants_json)
    return code if isinstance(code, int) else int(ExitCode.DONE)


def _fail(error: MeterledgerError, *, wants_json: bool) -> int:
    try:
        if wants_json and not isinstance(error, OutputError):
            print_error_json(error)
        sys.stdout.flush()
    except (OutputError, BrokenPipeError):
        abandon_stdout()  # the error itself comes first
    say_error(error)
    return int(error.exit_code)


def _in_our_words(error: TyperException) -> UsageError:
    message = " ".join(error.format_message().split()) or "a command is missing"
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "meterledger"
    return UsageError(message, hint=f"see `{path} --help`")


def end_as_by_ctrl_c(number: int, frame: FrameType | None) -> None:
    """
    Let SIGTERM end as Ctrl-C does: progress is kept, and the exit code says so.

    Whatever handles Ctrl-C handles it: an event loop cancels its task then, instead of being broken into.
    """
    at_ctrl_c = signal.getsignal(signal.SIGINT)
    if not callable(at_ctrl_c):  # ignored, as in the background of a shell
        raise KeyboardInterrupt
    at_ctrl_c(number, frame)


def main() -> NoReturn:
    """Run the program as a command."""
    signal.signal(signal.SIGTERM, end_as_by_ctrl_c)
    prepare_streams()
    sys.exit(run(sys.argv[1:]))
