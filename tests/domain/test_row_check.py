"""From the fields of a row to a usage event, or to the first rule that it breaks."""

import json
from itertools import combinations
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meterledger.domain.meter import Aggregation, Catalogue, Meter
from meterledger.domain.row_check import RowCheck
from meterledger.domain.source import Source
from meterledger.domain.usage import CANONICAL_FIELDS, MAX_RAW_BYTES, Reason, Rejection, UsageEvent
from support.properties import steady

OCTOBER = 1_790_812_800_000_000  # 2026-10-01T00:00:00Z
CATALOGUE = Catalogue(
    (
        Meter(event_name="api_requests", features=("api_calls",)),
        Meter(event_name="egress", features=("egress_gb",), decimal_places=3, dimensions=("tier", "region")),
        Meter(event_name="fine", features=("fine",), decimal_places=12),
        Meter(event_name="builds", features=("build",), aggregation=Aggregation.COUNT),
    ),
    frozenset({"support"}),
)
GOOD: dict[str, str | None] = {
    "request_id": "req_1",
    "customer_id": "cus_1",
    "subscription_id": "sub_1",
    "feature": "api_calls",
    "quantity": "5",
    "event_time": "2026-10-01T00:00:00Z",
    "received_at": "2026-10-01T00:00:05Z",
    "region": None,
    "tier": None,
}


def row_check(**source: Any) -> RowCheck:
    """Return the check of a source's rows."""
    return RowCheck(CATALOGUE, Source(name="tests", **source))


def values(**changed: str | None) -> list[str | None]:
    """Return the fields of a good row with some of them changed."""
    assert changed.keys() <= GOOD.keys()
    row = GOOD | changed
    return [row[name] for name in (*CANONICAL_FIELDS, *CATALOGUE.dimension_names)]


def checked(check: RowCheck | None = None, /, **changed: str | None) -> UsageEvent | Rejection:
    """Check a good row with some fields changed."""
    return (check or row_check()).check(7, values(**changed), "raw\n")


def accepted(check: RowCheck | None = None, /, **changed: str | None) -> UsageEvent:
    """Check a row that has to be accepted."""
    found = checked(check, **changed)
    assert isinstance(found, UsageEvent), found
    return found


def refused(check: RowCheck | None = None, /, **changed: str | None) -> Rejection:
    """Check a row that has to be refused."""
    found = checked(check, **changed)
    assert isinstance(found, Rejection), found
    return found


def test_a_good_row_becomes_a_usage_event() -> None:
    """Every field of a good row is in its usage event, with its line."""
    expected = UsageEvent("req_1", "cus_1", "sub_1", "api_calls", 5, 0, OCTOBER, OCTOBER + 5_000_000, 7, None)

    assert expected == checked()


@pytest.mark.parametrize("missing", [None, "", " ", "\t\u00a0"])
def test_optional_fields_may_be_missing(missing: str | None) -> None:
    """A subscription and a time of receipt that are missing, empty or blank are simply not there."""
    event = accepted(subscription_id=missing, received_at=missing)

    assert (event.subscription_id, event.received_at) == (None, None)


def test_white_space_around_fields_is_no_content() -> None:
    """A row with white space around every field is the same usage event as without."""
    padded = {name: f" \t{text}\u00a0 " for name, text in GOOD.items() if text}

    assert checked(**padded) == checked()


FAULTS: tuple[tuple[Reason, dict[str, str | None], str], ...] = (
    (Reason.MISSING_FIELD, {"customer_id": None}, "customer_id is missing"),
    (Reason.MISSING_FIELD, {"request_id": ""}, "request_id is missing"),
    (Reason.MISSING_FIELD, {"feature": " "}, "feature is missing"),
    (Reason.MISSING_FIELD, {"quantity": None}, "quantity is missing"),
    (Reason.MISSING_FIELD, {"event_time": "\t"}, "event_time is missing"),
    (Reason.FIELD_TOO_LONG, {"request_id": "r" * 256}, "request_id"),
    (Reason.FIELD_TOO_LONG, {"customer_id": "c" * 256}, "customer_id"),
    (Reason.FIELD_TOO_LONG, {"subscription_id": "s" * 256}, "subscription_id"),
    (Reason.FIELD_TOO_LONG, {"feature": "f" * 256}, "feature"),
    (Reason.INVALID_QUANTITY, {"quantity": "n/a"}, "quantity 'n/a'"),
    (Reason.INVALID_QUANTITY, {"quantity": "1e3"}, "quantity '1e3'"),
    (Reason.INVALID_QUANTITY, {"quantity": "\u0661"}, "quantity '\u0661'"),
    (Reason.INVALID_QUANTITY, {"quantity": "\uff15"}, "quantity '\uff15'"),
    (Reason.INVALID_QUANTITY, {"quantity": "NaN"}, "quantity 'NaN'"),
    (Reason.INVALID_QUANTITY, {"quantity": "1,000"}, "quantity '1,000'"),
    (Reason.NEGATIVE_QUANTITY, {"quantity": "-1"}, "quantity '-1'"),
    (Reason.NEGATIVE_QUANTITY, {"quantity": "-0.001"}, "quantity '-0.001'"),
    (Reason.NEGATIVE_QUANTITY, {"quantity": "-1234567890123456789"}, "quantity"),
    (Reason.INVALID_TIME, {"event_time": "yesterday"}, "event_time 'yesterday'"),
    (Reason.INVALID_TIME, {"event_time": "2026-10-01T25:00:00Z"}, "event_time"),
    (Reason.INVALID_TIME, {"event_time": "1790812800000000"}, "event_time"),
    (Reason.INVALID_TIME, {"event_time": "\u0661\u0667\u0669\u0660"}, "event_time"),
    (Reason.INVALID_TIME, {"event_time": "2026-02-30T00:00:00"}, "event_time"),
    (Reason.INVALID_TIME, {"received_at": "soon"}, "received_at 'soon'"),
    (Reason.TIME_WITHOUT_OFFSET, {"event_time": "2026-10-01T00:00:00"}, "event_time '2026-10-01T00:00:00'"),
    (Reason.TIME_WITHOUT_OFFSET, {"received_at": "2026-10-01 00:00:05"}, "received_at"),
    (Reason.UNKNOWN_FEATURE, {"feature": "api_call"}, "feature 'api_call'"),
    (Reason.TOO_PRECISE, {"quantity": "1.5"}, "quantity '1.5'"),
    (Reason.TOO_PRECISE, {"quantity": "1234567890123456.5"}, "quantity"),
    (Reason.TOO_MANY_DIGITS, {"quantity": "1234567890123456"}, "quantity '1234567890123456'"),
)


@pytest.mark.parametrize(("reason", "fault", "words"), FAULTS)
def test_each_rule_names_its_reason_its_field_and_a_mend(
    reason: Reason, fault: dict[str, str | None], words: str
) -> None:
    """A row with one fault is refused for it, and the message names the field, the value and the mend."""
    rejection = refused(**fault)

    assert reason is rejection.reason
    assert words in rejection.message
    assert len(rejection.message) > len(words) + 10
    assert (rejection.line, rejection.raw) == (7, "raw")


PAIRS = [
    (first, second)
    for first, second in combinations(FAULTS, 2)
    if first[0] is not second[0] and not first[1].keys() & second[1].keys()
]


@pytest.mark.parametrize("known", ["nothing known", "quantity and feature known"])
def test_the_first_failing_rule_names_the_rejection(known: str) -> None:
    """Of every two faults in different fields the earlier reason wins, with or without a row before it."""
    check = row_check()
    wrong = []
    for (reason, fault, _), (_, other, _) in PAIRS:
        if known == "quantity and feature known":
            accepted(check)
        else:
            check = row_check()
        found = refused(check, **fault, **other)
        if found.reason is not reason:
            wrong.append((reason.value, found.reason.value, fault, other))

    assert wrong == []


EARLIER = (Reason.MISSING_FIELD, Reason.FIELD_TOO_LONG)


@pytest.mark.parametrize("known", ["nothing known", "quantity and feature known"])
@pytest.mark.parametrize("fault", [fault for reason, fault, _ in FAULTS if reason not in EARLIER])
def test_a_dimension_that_is_too_long_goes_before_what_comes_later(
    known: str, fault: dict[str, str | None]
) -> None:
    """It is a field like any other; what dimensions a feature has is known as long as the feature is."""
    check = row_check()
    if known == "quantity and feature known":
        accepted(check, feature="egress_gb")
    found = refused(check, **{"feature": "egress_gb", **fault, "tier": "t" * 256})

    assert found.reason is (Reason.UNKNOWN_FEATURE if "feature" in fault else Reason.FIELD_TOO_LONG)


@pytest.mark.parametrize("fault", [fault for _, fault, _ in FAULTS])
def test_a_row_before_changes_nothing(fault: dict[str, str | None]) -> None:
    """What is remembered from good rows lets no fault through and names no other reason."""
    check = row_check()
    accepted(check)
    accepted(check, feature="egress_gb", quantity="5.125")

    assert refused(check, **fault) == refused(**fault)


def test_a_missing_field_names_every_missing_one() -> None:
    """A row without several fields is refused once, and all of them are named."""
    message = refused(customer_id=None, quantity="", event_time=" ").message

    assert all(name in message for name in ("customer_id", "quantity", "event_time"))
    assert "request_id" not in message


@pytest.mark.parametrize("field", ["request_id", "customer_id", "subscription_id"])
def test_the_longest_field_is_255_characters(field: str) -> None:
    """255 characters are taken whatever their bytes, and white space around them does not count."""
    longest = "\u00e9" * 255

    assert getattr(accepted(**{field: f" {longest} "}), field) == longest


@pytest.mark.parametrize(
    ("feature", "quantity", "units", "scale"),
    [
        ("api_calls", "0", 0, 0),
        ("api_calls", "-0", 0, 0),
        ("api_calls", "5.000", 5, 0),
        ("api_calls", "007", 7, 0),
        ("api_calls", "999999999999999", 999_999_999_999_999, 0),
        ("egress_gb", "1.5", 1500, 3),
        ("egress_gb", "1.5000000", 1500, 3),
        ("egress_gb", "0.001", 1, 3),
        ("egress_gb", "123456789012.345", 123_456_789_012_345, 3),
        ("fine", "0.000000000001", 1, 12),
        ("fine", "999999", 999_999_000_000_000_000, 12),
        ("support", "3", 3, 0),
    ],
)
def test_quantities_are_taken_exactly(feature: str, quantity: str, units: int, scale: int) -> None:
    """A quantity is an integer at its meter's decimal places, exact to the last digit that is allowed."""
    event = accepted(feature=feature, quantity=quantity)

    assert (units, scale) == (event.units, event.scale)


@pytest.mark.parametrize(
    ("feature", "quantity", "reason"),
    [
        ("api_calls", "1000000000000000", Reason.TOO_MANY_DIGITS),
        ("egress_gb", "1.0001", Reason.TOO_PRECISE),
        ("egress_gb", "1234567890123.456", Reason.TOO_MANY_DIGITS),
        ("fine", "1000000", Reason.TOO_MANY_DIGITS),
        ("fine", "0.0000000000001", Reason.TOO_PRECISE),
        ("support", "0.5", Reason.TOO_PRECISE),
    ],
)
def test_quantities_beyond_a_limit_are_refused(feature: str, quantity: str, reason: Reason) -> None:
    """One decimal place or one digit more than the meter, Stripe or the ledger takes is refused."""
    assert reason is refused(feature=feature, quantity=quantity).reason


@pytest.mark.parametrize("quantity", ["1", "1.0", "01", "+1"])
def test_a_count_meter_takes_one(quantity: str) -> None:
    """On a meter that counts events, one is one however it is written."""
    assert accepted(feature="build", quantity=quantity).units == 1


@pytest.mark.parametrize("quantity", ["0", "2", "1.5", "10", "0.1"])
def test_a_count_meter_takes_nothing_else(quantity: str) -> None:
    """On a meter that counts events, any other quantity would be billed as one and is refused."""
    rejection = refused(feature="build", quantity=quantity)

    assert rejection.reason is Reason.INVALID_QUANTITY
    assert "builds" in rejection.message


@pytest.mark.parametrize(
    ("feature", "region", "tier", "expected"),
    [
        ("egress_gb", "eu", "gold", {"region": "eu", "tier": "gold"}),
        ("egress_gb", " eu ", None, {"region": "eu"}),
        ("egress_gb", "", "  ", None),
        ("egress_gb", 'e"u\u00e9', None, {"region": 'e"u\u00e9'}),
        ("api_calls", "eu", "gold", None),
        ("support", "eu", "gold", None),
    ],
)
def test_dimensions_are_those_the_meter_names(
    feature: str, region: str | None, tier: str | None, expected: dict[str, str] | None
) -> None:
    """Only the dimensions of the row's own meter are kept, as a flat object in key order."""
    found = accepted(feature=feature, region=region, tier=tier).dimensions

    assert expected == (json.loads(found) if found else None)
    assert found is None or list(json.loads(found)) == sorted(json.loads(found))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2026-10-25T02:30:00", Reason.INVALID_TIME),
        ("2026-03-29T02:30:00", Reason.INVALID_TIME),
    ],
)
def test_a_local_time_that_is_no_single_instant_is_refused(text: str, reason: Reason) -> None:
    """Where the source names its time zone, times that clocks showed twice or never are still refused."""
    check = row_check(time_zone="Europe/Berlin")

    assert reason is refused(check, event_time=text).reason
    assert accepted(check, event_time="2026-10-01T02:00:00").event_time == OCTOBER


def test_values_in_messages_are_escaped_and_short() -> None:
    """A value that would fill or steer a terminal is cut and escaped in the message."""
    message = refused(quantity="\x1b[2J" + "9" * 5000 + "x").message

    assert message.isprintable()
    assert len(message) < 300


def test_a_rejection_keeps_what_can_be_read() -> None:
    """The usage key, the feature and the time of a refused row are kept for closing it and for the audit."""
    rejection = refused(quantity="n/a")

    assert (rejection.request_id, rejection.feature, rejection.event_time) == ("req_1", "api_calls", OCTOBER)


@pytest.mark.parametrize("event_time", [None, "", "yesterday", "2026-10-01T00:00:00"])
def test_a_rejection_without_a_readable_time_has_none(event_time: str | None) -> None:
    """A time that cannot be read is not guessed for the audit either."""
    assert refused(event_time=event_time).event_time is None


def test_what_is_kept_of_a_row_is_bounded() -> None:
    """Of a refused row 64 Ki are kept, without its line end."""
    rejection = row_check().check(1, values(quantity="n/a"), "x" * 100_000 + "\r\n")

    assert isinstance(rejection, Rejection)
    assert len(rejection.raw) == MAX_RAW_BYTES


KEY = ("request_id", "feature")
PARTS = st.text(alphabet="ab:\\,|\u00e9", min_size=1, max_size=5)


@steady
@given(first=st.tuples(PARTS, PARTS), second=st.tuples(PARTS, PARTS))
@example(first=("a", "b:c"), second=("a:b", "c"))
@example(first=("a\\", "b:c"), second=("a:b\\", "c"))
def test_composed_keys_are_one_to_one(first: tuple[str, str], second: tuple[str, str]) -> None:
    """Two rows have the same composed key exactly when they agree in every part of it."""
    check = RowCheck(Catalogue((), frozenset({first[1], second[1]})), Source(name="s", key=KEY))
    keys = [
        check.check(1, [name, "cus_1", None, feature, "1", "0", None], "")
        for name, feature in (first, second)
    ]
    one, other = keys

    assert isinstance(one, UsageEvent)
    assert isinstance(other, UsageEvent)
    assert (one.request_id == other.request_id) == (first == second)


def test_a_composed_key_tells_features_apart() -> None:
    """One id with two features gives two usage keys, in the order in which the source lists the parts."""
    check = row_check(key=KEY)

    assert accepted(check).request_id == "req_1:api_calls"
    assert accepted(check, feature="support").request_id == "req_1:support"
    assert accepted(check, request_id="a:b").request_id == "a\\:b:api_calls"


def test_a_composed_key_takes_part_in_the_limit() -> None:
    """The composed key as a whole has at most 255 characters."""
    check = row_check(key=KEY)
    room = 255 - len(":api_calls")

    assert len(accepted(check, request_id="r" * room).request_id) == 255
    assert refused(check, request_id="r" * (room + 1)).reason is Reason.FIELD_TOO_LONG


def test_a_rejection_has_the_composed_key() -> None:
    """A refused row is found again by the same composed key that its mended row will have."""
    check = row_check(key=KEY)

    assert refused(check, quantity="n/a").request_id == accepted(check).request_id


@pytest.mark.parametrize("length", [256, 300])
def test_a_key_too_long_is_never_taken_for_a_shorter_one(length: int) -> None:
    """A refused key of more than 255 characters is not kept as the key that its first 255 would be."""
    rejection = refused(request_id="r" * length)

    assert rejection.request_id != accepted(request_id="r" * 255).request_id
