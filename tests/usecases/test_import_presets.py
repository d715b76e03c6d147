"""Import by preset: the hand-made samples of other programs' files, and odd rows of each kind."""

from pathlib import Path

import pytest

from meterledger.domain.preset import Preset
from meterledger.readers import open_input
from meterledger.usecases.try_source import try_source
from support.importing import Importing, counts

SAMPLE = Path(__file__).parents[2] / "sample_data"
FILES = {
    Preset.CLOUDEVENTS: "cloudevents.jsonl",
    Preset.LAGO: "lago.jsonl",
    Preset.STRIPE_BULK: "stripe-bulk.csv",
    Preset.STRIPE_METER_EVENTS: "stripe-meter-events.jsonl",
}
CONFIG = (SAMPLE / "meterledger.toml").read_text() + "".join(
    f'[sources."{preset}"]\npreset = "{preset}"\n' for preset in Preset
)
METER_EVENT = (
    b'{"event_name":"api_requests","identifier":"i%d","timestamp":1793347200,'
    b'"payload":{"stripe_customer_id":"cus_1","value":%s}}\n'
)


@pytest.fixture
def folder(tmp_path: Path) -> Importing:
    """Return a folder with the sample's config and a source for each preset."""
    return Importing(tmp_path, CONFIG)


@pytest.mark.parametrize(
    ("preset", "expected", "rejects"),
    [
        (Preset.CLOUDEVENTS, (10, 7, 1, 0, 2), [(9, "missing_field"), (10, "unknown_feature")]),
        (Preset.LAGO, (10, 8, 0, 0, 2), [(9, "missing_field"), (10, "invalid_time")]),
        (Preset.STRIPE_BULK, (10, 8, 0, 0, 2), [(10, "malformed_row"), (11, "unknown_feature")]),
        (Preset.STRIPE_METER_EVENTS, (10, 8, 0, 0, 2), [(9, "missing_field"), (10, "malformed_row")]),
    ],
)
def test_the_sample_of_a_preset_comes_out_as_its_page_says(
    folder: Importing, preset: Preset, expected: tuple[int, ...], rejects: list[tuple[int, str]]
) -> None:
    """Every row is counted, the bad ones by line and reason; read again, what was accepted is a duplicate."""
    file = str(SAMPLE / "presets" / FILES[preset])
    report = folder.run(file, source=preset)
    rows, accepted, duplicates, conflicts, rejected = expected

    assert expected == counts(report)
    assert rejects == [(line, reason) for line, reason, _, _ in folder.rejects()]
    again = folder.run(file, source=preset, again=True)
    assert (rows, 0, accepted + duplicates, conflicts, rejected) == counts(again)


@pytest.mark.parametrize("preset", [Preset.STRIPE_BULK, Preset.STRIPE_METER_EVENTS])
def test_identifiers_of_stripes_files_are_request_ids_to_the_letter(
    folder: Importing, preset: Preset
) -> None:
    """Whatever stands in an identifier, commas and slashes included, is the usage key."""
    folder.run(str(SAMPLE / "presets" / FILES[preset]), source=preset)
    keys = {key for _, key, _, _ in folder.usage()}

    assert keys & {"bulk, by hand: 0008", "seats/2026-10-30/nordlicht"}


def test_stripes_own_json_is_read_by_the_bulk_preset_too(folder: Importing) -> None:
    """Stripe's bulk upload takes JSON with a payload object as well as CSV, and so does its preset."""
    file = folder.write_bytes("bulk.jsonl", METER_EVENT % (1, b'"5"'))

    assert counts(folder.run(file, source="stripe-bulk")) == (1, 1, 0, 0, 0)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"1E2", "invalid_quantity"),
        (b"1e3", "invalid_quantity"),
        (b"true", "invalid_quantity"),
        (b'"NaN"', "invalid_quantity"),
        (b'"Infinity"', "invalid_quantity"),
        ('"\uff11\uff12"'.encode(), "invalid_quantity"),
        (b'"1,000"', "invalid_quantity"),
        (b'"0x10"', "invalid_quantity"),
        (b'"1_000"', "invalid_quantity"),
        (b'"5."', "invalid_quantity"),
        (b'".5"', "invalid_quantity"),
        (b"9" * 400, "too_many_digits"),
        (b"null", "missing_field"),
        (b"[1]", "malformed_row"),
        (b"-0.0", None),
        (b'"-0"', None),
        (b'"+5"', None),
        (b'"00012"', None),
        (b"5.000", None),
    ],
)
def test_odd_numbers_in_a_payload_are_read_as_anywhere_else(
    folder: Importing, value: bytes, reason: str | None
) -> None:
    """A JSON number is the text it was written as, inside a payload too; no float comes between."""
    folder.run(folder.write_bytes("x.jsonl", METER_EVENT % (1, value)), source="stripe-meter-events")

    assert [found for _, found, _, _ in folder.rejects()] == ([reason] if reason else [])


@pytest.mark.parametrize("payload", [b"5", b'"x"', b"[]", b"{", b'{"a":{}}', b'{"a":"\\u0000"}'])
def test_a_payload_that_is_no_flat_object_is_malformed(folder: Importing, payload: bytes) -> None:
    """What could not be a payload at Stripe is refused as it stands, and the row after it is read."""
    bad = b'{"event_name":"api_requests","identifier":"x","timestamp":1,"payload":%s}\n' % payload
    file = folder.write_bytes("x.jsonl", bad + METER_EVENT % (1, b"5"))

    assert counts(folder.run(file, source="stripe-meter-events")) == (2, 1, 0, 0, 1)
    assert [(line, reason) for line, reason, _, _ in folder.rejects()] == [(1, "malformed_row")]


@pytest.mark.parametrize("preset", [Preset.STRIPE_BULK, Preset.STRIPE_METER_EVENTS])
def test_a_key_or_column_with_the_name_of_a_group_is_no_payload(folder: Importing, preset: Preset) -> None:
    """Such a key or column is one that nobody asked for: it breaks nothing, and overrides no quantity."""
    column = (
        b"identifier,timestamp,event_name,payload_stripe_customer_id,payload_value,payload.*\n"
        b'i1,1793347200,api_requests,cus_1,5,"{""value"":""99""}"\n'
    )
    key = METER_EVENT % (2, b"6")
    folder.run(folder.write_bytes("x.csv", column), source=preset)
    folder.run(folder.write_bytes("x.jsonl", key.replace(b"{", b'{"payload_*":"x",', 1)), source=preset)

    assert [(key, quantity) for _, key, _, quantity in folder.usage()] == [("i1", "5"), ("i2", "6")]


def test_a_wide_row_counts_as_the_usage_rows_it_becomes(tmp_path: Path) -> None:
    """Each feature with a quantity is a row read, accepted or refused on its own, and told apart."""
    folder = Importing(
        tmp_path,
        CONFIG
        + """[sources.wide.quantities]
api_calls = "calls"
egress_gb = "bytes"
[sources.wide.scale]
egress_gb = { divide_by = 1000000000 }
""",
    )
    file = folder.write(
        "wide.csv",
        "r1,cus_1,2026-10-31T12:00:00Z,5,1500000000",
        "r2,cus_1,2026-10-31T12:00:00Z,,2",
        "r3,cus_1,2026-10-31T12:00:00Z,,",
        "r4,cus_1,2026-10-31T12:00:00Z,n/a,0",
        "r5,cus_1,2026-10-31T12:00:00Z,x,y",
        header="request_id,customer_id,event_time,calls,bytes",
    )
    report = folder.run(file, source="wide")

    assert counts(report) == (8, 3, 0, 0, 5)
    assert [(key, quantity) for _, key, _, quantity in folder.usage()] == [
        ("r1:api_calls", "5"),
        ("r1:egress_gb", "1.5"),
        ("r4:egress_gb", "0"),
    ]
    assert [(one.line, one.reason) for one in report.rejections] == [
        (3, "too_precise"), (4, "missing_field"), (5, "invalid_quantity"),
        (6, "invalid_quantity"), (6, "invalid_quantity"),
    ]  # fmt: skip
    assert len(folder.rejects()) == 5  # two of one line are two
    assert counts(folder.run(file, source="wide", again=True)) == (8, 0, 3, 0, 5)


def test_what_is_tried_is_what_is_imported(folder: Importing) -> None:
    """The rows that a trial shows are, key for key and reason for reason, those that an import takes."""
    for preset, name in FILES.items():
        folder.run(str(SAMPLE / "presets" / name), source=preset)
        source = folder.settings.sources[preset]
        with open_input(str(SAMPLE / "presets" / name)) as file:
            tried = try_source(file, source, folder.settings.catalogue, 1000).rows
        stored = {(key, quantity) for of, key, _, quantity in folder.usage() if of == preset}

        assert {(one.request_id, one.quantity) for one in tried if not one.reason} == stored
        assert [(one.line, one.reason) for one in tried if one.reason] == [
            (line, reason) for line, reason, _, _ in folder.rejects()[-2:]
        ]


def test_an_identifier_that_stripe_would_not_take_is_refused(folder: Importing) -> None:
    """101 characters are too many for an identifier, whichever way the rows are checked."""
    rows = b"".join(b"%s,1793347200,api_requests,cus_1,5\n" % (b"i" * length) for length in (100, 101))
    header = b"identifier,timestamp,event_name,payload_stripe_customer_id,payload_value\n"
    for content in (header + rows, header + rows.splitlines(keepends=True)[1]):
        report = folder.run(folder.write_bytes("long.csv", content), source="stripe-bulk")
        assert report.counts.rejected == 1
    assert {reason for _, reason, _, _ in folder.rejects()} == {"field_too_long"}
