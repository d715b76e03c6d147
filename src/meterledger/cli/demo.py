"""`meterledger demo`: the whole job on sample data, against a local Stripe."""

import contextlib
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meterledger.cli.context import machine_clock
from meterledger.cli.output import console, count_text, print_table, quantity_text, say
from meterledger.cli.reading import ask_stripe
from meterledger.errors import ExitCode, LedgerError

if TYPE_CHECKING:
    from meterledger.usecases.compare_totals import ComparedTotal

_KEY = "sk_test_demo"


def demo(
    keep: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Work in this new folder, and leave it there.")
    ] = None,
) -> None:
    """Run the whole job on sample data: import, preview, push to a local Stripe, audit, compare."""
    from meterledger.proving.local_stripe import simulator_process
    from meterledger.usecases.sample import write_sample

    with _folder(keep) as folder:
        write_sample(folder, machine_clock())
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith(("METERLEDGER_", "STRIPE_"))
        }
        with simulator_process(folder / "meterledger.toml") as url:
            environment |= {"STRIPE_API_BASE": url, "STRIPE_API_KEY": _KEY}
            equal = _tell(folder, environment, url)
    raise typer.Exit(ExitCode.DONE if equal else ExitCode.NEEDS_A_PERSON)


def _tell(folder: Path, environment: Mapping[str, str], url: str) -> bool:
    _title("A ledger beside the config, and two usage files of the sample: some 6,000 rows")
    _run("init", folder, environment)
    _title("Import: every row is accepted, a duplicate, a conflict or rejected")
    _run("import --source gateway usage-gateway.csv", folder, environment)
    _run("import --source workers usage-workers.jsonl", folder, environment)
    _title("Preview: what push would send, from the same code")
    _run("preview", folder, environment)
    _title("Push: to the local Stripe in another process")
    console().print(f"$ export STRIPE_API_BASE={url} STRIPE_API_KEY={_KEY}", style="bold cyan", markup=False)
    _run("push", folder, environment)
    _title("Push again: nothing is sent twice")
    _run("push", folder, environment)
    _title("Audit: does it make the invoice?")
    _run("audit", folder, environment)
    _title("Verify: the ledger's invariants")
    _run("verify", folder, environment)
    _title("Compare: the ledger's totals, and the summaries of the local Stripe")
    return _compare(folder, environment)


def _title(text: str) -> None:
    out = console()
    out.print()
    out.rule(text, align="left", style="dim", characters="─")
    sys.stdout.flush()


def _run(command: str, folder: Path, environment: Mapping[str, str]) -> None:
    """Print a command as a person would type it, and run it; a refused row (exit code 1) is part of it."""
    console().print(f"$ meterledger {command}", style="bold cyan", markup=False)
    sys.stdout.flush()
    code = subprocess.run(
        [sys.executable, "-P", "-m", "meterledger", *shlex.split(command)],
        cwd=folder,
        env=environment,
        check=False,
    ).returncode
    if code > ExitCode.NEEDS_A_PERSON:
        raise LedgerError(f"`meterledger {command}` ended with exit code {code}")


def _compare(folder: Path, environment: Mapping[str, str]) -> bool:
    from meterledger.config import load_settings
    from meterledger.ledger import open_ledger
    from meterledger.stripe_gateway.access import read_access
    from meterledger.usecases.compare_totals import compare_totals

    settings = load_settings(folder / "meterledger.toml", folder=folder)
    with open_ledger(settings.ledger_path) as ledger:
        totals = ask_stripe(
            read_access(environment),
            machine_clock,
            lambda gateway, _: compare_totals(ledger, settings, gateway),
        )
    _print_compared(totals)
    equal = sum(total.is_equal for total in totals)
    say(
        f"{count_text(equal)} of {count_text(len(totals))} totals (customer and meter) are equal to the unit."
    )
    return equal == len(totals)


def _print_compared(totals: "list[ComparedTotal]") -> None:
    meters = sorted({total.event_name for total in totals})
    by_customer: dict[str, dict[str, str]] = {}
    for total in totals:
        ours, theirs = (quantity_text(f"{value.normalize():f}") for value in (total.ledger, total.stripe))
        cell = f"{ours} = {theirs}" if total.is_equal else f"{ours} ≠ {theirs}"
        by_customer.setdefault(total.stripe_customer_id, {})[total.event_name] = cell
    print_table(
        [("Stripe customer", "left"), *((meter, "right") for meter in meters)],
        [
            [customer, *(cells.get(meter, "") for meter in meters)]
            for customer, cells in sorted(by_customer.items())
        ],
        caption="ledger = summaries of the local Stripe; for seats, a `last` meter, the last value",
    )


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="meterledger-demo-") as name:
            yield Path(name)
        return
    try:
        keep.mkdir(parents=True)
    except OSError as error:
        raise LedgerError(
            f"the folder {keep} cannot be made: {error.strerror}", hint="name a new one"
        ) from error
    yield keep.resolve()
