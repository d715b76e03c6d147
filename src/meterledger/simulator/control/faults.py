"""`/_simulator/faults`: the faults in force, what they hit, and others in their place."""

from collections.abc import Collection

import msgspec

from meterledger.simulator.control.requests import read_limit
from meterledger.simulator.faults.book import ArmedFault, FaultBook, RandomSource
from meterledger.simulator.faults.log import KEPT_STRIKES
from meterledger.simulator.faults.reading import PlanError, read_plan
from meterledger.simulator.protocol.api_errors import ApiError
from meterledger.simulator.protocol.wire import Call

FAULTS_PATH = "/_simulator/faults"

_JSON = "application/json"
_TOML = "application/toml"
_BODY = "request body"  # what a refusal calls the plan


def faults_page(book: FaultBook, query: str = "") -> dict[str, object]:
    """
    Show the faults in force, how often each matched and struck, and the log.

    Args:
        book: The faults.
        query: `limit` asks for fewer strikes than are kept.

    Raises:
        ApiError: The query is not understood.
    """
    strikes = book.log.newest_first()[: read_limit(query, KEPT_STRIKES)]
    return {
        "faults": [_fault(armed) for armed in book.armed],
        "random": _random(book.random),
        "log": [strike.page() for strike in strikes],
    }


def use_faults(book: FaultBook, call: Call, patterns: Collection[str]) -> dict[str, object]:
    """
    Put the plan in a call's body in the place of the one in force, and show it.

    Args:
        book: The faults.
        call: JSON, or TOML where its Content-Type says so.
        patterns: The patterns of the API's paths.

    Raises:
        ApiError: The plan is malformed; the one in force stays.
    """
    kind = call.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    try:
        plan = read_plan(call.body, source=_BODY, toml=kind == _TOML, patterns=patterns)
    except PlanError as failure:
        hint = "" if kind in (_TOML, _JSON) else f". TOML needs Content-Type: {_TOML}"
        raise ApiError(f"{failure}{hint}") from None
    book.use(plan)
    return faults_page(book)


def _fault(armed: ArmedFault) -> dict[str, object]:
    given: dict[str, object] = msgspec.to_builtins(armed.fault)
    return {"number": armed.number, **given, "matched": armed.matched, "struck": armed.struck}


def _random(source: RandomSource) -> dict[str, object]:
    given: dict[str, object] = msgspec.to_builtins(source.settings)
    return {**given, "matched": source.matched, "struck": source.struck}
