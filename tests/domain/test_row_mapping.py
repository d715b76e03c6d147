"""From the fields of a file to usage rows: constants, defaults, wide rows, presets."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterledger.domain.meter import Aggregation, Catalogue, Meter
from meterledger.domain.preset import Preset
from meterledger.domain.row_check import RowCheck, Unmapped
from meterledger.domain.row_mapping import RowMapping
from meterledger.domain.scaling import Rounding, Scaling
from meterledger.domain.source import Source, source_of_preset
from meterledger.domain.usage import Reason, Rejection, UsageEvent
from support.properties import steady

CATALOGUE = Catalogue(
    (
        Meter(event_name="api_requests", features=("api_calls", "api_reads")),
        Meter(
            event_name="storage",
            features=("storage_gb",),
            decimal_places=3,
            customer_key="customer",
            value_key="gb",
            dimensions=("region",),
        ),
        Meter(event_name="builds", features=("build",), aggregation=Aggregation.COUNT),
    ),
    frozenset({"support"}),
)
CANONICAL = {
    "request_id": "r1",
    "customer_id": "cus_1",
    "feature": "api_calls",
    "quantity": "5",
    "event_time": "0",
}
WIDE = Source(
    name="metrics",
    quantities={"api_calls": "calls", "storage_gb": "bytes", "support": "hours"},
    scale={"storage_gb": Scaling(factor=Fraction(1, 10**9))},
)
WIDE_ROW = {"request_id": "r1", "customer_id": "cus_1", "event_time": "0"}


def outcomes(source: Source, row: Mapping[str, str | None]) -> list[UsageEvent | Rejection]:
    """Return what a row of a file becomes, given its fields by their names."""
    mapping = RowMapping(source, CATALOGUE)
    check = RowCheck(CATALOGUE, source)
    picked = [row.get(name) for name in mapping.names]
    mapped = [picked] if mapping.is_plain else mapping.rows(picked)
    return [
        check.refuse(1, values, "raw") if isinstance(values, Unmapped) else check.check(1, values, "raw")
        for values in mapped
    ]


def accepted(source: Source, row: Mapping[str, str | None]) -> UsageEvent:
    """Return the one usage event that a row becomes."""
    (found,) = outcomes(source, row)
    assert isinstance(found, UsageEvent), found
    return found


def refused(source: Source, row: Mapping[str, str | None]) -> Rejection:
    """Return the one rejection that a row becomes."""
    (found,) = outcomes(source, row)
    assert isinstance(found, Rejection), found
    return found


def source(**declared: Any) -> Source:
    """Return a source."""
    return Source(name="tests", **declared)


def test_a_source_with_columns_alone_is_read_as_it_is_picked() -> None:
    """Nothing stands between the reader and the check where names are all that is mapped."""
    assert RowMapping(source(), CATALOGUE).is_plain
    assert RowMapping(source(columns={"quantity": "n", "region": "zone"}), CATALOGUE).is_plain
    assert not RowMapping(source(constants={"feature": "api_calls"}), CATALOGUE).is_plain
    assert not RowMapping(source(defaults={"feature": "api_calls"}), CATALOGUE).is_plain
    assert not RowMapping(WIDE, CATALOGUE).is_plain
    assert not any(RowMapping(source_of_preset(one, "x"), CATALOGUE).is_plain for one in Preset)


def test_constants_stand_in_every_row_and_need_no_column() -> None:
    """A constant is what every row has, whatever a column of that name says."""
    declared = source(constants={"feature": "api_reads", "subscription_id": "sub_1", "region": "eu"})
    event = accepted(declared, CANONICAL)

    assert (event.feature, event.subscription_id) == ("api_reads", "sub_1")
    assert "feature" not in RowMapping(declared, CATALOGUE).required
    assert "feature" not in RowMapping(declared, CATALOGUE).names


@pytest.mark.parametrize("found", [None, "", "  "])
def test_a_default_stands_in_rows_that_have_none(found: str | None) -> None:
    """A default feature is taken where the row's own is missing, empty or blank, and only there."""
    declared = source(defaults={"feature": "api_reads"})

    assert accepted(declared, CANONICAL | {"feature": found or ""}).feature == "api_reads"
    assert accepted(declared, CANONICAL).feature == "api_calls"
    assert "feature" not in RowMapping(declared, CATALOGUE).required


def test_a_column_that_is_mapped_is_not_read_for_its_own_name_too() -> None:
    """A file whose event_time stands in received_at has no time of receipt."""
    event = accepted(source(columns={"event_time": "received_at"}), CANONICAL | {"received_at": "7"})

    assert (event.event_time, event.received_at) == (7_000_000, None)


def test_dimensions_that_the_source_names_are_kept_whatever_the_meter_says() -> None:
    """A source's dimensions are content of its usage events, beside those of the meter."""
    row = CANONICAL | {"team": "web", "region": "eu"}

    assert accepted(source(dimensions=("team",)), row).dimensions == '{"team":"web"}'
    assert accepted(source(), row).dimensions is None
    stored = row | {"feature": "storage_gb"}
    assert accepted(source(dimensions=("team",)), stored).dimensions == '{"region":"eu","team":"web"}'


def test_a_wide_row_is_a_usage_row_for_each_feature() -> None:
    """Each quantity becomes a usage event of its own, scaled, under a key of request and feature."""
    found = outcomes(WIDE, WIDE_ROW | {"calls": "5", "bytes": "1500000000", "hours": ""})

    assert [(e.request_id, e.feature, e.units) for e in found if isinstance(e, UsageEvent)] == [
        ("r1:api_calls", "api_calls", 5),
        ("r1:storage_gb", "storage_gb", 1500),
    ]
    assert len(found) == 2


def test_a_bad_quantity_of_a_wide_row_leaves_the_others() -> None:
    """The rejection names its feature, and keeps the usage key that the mended row will have."""
    good, bad = outcomes(WIDE, WIDE_ROW | {"calls": "5", "bytes": "n/a"})

    assert isinstance(good, UsageEvent)
    assert isinstance(bad, Rejection)
    assert (bad.reason, bad.feature, bad.request_id) == (
        Reason.INVALID_QUANTITY, "storage_gb", "r1:storage_gb",
    )  # fmt: skip
    assert bad.message.startswith("storage_gb: quantity 'n/a'")


def test_a_wide_row_without_any_quantity_is_refused() -> None:
    """A row of no usage at all is no silence: it is refused, with the columns it was looked for in."""
    rejection = refused(WIDE, WIDE_ROW | {"calls": " ", "bytes": None})

    assert rejection.reason is Reason.MISSING_FIELD
    assert "'calls', 'bytes', 'hours'" in rejection.message


def test_every_column_of_a_wide_row_must_be_in_the_header() -> None:
    """A misspelt quantity column would lose usage in silence, so a header has to have each."""
    required = RowMapping(WIDE, CATALOGUE).required

    assert {"calls", "bytes", "hours", "request_id", "customer_id", "event_time"} == set(required)


KEYS = st.text(alphabet="ab:\\", min_size=1, max_size=4)


@steady
@given(first=KEYS, second=KEYS)
def test_usage_keys_of_wide_rows_are_distinct(first: str, second: str) -> None:
    """Whatever the request ids, no two usage rows of two wide rows share a usage key."""
    quantities = {"calls": "1", "bytes": "0", "hours": "2"}
    keys = [
        event.request_id
        for one in (first, second)
        for event in outcomes(WIDE, WIDE_ROW | {"request_id": one} | quantities)
        if isinstance(event, UsageEvent)
    ]

    assert len(set(keys)) == (3 if first == second else 6)


BAD_NUMBERS = {
    "1e3": Reason.INVALID_QUANTITY,
    "1E2": Reason.INVALID_QUANTITY,
    "NaN": Reason.INVALID_QUANTITY,
    "Infinity": Reason.INVALID_QUANTITY,
    "\uff11\uff12": Reason.INVALID_QUANTITY,
    "1,000": Reason.INVALID_QUANTITY,
    "0x10": Reason.INVALID_QUANTITY,
    "1_000": Reason.INVALID_QUANTITY,
    "5.": Reason.INVALID_QUANTITY,
    ".5": Reason.INVALID_QUANTITY,
    "true": Reason.INVALID_QUANTITY,
    "-5": Reason.NEGATIVE_QUANTITY,
    "9" * 400: Reason.TOO_MANY_DIGITS,
    "9" * 100_000: Reason.TOO_MANY_DIGITS,
    "+5": "5",
    "-0": "0",
    "-0.0": "0",
    "00012": "12",
}


@pytest.mark.parametrize(("text", "expected"), BAD_NUMBERS.items(), ids=lambda text: str(text)[:12])
@pytest.mark.parametrize("is_scaled", [False, True])
def test_odd_numbers_come_out_the_same_scaled_or_not(
    text: str, expected: Reason | str, is_scaled: object
) -> None:
    """A number is plain or refused by the same rule, whether its source scales it or not."""
    scale = {"api_calls": Scaling(factor=Fraction(2))} if is_scaled else {}
    (found,) = outcomes(source(scale=scale), CANONICAL | {"quantity": text})

    if isinstance(found, UsageEvent):
        assert str(found.units // (2 if is_scaled else 1)) == expected
    else:
        assert found.reason is expected
        assert len(found.message) < 400


def test_a_scaled_quantity_that_does_not_fit_is_too_precise_and_says_so() -> None:
    """The message has the scaled value and both mends; rounding is one, only where the source asks."""
    row = CANONICAL | {"feature": "storage_gb", "quantity": "1500000001"}
    by = Fraction(1, 10**9)
    rejection = refused(source(scale={"storage_gb": Scaling(factor=by)}), row)
    rounded = source(scale={"storage_gb": Scaling(factor=by, rounding=Rounding.UP)})

    assert rejection.reason is Reason.TOO_PRECISE
    assert all(words in rejection.message for words in ("1.500000001", "decimal_places", "round"))
    assert accepted(rounded, row).units == 1501


def test_a_scaled_quantity_takes_part_in_the_limits() -> None:
    """What counts for the digits is what would be sent, not what the file says."""
    times = source(scale={"api_calls": Scaling(factor=Fraction(10**6))})

    assert refused(times, CANONICAL | {"quantity": "1000000000"}).reason is Reason.TOO_MANY_DIGITS
    assert accepted(times, CANONICAL | {"quantity": "0.000001"}).units == 1


@pytest.mark.parametrize(
    ("time_format", "text", "words"),
    [
        ("%d/%m/%Y %H:%M", "2026-10-31", "write it like 31/10/2026 23:59"),
        ("epoch_nanoseconds", "soon", "write it like 1793491199000000000"),
    ],
)
def test_a_bad_time_is_answered_in_the_sources_own_format(time_format: str, text: str, words: str) -> None:
    """The mend shows how this source writes its times."""
    rejection = refused(source(time_format=time_format), CANONICAL | {"event_time": text})

    assert rejection.reason is Reason.INVALID_TIME
    assert words in rejection.message


EVENT = {
    "id": "a", "source": "https://eu:1", "type": "api_calls", "subject": "cus_1",
    "time": "2026-10-31T00:00:00Z", "data.value": "5",
}  # fmt: skip
CLOUDEVENTS = source_of_preset(Preset.CLOUDEVENTS, "events")


def test_a_cloud_event_is_known_by_id_and_source() -> None:
    """The same id from another source is another usage event, and the two parts cannot run together."""
    event = accepted(CLOUDEVENTS, EVENT)

    assert (event.request_id, event.customer_id, event.units) == ("a:https\\://eu\\:1", "cus_1", 5)
    assert accepted(CLOUDEVENTS, EVENT | {"source": "us"}).request_id == "a:us"
    assert accepted(CLOUDEVENTS, EVENT | {"id": "a:us", "source": "x"}).request_id == "a\\:us:x"


@pytest.mark.parametrize("missing", EVENT)
def test_every_attribute_of_a_cloud_event_is_needed(missing: str) -> None:
    """What the specification calls optional is needed for billing, and named by its own name."""
    rejection = refused(CLOUDEVENTS, EVENT | {missing: ""})

    assert rejection.reason is Reason.MISSING_FIELD
    assert missing in rejection.message
    assert (rejection.request_id is None) == (missing in ("id", "source"))


@pytest.mark.parametrize("preset", [Preset.CLOUDEVENTS, Preset.LAGO])
def test_an_event_of_a_count_meter_counts_as_one(preset: Preset) -> None:
    """On a meter that counts events a missing quantity is one, unless the source says where it stands."""
    declared = source_of_preset(preset, "events")
    fields = {declared.columns[field]: text for field, text in CANONICAL.items()} | {"source": "s"}
    row = fields | {declared.columns["feature"]: "build", declared.columns["quantity"]: ""}
    mapped = Source(name="x", preset=preset, columns={**declared.columns, "quantity": "n"})

    assert accepted(declared, row).units == 1
    assert refused(mapped, row).reason is Reason.MISSING_FIELD
    assert refused(declared, row | {declared.columns["feature"]: "api_calls"}).reason is Reason.MISSING_FIELD


def test_dimensions_of_a_preset_stand_beside_its_quantity() -> None:
    """A meter's dimension is looked for in the data of an event, unless the source says where it stands."""
    row = EVENT | {"type": "storage_gb", "data.region": "eu", "zone": "us"}
    mapped = Source(name="x", preset=Preset.CLOUDEVENTS, columns={**CLOUDEVENTS.columns, "region": "zone"})

    assert accepted(CLOUDEVENTS, row).dimensions == '{"region":"eu"}'
    assert accepted(mapped, row).dimensions == '{"region":"us"}'


def test_an_event_of_lago_is_its_customers_or_else_its_subscriptions() -> None:
    """The subscription stands for the customer only where the customer is not told."""
    lago = source_of_preset(Preset.LAGO, "lago")
    row = {
        "transaction_id": "t1", "external_subscription_id": "sub_1", "code": "api_calls",
        "timestamp": "1793491199.5", "properties.value": "5",
    }  # fmt: skip
    event = accepted(lago, row)

    assert (event.customer_id, event.subscription_id) == ("sub_1", "sub_1")
    assert event.event_time == 1_793_491_199_500_000
    assert accepted(lago, row | {"external_customer_id": "cus_1"}).customer_id == "cus_1"


STRIPES = source_of_preset(Preset.STRIPE_BULK, "bulk")


def meter_event(payload: str | None, **fields: str | None) -> dict[str, str | None]:
    """Return a row of Stripe's as the reader brings it."""
    row: dict[str, str | None] = {
        "identifier": "i1", "timestamp": "1793491199", "event_name": "storage", "payload.*": payload,
    }  # fmt: skip
    return row | fields


@pytest.mark.parametrize("name", ["payload.*", "payload_*"])
def test_a_meter_event_is_unpacked_by_its_meters_own_keys(name: str) -> None:
    """Customer, value and dimensions stand under the keys that the meter names."""
    payload = '{"customer":"cus_1","gb":"1.5","region":"eu","x":"","y":null}'
    event = accepted(STRIPES, meter_event(None) | {name: payload})

    assert (event.request_id, event.customer_id, event.feature) == ("i1", "cus_1", "storage_gb")
    assert (event.units, event.scale, event.dimensions) == (1500, 3, '{"region":"eu"}')


@pytest.mark.parametrize(
    ("row", "reason", "words"),
    [
        (meter_event('{"customer":"cus_1","gb":"1","x":"1"}'), Reason.MALFORMED_ROW, "'x'"),
        (meter_event('{"customer":"cus_1","value":"1"}'), Reason.MALFORMED_ROW, "'value'"),
        (meter_event('{"customer":"c","x":"1"}', identifier=None), Reason.MALFORMED_ROW, "'x'"),
        (meter_event('{"customer":"cus_1"}'), Reason.MISSING_FIELD, "quantity"),
        (meter_event(None), Reason.MISSING_FIELD, "customer_id"),
        (meter_event('{"customer":"c","gb":"1"}', identifier=None), Reason.MISSING_FIELD, "'identifier'"),
        (meter_event('{"customer":"c","gb":"1"}', event_name=None), Reason.MISSING_FIELD, "'event_name'"),
        (meter_event('{"customer":"c","gb":"1"}', identifier="i" * 101), Reason.FIELD_TOO_LONG, "100"),
        (meter_event('{"customer":"c","gb":"1"}', identifier=" i1"), Reason.MALFORMED_ROW, "blanks"),
        (meter_event('{"customer":"c","gb":"1.0001"}'), Reason.TOO_PRECISE, "3"),
        (meter_event('{"value":"1"}', event_name="storage_gb"), Reason.UNKNOWN_FEATURE, "'storage_gb'"),
        (meter_event("{}", event_name="x", timestamp="soon"), Reason.INVALID_TIME, "soon"),
        (meter_event("x"), Reason.MALFORMED_ROW, "flat object"),
        (meter_event("[]"), Reason.MALFORMED_ROW, "flat object"),
        (meter_event('{"customer":5}'), Reason.MALFORMED_ROW, "flat object"),
        (meter_event("{}", event_name="x", identifier="i" * 101), Reason.FIELD_TOO_LONG, "100"),
    ],
)
def test_a_meter_event_that_could_not_be_sent_as_given_is_refused(
    row: dict[str, str | None], reason: Reason, words: str
) -> None:
    """Payload keys that the meter does not name, unknown meters and long identifiers are refused."""
    rejection = refused(STRIPES, row)

    assert rejection.reason is reason
    assert words in rejection.message


def test_an_identifier_has_at_most_100_characters() -> None:
    """The longest identifier that Stripe takes is taken verbatim."""
    longest = "\u00e9" * 100

    row = meter_event('{"customer":"c","gb":"1"}', identifier=longest)
    assert accepted(STRIPES, row).request_id == longest


def test_only_stripes_presets_keep_their_identifiers() -> None:
    """The request_id of the others is not for Stripe: its identifier is derived."""
    keeping = {preset for preset in Preset if source_of_preset(preset, "x").keeps_identifier}

    assert keeping == {Preset.STRIPE_BULK, Preset.STRIPE_METER_EVENTS}
    assert not source().keeps_identifier
