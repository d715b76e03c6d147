"""`meterledger audit --lost FILE`: usage that missed its invoice, ready for invoice items."""

from contextlib import closing
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from meterledger.cli.audit_document import deadline_text
from meterledger.cli.output import Format, count_text, json_line, say, write_csv
from meterledger.cli.written_file import refuse_to_overwrite, written_file
from meterledger.domain.dues import DeadlineSource
from meterledger.domain.instant import Instant, seconds_floor, to_text
from meterledger.errors import UsageError
from meterledger.usecases.findings import counted
from meterledger.usecases.lost import Outcome, lost_lines, lost_usage

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Generator

    from meterledger.usecases.audit import Audited
    from meterledger.usecases.lost import LostLine, LostUsage

STDOUT = "-"
_CSV, _JSONL = ".csv", ".jsonl"

_LINE_COLUMNS = (
    # As POST /v1/invoiceitems names them.
    "customer", "subscription", "description", "period[start]", "period[end]", "quantity_decimal",
    # What else there is to know.
    "customer_id", "event_name", "aggregation", "feature", "deadline", "deadline_source", "usage_events",
    "accepted_late_events", "accepted_late_quantity", "never_accepted_events", "never_accepted_quantity",
    "reasons", "may_be_on_it_events", "may_be_on_it_quantity", "may_be_on_it_reasons", "first_event_time",
    "last_event_time",
)  # fmt: skip
_EVENT_COLUMNS = (
    "outcome", "reason", "customer", "customer_id", "subscription", "event_name", "feature", "quantity",
    "event_time", "period[start]", "period[end]", "deadline", "deadline_source", "source", "file", "line",
    "request_id", "received_at", "recorded_at", "accepted_at", "identifier",
)  # fmt: skip


def check_lost(*paths: Path | None, page: Path | None = None) -> None:
    """Raise UsageError for names that do not say how to write the file, are taken, or the same."""
    named = [path for path in paths if path is not None]
    for path in named:
        if str(path) == STDOUT:
            continue
        if path.suffix not in (_CSV, _JSONL):
            raise UsageError(
                f"{path}: what was lost is written as .csv or .jsonl", hint="name the file so, or -"
            )
        refuse_to_overwrite(path)
        if page is not None and path.resolve() == page.resolve():
            raise UsageError(f"--output and --lost both name {path}", hint="name two files")
    if len({path if str(path) == STDOUT else path.resolve() for path in named}) < len(named):
        raise UsageError("--lost and --lost-events name the same file", hint="name two files")


def write_lost(
    whole: "Audited", by_customer: Path | None, by_event: Path | None, format_: Format, *, quiet: bool
) -> None:
    """Write what an audit has lost: a line for each customer and feature, for each usage event, or both."""
    if by_event is not None:
        _write(by_event, format_, _EVENT_COLUMNS, (_event_row(one) for one in lost_usage(whole)))
    if by_customer is not None:
        lines = lost_lines(lost_usage(whole))
        _write(by_customer, format_, _LINE_COLUMNS, (_line_row(whole, one) for one in lines))
        if not quiet:
            _say(lines, by_customer)


def _write(
    path: Path, format_: Format, columns: tuple[str, ...], rows: "Generator[tuple[object, ...], None, None]"
) -> None:
    to_stdout = str(path) == STDOUT
    as_json = format_ is Format.JSON if to_stdout else path.suffix == _JSONL
    # What reads the ledger ends before it is closed, also where the rest cannot be written.
    with written_file(None if to_stdout else path) as file, closing(rows):
        if as_json:
            file.writelines(json_line(_nested(columns, row)).encode() for row in rows)
        else:
            write_csv(_Utf8(file), columns, ([_csv_cell(cell) for cell in row] for row in rows))


class _Utf8:
    """Text for a file of bytes that is closed by whoever opened it; io's own wrapper would close it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, text: str) -> int:
        """Write text."""
        return self._file.write(text.encode())


def _nested(columns: tuple[str, ...], row: tuple[object, ...]) -> dict[str, Any]:
    """Return a row as an object, its period as one of its own, as Stripe's JSON has it."""
    document: dict[str, Any] = {}
    for column, value in zip(columns, row, strict=True):
        name, _, key = column.removesuffix("]").partition("[")
        if key:
            document.setdefault(name, {})[key] = value
        else:
            document[name] = value
    return document


def _csv_cell(value: object) -> object:
    """Write counts by reason as text: ``unsent=3; rejected: CODE=1``."""
    if isinstance(value, dict):
        return "; ".join(f"{reason}={count}" for reason, count in value.items())
    return value


def _line_row(whole: "Audited", one: "LostLine") -> tuple[object, ...]:
    due, lost = one.due, one.lost
    late, never, maybe = (one.amounts[outcome] for outcome in Outcome)
    of_what = one.event_name or one.feature
    start, end = to_text(due.period.start), to_text(due.period.end)
    return (
        one.stripe_customer_id,
        one.subscription_id,
        f"{of_what}: usage from {start} to {end} that was not on its invoice",
        seconds_floor(due.period.start),
        seconds_floor(due.period.end),
        str(lost.quantity),
        one.customer_id,
        one.event_name,
        _aggregation(whole, one.event_name),
        one.feature,
        deadline_text(due.deadline),
        due.source.value,
        lost.events,
        late.events,
        str(late.quantity),
        never.events,
        str(never.quantity),
        _sorted(one.reasons[Outcome.ACCEPTED_LATE] + one.reasons[Outcome.NEVER_ACCEPTED]),
        maybe.events,
        str(maybe.quantity),
        _sorted(one.reasons[Outcome.MAY_BE_ON_IT]),
        to_text(one.first_event_time),
        to_text(one.last_event_time),
    )


def _event_row(one: "LostUsage") -> tuple[object, ...]:
    due = one.due
    return (
        one.outcome.value,
        one.reason,
        one.stripe_customer_id,
        one.customer_id,
        one.subscription_id,
        one.event_name,
        one.feature,
        str(one.quantity),
        to_text(one.event_time),
        seconds_floor(due.period.start),
        seconds_floor(due.period.end),
        deadline_text(due.deadline),
        due.source.value,
        one.source,
        one.file,
        one.line,
        one.request_id,
        _text(one.received_at),
        to_text(one.recorded_at),
        _text(one.accepted_at),
        one.identifier,
    )


def _aggregation(whole: "Audited", event_name: str | None) -> str | None:
    meters = whole.reading.settings.catalogue.meters
    return next((meter.aggregation.value for meter in meters if meter.event_name == event_name), None)


def _sorted(reasons: "Counter[str]") -> dict[str, int]:
    return dict(sorted(reasons.items()))


def _text(instant: Instant | None) -> str | None:
    return None if instant is None else to_text(instant)


def _say(lines: "list[LostLine]", path: Path) -> None:
    lost = [one for one in lines if one.lost.events]
    events = sum(one.lost.events for one in lost)
    customers = len({one.customer_id for one in lost})
    where = "" if str(path) == STDOUT else f"; {counted(len(lines), 'line')} in {path}"
    say(
        f"{counted(events, 'usage event')} of {counted(customers, 'customer')} on no invoice{where}. "
        "The price is yours: the ledger knows none."
    )
    if any(one.due.source is not DeadlineSource.DRAFT_INVOICE for one in lost):
        say("Some of these deadlines are not Stripe's word: bill it only when its invoice is final.")
    if maybe := sum(one.amounts[Outcome.MAY_BE_ON_IT].events for one in lines):
        say(
            f"{count_text(maybe)} more may be on their invoice: settle them with `meterledger reconcile` or "
            "`resolve` before you bill them."
        )
    if any(
        one.event_name is not None and one.lost.events and one.stripe_customer_id is None for one in lines
    ):
        say("Some of it has no Stripe customer: import the customers file first.")
