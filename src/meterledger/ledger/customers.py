"""Who is billed: what customers files said, with its history."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

from meterledger.domain.billing_period import BillingCycle
from meterledger.domain.customers import (
    SINCE_EVER,
    BillingInterval,
    BookEntry,
    CustomerBook,
    CustomerState,
    CustomerStatus,
    Standing,
)
from meterledger.domain.instant import Instant
from meterledger.ledger.database import Database, Row

_LATEST: Instant = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerFile:
    """What is kept of a customers file."""

    file: str
    sha256: str
    size_bytes: int
    input_format: str
    program_version: str
    rows_read: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewState:
    """A state to be recorded; ``effective_at`` is None where it holds since ever."""

    state: CustomerState
    effective_at: Instant | None
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedState:
    """A state of the ledger and where it comes from; ``effective_at`` is None where it holds since ever."""

    state: CustomerState
    effective_at: Instant | None
    recorded_at: Instant
    file: str
    line: int


class CustomerStore:
    """Owns customers files and the states they brought; states are added, and never changed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def states(self, as_of: Instant | None = None) -> Iterator[RecordedState]:
        """Return every state, in the order in which they were recorded; with ``as_of``, those known then."""
        return map(_recorded, self._rows(as_of))

    def states_of(self, customer: str, as_of: Instant | None = None) -> Iterator[RecordedState]:
        """Return the states of one customer_id, or of those that have or had one Stripe customer."""
        rows = self._database.stream("subscription_states_of", customer=customer, as_of=_known_by(as_of))
        return map(_recorded, rows)

    def book(self, as_of: Instant | None = None, *, with_cycles: bool = False) -> CustomerBook | None:
        """
        Return the book of all customers; None if no customers file was imported, or known at ``as_of``.

        ``with_cycles`` it knows billing periods too; sealing and import do not ask for them.
        """
        entries = self._entries(as_of, with_cycles=with_cycles)
        first = next(entries, None)
        return None if first is None else CustomerBook(chain([first], entries))

    def billing_cycles(self, as_of: Instant | None = None) -> dict[str, tuple[BillingCycle, ...]]:
        """
        Return every billing cycle that the subscriptions of a Stripe customer have or had.

        A Stripe customer is left out where the latest word on any of its subscriptions names no anchor.
        """
        said: dict[tuple[str, str], dict[str, set[BillingCycle]]] = {}
        anchored: dict[tuple[str, str], bool] = {}
        for row in self._database.stream("billing_cycles", as_of=_known_by(as_of)):
            customer_id, subscription_id, stripe_customer_id, anchor, unit, count = row
            pair = (customer_id, subscription_id)
            cycles = said.setdefault(pair, {}).setdefault(stripe_customer_id, set())
            anchored[pair] = anchor is not None
            if anchor is not None:
                cycles.add(BillingCycle(anchor, unit, count))
        found: dict[str, set[BillingCycle]] = {}
        unknown: set[str] = set()
        for pair, by_stripe_customer in said.items():
            for stripe_customer_id, cycles in by_stripe_customer.items():
                found.setdefault(stripe_customer_id, set()).update(cycles)
                if not anchored[pair] or not cycles:
                    unknown.add(stripe_customer_id)
        return {
            name: tuple(sorted(cycles, key=lambda one: (one.anchor, one.unit, one.count)))
            for name, cycles in found.items()
            if name not in unknown
        }

    def latest_file(self) -> int:
        """Return the number of the customers file imported last; 0 if there is none."""
        row = self._database.row("latest_customer_file")
        return row["id"] if row else 0

    def record(self, file: CustomerFile, states: Sequence[NewState], now: Instant) -> None:
        """Record a customers file and the states that are new by it; a transaction is open."""
        row = self._database.row(
            "add_customer_file",
            file=file.file,
            sha256=file.sha256,
            size_bytes=file.size_bytes,
            input_format=file.input_format,
            program_version=file.program_version,
            rows_read=file.rows_read,
            recorded_at=now,
        )
        if row is None:
            raise AssertionError("unreachable: the statement returns the row it wrote")
        self._database.run_many("add_subscription_state", _new_rows(states, row["id"]))

    def _rows(self, as_of: Instant | None) -> Iterator[Row]:
        return self._database.stream("subscription_states", as_of=_known_by(as_of))

    def _entries(self, as_of: Instant | None, *, with_cycles: bool) -> Iterator[BookEntry]:
        # Plans and statuses are few: one object each, however many customers there are.
        plans: dict[str | None, str | None] = {}
        statuses = {status.value: status for status in CustomerStatus}
        for row in self._rows(as_of):
            customer_id, subscription_id, stripe_customer_id, plan, status, anchor, unit, count, since, *_ = (
                row
            )
            cycle = BillingCycle(anchor, unit, count) if with_cycles and anchor is not None else None
            yield BookEntry(
                customer_id,
                SINCE_EVER if since is None else since,
                Standing(
                    subscription_id,
                    stripe_customer_id,
                    plans.setdefault(plan, plan),
                    statuses[status],
                    cycle,
                ),
            )


def _known_by(as_of: Instant | None) -> Instant:
    return _LATEST if as_of is None else as_of


def _new_rows(states: Iterable[NewState], file: int) -> Iterator[tuple[object, ...]]:
    for new in states:
        state = new.state
        yield (
            state.customer_id,
            state.subscription_id,
            state.stripe_customer_id,
            state.plan,
            state.status.value,
            state.billing_cycle_anchor,
            state.interval.unit,
            state.interval.count,
            new.effective_at,
            file,
            new.line,
        )


def _recorded(row: Row) -> RecordedState:
    return RecordedState(
        state=CustomerState(
            customer_id=row["customer_id"],
            subscription_id=row["subscription_id"],
            stripe_customer_id=row["stripe_customer_id"],
            plan=row["plan"],
            status=CustomerStatus(row["status"]),
            billing_cycle_anchor=row["billing_cycle_anchor"],
            interval=_interval(row["interval_unit"], row["interval_count"]),
        ),
        effective_at=row["effective_at"],
        recorded_at=row["recorded_at"],
        file=row["file"],
        line=row["line"],
    )


@lru_cache
def _interval(unit: str, count: int) -> BillingInterval:
    return BillingInterval(unit=unit, count=count)
