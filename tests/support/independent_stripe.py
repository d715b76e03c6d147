"""
A Stripe for tests by itself: plain threads and dictionaries, and a count of what came.

It shares no line with the simulator or the product, and is as strict as the documents allow: an identifier
guards for exactly 24 hours of its own clock and counts again after that, the ways in know nothing of each
other's identifiers, answers are stored under their idempotency key and replayed, errors included.
"""

import json
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from support.arrivals import Arrivals, WatchedServer
from support.independent_documents import (
    Document,
    Reply,
    customer_of,
    events_of,
    meter_document,
    refusal,
    report_of,
    rfc_time,
    seconds_of,
    taken,
)
from support.mishap import SILENT, Mishap

HOUR = 3600
DAY = 24 * HOUR
OLDEST = 35 * DAY
NEWEST = 300
WAYS = {
    "/v1/billing/meter_events": "v1",
    "/v2/billing/meter_events": "v2",
    "/v2/billing/meter_event_stream": "stream",
}
SESSION_SECONDS = 900


@dataclass(frozen=True, slots=True)
class Counted:
    """One meter event that was counted, by what stood in it and nothing else."""

    way: str
    identifier: str
    event_name: str
    customer: str
    value: str
    timestamp: int
    at: float


@dataclass(slots=True)
class IndependentStripe:
    """
    Counts what comes; ``mishaps`` is the share of requests with which something goes wrong.

    Attributes:
        now: Its clock, in epoch seconds; it stands unless the test moves it.
        counted: All that was counted, in order.
        requests: How many requests have come.
        refused_later: Customers whose usage is taken with a 200, not counted, and reported.
    """

    meters: Mapping[str, str]
    chance: random.Random
    now: float
    mishaps: float = 0.0
    counted: list[Counted] = field(default_factory=list)
    requests: int = 0
    struck: Counter[str] = field(default_factory=Counter)
    refused_later: set[str] = field(default_factory=set)
    reports: list[Document] = field(default_factory=list)
    arrivals: Arrivals = field(default_factory=Arrivals)
    most_open: Counter[tuple[str, str]] = field(default_factory=Counter)
    _open: Counter[tuple[str, str]] = field(default_factory=Counter)
    _known: dict[tuple[str, str], float] = field(default_factory=dict)
    _stored: dict[tuple[str, str], tuple[float, str, Reply]] = field(default_factory=dict)
    _flying: set[str] = field(default_factory=set)
    _sessions: dict[str, float] = field(default_factory=dict)
    _late: list[threading.Timer] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _server: WatchedServer | None = None

    @property
    def url(self) -> str:
        """Its base address."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        """Listen, in a thread of its own."""
        self._server = WatchedServer(_handler(self), self.arrivals)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening."""
        assert self._server is not None
        self.settle()
        self._server.shutdown()
        self._server.server_close()

    def settle(self) -> None:
        """Let arrive what is still on its way."""
        while self._late:
            self._late.pop().join()

    def advance(self, seconds: float) -> None:
        """Let time pass; what was on its way has arrived by then."""
        self.settle()
        assert self._server is not None
        with self.arrivals.all_noted(self._server.socket):
            self.now += seconds

    # What is asked, below the locks.

    def mishap(self) -> Mishap | None:
        """Draw what goes wrong with a request."""
        with self._lock:
            self.requests += 1
            if self.chance.random() >= self.mishaps:
                return None
            drawn = self.chance.choice(list(Mishap))
            self.struck[drawn] += 1
            return drawn

    def read(self, path: str, query: Mapping[str, str]) -> Reply:
        """Answer a read."""
        with self._lock:
            match path.strip("/").split("/"):
                case ["v1", "account"]:
                    return Reply(200, {"id": "acct_independent", "object": "account"})
                case ["v1", "billing", "meters"]:
                    meters = [meter_document(name, formula) for name, formula in self.meters.items()]
                    return Reply(200, {"object": "list", "has_more": False, "data": meters, "url": path})
                case ["v1", "billing", "meters", meter, "event_summaries"]:
                    return Reply(200, self._summaries(meter, query))
                case ["v2", "core", "events"]:
                    return Reply(200, {"data": self.reports[::-1], "next_page_url": None})
                case _:
                    return refusal(404, f"Unrecognized request URL (GET: {path}).")

    def _summaries(self, meter: str, query: Mapping[str, str]) -> Document:
        start, end = int(query["start_time"]), int(query["end_time"])
        length = {"hour": HOUR, "day": DAY}[query["value_grouping_window"]]
        windows: dict[int, float] = {}
        for one in self.counted:
            is_meant = f"mtr_{one.event_name}" == meter and one.customer == query["customer"]
            if is_meant and start <= one.timestamp < end:
                window = one.timestamp - one.timestamp % length
                windows[window] = windows.get(window, 0.0) + float(one.value)
        data = [
            {
                "id": f"mtrusg_{window}",
                "object": "billing.meter_event_summary",
                "aggregated_value": value,
                "start_time": window,
                "end_time": window + length,
                "livemode": False,
                "meter": meter,
            }
            for window, value in sorted(windows.items())
        ]
        return {"object": "list", "has_more": False, "data": data, "url": "/v1"}

    def session(self) -> Reply:
        """Open a session of the stream."""
        with self._lock:
            token = f"tok_{len(self._sessions)}"
            self._sessions[token] = self.now + SESSION_SECONDS
            return Reply(
                200,
                {
                    "object": "v2.billing.meter_event_session",
                    "id": f"mes_{token}",
                    "livemode": False,
                    "authentication_token": token,
                    "created": rfc_time(self.now),
                    "expires_at": rfc_time(self.now + SESSION_SECONDS),
                },
            )

    def is_open(self, token: str) -> bool:
        """Tell whether a session is open."""
        with self._lock:
            return self._sessions.get(token, 0) > self.now

    def post(  # noqa: C901, PLR0911, PLR0912 # one answer for each mishap
        self, way: str, key: str, text: str, events: list[Document], mishap: Mishap | None, arrived: float
    ) -> Reply:
        """Take meter events of one request, as far as the mishap lets it."""
        match mishap:
            case Mishap.LIMITED:
                reply = refusal(429, "Too many requests.", code="rate_limit")
                return Reply(429, reply.document, {"Stripe-Rate-Limited-Reason": "endpoint-rate"})
            case Mishap.LOCKED:
                return refusal(429, "Another request holds it.", code="lock_timeout")
            case Mishap.CONFLICT:
                return refusal(409, "Held by another.", code="too_many_concurrent_requests")
            case Mishap.OLD_LIMIT:
                return refusal(400, "Request rate limit exceeded.", code="rate_limit")
            case Mishap.GATEWAY:
                return Reply(502, "<html>Bad Gateway</html>")
            case Mishap.STRANGER:
                return Reply(200, "<html>Please log in to the WLAN</html>")
        lanes = {(one["event_name"], customer_of(one)) for one in events} if way != "stream" else set()
        with self._lock:
            if key in self._flying:
                return refusal(409, "The key is in use.", code="idempotency_key_in_use")
            stored = self._stored.get((way, key))
            if stored and self.now - stored[0] < DAY:
                if stored[1] == text:
                    return stored[2]
                taken: Document = {
                    "error": {"type": "idempotency_error", "message": "Other parameters under this key."}
                }
                return Reply(400, taken)
            if any(self._open[lane] for lane in lanes):
                return refusal(429, "Another request holds it.", code="lock_timeout")
            for lane in lanes:
                self._open[lane] += 1
            self._flying.add(key)
        try:
            if mishap is Mishap.SLOW:
                time.sleep(self.chance.random() * 0.2)  # it takes real processes a real time
            with self._lock:
                return self._carried_out(way, key, text, events, mishap, arrived)
        finally:
            with self._lock:
                self._flying.discard(key)
                for lane in lanes:
                    self._open[lane] -= 1

    def carry_out_later(self, way: str, key: str, text: str, events: list[Document], arrived: float) -> None:
        """Let a request arrive although its connection is gone."""
        timer = threading.Timer(
            self.chance.random() * 0.3, self.post, (way, key, text, events, Mishap.ANSWER_LOST, arrived)
        )
        timer.start()
        self._late.append(timer)

    def _carried_out(
        self, way: str, key: str, text: str, events: list[Document], mishap: Mishap | None, arrived: float
    ) -> Reply:
        failed = Reply(500, {"error": {"type": "api_error", "message": "Sorry."}})
        if mishap is Mishap.FAILED:
            reply = failed
        else:
            reply = self._counted(way, events, arrived)
            if mishap is Mishap.FAILED_AFTER:
                reply = failed
            if mishap is Mishap.GATEWAY_AFTER:
                return Reply(502, "<html>Bad Gateway</html>")
        if way == "v1" or reply.status == 200:
            self._stored[way, key] = (self.now, text, reply)
        return reply

    def _counted(self, way: str, events: list[Document], arrived: float) -> Reply:
        """Count what may be counted, as of its arrival; of the stream whatever is no duplicate."""
        for one in events:
            timestamp = seconds_of(one["timestamp"])
            if one["event_name"] not in self.meters:
                return refusal(400, "No active meter found for event name.")
            if not self.now - OLDEST <= timestamp <= self.now + NEWEST:
                return refusal(400, "The event timestamp cannot be so far away.")
        for one in events:
            identifier = one["identifier"]
            before = self._known.get((way, identifier))
            if before is not None and arrived - before < DAY:
                if way == "stream":
                    continue
                said = f"An event already exists with identifier {identifier}."
                return refusal(400, said, **({"code": "duplicate_meter_event"} if way == "v2" else {}))
            self._known[way, identifier] = arrived
            self._take(way, one)
        if way == "stream":
            return Reply(200, {})
        return Reply(200, taken(way, events[0], self.now))

    def _take(self, way: str, event: Document) -> None:
        customer = customer_of(event)
        if customer in self.refused_later:
            self.reports.append(report_of(len(self.reports), event, self.now))
            return
        self.counted.append(
            Counted(
                way,
                event["identifier"],
                event["event_name"],
                customer,
                event["payload"]["value"],
                seconds_of(event["timestamp"]),
                self.now,
            )
        )


def _handler(stripe: IndependentStripe) -> type[BaseHTTPRequestHandler]:  # noqa: C901 # a class in it
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 # as the base names it
            """Keep no log."""

        def date_time_string(self, timestamp: float | None = None) -> str:
            """Tell its own time."""
            return formatdate(stripe.now if timestamp is None else timestamp, usegmt=True)

        def handle_one_request(self) -> None:
            """Read and answer a request."""
            with stripe.arrivals.reading(self.connection):
                super().handle_one_request()

        def finish(self) -> None:
            """Leave, before the socket is closed."""
            stripe.arrivals.left(self.connection, super().finish)

        def do_GET(self) -> None:
            mishap = stripe.mishap()
            # The first read of all brings the time alone, and its client gives up at once.
            if mishap in SILENT and stripe.chance.random() < 0.1:
                self._drop(mishap)
                return
            path = urlsplit(self.path)
            self._answer(stripe.read(path.path, dict(parse_qsl(path.query))), None)

        def do_POST(self) -> None:
            with stripe.arrivals.lock:
                arrived = stripe.now
                stripe.arrivals.note(self.connection)
            text = self.rfile.read(int(self.headers["Content-Length"])).decode()
            path = urlsplit(self.path).path
            if path == "/v2/billing/meter_event_session":
                self._answer(stripe.session(), None)
                return
            way = WAYS[path]
            token = self.headers["Authorization"].removeprefix("Bearer ")
            if way == "stream" and not stripe.is_open(token):
                error = {"type": "temporary_session_expired", "message": "Session token has expired."}
                self._answer(Reply(401, {"error": error}), None)
                return
            mishap, key = stripe.mishap(), self.headers["Idempotency-Key"]
            events = events_of(way, text)
            if mishap is Mishap.LATE:
                stripe.carry_out_later(way, key, text, events, arrived)
                self._drop(mishap)
                return
            if mishap in (Mishap.LOST, Mishap.RESET):
                self._drop(mishap)
                return
            self._answer(stripe.post(way, key, text, events, mishap, arrived), mishap)

        def _drop(self, mishap: Mishap | None) -> None:
            self.close_connection = True
            if mishap in (Mishap.RESET, Mishap.RESET_AFTER, Mishap.CUT):
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close() if mishap in (Mishap.RESET, Mishap.RESET_AFTER, Mishap.CUT) else None

        def _answer(self, reply: Reply, mishap: Mishap | None) -> None:
            if mishap in SILENT:
                self._drop(mishap)
                return
            is_text = isinstance(reply.document, str)
            content = reply.document if is_text else json.dumps(reply.document)
            body = str(content).encode()
            self.send_response(reply.status)
            self.send_header("Content-Type", "text/html" if is_text else "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Request-Id", f"req_{stripe.requests}")
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if mishap is Mishap.CUT:
                self.wfile.write(body[: len(body) // 2])
                self.wfile.flush()
                self._drop(mishap)
                return
            self.wfile.write(body)

    return Handler
