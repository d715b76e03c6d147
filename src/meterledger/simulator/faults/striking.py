"""Does to a request what the fault that strikes it does."""

from collections.abc import Callable
from dataclasses import replace

from meterledger.simulator.faults.strike import Strike
from meterledger.simulator.protocol.api_errors import ApiError, Dialect
from meterledger.simulator.protocol.api_request import ApiRequest
from meterledger.simulator.protocol.outcome import Outcome, refused

Carry = Callable[[ApiRequest], Outcome]
"""Carries a request out; the outcome may hold the customer's lane and the idempotency key."""


def carry_out_struck(strike: Strike, request: ApiRequest, carry: Carry) -> Outcome:
    """
    Carry out a request, or do with it what its fault does.

    Args:
        strike: The fault.
        request: The request without it.
        carry: Carries it out.
    """
    outcome = _carried(carry, replace(request, strike=strike))
    if strike.comes_twice:
        _let_go(outcome)
        _let_go(_carried(carry, request))  # the client never hears of the second answer
        if outcome.hold is not None:
            outcome.hold.take()
    return replace(outcome, delivery=strike.delivery, delay_seconds=strike.delay_seconds)


def refused_by(strike: Strike, dialect: Dialect) -> Outcome:
    """
    Return what is answered in place of what would have been.

    Args:
        strike: The fault.
        dialect: How the refusal is written down.

    Raises:
        ValueError: The fault refuses nothing.
    """
    if strike.refusal is None:
        raise ValueError(f"{strike.fault.kind} refuses nothing")
    return refused(strike.refusal, dialect)


def _carried(carry: Carry, request: ApiRequest) -> Outcome:
    try:
        return carry(request)
    except ApiError as refusal:  # a key that cannot be used: also such an answer can be lost or late
        return refused(refusal, request.dialect)


def _let_go(outcome: Outcome) -> None:
    if outcome.hold is not None:
        outcome.hold.release()
