"""Which requests were answered, and how; `/_simulator/requests` shows the latest."""

from collections import Counter, deque
from dataclasses import dataclass
from urllib.parse import unquote_plus

import msgspec

from meterledger.simulator.instants import format_instant
from meterledger.simulator.protocol.api_errors import BAD_REQUEST, ApiError
from meterledger.simulator.protocol.api_keys import fit_for_logs
from meterledger.simulator.protocol.parameters import Parameters, parse_form
from meterledger.simulator.protocol.wire import Answer, Call, Delivery
from meterledger.simulator.state.book import Journal

REQUESTS_PATH = "/_simulator/requests"
KEPT_REQUESTS = 500

_SHOWN_PATH = 200  # characters, and so many again of the query
_SHOWN_MESSAGE = 300  # characters


class RequestCounts:
    """
    How many requests were answered, by method, path pattern and status.

    Args:
        journal: Hears of every one.
    """

    KIND = "request_count"

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._counts: Counter[tuple[str, str, int]] = Counter()

    def count(self, method: str, pattern: str, status: int) -> None:
        """Count one request; its status is 0 where no answer left."""
        row = (method, pattern, status)
        self._counts[row] += 1
        self._journal.put(self.KIND, f"{method} {pattern} {status}", (*row, self._counts[row]))

    @property
    def total(self) -> int:
        """How many requests were answered in all."""
        return self._counts.total()

    def restore(self, _key: str, document: bytes) -> None:
        """Take in a count of a state file."""
        method, pattern, status, count = msgspec.json.decode(document, type=tuple[str, str, int, int])
        self._counts[method, pattern, status] = count

    def rows(self) -> list[dict[str, object]]:
        """Return the counts, sorted."""
        return [
            {"method": method, "path": pattern, "status": status, "count": count}
            for (method, pattern, status), count in sorted(self._counts.items())
        ]


@dataclass(slots=True, kw_only=True)
class Asker:
    """
    Whom a request is for, and what hits it: found out on the way, and never of one refused at the door.

    Attributes:
        request_id: `req_...`.
        account: The account's id.
        livemode: Whether it is about live mode.
        fault: The kind of the fault that hit it.
    """

    request_id: str
    account: str | None = None
    livemode: bool | None = None
    fault: str | None = None


class _Error(msgspec.Struct):
    code: str | None = None
    message: str | None = None


class _Refusal(msgspec.Struct):
    error: _Error


_read_refusal = msgspec.json.Decoder(_Refusal).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredRequest:
    """
    A request and what became of it.

    Attributes:
        at: When, in epoch seconds.
        method: HTTP method.
        path: The path, cut if it is long.
        query: The query, decoded and cut; empty where there is none.
        status: The HTTP status of the answer; None where none left.
        delivery: How much of the answer left.
        code: The refusal's code, where it has one.
        message: The refusal's message, cut.
        asker: Its id, whom it was for, and the fault that hit it.
    """

    at: float
    method: str
    path: str
    query: str
    status: int | None
    delivery: Delivery
    code: str | None
    message: str | None
    asker: Asker

    def page(self) -> dict[str, object]:
        """Return the request as the page shows it."""
        return {
            "at": format_instant(self.at),
            "request": self.asker.request_id,
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "status": self.status,
            "delivery": self.delivery.value,
            "code": self.code,
            "message": self.message,
            "account": self.asker.account,
            "livemode": self.asker.livemode,
            "fault": self.asker.fault,
        }


class RequestLog:
    """The latest requests; no API key stands in them."""

    def __init__(self) -> None:
        self._requests: deque[AnsweredRequest] = deque(maxlen=KEPT_REQUESTS)

    def note(self, call: Call, answer: Answer, asker: Asker, at: float) -> None:
        """Note a call and its answer; at is in epoch seconds."""
        error = _error_in(answer)
        self._requests.append(
            AnsweredRequest(
                at=at,
                method=call.method[:_SHOWN_PATH],
                path=fit_for_logs(call.path[:_SHOWN_PATH]),
                query=fit_for_logs(unquote_plus(call.query[:_SHOWN_PATH])) if call.query else "",
                status=None if answer.delivery is Delivery.DROPPED else answer.status,
                delivery=answer.delivery,
                code=error.code,
                message=None if error.message is None else fit_for_logs(error.message[:_SHOWN_MESSAGE]),
                asker=asker,
            )
        )

    def newest_first(self, limit: int = KEPT_REQUESTS) -> list[AnsweredRequest]:
        """Return so many of the requests, the newest first."""
        return list(reversed(self._requests))[:limit]


def requests_page(log: RequestLog, query: str) -> dict[str, object]:
    """
    Show the latest requests.

    Args:
        log: The log.
        query: `limit` asks for fewer than are kept.

    Raises:
        ApiError: The query is not understood.
    """
    limit = read_limit(query, KEPT_REQUESTS)
    return {"requests": [request.page() for request in log.newest_first(limit)]}


def read_limit(query: str, most: int) -> int:
    """
    Return the limit in a query, or the most there is.

    Raises:
        ApiError: The query has another parameter, or its limit does not lie between 1 and the most.
    """
    parameters = Parameters(parse_form(query))
    parameters.allow(("limit",), ())
    limit = parameters.optional_integer("limit")
    if limit is None:
        return most
    if not 1 <= limit <= most:
        raise ApiError(f"Invalid limit: must lie between 1 and {most}", param="limit")
    return limit


def _error_in(answer: Answer) -> _Error:
    if answer.status < BAD_REQUEST or answer.delivery is Delivery.DROPPED:
        return _Error()
    try:
        return _read_refusal(answer.body).error
    except msgspec.MsgspecError:  # what is answered here need not be a refusal of the API
        return _Error()
