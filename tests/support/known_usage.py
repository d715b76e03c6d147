"""What a ledger knew of each usage event at an instant, read with plain SQL and worked out row by row."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

from meterledger.domain.instant import Instant

_Facts = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownUsage:
    """One usage event as it was known; instants in microseconds."""

    source: str
    customer_id: str
    subscription_id: str | None
    feature: str
    quantity: Fraction
    event_time: Instant
    arrived_at: Instant
    state: str
    """Of the usage event where it is not sealed, else that of its meter event in the contract's words."""
    sealed_for: str | None
    accepted_from: Instant | None
    accepted_by: Instant | None
    left_out: str | None
    """Why it says nothing about delays."""

    @property
    def is_accepted(self) -> bool:
        """Tell whether Stripe has it for certain, as far as was known."""
        return self.state == "accepted"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRows:
    """The rows of the tables that say anything of usage and its delivery."""

    usage: list[_Facts]
    closures: dict[int, _Facts]
    links: dict[int, list[_Facts]]
    """By usage event."""
    meter_events: dict[int, _Facts]
    attempts: dict[int, list[_Facts]]
    """By meter event, as doubts."""
    doubts: dict[int, list[_Facts]]
    rejects: list[_Facts]
    names: dict[str, dict[int, str]]
    imports: dict[int, _Facts]

    @classmethod
    def of(cls, path: Path) -> Self:
        """Read all of them from a ledger file."""
        with closing(sqlite3.connect(path)) as connection:
            connection.row_factory = sqlite3.Row

            def rows(table: str) -> list[_Facts]:
                return [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY rowid")]  # noqa: S608 # names of tables, from below

            return cls(
                usage=rows("usage_events"),
                closures={one["usage_event"]: one for one in rows("usage_closures")},
                links=_by("usage_event", rows("meter_event_usage")),
                meter_events={one["id"]: one for one in rows("meter_events")},
                attempts=_by("meter_event", rows("delivery_attempts")),
                doubts=_by("meter_event", rows("doubts")),
                rejects=rows("rejects"),
                names={
                    "source": {one["id"]: one["name"] for one in rows("sources")},
                    "feature": {one["id"]: one["name"] for one in rows("features")},
                    "customer": {one["id"]: one["customer_id"] for one in rows("customers")},
                },
                imports={one["id"]: one for one in rows("imports")},
            )

    def known(self, now: Instant) -> Iterator[KnownUsage]:
        """Yield every usage event that was recorded by an instant, as it was known then."""
        for one in self.usage:
            if one["recorded_at"] > now:
                continue
            meter_event = self._carrier(one["id"], now)
            state = self._closed_as(one["id"], now) or (
                "unsealed" if meter_event is None else self._delivery(meter_event, now)
            )
            is_accepted = meter_event is not None and state == "accepted"
            yield KnownUsage(
                source=self.names["source"][one["source"]],
                customer_id=self.names["customer"][one["customer"]],
                subscription_id=one["subscription_id"],
                feature=self.names["feature"][one["feature"]],
                quantity=Fraction(one["quantity"], 10 ** one["scale"]),
                event_time=one["event_time"],
                arrived_at=one["recorded_at"] if one["received_at"] is None else one["received_at"],
                state=state,
                sealed_for=None if meter_event is None else meter_event["event_name"],
                accepted_from=meter_event["accepted_from"] if meter_event and is_accepted else None,
                accepted_by=meter_event["accepted_by"] if meter_event and is_accepted else None,
                left_out=self._left_out(one),
            )

    def latest_of_lane(self, stripe_customer_id: str, event_name: str, now: Instant) -> Instant | None:
        """Return the latest event_time that Stripe has or may have of a customer and meter."""
        return max(
            (
                one["event_time"]
                for one in self.meter_events.values()
                if (one["stripe_customer_id"], one["event_name"]) == (stripe_customer_id, event_name)
                and one["sealed_at"] <= now
                and self._delivery(one, now) in {"sending", "accepted", "in_doubt"}
            ),
            default=None,
        )

    def _left_out(self, usage: _Facts) -> str | None:
        brought_by = self.imports[usage["import"]]
        if brought_by["backfill"]:
            return "backfill"
        return "first_import" if brought_by["first_of_source"] and usage["received_at"] is None else None

    def _carrier(self, usage_event: int, now: Instant) -> _Facts | None:
        """Return the meter event that carried a usage event at an instant."""
        for link in self.links.get(usage_event, ()):
            if link["linked_at"] <= now and (link["unlinked_at"] is None or link["unlinked_at"] > now):
                return self.meter_events[link["meter_event"]]
        return None

    def _closed_as(self, usage_event: int, now: Instant) -> str | None:
        closure = self.closures.get(usage_event)
        if closure is None:
            return None
        if closure["closed_at"] <= now:
            return str(closure["state"])
        billed_at = closure["already_billed_at"]
        return "already_billed" if billed_at is not None and billed_at <= now else None

    def _delivery(self, meter_event: _Facts, now: Instant) -> str:
        """Return the state of a meter event at an instant; what was learnt later is not known."""
        if meter_event["state_at"] <= now and meter_event["state"] in {"rejected", "in_doubt", "canceled"}:
            return str(meter_event["state"])
        if any(one["since"] <= now < one["until"] for one in self.doubts.get(meter_event["id"], ())):
            return "in_doubt"
        learnt_at = meter_event["accepted_recorded_at"]
        if learnt_at is not None and learnt_at <= now:
            return "accepted"
        attempts = self.attempts[meter_event["id"]]
        return "sending" if any(_is_unknown(one, now) for one in attempts) else "pending"


def _by(column: str, rows: list[_Facts]) -> dict[int, list[_Facts]]:
    """Return the rows by what they refer to."""
    found: dict[int, list[_Facts]] = {}
    for one in rows:
        found.setdefault(one[column], []).append(one)
    return found


def _is_unknown(attempt: _Facts, now: Instant) -> bool:
    """Tell whether Stripe may have taken an attempt, as far as was known at an instant."""
    if attempt["started_at"] > now:
        return False
    if attempt["finished_at"] is None or attempt["finished_at"] > now:
        return True
    is_settled = attempt["settled_at"] is not None and attempt["settled_at"] <= now
    return attempt["outcome"] == "unknown" and not is_settled
