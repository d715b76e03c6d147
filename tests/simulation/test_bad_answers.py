"""What no Stripe sends, through the real command: a clear line, the right state, and all settled later."""

import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from support.meddling_proxy import Meddling
from support.scripted_server import Answer, Request, answer
from support.till import CUSTOMERS, KEY, Till, open_tills

HTML = b"<html><body><h1>Please log in</h1>" + KEY.encode() + b"</body></html>"
PATHS = {
    "v1": "/v1/billing/meter_events",
    "v2": "/v2/billing/meter_events",
    "stream": "/v2/billing/meter_event_stream",
}
SESSIONS = "/v2/billing/meter_event_session"
JUDGED_ELSEWHERE = {
    "html with 200",
    "html with 404",
    "truncated json",
    "another event",
    "an error with 200",
    "302",
}
"""Answers that v2 and the stream judge by rules of their own; the others they leave to those of v1."""


@pytest.fixture(scope="module")
def tills(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], Till]]:
    """Start one simulator for all tests here."""
    with open_tills(tmp_path_factory.mktemp("tills")) as tills:
        yield tills


@pytest.fixture
def till(tills: Callable[[Path], Till], tmp_path: Path) -> Till:
    """Make a ledger of one's own."""
    return tills(tmp_path)


def on(path: str, meddling: Meddling) -> Callable[[Request], Meddling | None]:
    """Meddle with the requests to a path; of those that count, every second is carried out all the same."""
    seen = 0

    def meddle(request: Request) -> Meddling | None:
        nonlocal seen
        if request.target.split("?")[0] != path:
            return None
        seen += 1
        return replace(meddling, carried_out=meddling.carried_out and seen % 2 == 1)

    return meddle


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """A bad answer to what is sent, and a part of what push says of it."""

    meddling: Meddling
    says: str


def whole(status: int, body: object, **headers: str) -> Meddling:
    """Answer so, whether the request is carried out or not."""
    return Meddling(answer=answer(status, body, headers), carried_out=True)


def raw(data: bytes, *, repeat: int = 1, drip_seconds: float = 0.0) -> Meddling:
    """Send these bytes, whether the request is carried out or not."""
    return Meddling(answer=Answer(data=data, repeat=repeat), carried_out=True, drip_seconds=drip_seconds)


def headed(head: str, body: bytes = b"") -> bytes:
    """Return an answer with this head."""
    return f"HTTP/1.1 {head}\r\n\r\n".encode() + body


OTHER_EVENT = {
    "object": "billing.meter_event",
    "identifier": "somebody_elses",
    "event_name": "calls",
    "created": 1,
    "livemode": False,
    "payload": {},
    "timestamp": 1,
}
ERROR = {"error": {"type": "invalid_request_error", "message": "not at all"}}
BOMB = gzip.compress(b" " * (64 * 2**20), 9)
NOT_STRIPE = "what answered is no Stripe"
NO_END = "could not be settled"
BAD = {
    "html with 200": Bad(meddling=whole(200, HTML), says=NOT_STRIPE),
    "html with 500": Bad(meddling=whole(502, HTML), says=NO_END),
    "html with 404": Bad(meddling=whole(404, HTML), says=NO_END),
    "no json": Bad(meddling=whole(200, b"\xff\xfe{"), says=NOT_STRIPE),
    "truncated json": Bad(meddling=whole(200, b'{"object": "billing.meter_event", "ident'), says=NOT_STRIPE),
    "another event": Bad(meddling=whole(200, OTHER_EVENT), says=NOT_STRIPE),
    "an error with 200": Bad(meddling=whole(200, ERROR), says=NOT_STRIPE),
    "deep json": Bad(meddling=whole(200, b"[" * 100_000), says=NOT_STRIPE),
    "nothing with 200": Bad(meddling=whole(200, b""), says=NOT_STRIPE),
    "301": Bad(meddling=whole(301, b"", Location="/elsewhere"), says=NOT_STRIPE),
    "302": Bad(meddling=whole(302, HTML, Location="/elsewhere"), says=NOT_STRIPE),
    "307": Bad(meddling=whole(307, b"", Location="/elsewhere"), says=NOT_STRIPE),
    "endless": Bad(
        meddling=raw(headed("200 OK\r\nContent-Length: 99999999999", b" " * 65536), repeat=10_000),
        says=NOT_STRIPE,
    ),
    "a gzip bomb": Bad(
        meddling=raw(headed(f"200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(BOMB)}", BOMB)),
        says=NOT_STRIPE,
    ),
    "no gzip": Bad(
        meddling=raw(headed("200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5", b"plain")), says=NO_END
    ),
    "chunked garbage": Bad(
        meddling=raw(headed("200 OK\r\nTransfer-Encoding: chunked", b"zz\r\nnonsense")), says=NO_END
    ),
    "no http": Bad(meddling=raw(b"\x00\x16\x03 what?\r\n\r\n"), says=NO_END),
    "an endless head": Bad(meddling=raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000), says=NO_END),
    "dripping": Bad(meddling=raw(b"H", repeat=1000, drip_seconds=0.5), says=NO_END),
    "an absurd retry-after": Bad(
        meddling=whole(429, {"error": {"message": "slow"}}, **{"Retry-After": "-7"}), says=NO_END
    ),
    "a retry-after of a year": Bad(
        meddling=whole(429, {"error": {"message": "slow"}}, **{"Retry-After": "31536000"}), says=NO_END
    ),
    "a retry-after in words": Bad(
        meddling=whole(503, {"error": {"message": "slow"}}, **{"Retry-After": "soon"}), says=NO_END
    ),
}
NOT_TAKEN = ("an absurd retry-after", "a retry-after of a year")
"""A 429 says that the request was not carried out: a Stripe that does it all the same is none."""


def hurry(till: Till, name: str) -> None:
    """Wait for what has no end in time a short while only; a slow machine needs the rest."""
    till.request_seconds = 2 if name == "dripping" else 30


def cases() -> Iterator[object]:
    """Yield each bad answer by each way; those that the ways do not tell apart are for long runs."""
    for name in BAD:
        for way in PATHS:
            is_same = way != "v1" and name not in JUDGED_ELSEWHERE
            yield pytest.param(name, way, marks=[pytest.mark.slow] * is_same, id=f"{name}-{way}")


@pytest.mark.parametrize(("name", "way"), list(cases()))
def test_a_bad_answer_is_never_success_and_never_proof(till: Till, name: str, way: str) -> None:
    """What was taken and what was not are both `sending`; exit code 5; the next push settles all of it."""
    bad = BAD[name]
    meddling = replace(bad.meddling, carried_out=name not in NOT_TAKEN)
    till.proxy.meddle = on(PATHS[way], meddling)
    hurry(till, name)
    ended = till.push(way)
    assert (ended.code, ended.document["schema"]) == (5, "meterledger.error/1")
    assert bad.says in ended.document["message"]
    assert not [one for one in till.proxy.requests if one.target == "/elsewhere"]
    assert till.states() == {"pending" if name in NOT_TAKEN else "sending": CUSTOMERS}
    till.mended(way)


READS = {"html": answer(200, HTML), "truncated": answer(200, b'{"object": "list", "data": [{"id"')}


@pytest.mark.parametrize("name", ["html with 200", "302", "truncated json", "an error with 200", "dripping"])
def test_without_the_account_nothing_is_sent(till: Till, name: str) -> None:
    """What answers the first read in an odd way is no Stripe: exit code 5, and the ledger is as it was."""
    till.proxy.meddle = on("/v1/account", BAD[name].meddling)
    hurry(till, name)
    ended = till.push("v1")
    assert ended.code == 5
    assert till.proxy.url in ended.document["message"]
    assert ended.document["hint"]
    assert [request.target for request in till.proxy.requests] == ["/v1/account"]
    assert till.status() == {}
    till.mended("v1")


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("path", ["/v1/billing/meters", "/v1/billing/meters/mtr_test_1/event_summaries"])
def test_another_read_that_is_no_json_is_a_warning(till: Till, path: str, name: str) -> None:
    """Meters and summaries that cannot be read leave their checks out, and say so."""
    till.proxy.meddle = on(path, Meddling(answer=READS[name]))
    ended = till.push("v1")
    assert ended.code == 0
    assert any("could not be read" in warning for warning in ended.document["warnings"])
    assert any(request.target.startswith(path) for request in till.proxy.requests)
    till.mended("v1")


@pytest.mark.parametrize("name", READS)
def test_error_reports_that_are_no_json_are_a_warning(till: Till, name: str) -> None:
    """What is sent stays sent, and `reconcile` says what it could not read."""
    till.proxy.meddle = on("/v2/core/events", Meddling(answer=READS[name]))
    for ended in (till.push("v1"), till.run("reconcile", "--errors-only", "--format", "json")):
        assert ended.code == 0
        assert any("error reports could not be read" in one for one in ended.document["warnings"])
    till.mended("v1")


@pytest.mark.parametrize("name", ["html with 200", "302", "truncated json", "html with 404", "dripping"])
def test_without_a_session_nothing_is_sent(till: Till, name: str) -> None:
    """The stream's session could not be had: all is pending, for certain."""
    till.proxy.meddle = on(SESSIONS, BAD[name].meddling)
    hurry(till, name)
    ended = till.push("stream")
    assert ended.code == 5
    assert till.status() == {"pending": CUSTOMERS}
    assert not [one for one in till.proxy.requests if one.target == PATHS["stream"]]
    till.mended("stream")


def dated(date: bytes) -> Meddling:
    """Let the answer through with another Date, or with none."""

    def change(data: bytes) -> bytes:
        lines = data.split(b"\r\n")
        kept = [line for line in lines if not line.lower().startswith(b"date:")]
        return b"\r\n".join([kept[0], *([b"Date: " + date] if date else []), *kept[1:]])

    return Meddling(change=change)


@pytest.mark.parametrize("date", [b"", b"yesterday", b"Sun, 99 Nov 2026 99:99:99 GMT", b"\xff" * 100])
def test_without_a_date_the_clock_is_not_checked(till: Till, date: bytes) -> None:
    """A Date that is missing or is none is a warning, and everything is sent."""
    till.proxy.meddle = lambda _request: dated(date)
    ended = till.push("v1")
    assert ended.code == 0
    assert any("no Date" in warning for warning in ended.document["warnings"])
    till.check_counted_once()


@pytest.mark.parametrize("date", [b"Thu, 01 Jan 1970 00:00:00 GMT", b"Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_date_far_away_stops_the_push(till: Till, date: bytes) -> None:
    """Clocks that are far apart end it before anything is sealed."""
    till.proxy.meddle = lambda _request: dated(date)
    ended = till.push("v1")
    assert ended.code == 5
    assert "clock says" in ended.document["message"]
    assert till.status() == {}
    till.mended("v1")
