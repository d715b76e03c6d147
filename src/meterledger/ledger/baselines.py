"""What this ledger knows of Stripe's totals: usage it sent, usage billed elsewhere, and baselines."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from meterledger.domain.foreign_usage import ForeignUsage, plain
from meterledger.domain.instant import SECOND, Instant
from meterledger.domain.meter_event import UsageToSeal
from meterledger.domain.quantity import decimal_text
from meterledger.domain.sending_order import Lane
from meterledger.ledger.database import Database
from meterledger.ledger.lease import LeaseStore
from meterledger.ledger.meter_event_rows import to_usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A comparison that let a push go on."""

    cause: str
    unknown_before: Instant
    compared_up_to: int
    lanes: int = 0
    not_compared: int = 0


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a window: its beginning, the quantity, and of how many events."""

    start: Instant
    quantity: Decimal
    events: int


@dataclass(frozen=True, slots=True)
class PushRow:
    """One run of push, as the ledger has it."""

    number: int
    started_at: Instant
    finished_at: Instant | None


class BaselineStore:
    """Owns comparisons and baselines."""

    def __init__(self, database: Database, lease: LeaseStore) -> None:
        self._database = database
        self._lease = lease

    def may_have_sent(self) -> bool:
        """Tell whether anything of this ledger may have reached Stripe."""
        return self._database.row("may_have_sent") is not None

    def latest(self) -> Compared | None:
        """Return the latest comparison."""
        row = self._database.row("latest_comparison")
        if row is None:
            return None
        cause, unknown_before, compared_up_to = row
        return Compared(cause=cause, unknown_before=unknown_before, compared_up_to=compared_up_to)

    def leaves_unsealed(self, compared: Compared, since: Instant) -> bool:
        """Tell whether there is unsealed usage, not older than ``since``, that a comparison left out."""
        row = self._database.row(
            "unsealed_not_compared",
            compared_up_to=compared.compared_up_to,
            unknown_before=compared.unknown_before,
            since=since,
        )
        return row is not None

    def last_usage_event(self) -> int:
        """Return the number of the latest usage event; 0 if there is none."""
        row = self._database.row("newest_usage_event")
        return row["id"] if row else 0

    def known(self, lane: Lane, span: tuple[Instant, Instant], length: int) -> Iterator[Known]:
        """Yield what Stripe has, or may have, of this ledger, and baselines, by window of a length."""
        event_name, customer = lane
        since, until = span
        rows = self._database.rows(
            "known_of_lane",
            event_name=event_name,
            stripe_customer_id=customer,
            since=since // SECOND,
            until=until // SECOND,
            window_seconds=length // SECOND,
        )
        for row in rows:
            quantity = Decimal(decimal_text(row["quantity"], row["scale"]))
            yield Known(row["window_start"] * SECOND, quantity, row["events"])
        for row in self._database.rows(
            "baselines_of_lane", event_name=event_name, stripe_customer_id=customer, since=since, until=until
        ):
            # On a count meter the surplus is the events themselves.
            surplus = Decimal(row["surplus"])
            yield Known(row["window_start"], surplus, max(1, int(surplus)))

    def already_billed(self, since: Instant, until: Instant) -> Iterator[UsageToSeal]:
        """Yield usage that an older system told Stripe of."""
        return map(to_usage, self._database.stream("already_billed_usage", since=since, until=until))

    def record(self, compared: Compared, foreign: Sequence[ForeignUsage], token: int, now: Instant) -> None:
        """Keep a comparison, and the surplus that a person took as given, in one transaction."""
        with self._database.transaction():
            self._lease.renew(token, now)
            row = self._database.row(
                "add_comparison",
                cause=compared.cause,
                unknown_before=compared.unknown_before,
                compared_up_to=compared.compared_up_to,
                lanes=compared.lanes,
                not_compared=compared.not_compared,
                compared_at=now,
            )
            if row is None:
                raise AssertionError("unreachable: the statement returns the row it wrote")
            self._database.run_many("add_baseline", [_baseline(row["id"], one, now) for one in foreign])

    def push_by_number(self, number: int) -> PushRow | None:
        """Return a run of push."""
        row = self._database.row("push_by_number", push=number)
        return PushRow(*row) if row else None

    def latest_push(self) -> PushRow | None:
        """Return the latest run of push."""
        row = self._database.row("latest_push")
        return PushRow(*row) if row else None


def _baseline(comparison: int, one: ForeignUsage, now: Instant) -> tuple[object, ...]:
    return (
        comparison,
        one.event_name,
        one.stripe_customer_id,
        one.start,
        one.end,
        plain(one.ledger),
        plain(one.stripe),
        plain(one.surplus),
        now,
    )
