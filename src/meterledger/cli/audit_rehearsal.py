"""`meterledger audit --rehearse`: the audit from usage files alone."""

from typing import TYPE_CHECKING, NoReturn

import typer

from meterledger.cli.output import (
    Format,
    console,
    count_text,
    print_csv,
    print_error_json,
    print_json,
    say,
    say_error,
)
from meterledger.cli.refused import print_refused
from meterledger.config.duration import duration_text
from meterledger.domain.instant import SECOND
from meterledger.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from meterledger.cli.context import Context
    from meterledger.errors import ExitCode
    from meterledger.usecases.audit_answer import AuditOptions
    from meterledger.usecases.rehearsal_answer import Rehearsed


def rehearse_files(
    context: "Context",
    files: list[str],
    source: str | None,
    arrival: str | None,
    options: "AuditOptions",
    format_: Format,
    *,
    exit_code: "Callable[[str], ExitCode]",
) -> NoReturn:
    """Rehearse a month's end, print the answer, and leave with the exit code of the verdict."""
    from meterledger.cli.import_ import chosen_source
    from meterledger.usecases.audit_answer import AuditOptions
    from meterledger.usecases.rehearsal import rehearse
    from meterledger.usecases.rehearsal_answer import Arrival, RehearsalOptions

    if options != AuditOptions(grace_period=options.grace_period, push_every=options.push_every):
        raise UsageError(
            "--rehearse looks at files alone, all of them",
            hint="with it go --source, --arrival, --push-every, --grace, --fail-on and --format",
        )
    rehearsed = rehearse(
        context.settings,
        RehearsalOptions(
            files=files,
            source=chosen_source(context, source, None),
            arrival=Arrival(arrival) if arrival else Arrival.RECEIVED_AT,
            grace_period=options.grace_period,
            push_every=options.push_every,
        ),
    )
    _print(rehearsed, options, format_, quiet=context.quiet)
    if rehearsed.failed:
        raise typer.Exit(max(error.exit_code for error in rehearsed.failed))
    raise typer.Exit(exit_code(rehearsed.audit.verdict))


def _print(rehearsed: "Rehearsed", options: "AuditOptions", format_: Format, *, quiet: bool) -> None:
    from meterledger.cli.audit_document import audit_document

    match format_:
        case Format.JSON:
            document = {**audit_document(rehearsed.audit, options), "rehearsal": _rehearsal(rehearsed)}
            if rehearsed.failed:
                print_error_json(rehearsed.failed[0], document)
            else:
                print_json("audit", document)
        case Format.CSV:
            print_csv(
                ("grace_period_seconds", "event_name", "missed_events", "missed_quantity"),
                [
                    (line.grace_period, line.event_name, line.missed.events, str(line.missed.quantity))
                    for line in rehearsed.audit.what_if
                ],
            )
        case Format.TABLE:
            _print_for_people(rehearsed, quiet=quiet)
    for failure in rehearsed.failed:
        say_error(failure)


def _rehearsal(rehearsed: "Rehearsed") -> dict[str, object]:
    return {
        "files": rehearsed.files,
        "rows": rehearsed.rows,
        "duplicates": rehearsed.duplicates,
        "rejected": rehearsed.refused,
        "rejected_by_reason": dict(sorted(rehearsed.reasons.items())),
        "without_received_at": rehearsed.without_received_at,
        "arrival": rehearsed.arrival.value,
        "push_every_seconds": rehearsed.push_every // SECOND,
    }


def _print_for_people(rehearsed: "Rehearsed", *, quiet: bool) -> None:
    from meterledger.cli.audit_table import print_rehearsed
    from meterledger.usecases.findings import counted

    every = duration_text(rehearsed.push_every)
    arrival = {"received_at": "each row's received_at", "mtime": "the time its file was last changed"}
    console().print(
        f"Rehearsal from {counted(rehearsed.rows, 'row')} of {counted(rehearsed.files, 'file')}. "
        f"Arrival: {arrival[rehearsed.arrival.value]}. Push: every {every}. "
        "A month's end: each UTC midnight.",
        soft_wrap=True,
        markup=False,
    )
    print_rehearsed(rehearsed.audit, quiet=quiet)
    print_refused(rehearsed.groups)
    if quiet:
        return
    if rehearsed.duplicates:
        say(f"Rows whose usage key had come before, counted once: {count_text(rehearsed.duplicates)}.")
    for hint in rehearsed.hints:
        say(hint)
