"""One fault of a plan, and the requests it is meant for."""

from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from meterledger.simulator.faults.kinds import Kind, default_on, only_on
from meterledger.simulator.faults.places import EVERYWHERE, covers
from meterledger.simulator.instants import parse_duration
from meterledger.simulator.protocol.api_errors import RateReason
from meterledger.simulator.protocol.arrival import Arrival

MAX_NUMBER = 10**9
MAX_TEXT = 500  # characters

Number = Annotated[int, msgspec.Meta(ge=0, le=MAX_NUMBER)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TEXT)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Encounter:
    """
    A request as faults see it.

    Attributes:
        request_id: `req_...`.
        at: When it was received, in epoch seconds.
        method: HTTP method.
        path: The path as it was sent.
        pattern: The pattern of its endpoint's path.
        account: The account's id.
        livemode: Whether it is about live mode.
        key: The idempotency key; empty where there is none.
        subjects: What it is about: a stream call has one for each event, any other call has one.
    """

    request_id: str
    at: float
    method: str
    path: str
    pattern: str
    account: str
    livemode: bool
    key: str
    subjects: tuple[Arrival, ...]


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    Something that goes wrong, and when, as it stands in a plan.

    Attributes:
        kind: What goes wrong.
        on: A short name or a pattern of a path, see `places`.
        method: HTTP method; any when None, and so for the selectors that follow.
        path: The path of the request, in full.
        event_name: Of the event, or of one of the events.
        customer: As event_name.
        identifier: As event_name.
        skip: How many of its requests pass before the first that it may strike.
        times: How many it strikes; 0 stands for all. It is 1, but 0 beside `every` or `chance`.
        every: It strikes each n-th.
        chance: How likely it strikes one whose turn it is.
        status: HTTP status of a `server_error`.
        stored: Whether the idempotency key keeps the refusal; only v1 keeps any. A `server_error` is kept
            unless it is told otherwise, as Stripe's are.
        counted: Whether the request is carried out before it is refused.
        reason: One of `REASONS`.
        delay: By how much something is late, e.g. `3s`.
        samples: How many events of one error a report names at most.
        code: What an error report gives as the reason.
    """

    kind: Kind
    on: str | None = None
    method: Text | None = None
    path: Text | None = None
    event_name: Text | None = None
    customer: Text | None = None
    identifier: Text | None = None
    skip: Number = 0
    times: Number | None = None
    every: Annotated[int, msgspec.Meta(ge=1, le=MAX_NUMBER)] = 1
    chance: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    status: Annotated[int, msgspec.Meta(ge=500, le=599)] = 500
    stored: bool | None = None
    counted: bool = False
    reason: RateReason | Literal["none"] = "endpoint-rate"
    delay: str = "0s"
    samples: Number = 0
    code: Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_]{0,99}$")] = "meter_event_customer_not_found"

    @property
    def place(self) -> str:
        """Where it strikes: as the plan says, or where its kind usually does."""
        if self.on is not None:
            return self.on
        return default_on(self.kind) if self.method is None and self.path is None else EVERYWHERE

    @property
    def most(self) -> int:
        """How many requests it strikes; 0 stands for all."""
        if self.times is not None:
            return self.times
        return 1 if self.every == 1 and self.chance == 1 and not self.kind.is_standing else 0

    @property
    def is_stored(self) -> bool:
        """Whether the idempotency key keeps the refusal."""
        return self.kind is Kind.SERVER_ERROR if self.stored is None else self.stored

    @property
    def delay_seconds(self) -> float:
        """By how much something is late."""
        return parse_duration(self.delay)

    def subject(self, encounter: Encounter) -> Arrival | None:
        """Return what the fault picks of a request: the first subject it is meant for, or None."""
        if (
            not covers(self.place, encounter.pattern)
            or not covers(only_on(self.kind), encounter.pattern)
            or self.method not in (None, encounter.method)
            or self.path not in (None, encounter.path)
        ):
            return None
        return next((subject for subject in encounter.subjects if self.picks(subject)), None)

    def picks(self, subject: Arrival) -> bool:
        """Tell whether the fault is meant for an event."""
        return (
            self.event_name in (None, subject.event_name)
            and self.customer in (None, subject.customer)
            and self.identifier in (None, subject.identifier)
        )
