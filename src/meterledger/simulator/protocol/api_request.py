"""One call to the API as its endpoint sees it."""

from collections.abc import Callable
from dataclasses import dataclass

from meterledger.simulator.faults.strike import Strike
from meterledger.simulator.protocol.api_errors import Dialect
from meterledger.simulator.protocol.parameters import Parameters
from meterledger.simulator.state.account import Account


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest:
    """
    A call that was authenticated and read.

    Attributes:
        account: Whose objects it is about.
        parameters: The query, and the form of a v1 call.
        document: The JSON body of a v2 call, decoded or as its route reads it; None without one.
        now: When it was received, in epoch seconds.
        object_id: The id in the path; empty where it has none.
        dialect: How its refusal is written down.
        strike: The fault that strikes it, if one does.
    """

    account: Account
    parameters: Parameters
    document: object
    now: float
    object_id: str
    dialect: Dialect = Dialect.V1
    strike: Strike | None = None


Endpoint = Callable[[ApiRequest], dict[str, object]]
"""Carries a call out and returns the document of its answer, or raises ApiError."""
