"""`meterledger doctor`: is everything in place for a push?"""

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meterledger.cli.context import Context, context_of, machine_clock
from meterledger.cli.output import Format
from meterledger.cli.reading import ask_stripe
from meterledger.cli.verify import print_checks
from meterledger.errors import ExitCode, MeterledgerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meterledger.stripe_gateway.access import StripeAccess
    from meterledger.usecases.doctor import Patient
    from meterledger.usecases.verify import Check

_OF_STRIPE = ("host", "account", "clock", "meters")


def doctor(
    ctx: typer.Context,
    api_key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Read the key from this file, not STRIPE_API_KEY.")
    ] = None,
    format_: Annotated[Format, typer.Option("--format", help="How to print the checks.")] = Format.TABLE,
) -> None:
    """
    Look at config, key, host, account, clock, meters, ledger, lease and head file; change nothing.

    Exit code 1 if one is not right. Without a key it says what it could not look at.
    """
    context = context_of(ctx)
    with ExitStack() as stack:
        checks = list(_checks(context, api_key_file, stack))
    print_checks("doctor", checks, format_)
    if not all(check.ok for check in checks):
        raise typer.Exit(ExitCode.NEEDS_A_PERSON)


def _checks(context: Context, api_key_file: Path | None, stack: ExitStack) -> "Iterator[Check]":
    from meterledger.usecases import doctor as look
    from meterledger.usecases.verify import Check

    settings = ledger = access = None
    try:
        settings = context.settings
        yield look.look_at_config(settings)
    except MeterledgerError as error:
        yield look.failed("config", error)
    try:
        access = _access(api_key_file, settings.stripe.account if settings else "")
        detail = "there is none: Stripe was not asked"
        yield look.look_at_key(access) if access else Check(name="key", ok=True, detail=detail)
    except MeterledgerError as error:
        yield look.failed("key", error)
    try:
        clock = context.clock()
    except MeterledgerError as error:
        clock = machine_clock
        yield look.failed("time", error)
    if settings:
        try:
            ledger = stack.enter_context(context.ledger())
            yield from look.look_at_ledger(ledger, clock())
        except MeterledgerError as error:
            yield look.failed("ledger", error)
    patient = look.Patient(settings=settings, ledger=ledger, access=access, clock=clock)
    yield from _of_stripe(patient)


def _access(api_key_file: Path | None, stripe_account: str) -> "StripeAccess | None":
    from meterledger.stripe_gateway.access import read_access

    if api_key_file is None and not os.environ.get("STRIPE_API_KEY", "").strip():
        return None
    return read_access(os.environ, api_key_file, stripe_account)


def _of_stripe(patient: "Patient") -> "Iterator[Check]":
    from meterledger.usecases.doctor import NOT_ASKED, failed, look_at_stripe
    from meterledger.usecases.verify import Check

    access = patient.access
    if access is None:
        for name in _OF_STRIPE:
            yield Check(name=name, ok=True, detail=NOT_ASKED)
        return
    try:
        yield from ask_stripe(
            access, patient.clock, lambda gateway, date: look_at_stripe(patient, access, gateway, date)
        )
    except MeterledgerError as error:
        yield failed("meters", error)
