"""Bodies on the wire: the form that v1 takes."""

from urllib.parse import parse_qsl

from meterledger.stripe_gateway.wire import form_of


def test_a_body_is_written_as_the_sdk_writes_it() -> None:
    """Names of a payload stand in brackets, and whatever else is in a name or a value is escaped."""
    payload = {"stripe_customer_id": "cus_1", "a&b=c": "1 + 1 = \N{EURO SIGN}"}
    form = form_of({"event_name": "calls", "timestamp": 1, "payload": payload})
    assert form == (
        b"event_name=calls&timestamp=1&payload[stripe_customer_id]=cus_1"
        b"&payload[a%26b%3Dc]=1+%2B+1+%3D+%E2%82%AC"
    )
    assert parse_qsl(form.decode())[-1] == ("payload[a&b=c]", "1 + 1 = \N{EURO SIGN}")
