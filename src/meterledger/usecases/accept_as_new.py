"""Accept as new: a row in conflict becomes a usage event of its own, under another request_id."""

from collections.abc import Callable
from dataclasses import dataclass

from meterledger.config import Settings
from meterledger.domain.instant import Instant
from meterledger.domain.meter_event import MAX_IDENTIFIER_CHARS
from meterledger.domain.usage import MAX_REQUEST_ID_CHARS, UsageEvent, shown
from meterledger.domain.usage_columns import UsageColumns
from meterledger.errors import InputError, UsageError
from meterledger.ledger import Ledger
from meterledger.ledger.database import Row
from meterledger.ledger.usage_writer import content_differences
from meterledger.usecases.dry_run import rolled_back
from meterledger.usecases.import_usage import rules_for
from meterledger.usecases.planning import refuse_coarser_scale
from meterledger.usecases.reading_again import provenance_of, read_again, source_of, why_not
from meterledger.usecases.retry_rejects import usage_of
from meterledger.usecases.select_rejects import CONFLICT, open_by_number


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedAsNew:
    """The usage event that a row in conflict became; a dry run gives numbers that were taken back."""

    event: UsageEvent
    source: str
    file: str
    id: int
    import_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUsage:
    """What a person asks for: the conflict, the request_id that its row gets, and why."""

    reject: int
    request_id: str
    note: str | None = None


def accept_as_new(
    ledger: Ledger,
    settings: Settings,
    wanted: NewUsage,
    *,
    clock: Callable[[], Instant],
    dry_run: bool = False,
) -> AcceptedAsNew:
    """
    Take the row of a conflict as a usage event beside the stored one: it is billed in addition.

    Raises:
        UsageError: It is no open conflict, its row is not good by today's rules, or the new usage key exists.
    """
    refuse_coarser_scale(ledger, settings)
    request_id = _checked(wanted.request_id)
    with rolled_back(ledger) if dry_run else ledger.database.transaction():
        (row,) = open_by_number(ledger, [wanted.reject], CONFLICT)
        event = _usage_of(ledger, settings, row)._replace(request_id=request_id)
        return _accept(ledger, settings, row, wanted, event, clock)


def _checked(request_id: str) -> str:
    text = request_id.strip()
    if not 1 <= len(text) <= MAX_REQUEST_ID_CHARS:
        raise UsageError(f"--request-id has {len(text)} characters; it takes 1 to {MAX_REQUEST_ID_CHARS}")
    return text


def _usage_of(ledger: Ledger, settings: Settings, row: Row) -> UsageEvent:
    """Return the usage event that the row of a conflict gives by today's rules, under its own key."""
    if because := why_not(row):
        raise UsageError(f"refused row {row['id']} cannot be read again: {because}")
    try:
        read = read_again(row, rules_for(ledger, settings, source_of(row, settings)))
    except InputError as error:
        raise UsageError(f"refused row {row['id']} cannot be read again: {error.message}") from error
    event = usage_of(row, read)
    if event is None:
        why = read.rejections[0].message if read.rejections else "it holds several usage events"
        raise UsageError(f"refused row {row['id']} is not good by today's config: {why}")
    stored = ledger.rejects.stored_usage(event.request_id, ledger.rejects.source_number(row["source"]))
    is_free = stored is None or stored["closed_as"] == "voided"
    if stored is None or is_free or not list(content_differences(stored, event)):
        raise UsageError(
            f"refused row {row['id']} is no conflict any more",
            hint=f"`meterledger rejects retry {row['id']}` takes it under its own request_id",
        )
    return event


def _accept(
    ledger: Ledger,
    settings: Settings,
    row: Row,
    wanted: NewUsage,
    event: UsageEvent,
    clock: Callable[[], Instant],
) -> AcceptedAsNew:
    if row["keeps_identifier"] and len(event.request_id) > MAX_IDENTIFIER_CHARS:
        raise UsageError(
            f"--request-id has {len(event.request_id)} characters; source {row['source']} sends it to Stripe "
            f"as the identifier, which takes {MAX_IDENTIFIER_CHARS}"
        )
    if ledger.rejects.stored_usage(event.request_id, ledger.rejects.source_number(row["source"])):
        raise UsageError(
            f"source {row['source']} has a usage event {shown(event.request_id)} already",
            hint="name a request_id that is new",
        )
    target = ledger.imports.begin(provenance_of(row, settings), clock())
    ledger.imports.write_chunk(target, UsageColumns.of([event]), [], lambda _line: row["raw"], clock())
    stored = ledger.rejects.stored_usage(event.request_id, target.source)
    if stored is None:
        raise UsageError(
            f"the ledger has usage with the identifier {shown(event.request_id)} already",
            hint="name a request_id that is new",
        )
    ledger.rejects.close(row["id"], "accepted", clock(), note=wanted.note, accepted_as=stored["id"])
    ledger.imports.finish(target, clock())
    return AcceptedAsNew(
        event=event, source=row["source"], file=row["file"], id=stored["id"], import_id=target.id
    )
