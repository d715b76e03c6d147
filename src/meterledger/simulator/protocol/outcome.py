"""What became of a call, before the headers that every answer has."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from meterledger.simulator.protocol.api_errors import ApiError, Dialect
from meterledger.simulator.protocol.wire import Delivery, Hold

OK = 200

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """
    What is answered, and what the call occupies until the answer leaves.

    Attributes:
        status: HTTP status.
        body: JSON.
        headers: Those of this answer alone.
        executed: Of a refusal, whether it came after the parameters were found well-formed.
        hold: What the call occupies, once that was taken.
        delivery: How much of the answer leaves.
        delay_seconds: How long the answer is held back, in real time.
    """

    status: int
    body: bytes
    headers: Mapping[str, str]
    executed: bool = False
    hold: Hold | None = None
    delivery: Delivery = Delivery.SENT
    delay_seconds: float = 0.0


def answered(document: object) -> Outcome:
    """Return the outcome of a call that went well."""
    return Outcome(status=OK, body=_encode(document), headers={})


def refused(refusal: ApiError, dialect: Dialect = Dialect.V1) -> Outcome:
    """Return the outcome of a call that was refused, written as its version of the API writes it."""
    headers = {"Stripe-Should-Retry": "true" if refusal.should_retry else "false", **refusal.extra_headers}
    body = _encode(refusal.body(dialect))
    return Outcome(status=refusal.status, body=body, headers=headers, executed=refusal.executed)
