"""What a terminal shows while Stripe is asked for thousands of pages."""

import sys

import pytest

from meterledger.cli.context import Context
from meterledger.cli.pulling import requests_shown


@pytest.mark.parametrize(("is_terminal", "told"), [(True, True), (False, False)])
def test_a_person_who_waits_sees_how_many_requests_were_made(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool, told: bool
) -> None:
    """On a terminal they are counted on stderr; cron hears nothing."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    monkeypatch.setenv("TERM", "xterm")
    with requests_shown(Context()) as on_request:
        for _ in range(3):
            on_request()
    captured = capsys.readouterr()
    assert ("3 requests" in captured.err) is told
    assert captured.out == ""
