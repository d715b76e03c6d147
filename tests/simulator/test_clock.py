"""The simulator's clock and the text it is turned with."""

import json
from urllib.parse import urlencode

import pytest

from meterledger.simulator.clock import SimulatedClock
from meterledger.simulator.instants import LATEST_EPOCH_SECONDS, format_instant, parse_duration, parse_instant
from meterledger.simulator.protocol.wire import Call
from simulator.conversation import START, Conversation


class Real:
    """A real clock in the test's hand; seconds since the epoch."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def test_a_running_clock_keeps_its_lead_over_the_real_one() -> None:
    """A clock started elsewhere goes on from there as fast as the real one."""
    real = Real()
    clock = SimulatedClock(real, start=START)
    real.now += 7
    assert (clock.now(), clock.frozen) == (START + 7, False)


def test_a_frozen_clock_ignores_the_real_one() -> None:
    """Freezing holds whatever real time does, and running goes on from where it stood."""
    real = Real()
    clock = SimulatedClock(real, frozen=True)
    real.now += 50
    assert clock.now() == 1000
    clock.run()
    real.now += 3
    assert clock.now() == 1003


def test_a_jump_keeps_the_mode() -> None:
    """Advancing moves a running and a standing clock alike and changes neither's mode."""
    real = Real()
    running, standing = SimulatedClock(real), SimulatedClock(real, frozen=True)
    for clock in (running, standing):
        clock.advance(3600)
    real.now += 1
    assert (running.now(), standing.now()) == (4601, 4600)


@pytest.mark.parametrize(
    ("text", "seconds"), [("20ms", 0.02), ("90s", 90), ("15m", 900), ("1h", 3600), ("3d", 259_200)]
)
def test_durations(text: str, seconds: float) -> None:
    """Each unit of a duration is read."""
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "1", "h", "-1h", "1.5h", "1 h", "1w", "\u0661h"])
def test_what_is_no_duration(text: str) -> None:
    """Anything that is not a whole number and a known unit is refused."""
    with pytest.raises(ValueError, match="no duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    "text", ["2026-11-01T00:00:00Z", "2026-11-01T01:00:00+01:00", "2026-11-01 00:00:00+00:00", "1793491200"]
)
def test_instants(text: str) -> None:
    """RFC 3339 with any offset and epoch seconds name the same instant."""
    assert parse_instant(text) == START
    assert format_instant(START) == "2026-11-01T00:00:00Z"


@pytest.mark.parametrize("text", ["2026-11-01T00:00:00", "yesterday", "", "-5", "nan", "999999999999"])
def test_what_is_no_instant(text: str) -> None:
    """An instant without an offset, beyond the calendar, or of another form is refused."""
    with pytest.raises(ValueError, match="instant"):
        parse_instant(text)


def test_the_clock_page_sets_jumps_and_runs() -> None:
    """Set, jump and mode work through the page, alone and together, and the page shows the result."""
    talk = Conversation()
    assert talk.control({"advance": "1h"}).document["epoch"] == START + 3600
    assert talk.control({"now": START}).document["now"] == "2026-11-01T00:00:00Z"
    together = talk.control({"now": "2026-12-01T00:00:00Z", "advance": "90s", "mode": "running"}).document
    assert together == {"now": "2026-12-01T00:01:30Z", "epoch": START + 30 * 86_400 + 90, "mode": "running"}
    assert talk.get("/_simulator/clock").document["mode"] == "running"
    assert talk.control({"mode": "frozen"}).document["mode"] == "frozen"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b'{"advance": "soon"}',
        b'{"now": 1, "mode": "fast"}',
        b'{"later": 1}',
        b'{"now": -1}',
    ],
)
def test_a_turn_that_is_not_understood_changes_nothing(body: bytes) -> None:
    """A refused turn of the clock is a 400 with a message, and the clock stays."""
    talk = Conversation()
    reply = talk.call("POST", "/_simulator/clock", body=body)
    assert reply.status == 400
    assert reply.error["message"]
    assert talk.clock.now() == START


def test_a_turn_in_another_form_is_told_the_form() -> None:
    """Who sends form fields to the clock, as to Stripe's own endpoints, is shown what to send."""
    reply = Conversation().call("POST", "/_simulator/clock", body=b"advance=1h")
    assert reply.error["message"].endswith('Send JSON such as {"advance": "1h"}')


def test_answers_carry_the_simulators_date() -> None:
    """The Date header and created follow the simulator's clock, not the real one."""
    talk = Conversation()
    talk.meter()
    talk.clock.advance(61)
    reply = talk.event()
    assert reply.headers["Date"] == "Sun, 01 Nov 2026 00:01:01 GMT"
    assert reply.document["created"] == reply.document["timestamp"] == START + 61


@pytest.mark.parametrize(
    "turn",
    [
        {"advance": "3661d"},
        {"now": "2037-01-01T00:00:00Z"},
        {"now": START + 3660 * 86_400, "advance": "1s"},
        {"now": "9999-01-01T00:00:00Z", "mode": "running"},
    ],
)
@pytest.mark.parametrize("path", ["/_simulator/clock", "/_simulator/reset", "/"])
def test_a_jump_is_at_most_ten_years(path: str, turn: dict[str, object]) -> None:
    """All that lies on the way would have to happen before the answer: what leads further is refused."""
    talk = Conversation()
    body = urlencode(turn).encode() if path == "/" else json.dumps(turn).encode()
    call = Call(method="POST", path=path, query="", headers={}, body=body)
    answer = talk.stripe.answer(call)
    assert (answer.status, b"at most 10 years" in answer.body, talk.clock.now()) == (400, True, START)


def test_a_jump_of_ten_years_and_any_jump_back_is_taken() -> None:
    """The limit is ten years whole, and holds from wherever the clock is."""
    talk = Conversation()
    for now in ("2036-11-01T00:00:00Z", "2046-11-01T00:00:00Z", "1970-01-01T00:00:00Z"):
        assert talk.control({"now": now}).document["now"] == now


def test_time_ends_with_the_year_9999() -> None:
    """A clock that runs into the calendar's end stands there, and everything goes on answering."""
    real = Real()
    talk = Conversation(clock=SimulatedClock(real, start=LATEST_EPOCH_SECONDS))
    real.now += 3600
    talk.meter()
    session = talk.call(
        "POST", "/v2/billing/meter_event_session", headers={"Stripe-Version": "2026-10-28.endive"}
    )
    event = talk.event(timestamp=LATEST_EPOCH_SECONDS + 300)
    page = talk.stripe.answer(Call(method="GET", path="/", query="", headers={}, body=b""))
    assert (session.status, event.status, page.status) == (200, 200, 200)
    assert talk.get("/_simulator/clock").document["now"] == "9999-12-31T23:59:59Z"
    assert session.document["expires_at"] == "9999-12-31T23:59:59.000Z"
