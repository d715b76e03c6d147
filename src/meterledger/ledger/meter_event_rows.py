"""Meter events between the ledger's rows and the domain's values."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from meterledger.domain.delivery import Attempt, Outcome, Result, State, Verdict
from meterledger.domain.instant import Instant
from meterledger.domain.meter_event import MeterEvent, RolledUpWindow, UsageToSeal
from meterledger.domain.quantity import Quantity
from meterledger.domain.way import Way
from meterledger.ledger.database import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMeterEvent:
    """A meter event of the ledger that is still to be sent."""

    id: int
    state: State
    attempts: int
    sealed: MeterEvent
    last_key: str = ""
    """The Idempotency-Key of its last attempt: what went together in a batch has it in common."""


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A meter event whose next attempt is committed: it may be sent now, once."""

    id: int
    sealed: MeterEvent
    attempt: int
    started_at: Instant
    idempotency_key: str
    earlier: Sequence[Attempt] = ()


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt and what it came to."""

    claimed: Claimed
    outcome: Outcome
    verdict: Verdict


New = tuple[UsageToSeal | Sequence[int], MeterEvent]
"""A meter event that is sealed now, with the usage event that it carries, or the numbers of those."""


def outcome_columns(outcome: Outcome, started_at: Instant) -> dict[str, object]:
    """Return what finish_attempts_if_in_flight writes of attempts that began then."""
    return {
        "finished_at": max(outcome.at, started_at),
        "outcome": outcome.result.value,
        "answered": int(outcome.answered),
        "http_status": outcome.http_status,
        "code": outcome.code,
        "message": outcome.message,
        "stripe_request_id": outcome.stripe_request_id,
    }


def state_columns(verdict: Verdict) -> dict[str, object]:
    """Return what set_state_if_sending writes, but for the time."""
    return {
        "state": verdict.state.value,
        "in_doubt_reason": verdict.in_doubt_reason,
        "accepted_at": verdict.accepted_at,
        "accepted_from": verdict.accepted_from,
        "accepted_by": verdict.accepted_by,
        "rejection_code": verdict.rejection_code,
        "rejection_message": verdict.rejection_message,
    }


def new_row(number: int, event: MeterEvent, usage_events: int) -> tuple[object, ...]:
    """Return the arguments of add_meter_event of its own, in their order."""
    return (
        number,
        event.identifier,
        event.revision,
        event.event_name,
        event.stripe_customer_id,
        event.timestamp,
        event.payload_text(),
        event.quantity.units,
        event.quantity.scale,
        usage_events,
        event.event_time,
    )


def rollup_row(number: int, window: RolledUpWindow) -> tuple[object, ...]:
    """Return the arguments of add_rollup, in their order."""
    return (number, window.start, window.end, window.dimensions, window.part)


def to_usage(row: Row) -> UsageToSeal:
    """Return a row of usage_to_seal."""
    (
        number, source, request_id, customer_id, subscription_id, feature, units, scale, event_time,
        dimensions, keeps_identifier, revision,
    ) = row  # fmt: skip
    return UsageToSeal(
        usage_event=number,
        source=source,
        request_id=request_id,
        customer_id=customer_id,
        subscription_id=subscription_id,
        feature=feature,
        quantity=Quantity(units, scale),
        event_time=event_time,
        dimensions=dimensions,
        keeps_identifier=bool(keeps_identifier),
        revision=revision,
    )


def to_stored(row: Row, way: Way) -> StoredMeterEvent:
    """Return a row of unsent_meter_events; ``way`` is that of what certainly went none so far."""
    return StoredMeterEvent(
        id=row["id"],
        state=State(row["state"]),
        attempts=row["attempts"],
        last_key=row["last_key"] or "",
        sealed=MeterEvent(
            event_name=row["event_name"],
            identifier=row["identifier"],
            timestamp=row["timestamp"],
            payload=msgspec.json.decode(row["payload"], type=dict[str, str]),
            revision=row["revision"],
            stripe_customer_id=row["stripe_customer_id"],
            quantity=Quantity(row["quantity"], row["scale"]),
            event_time=row["event_time"],
            window=_window(row),
            way=Way(row["way_taken"]) if row["way_taken"] else way,
        ),
    )


def _window(row: Row) -> RolledUpWindow | None:
    if row["window_start"] is None:
        return None
    return RolledUpWindow(
        start=row["window_start"], end=row["window_end"], dimensions=row["dimensions"], part=row["part"]
    )


def to_attempt(row: Row) -> Attempt:
    """Return a row of attempts_of."""
    refused = row["outcome"] == Result.NOT_SENT and row["http_status"] in (400, 404)
    return Attempt(
        number=row["attempt"],
        idempotency_key=row["idempotency_key"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        result=Result(row["outcome"]) if row["outcome"] else None,
        answered=bool(row["answered"]),
        settled=row["settled_at"] is not None,
        way=Way(row["api"]),
        spent_key=refused and row["code"] != "rate_limit",
    )
