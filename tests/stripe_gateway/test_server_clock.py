"""The clock of a server that is no Stripe, and the times that answers tell."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from meterledger.errors import StripeError, UsageError
from meterledger.stripe_gateway.http_date import parsed_date
from meterledger.stripe_gateway.server_clock import ServerClock, read_server_clock
from support.scripted_server import DATE, Answer, answer

NOW = 1_793_491_200_000_000


@contextmanager
def serving(reply: bytes) -> Iterator[str]:
    """Answer one connection with these bytes, from another thread; yield the base address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)

        def serve() -> None:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            thread.join()


@pytest.mark.parametrize("status", [200, 401, 404, 500])
def test_any_answer_tells_the_time(status: int) -> None:
    """It needs no key: a refusal has a Date too."""
    with serving(answer(status, {}).data) as base:
        assert read_server_clock(base)() == NOW


def test_stripe_is_not_asked_for_the_time() -> None:
    """Rehearsing is for simulators; with Stripe itself it is an error of use."""
    for base in ("https://api.stripe.com", "https://stripe.com"):
        with pytest.raises(UsageError, match="METERLEDGER_CLOCK"):
            read_server_clock(base)


@pytest.mark.parametrize(
    "reply", [answer(200, {}).data.replace(DATE.encode(), b"noon"), b"no http\r\n\r\n", b""]
)
def test_a_server_without_a_time_is_an_error(reply: bytes) -> None:
    """No Date, no HTTP or no answer at all: the clock cannot be had, by exit code 5."""
    with serving(reply) as base, pytest.raises(StripeError):
        read_server_clock(base)


def test_a_server_that_is_not_there_is_an_error() -> None:
    """The message names the host and the setting."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(StripeError, match="METERLEDGER_CLOCK") as caught:
            read_server_clock(base)
    assert base in str(caught.value)


def test_a_server_clock_never_goes_back() -> None:
    """A later answer with an earlier Date changes nothing."""
    clock = ServerClock(NOW)
    for told, expected in ((NOW + 5, NOW + 5), (NOW - 5, NOW + 5), (NOW + 9, NOW + 9)):
        clock.note(told)
        assert clock() == expected


def test_an_answer_from_before_a_silence_does_not_end_it() -> None:
    """A process that was held reads what had come by then, and still asks for the time that it is now."""
    seconds = iter((0.0, 30.0, 30.0, 30.1, 30.1, 30.2)).__next__
    clock = ServerClock(NOW, lambda: NOW + 9, seconds)
    clock.note(NOW)
    assert clock() == NOW + 9


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        (DATE, NOW),
        ("Sun, 01 Nov 2026 01:00:00 +0100", NOW),
        (None, None),
        ("", None),
        ("noon", None),
        ("Sun, 99 Nov 2026 00:00:00 GMT", None),
        ("Sun, 01 Nov 2026", None),
        ("Sun, 01 Nov 99999 00:00:00 GMT", None),
    ],
)
def test_dates_of_answers(text: str | None, instant: int | None) -> None:
    """An HTTP date is an instant; anything else is none, and no error."""
    assert parsed_date(text) == instant


def test_an_answer_is_whole() -> None:
    """The scripted answers of these tests are the HTTP they should be."""
    assert answer(200, {}) == Answer(data=answer(200, {}).data)
    assert answer(200, {}).data.endswith(b"\r\n\r\n{}")
