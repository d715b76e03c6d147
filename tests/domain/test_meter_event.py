"""Sealing: identifiers that never change, and the body that preview shows and push sends."""

import json
from hashlib import sha256

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterledger.domain.meter import Meter
from meterledger.domain.meter_event import (
    MAX_IDENTIFIER_CHARS,
    UsageToSeal,
    derive_identifier,
    request_body,
    seal,
)
from meterledger.domain.quantity import Quantity
from support.properties import steady

OCTOBER = 1_790_812_800_000_000  # 2026-10-01T00:00:00Z
METER = Meter(event_name="api_requests", features=("api_calls",), decimal_places=2)
USAGE = UsageToSeal(
    usage_event=1,
    source="gateway",
    request_id="req_1",
    customer_id="cus_1",
    subscription_id=None,
    feature="api_calls",
    quantity=Quantity(1250, 2),
    event_time=OCTOBER + 999_999,
    dimensions=None,
)
KEYS = st.tuples(st.text(max_size=8), st.text(max_size=8), st.integers(0, 20))


def usage(**changed: object) -> UsageToSeal:
    """Return the usage with some fields changed."""
    return msgspec.structs.replace(USAGE, **changed)


@pytest.mark.parametrize(
    ("source", "request_id", "revision", "expected"),
    [
        ("default", "req_1", 0, "ml1-d0af7aef229d67e6d09f4d829d56c4638fd00454c631c17e8072acac454ad141"),
        ("default", "req_1", 1, "ml1-911290f2369467659b2b58525957508b8a75f9f88eec69affd1629c71852e15b"),
        ("gateway", "req_1", 0, "ml1-d0d44c0cd39f4cba6286c28a10eeab8617f329e115d067754e0067aa9db0813b"),
        (
            "gateway",
            "req_\u00e9\U0001f600",
            0,
            "ml1-8652b33cc2ca30d6737012a34e27b45a060a26af996e550c62004ab96a238d90",
        ),
        ("a", "bc", 0, "ml1-661144c44557e59e88c5d84e53fb93b30d53b50bbeda46bdf860362892299938"),
        ("ab", "c", 0, "ml1-500b5430fe1da1c029454998198fb4fc5be886dedf380adcc068bbb16338bc30"),
        ("default", "x" * 255, 12, "ml1-54ddd891bcf1463ef3444fe2c5ea1a5474a7c7e3be2f75953341f935932750fe"),
    ],
)
def test_identifiers_never_change(source: str, request_id: str, revision: int, expected: str) -> None:
    """The identifiers of the first derivation are fixed for ever: another one needs another prefix."""
    assert expected == derive_identifier(source, request_id, revision)


@steady
@given(key=KEYS, other=KEYS)
def test_identifiers_are_one_to_one(key: tuple[str, str, int], other: tuple[str, str, int]) -> None:
    """Two usage keys and revisions share an identifier only if they are the same."""
    assert (derive_identifier(*key) == derive_identifier(*other)) == (key == other)


@steady
@given(text=st.text(min_size=1, max_size=12), cut=st.integers(0, 12), other=st.integers(0, 12))
def test_moving_the_border_between_source_and_request_changes_the_identifier(
    text: str, cut: int, other: int
) -> None:
    """The same characters split elsewhere into source and request_id are another usage key."""
    same = min(cut, len(text)) == min(other, len(text))

    assert (
        derive_identifier(text[:cut], text[cut:]) == derive_identifier(text[:other], text[other:])
    ) == same


@steady
@given(source=st.text(), request_id=st.text(), revision=st.integers(0, 10**9))
def test_identifiers_fit_stripe(source: str, request_id: str, revision: int) -> None:
    """Whatever the usage key, an identifier is plain ASCII of at most 100 characters with its prefix."""
    identifier = derive_identifier(source, request_id, revision)

    assert identifier.startswith("ml1-")
    assert identifier.isascii()
    assert identifier.isprintable()
    assert len(identifier) <= MAX_IDENTIFIER_CHARS == 100


def test_an_identifier_is_the_digest_of_length_prefixed_fields() -> None:
    """Anybody can derive an identifier again: SHA-256 over length:bytes of source, request_id, revision."""
    digest = sha256("8:gatewa\u00e95:req_12:10".encode()).hexdigest()

    assert derive_identifier("gatewa\u00e9", "req_1", 10) == f"ml1-{digest}"


def test_the_body_is_what_stripe_takes_in_a_fixed_order() -> None:
    """A sealed usage event has event name, identifier, whole second and text payload, in this order."""
    body = seal(USAGE, METER, "cus_stripe").body()

    assert json.dumps(body) == json.dumps(
        {
            "event_name": "api_requests",
            "identifier": derive_identifier("gateway", "req_1"),
            "timestamp": OCTOBER // 1_000_000,
            "payload": {"stripe_customer_id": "cus_stripe", "value": "12.5"},
        }
    )


def test_the_payload_takes_the_meters_own_keys_and_the_dimensions_behind() -> None:
    """Customer and value stand under the keys that the meter names, dimensions follow in key order."""
    meter = Meter(
        event_name="egress",
        features=("f",),
        customer_key="cust",
        value_key="gb",
        dimensions=("tier", "region"),
    )
    sealed = seal(usage(dimensions='{"region":"eu","tier":"g\u00f6ld"}'), meter, "cus_1")

    assert list(sealed.payload.items()) == [
        ("cust", "cus_1"),
        ("gb", "12.5"),
        ("region", "eu"),
        ("tier", "g\u00f6ld"),
    ]
    assert sealed.payload_text() == '{"cust":"cus_1","gb":"12.5","region":"eu","tier":"g\u00f6ld"}'


def test_only_the_dimensions_of_the_meter_are_sent() -> None:
    """What a source alone names is kept with the usage event, and Stripe never sees it."""
    meter = Meter(event_name="egress", features=("f",), dimensions=("region",))
    sealed = seal(usage(dimensions='{"region":"eu","team":"web"}'), meter, "cus_1")

    assert sealed.payload == {"stripe_customer_id": "cus_1", "value": "12.5", "region": "eu"}


@pytest.mark.parametrize(
    ("quantity", "value"),
    [
        (Quantity(0, 0), "0"),
        (Quantity(100, 2), "1"),
        (Quantity(1, 12), "0.000000000001"),
        (Quantity(10**15 - 1, 0), "999999999999999"),
    ],
)
def test_values_are_sent_as_plain_text(quantity: Quantity, value: str) -> None:
    """A value is decimal text without an exponent, and zero is sent as zero."""
    assert value == seal(usage(quantity=quantity), METER, "cus_1").payload["value"]


@pytest.mark.parametrize(
    ("event_time", "timestamp"),
    [
        (OCTOBER, 1_790_812_800),
        (OCTOBER + 999_999, 1_790_812_800),
        (OCTOBER - 1, 1_790_812_799),
        (0, 0),
        (-1, -1),
    ],
)
def test_timestamps_are_the_floor(event_time: int, timestamp: int) -> None:
    """A timestamp is cut to its second, so the last microsecond of a period stays in it."""
    assert timestamp == seal(usage(event_time=event_time), METER, "cus_1").timestamp


def test_only_key_and_revision_decide_the_identifier() -> None:
    """The same usage key gets the same identifier in any ledger, whatever its number or content there."""
    first = seal(USAGE, METER, "cus_1")
    again = seal(usage(usage_event=99, quantity=Quantity(1, 0), event_time=0), METER, "cus_2")

    assert first.identifier == again.identifier
    assert first.identifier != seal(USAGE, METER, "cus_1", revision=1).identifier
    assert first.identifier != seal(usage(source="other"), METER, "cus_1").identifier


def test_a_sealed_event_and_its_stored_parts_make_the_same_body() -> None:
    """What the ledger stores of a meter event gives back exactly the body that was shown."""
    sealed = seal(usage(dimensions='{"region":"eu"}'), METER, "cus_1")
    stored = request_body(
        sealed.event_name, sealed.identifier, sealed.timestamp, json.loads(sealed.payload_text())
    )

    assert json.dumps(stored) == json.dumps(sealed.body())
