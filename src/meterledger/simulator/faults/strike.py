"""What a fault does to the request that it strikes."""

from collections.abc import Mapping
from dataclasses import dataclass

from meterledger.simulator.faults.fault import Fault
from meterledger.simulator.faults.kinds import NO_REASON, Kind
from meterledger.simulator.protocol.api_errors import (
    CONFLICT,
    TOO_MANY_REQUESTS,
    ApiError,
    ConcurrentKeyError,
    InternalError,
    LockedError,
    RateLimitedError,
)
from meterledger.simulator.protocol.arrival import Arrival
from meterledger.simulator.protocol.wire import NOT_ANSWERED, Delivery

_DELIVERIES: Mapping[Kind, Delivery] = {
    Kind.ANSWER_LOST: Delivery.DROPPED,
    Kind.REQUEST_LOST: Delivery.DROPPED,
    Kind.RESET: Delivery.CUT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """
    What becomes of one request, decided before anything else looks at it.

    Attributes:
        fault: What strikes.
        refusal: What is answered in place of what would have been; None where that is answered.
    """

    fault: Fault
    refusal: ApiError | None = None

    @property
    def is_early(self) -> bool:
        """Whether the request is refused before rate limits and idempotency keys see it."""
        return self.refusal is not None and not (self.fault.counted or self.fault.is_stored)

    @property
    def comes_twice(self) -> bool:
        """Whether the request arrives a second time."""
        return self.fault.kind is Kind.DELIVERED_TWICE

    @property
    def expires_session(self) -> bool:
        """Whether a stream call finds its session expired."""
        return self.fault.kind is Kind.SESSION_EXPIRED

    @property
    def delivery(self) -> Delivery:
        """How much of the answer leaves."""
        return _DELIVERIES.get(self.fault.kind, Delivery.SENT)

    @property
    def delay_seconds(self) -> float:
        """How long the answer is held back, in real time."""
        return self.fault.delay_seconds

    def rejected_code(self, subject: Arrival) -> str | None:
        """Return the code under which an event that is taken is reported later, or None if it counts."""
        if self.fault.kind is Kind.REJECTED_LATER and self.fault.picks(subject):
            return self.fault.code
        return None


def strike_with(fault: Fault, version: str) -> Strike:
    """Return what a fault does to a request of an API version, `v1` or `v2`."""
    match fault.kind:
        case Kind.REQUEST_LOST:
            return Strike(fault=fault, refusal=ApiError("The request was lost.", status=NOT_ANSWERED))
        case Kind.SERVER_ERROR:
            refusal = InternalError("An unknown error occurred (a planned fault).", status=fault.status)
            return Strike(fault=fault, refusal=refusal)
        case Kind.RATE_LIMITED:
            return _rate_limited(fault)
        case Kind.CONFLICT:
            return Strike(fault=fault, refusal=_conflict(version))
        case _:
            return Strike(fault=fault)


def _rate_limited(fault: Fault) -> Strike:
    if fault.reason == NO_REASON:
        message = "This object cannot be accessed right now because another request holds it."
        locked = LockedError(message, status=TOO_MANY_REQUESTS, code="lock_timeout")
        return Strike(fault=fault, refusal=locked)
    return Strike(fault=fault, refusal=RateLimitedError(fault.reason))


def _conflict(version: str) -> ApiError:
    if version == "v2":
        message = "Cannot create multiple usage events for the same customer, meter concurrently."
        return LockedError(message, status=CONFLICT, code="too_many_concurrent_requests")
    message = "Another request with this idempotency key is in progress."
    return ConcurrentKeyError(message, status=CONFLICT, code="idempotency_key_in_use")
