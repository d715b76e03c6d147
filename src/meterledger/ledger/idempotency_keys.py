"""
The Idempotency-Key of the next attempt: it counts what was dissolved under the same identifier too.

A meter event that certainly never arrived may be taken back, and its usage sealed under the same identifier
again. Stripe keeps answers under a key for a day: so the keys go on where they were.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from meterledger.domain.delivery import Attempt, key_taken_up_again, next_idempotency_key
from meterledger.domain.meter_event import MeterEvent
from meterledger.ledger.database import Database
from meterledger.ledger.meter_event_rows import New, StoredMeterEvent, to_attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Dissolved:
    """An attempt of a meter event that was dissolved, and what it sent: event_name, timestamp, payload."""

    attempt: Attempt
    body: tuple[str, int, str]


def before_dissolving(database: Database, events: Iterable[MeterEvent]) -> dict[str, list[Dissolved]]:
    """Return what went before under the identifiers of meter events that are claimed, by identifier."""
    found: dict[str, list[Dissolved]] = {}
    if database.row("any_dissolved") is not None:
        identifiers = [(event.identifier,) for event in events]
        for row in database.rows_for("attempts_before_dissolving", identifiers):
            body = (row["event_name"], row["timestamp"], row["payload"])
            found.setdefault(row["identifier"], []).append(Dissolved(attempt=to_attempt(row), body=body))
    return found


def next_key(event: MeterEvent, earlier: Sequence[Attempt], before: Sequence[Dissolved]) -> str:
    """Return the key of the next attempt, after its own and what went before under its identifier."""
    if not before:
        return next_idempotency_key(event.identifier, earlier, event.way)
    body = (event.event_name, event.timestamp, event.payload_text())
    others = {one.attempt.idempotency_key for one in before if one.attempt.answered and one.body != body}
    attempts = [*(one.attempt for one in before), *earlier]
    return key_taken_up_again(event.identifier, attempts, others, event.way)


def attempts_of_batch(
    resent: Sequence[tuple[StoredMeterEvent, list[Attempt]]],
    new: Sequence[New],
    before: Mapping[str, Sequence[Dissolved]],
) -> list[Attempt]:
    """Return the attempts that the same batch may have made before: those of one of its meter events."""
    identifier = new[0][1].identifier if new else resent[0][0].sealed.identifier
    return [*(one.attempt for one in before.get(identifier, ())), *([] if new else resent[0][1])]
