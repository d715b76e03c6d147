"""`meterledger deadline`: when invoices finalize, and more time for drafts that are behind."""

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meterledger.cli.context import Clock, Context, context_of
from meterledger.cli.output import (
    Format,
    confirmed,
    count_text,
    print_csv,
    print_error_json,
    print_json,
    print_table,
    quantity_text,
    say,
    say_error,
)
from meterledger.cli.pulling import KeyFile, paced_requests, pull_and_warn, requests_shown, say_warnings
from meterledger.cli.reading import access_of, ask_stripe
from meterledger.errors import ExitCode, StripeError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from meterledger.errors import MeterledgerError
    from meterledger.stripe_gateway.access import StripeAccess
    from meterledger.usecases.audit_answer import Amount
    from meterledger.usecases.deadlines import Deadline
    from meterledger.usecases.extend_deadlines import ExtendOptions, ExtendReport, Line
    from meterledger.usecases.pull_billing import PullReport

_SHOWN = 50
_WHAT_ELSE = (
    "It also means: Stripe no longer waits for a failing invoice.created webhook, the draft finalizes at "
    "that time whatever; auto_advance has to stay on; and the customer gets the invoice later."
)
_NOT_DONE = ("final", "held_open", "too_far", "refused", "unreadable", "unknown")

deadline = typer.Typer(help="When invoices finalize, and how to get more time.", no_args_is_help=True)


@deadline.callback()
def _deadline() -> None:
    """When invoices finalize, and how to get more time."""


@deadline.command("list")
def list_(
    ctx: typer.Context,
    *,
    customer: Annotated[
        str | None, typer.Option(metavar="ID", help="This customer_id or Stripe customer alone.")
    ] = None,
    stripe: Annotated[bool, typer.Option("--stripe", help="First read them from Stripe.")] = False,
    api_key_file: KeyFile = None,
    format_: Annotated[Format, typer.Option("--format", help="How to print the list.")] = Format.TABLE,
) -> None:
    """List drafts and period ends that are ahead, with the usage behind each that Stripe has not taken."""
    from meterledger.usecases.deadlines import list_deadlines

    context = context_of(ctx)
    clock = context.clock()
    with context.ledger() as ledger:
        if stripe:
            pull_and_warn(context, ledger, api_key_file, clock)
        now = clock()
        pull = ledger.subscriptions.latest_pull()
        found = list_deadlines(ledger, context.settings, now=now, customer=customer)
    from meterledger.domain.instant import to_text

    rows = [_row(one) for one in found]
    match format_:
        case Format.JSON:
            pulled_at = None if pull is None else to_text(pull.recorded_at)
            print_json("deadline.list", {"pulled_at": pulled_at, "deadlines": rows})
        case Format.CSV:
            print_csv(_COLUMNS, [[_flat(row[key]) for key in _COLUMNS] for row in rows])
        case Format.TABLE if pull is None:
            say("Nothing was pulled from Stripe yet: `meterledger customers pull`, or `--stripe`.")
        case Format.TABLE if not rows:
            say("No draft is open, and no period is running.")
        case Format.TABLE:
            _print_deadlines(found)


@deadline.command("extend")
def extend(  # the options of a command
    ctx: typer.Context,
    *,
    by: Annotated[
        str | None, typer.Option("--by", metavar="DURATION", help="How much more time, e.g. 6h.")
    ] = None,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="INSTANT", help="Until when; who has it already is left alone."),
    ] = None,
    customer: Annotated[
        str | None, typer.Option(metavar="ID", help="The drafts of this customer_id or Stripe customer.")
    ] = None,
    all_at_risk: Annotated[
        bool, typer.Option("--all-at-risk", help="Every draft with usage that Stripe has not taken.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Say what would be moved; change nothing at Stripe.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; for scripts.")] = False,
    live: Annotated[bool, typer.Option("--live", help="Needed with a live key: real invoices.")] = False,
    api_key_file: KeyFile = None,
    format_: Annotated[Format, typer.Option("--format", help="How to print the result.")] = Format.TABLE,
) -> None:
    """
    Move automatically_finalizes_at of drafts, so that usage still comes onto them. Never to an earlier time.

    It shows what it would move and asks; without a terminal it wants --yes or --dry-run.
    """
    from meterledger.cli.extending import ended_early
    from meterledger.usecases.door import refuse_without_live
    from meterledger.usecases.extend_deadlines import ExtendOptions

    context = context_of(ctx)
    if (by is None) is (to is None):
        raise UsageError("say how much more time: --by DURATION or --to INSTANT", hint="one of both")
    if (customer is None) is not all_at_risk:
        raise UsageError("say which drafts: --customer ID or --all-at-risk")
    microseconds = context.duration(by, "--by")
    if microseconds is not None and microseconds <= 0:
        raise UsageError(f"--by {by}: there is nothing to move")
    if not (yes or dry_run or sys.stdin.isatty()):
        raise UsageError("there is no terminal to ask on", hint="say --yes, or --dry-run to look first")
    access = access_of(context, api_key_file)
    if live or not dry_run:
        refuse_without_live(access, live=live)
    clock = context.clock()
    until = None if to is None else context.instant(to)
    if until is not None and until <= clock():
        raise UsageError(f"--to {to}: that instant is over", hint="name one that is ahead")
    options = ExtendOptions(
        by=microseconds,
        to=until,
        customer=customer,
        dry_run=dry_run,
        confirm=None if yes else _ask(format_),
    )
    report, pulled = _extend(context, options, access, clock)
    say_warnings(pulled.warnings)
    failure = ended_early(report, options)
    _print_extended(report, pulled.warnings, options, format_, failure)
    context.interruption_reported = report.is_interrupted
    raise typer.Exit(_exit_code(report, customer, pulled) if failure is None else failure.exit_code)


def _extend(
    context: Context, options: "ExtendOptions", access: "StripeAccess", clock: Clock
) -> "tuple[ExtendReport, PullReport]":
    from meterledger.cli.extending import signals_restored, stopped_by_signals
    from meterledger.usecases.extend_deadlines import Extender
    from meterledger.usecases.pull_billing import pull_billing

    paced = paced_requests(clock)
    with context.ledger() as ledger, signals_restored():

        async def run(gateway: "Any", server_date: "Any") -> "tuple[ExtendReport, PullReport]":
            with requests_shown(context) as paced.on_request:
                pulled = await pull_billing(ledger, gateway, access, paced=paced, server_date=server_date)
            # Each draft is read again before it is moved: one of another form stops none but itself.
            if not (pulled.pull.invoices_read or pulled.odd_invoices):
                raise StripeError(
                    "; ".join(pulled.warnings), hint="the key needs to be allowed to read and write invoices"
                )
            extender = Extender(ledger=ledger, settings=context.settings, gateway=gateway, paced=paced)
            with ExitStack() as shown:

                def show() -> None:
                    """Not before: what asks a person wants the terminal for itself."""
                    paced.on_request = shown.enter_context(requests_shown(context))

                return await extender.run(stopped_by_signals(options), show), pulled

        return ask_stripe(access, clock, run)


def _ask(format_: Format) -> "Callable[[Sequence[Line]], bool]":
    def ask(lines: "Sequence[Line]") -> bool:
        if format_ is Format.TABLE:
            print_lines(lines)
        planned = [line for line in lines if line.result == "planned"]
        say(_WHAT_ELSE)
        return confirmed(lambda: f"Move the deadline of {count_text(len(planned))} drafts?")

    return ask


def _exit_code(report: "ExtendReport", customer: str | None, pulled: "PullReport") -> ExitCode:
    results = {line.result.value for line in report.lines}
    if "unknown" in results:
        return ExitCode.STRIPE
    nobody = customer is not None and not report.lines
    needs_a_person = nobody or pulled.odd_invoices or results & set(_NOT_DONE)
    return ExitCode.NEEDS_A_PERSON if needs_a_person else ExitCode.DONE


def _print_extended(
    report: "ExtendReport",
    warnings: list[str],
    options: "ExtendOptions",
    format_: Format,
    failure: "MeterledgerError | None",
) -> None:
    from meterledger.domain.instant import SECOND, to_text_or_none

    rows = [_extended_row(line) for line in report.lines]
    document = {
        "dry_run": options.dry_run,
        "by_seconds": None if options.by is None else options.by // SECOND,
        "to": to_text_or_none(options.to),
        "extended": sum(row["result"] == "extended" for row in rows),
        "drafts": rows,
        "warnings": warnings,
    }
    match format_:
        case Format.JSON if failure:
            print_error_json(failure, document)
        case Format.JSON:
            print_json("deadline.extend", document)
        case Format.CSV:
            columns = [*_COLUMNS, "from", "to", "result", "message"]
            print_csv(columns, [[_flat(row[key]) for key in columns] for row in rows])
        case Format.TABLE if not rows:
            say("No draft is open for them: nothing to move." if options.customer else "No draft is behind.")
        case Format.TABLE if not report.declined:
            print_lines(report.lines)
            if options.dry_run:
                say(_WHAT_ELSE)
                say("Nothing was moved: this was a dry run.")
    if failure:
        say_error(failure)


_COLUMNS = (
    "stripe_customer_id",
    "customer_ids",
    "subscription_id",
    "invoice_id",
    "start",
    "end",
    "deadline",
    "deadline_source",
    "held_open",
    "unsent",
    "too_late",
)


def _row(one: "Deadline") -> dict[str, Any]:
    from meterledger.domain.instant import to_text, to_text_or_none

    return {
        "stripe_customer_id": one.stripe_customer_id,
        "customer_ids": list(one.customer_ids),
        "subscription_id": one.subscription_id,
        "invoice_id": one.invoice.invoice_id if one.invoice else None,
        "start": to_text(one.period.start),
        "end": to_text(one.period.end),
        "deadline": to_text_or_none(one.deadline),
        "deadline_source": one.source.value,
        "held_open": one.deadline is None,
        "unsent": _amounts(one.unsent),
        "too_late": _amounts(one.too_late),
    }


def _extended_row(line: "Line") -> dict[str, Any]:
    from meterledger.domain.instant import to_text_or_none

    before = line.invoice.finalizes_at
    return {
        **_row(line.deadline),
        "from": to_text_or_none(before),
        "to": to_text_or_none(line.to),
        "deadline": to_text_or_none(line.now_at),
        "result": line.result.value,
        "message": line.message,
    }


def _amounts(amounts: "Mapping[str, Amount]") -> list[dict[str, Any]]:
    return [
        {"event_name": name, "events": amount.events, "quantity": str(amount.quantity)}
        for name, amount in sorted(amounts.items())
    ]


def _flat(value: object) -> object:
    if isinstance(value, list):
        return " ".join(
            f"{one['event_name']}:{one['events']}:{one['quantity']}" if isinstance(one, dict) else str(one)
            for one in value
        )
    return value


def _amount_text(amounts: "Mapping[str, Amount]") -> str:
    return "\n".join(
        f"{name}: {count_text(amount.events)} ({quantity_text(str(amount.quantity))})"
        for name, amount in sorted(amounts.items())
    )


def _print_deadlines(found: "Sequence[Deadline]") -> None:
    from meterledger.domain.instant import to_text

    print_table(
        [
            ("deadline", "left"),
            ("source", "left"),
            ("customer", "fold"),
            ("period", "left"),
            ("draft", "fold"),
            ("unsent usage events (quantity)", "left"),
        ],
        [
            [
                "held open" if one.deadline is None else to_text(one.deadline),
                one.source.value,
                ", ".join(one.customer_ids),
                f"{to_text(one.period.start)[:10]} to {to_text(one.period.end)[:10]}",
                one.invoice.invoice_id if one.invoice else "",
                "\n".join(filter(None, map(_amount_text, (one.unsent, one.too_late)))),
            ]
            for one in found[:_SHOWN]
        ],
        caption=_rest(len(found)),
    )


def print_lines(lines: "Sequence[Line]") -> None:
    """Print what became of drafts, or is to become of them: first those that need a person."""
    from collections import Counter

    from meterledger.domain.instant import to_text

    # What is not done needs a person, and would be lost among hundreds of drafts.
    shown = sorted(lines, key=lambda line: line.result.value not in _NOT_DONE)
    results = Counter(line.result.value.replace("_", " ") for line in shown)
    counts = ", ".join(f"{count_text(count)} {result}" for result, count in results.items())
    print_table(
        [
            ("customer", "fold"),
            ("draft", "fold"),
            ("from", "left"),
            ("to", "left"),
            ("result", "left"),
            ("unsent usage events (quantity)", "left"),
        ],
        [
            [
                ", ".join(line.deadline.customer_ids),
                line.invoice.invoice_id,
                "" if line.invoice.finalizes_at is None else to_text(line.invoice.finalizes_at),
                "" if line.to is None else to_text(line.to),
                line.result.value.replace("_", " "),
                _amount_text(line.deadline.unsent),
            ]
            for line in shown[:_SHOWN]
        ],
        caption=f"{counts}: {rest}" if (rest := _rest(len(lines))) else "",
    )
    late = sum(amount.events for line in lines for amount in line.deadline.too_late.values())
    if late:
        say(
            f"{count_text(late)} usage events come onto no invoice whatever the deadline: their price "
            "changed in the middle of the period."
        )


def _rest(count: int) -> str:
    return f"the first {_SHOWN} of {count_text(count)}; --format json has all" if count > _SHOWN else ""
