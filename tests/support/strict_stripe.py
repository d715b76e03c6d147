"""A Stripe in memory that is as strict as the documents allow, for pushes in this process."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from meterledger.domain.declared_meter import DeclaredMeter
from meterledger.domain.delivery import Outcome, Result
from meterledger.stripe_gateway.gateway import Read

SECOND = 1_000_000
DAY = 86_400 * SECOND
MINUTE = 60 * SECOND
MOST_WINDOWS = 100

Body = dict[str, object]


class Fault(StrEnum):
    """What goes wrong with one request."""

    REFUSED_CONNECTION = "refused_connection"
    LOST_REQUEST = "lost_request"
    """It never arrives, and nobody says so."""
    LOST_ANSWER = "lost_answer"
    """It is counted, and the answer never arrives."""
    STORED_500 = "stored_500"
    """It is not counted; the answer sticks to its Idempotency-Key."""
    COUNTED_500 = "counted_500"
    """It is counted, and the answer is a 500 that sticks to its Idempotency-Key."""
    LIMITED = "limited"
    LOCKED = "locked"
    KEY_REFUSED = "key_refused"
    FORBIDDEN = "forbidden"
    NO_STRIPE = "no_stripe"
    """A 200 that holds no meter event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One request as it arrived, with its number, from 1."""

    number: int
    body: Body
    idempotency_key: str
    at: int
    way: str = "v1"

    @property
    def identifier(self) -> str:
        """The identifier of the meter event."""
        return str(self.body["identifier"])

    @property
    def lane(self) -> tuple[str, str]:
        """The meter and the customer."""
        payload = self.body["payload"]
        assert isinstance(payload, dict)
        return str(self.body["event_name"]), payload["stripe_customer_id"]

    @property
    def value(self) -> Decimal:
        """The value."""
        payload = self.body["payload"]
        assert isinstance(payload, dict)
        return Decimal(payload["value"])

    @property
    def text(self) -> str:
        """The body as text, for comparisons byte by byte."""
        return json.dumps(self.body)


@dataclass(slots=True, kw_only=True)
class StrictStripe:
    """
    Counts meter events: an identifier is unique for exactly 24 h, then it counts again.

    Attributes:
        clock: Stripe's own clock, in microseconds.
        meters: Event name -> whether it is active.
        fault: Decides what goes wrong with a request, after its number, body and key are known.
        counted: Every arrival that was counted, in order; one identifier may stand here twice.
        latency: Seconds before and after counting.
    """

    clock: Callable[[], int]
    meters: dict[str, bool] = field(default_factory=dict)
    account: Read = field(default_factory=lambda: Read(value="acct_one"))
    meters_warning: str = ""
    declared: dict[str, dict[str, str]] = field(default_factory=dict)
    """Event name -> what Stripe declares of the meter; the rest it does not tell."""
    summary_refusal: Callable[[str], Read | None] = lambda _customer: None
    summary_reads: list[tuple[str, str]] = field(default_factory=list)
    fault: Callable[[Arrival], Fault | None] = lambda _arrival: None
    latency: float = 0.01
    retry_after_seconds: float | None = None
    should_retry: bool | None = None
    customers_deleted: set[str] = field(default_factory=set)
    arrivals: list[Arrival] = field(default_factory=list)
    counted: list[Arrival] = field(default_factory=list)
    highest: Counter[tuple[str, str]] = field(default_factory=Counter)
    most_open: int = 0
    scope_by_way: bool = False
    """Whether an identifier is unique in the way it came alone."""
    batches: list[list[str]] = field(default_factory=list)
    """The identifiers of every batch of the stream that arrived."""
    malformed: set[str] = field(default_factory=set)
    """Identifiers of events that the stream finds malformed: it refuses their whole batch."""
    reads: int = 0
    _open: Counter[tuple[str, str]] = field(default_factory=Counter)
    _stored: dict[str, tuple[int, str, Outcome]] = field(default_factory=dict)

    async def account_id(self) -> Read:
        """Tell whose account it is."""
        self.reads += 1
        return self.account

    async def account_meters(self) -> Read:
        """Tell which meters there are."""
        self.reads += 1
        if self.meters_warning:
            return Read(value=None, warning=self.meters_warning)
        return Read(
            value=[
                DeclaredMeter(
                    event_name=name,
                    active=active,
                    **{
                        "aggregation": None,
                        "event_time_window": None,
                        "customer_key": None,
                        "value_key": None,
                    }
                    | self.declared.get(name, {}),
                )
                for name, active in self.meters.items()
            ]
        )

    async def meter_ids(self) -> Read:
        """Tell the ids of the active meters: here, their names."""
        if self.meters_warning:
            return Read(value=None, warning=self.meters_warning)
        return Read(value={name: name for name, active in self.meters.items() if active})

    async def window_values(self, meter_id: str, customer: str, span: tuple[int, int], grouping: str) -> Read:
        """Tell what was counted of a customer, window by window."""
        self.summary_reads.append((meter_id, customer))
        if refusal := self.summary_refusal(customer):
            return refusal
        length = {"hour": 3600, "day": 86_400}[grouping]
        assert span[0] % length == span[1] % length == 0
        assert 0 < (span[1] - span[0]) // length <= MOST_WINDOWS
        values: dict[int, Decimal] = {}
        for arrival in self.counted:
            at = _seconds(arrival.body["timestamp"])
            if arrival.lane == (meter_id, customer) and span[0] <= at < span[1]:
                start = at - at % length
                values[start] = values.get(start, Decimal(0)) + arrival.value
        return Read(value=values)

    async def send(self, body: Body, idempotency_key: str) -> Outcome:
        """Take one meter event by v1."""
        return await self._sent(body, idempotency_key, "v1")

    async def send_v2(self, body: Body, idempotency_key: str) -> Outcome:
        """Take one meter event by v2."""
        return await self._sent(body, idempotency_key, "v2")

    async def send_batch(self, events: Sequence[Body], idempotency_key: str) -> Outcome:
        """Take a batch of the stream, whole or not at all; duplicates are dropped without a word."""
        arrivals = [
            Arrival(
                number=len(self.batches) + 1,
                body=e,
                idempotency_key=idempotency_key,
                at=self.clock(),
                way="stream",
            )
            for e in events
        ]
        assert 1 <= len(arrivals) <= 100
        self.batches.append([one.identifier for one in arrivals])
        fault = self.fault(arrivals[0])
        await asyncio.sleep(self.latency)
        if fault is Fault.REFUSED_CONNECTION:
            return Outcome(result=Result.NOT_SENT, at=self.clock(), code="connection_refused")
        if fault is Fault.LOST_REQUEST:
            return Outcome(result=Result.UNKNOWN, at=self.clock(), code="no_answer")
        outcome = self._batch_answer(arrivals, fault)
        await asyncio.sleep(self.latency)
        if fault is Fault.LOST_ANSWER:
            return Outcome(result=Result.UNKNOWN, at=self.clock(), code="no_answer")
        return outcome

    def _batch_answer(self, arrivals: list[Arrival], fault: Fault | None) -> Outcome:
        if turned_away := self._turned_away(fault):
            return turned_away
        text = json.dumps([one.body for one in arrivals])
        stored = self._stored.get(arrivals[0].idempotency_key)
        if stored:
            same = stored[1] == text
            return replace(stored[2], at=self.clock()) if same else self._status(Result.TAKEN, 400)
        if fault is Fault.STORED_500:
            return self._status(Result.UNKNOWN, 500)
        if self.malformed & {one.identifier for one in arrivals}:
            return self._status(Result.REJECTED, 400, "malformed")
        for one in arrivals:
            self._checked(one)
        if fault is Fault.COUNTED_500:
            return self._status(Result.UNKNOWN, 500)
        accepted = Outcome(result=Result.ACCEPTED, at=self.clock(), answered=True, http_status=200)
        self._stored[arrivals[0].idempotency_key] = (self.clock(), text, accepted)
        return accepted

    async def _sent(self, body: Body, idempotency_key: str, way: str) -> Outcome:
        arrival = Arrival(
            number=len(self.arrivals) + 1,
            body=body,
            idempotency_key=idempotency_key,
            at=self.clock(),
            way=way,
        )
        self.arrivals.append(arrival)
        self._open[arrival.lane] += 1
        self.highest[arrival.lane] = max(self.highest[arrival.lane], self._open[arrival.lane])
        self.most_open = max(self.most_open, self._open.total())
        try:
            return await self._taken(arrival)
        finally:
            self._open[arrival.lane] -= 1

    def counts(self) -> Counter[str]:
        """Return how often each identifier was counted."""
        return Counter(arrival.identifier for arrival in self.counted)

    def totals(self) -> dict[tuple[str, str], Decimal]:
        """Return the sum of what was counted for each meter and customer."""
        totals: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for arrival in self.counted:
            totals[arrival.lane] += arrival.value
        return dict(totals)

    async def _taken(self, arrival: Arrival) -> Outcome:
        fault = self.fault(arrival)
        await asyncio.sleep(self.latency)
        if fault is Fault.REFUSED_CONNECTION:
            return Outcome(result=Result.NOT_SENT, at=self.clock(), code="connection_refused")
        if fault is Fault.LOST_REQUEST:
            return Outcome(result=Result.UNKNOWN, at=self.clock(), code="no_answer")
        outcome = self._answer(arrival, fault)
        await asyncio.sleep(self.latency)
        if fault is Fault.LOST_ANSWER:
            return Outcome(result=Result.UNKNOWN, at=self.clock(), code="no_answer")
        return outcome

    def _answer(self, arrival: Arrival, fault: Fault | None) -> Outcome:
        if turned_away := self._turned_away(fault):
            return turned_away
        stored = self._stored.get(arrival.idempotency_key)
        if stored and self.clock() - stored[0] < DAY:
            return stored[2] if stored[1] == arrival.text else self._status(Result.TAKEN, 400)
        if fault is Fault.STORED_500:
            return self._store(arrival, self._status(Result.UNKNOWN, 500))
        outcome = self._checked(arrival)
        if outcome.result is not Result.ACCEPTED:
            return outcome
        if fault is Fault.COUNTED_500:
            outcome = self._status(Result.UNKNOWN, 500)
        return self._store(arrival, outcome)

    def _turned_away(self, fault: Fault | None) -> Outcome | None:
        match fault:
            case Fault.KEY_REFUSED:
                return self._status(Result.NOT_SENT, 401, stops=True)
            case Fault.FORBIDDEN:
                return self._status(Result.NOT_SENT, 403, stops=True)
            case Fault.LIMITED | Fault.LOCKED:
                return self._status(Result.NOT_SENT, 429)
            case Fault.NO_STRIPE:
                return self._status(Result.UNKNOWN, 200, stops=True)
            case _:
                return None

    def _checked(self, arrival: Arrival) -> Outcome:
        timestamp = arrival.body["timestamp"]
        assert isinstance(timestamp, int) is (arrival.way == "v1")
        if isinstance(timestamp, str):
            timestamp = int(datetime.fromisoformat(timestamp).timestamp())
            assert arrival.value > 0
            assert arrival.value == int(arrival.value)
        assert isinstance(timestamp, int)
        now = self.clock()
        if not self.meters.get(arrival.lane[0]):
            return self._status(Result.REJECTED, 400, "No active meter found")
        if arrival.lane[1] in self.customers_deleted:
            return self._status(Result.REJECTED, 400, "No such customer")
        if timestamp * SECOND < now - 35 * DAY or timestamp * SECOND > now + 5 * MINUTE:
            return self._status(Result.REJECTED, 400, "The event timestamp cannot be so far away")
        if any(
            earlier.identifier == arrival.identifier
            and now - earlier.at < DAY
            and (earlier.way == arrival.way or not self.scope_by_way)
            for earlier in self.counted
        ):
            return self._status(Result.DUPLICATE, 400, "An event already exists with identifier")
        self.counted.append(replace(arrival, at=now))
        return Outcome(
            result=Result.ACCEPTED,
            at=now,
            answered=True,
            http_status=200,
            created=now // SECOND * SECOND,
        )

    def _status(self, result: Result, status: int, message: str = "", *, stops: bool = False) -> Outcome:
        return Outcome(
            result=result,
            at=self.clock(),
            answered=True,
            http_status=status,
            message=message,
            retry_after_seconds=self.retry_after_seconds,
            should_retry=self.should_retry,
            stops_run=stops,
        )

    def _store(self, arrival: Arrival, outcome: Outcome) -> Outcome:
        if arrival.way != "v1" and outcome.result is not Result.ACCEPTED:
            return outcome  # v2 runs again what failed
        self._stored[arrival.idempotency_key] = (self.clock(), arrival.text, outcome)
        return outcome


def _seconds(timestamp: object) -> int:
    """Return a timestamp in epoch seconds: a number by v1, RFC 3339 text by v2 and the stream."""
    if isinstance(timestamp, str):
        return int(datetime.fromisoformat(timestamp).timestamp())
    assert isinstance(timestamp, int)
    return timestamp
