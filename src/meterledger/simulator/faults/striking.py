"""Does to a request what the fault that strikes it does."""

from collections.abc import Callable
from dataclasses import replace

from meterledger.simulator.faults.strike import Strike
from meterledger.simulator.protocol.api_errors import ApiError
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


def refused_by(strike: Strike) -> Outcome:
    """
    Return what is answered in place of what would have been.

    Raises:
        ValueError: The fault refuses nothing.
    """
    if strike.refusal is None:
        raise ValueError(f"{strike.fault.kind} refuses nothing")
    outcome = refused(strike.refusal)
    return replace(outcome, headers={**outcome.headers, **strike.headers})


def _carried(carry: Carry, request: ApiRequest) -> Outcome:
    try:
        return carry(request)
    except ApiError as refusal:  # a key that cannot be used: also such an answer can be lost or late
        return refused(refusal)


def _let_go(outcome: Outcome) -> None:
    if outcome.hold is not None:
        outcome.hold.release()
