"""Sources in the config: every way to declare how rows are read, and every contradiction refused."""

import json
from fractions import Fraction
from pathlib import Path

import pytest

from meterledger.domain.preset import Preset
from meterledger.domain.scaling import Rounding, Scaling
from meterledger.domain.source import Source, source_of_preset
from meterledger.errors import ExitCode, UsageError
from support.config_files import METER, load, refusal

METERS = (
    METER
    + """[meters.storage]
features = ["storage_gb"]
decimal_places = 3
dimensions = ["region"]
[meters.builds]
features = ["build"]
aggregation = "count"
"""
)
DECLARED = """
[sources.metrics]
time_zone = "Europe/Berlin"
time_format = "%d/%m/%Y %H:%M"
delimiter = ";"
key = ["request_id", "customer_id"]
dimensions = ["team"]
columns = { request_id = "id", team = "squad", region = "id" }
constants = { subscription_id = "sub_1" }
defaults = { customer_id = "cus_house", team = "none" }
quantities = { calls = "n", storage_gb = "bytes" }
[sources.metrics.scale]
storage_gb = { divide_by = 1000000000, round = "half_even" }
calls = { multiply_by = "0.5" }
"""


def declared(text: str) -> str:
    """Return a config with one source that declares something."""
    return f"{METERS}[sources.x]\n{text}\n"


def test_everything_that_can_be_declared_is_read(tmp_path: Path) -> None:
    """Each key of a source comes through as it is meant."""
    source = load(tmp_path, METERS + DECLARED).sources["metrics"]

    assert source == Source(
        name="metrics",
        time_zone="Europe/Berlin",
        time_format="%d/%m/%Y %H:%M",
        delimiter=";",
        key=("request_id", "customer_id"),
        dimensions=("team",),
        columns={"request_id": "id", "team": "squad", "region": "id"},
        constants={"subscription_id": "sub_1"},
        defaults={"customer_id": "cus_house", "team": "none"},
        quantities={"calls": "n", "storage_gb": "bytes"},
        scale={
            "storage_gb": Scaling(factor=Fraction(1, 10**9), rounding=Rounding.HALF_EVEN),
            "calls": Scaling(factor=Fraction(1, 2)),
        },
    )
    assert source.usage_key == ("request_id", "customer_id", "feature")


def test_a_mapping_is_json_and_holds_all_that_was_declared(tmp_path: Path) -> None:
    """What is kept with an import says how its rows were read, and nothing where nothing was declared."""
    mapping = load(tmp_path, METERS + DECLARED).sources["metrics"].as_mapping()

    assert json.loads(json.dumps(mapping)) == mapping
    assert mapping["scale"]["storage_gb"] == {"divide_by": "1000000000", "round": "half_even"}
    assert mapping["scale"]["calls"] == {"divide_by": "2"}
    assert mapping["key"] == ["request_id", "customer_id"]
    assert set(mapping) == {
        "name", "time_zone", "time_format", "delimiter", "key", "dimensions", "columns", "constants",
        "defaults", "quantities", "scale",
    }  # fmt: skip
    assert Source(name="default").as_mapping() == {"name": "default"}
    assert source_of_preset(Preset.LAGO, "x").as_mapping()["preset"] == "lago"


def test_a_preset_is_the_ground_that_a_source_may_change(tmp_path: Path) -> None:
    """What stands beside a preset goes before it, field by field."""
    settings = load(
        tmp_path,
        METERS
        + '[sources.a]\npreset = "lago"\n'
        + '[sources.b]\npreset = "lago"\ntime_format = "rfc3339"\ncolumns = { quantity = "properties.n" }\n',
    )
    plain, changed = settings.sources["a"], settings.sources["b"]

    assert plain == source_of_preset(Preset.LAGO, "a")
    assert changed.time_format == "rfc3339"
    assert changed.columns == {**plain.columns, "quantity": "properties.n"}


def test_a_tab_can_be_named(tmp_path: Path) -> None:
    """A tab is hard to see in a config, so its name stands for it."""
    assert load(tmp_path, declared('delimiter = "tab"')).sources["x"].delimiter == "\t"


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ('presett = "lago"', "presett", "unknown key"),
        ('preset = "lagoo"', "preset", "lagoo"),
        ('time_format = "epoch"', "time_format", "no time format"),
        ('time_format = "%Y-%m-%d"', "time_format", "lacks the hour"),
        ('delimiter = ";;"', "delimiter", "separates no fields"),
        ("delimiter = '\"'", "delimiter", "separates no fields"),
        ('delimiter = "a"', "delimiter", "separates no fields"),
        ('delimiter = ""', "delimiter", "separates no fields"),
        ('key = ["request_id", "request_id"]', "key", "twice"),
        ('dimensions = ["a", "a"]', "dimensions", "twice"),
        ('columns = { quantity = "n*" }', "columns.quantity", "ends in a star"),
        ('quantities = { calls = "data.*" }', "quantities.calls", "ends in a star"),
        ('columns = { request_id = "id", customer_id = "id" }', "columns.customer_id", "request_id already"),
        ('columns = { customer_id = "feature" }', "columns.customer_id", "feature already"),
        ('columns = { tier = "t" }', "columns.tier", "unknown key"),
        ('constants = { request_id = "r" }', "constants.request_id", "unknown key"),
        ('constants = { event_time = "0" }', "constants.event_time", "unknown key"),
        ('constants = { feature = "nothing" }', "constants.feature", "no meter"),
        ('constants = { feature = "" }', "constants", "length"),
        ('constants = { feature = " calls" }', "constants", "regex"),
        ("constants = { quantity = 1.5 }", "constants", "float"),
        ('defaults = { feature = "nothing" }', "defaults.feature", "no meter"),
        (
            'constants = { feature = "calls" }\ndefaults = { feature = "calls" }',
            "defaults.feature",
            "constants",
        ),
        (
            'columns = { feature = "f" }\nconstants = { feature = "calls" }',
            "constants.feature",
            "columns say",
        ),
        ('quantities = { nothing = "n" }', "quantities.nothing", "no meter"),
        ('quantities = { calls = "n" }\ncolumns = { quantity = "m" }', "columns.quantity", "quantities say"),
        ('quantities = { calls = "n" }\ncolumns = { feature = "m" }', "columns.feature", "quantities say"),
        ('quantities = { calls = "n" }\ncolumns = { request_id = "n" }', "quantities.calls", "request_id"),
        (
            'quantities = { calls = "n" }\ndefaults = { feature = "calls" }',
            "defaults.feature",
            "quantities say",
        ),
        ('quantities = { calls = "n" }\nconstants = { quantity = 1 }', "constants.quantity", "quantities"),
        ("scale = { calls = 5 }", "scale", "object"),
        ("scale = { calls = {} }", "scale.calls", "needs multiply_by or divide_by"),
        ("scale = { calls = { by = 5 } }", "scale.calls.by", "unknown key"),
        ("scale = { calls = { divide_by = 0 } }", "scale.calls.divide_by", "no factor"),
        ("scale = { calls = { divide_by = 0.5 } }", "scale.calls.divide_by", "float"),
        ("scale = { calls = { multiply_by = -1 } }", "scale.calls.multiply_by", "no factor"),
        ("scale = { calls = { multiply_by = '1e3' } }", "scale.calls.multiply_by", "no factor"),
        ("scale = { calls = { multiply_by = 2, round = 'half_up' } }", "scale.calls.round", "half_up"),
        ("scale = { nothing = { multiply_by = 2 } }", "scale.nothing", "no meter"),
        ("scale = { build = { multiply_by = 2 } }", "scale.build", "counts events"),
        ('preset = "stripe-bulk"\nkey = ["request_id", "feature"]', "key", "as they stand"),
        ('preset = "stripe-bulk"\nquantities = { calls = "n" }', "quantities", "as they stand"),
        ('preset = "stripe-meter-events"\nscale = {}', "scale", "as they stand"),
        ('preset = "stripe-bulk"\ncolumns = { quantity = "n" }', "columns.quantity", "unknown key"),
    ],
)
def test_what_contradicts_itself_is_refused_where_it_stands(
    tmp_path: Path, text: str, key: str, words: str
) -> None:
    """A source that says two things, or nothing that could be meant, stops the command with its key."""
    message = refusal(tmp_path, declared(text)).message

    assert f": sources.x.{key}: " in message
    assert words in message


def test_columns_of_dimensions_may_be_those_of_fields(tmp_path: Path) -> None:
    """A dimension may say again what a field says: it is sent, the field decides."""
    text = 'columns = { customer_id = "account", region = "account" }'

    assert load(tmp_path, declared(text)).sources["x"].columns["region"] == "account"


@pytest.mark.parametrize("name", ["", " x", "x ", "a\\u0000b", "a\\nb", "a\\u001b[2J", "x" * 101])
def test_a_source_needs_a_name_that_can_be_shown(tmp_path: Path, name: str) -> None:
    """1 to 100 characters, none that a terminal obeys, no blanks at the ends: in the config and by option."""
    assert "name of a source" in refusal(tmp_path, f'[sources."{name}"]\n').message
    settings = load(tmp_path, "")
    with pytest.raises(UsageError) as refused:
        settings.source_named(name.encode().decode("unicode_escape"))

    assert refused.value.exit_code is ExitCode.USAGE


def test_a_source_is_found_by_name_by_preset_or_by_default(tmp_path: Path) -> None:
    """An option names a source of the config, or one that has the canonical columns or a preset's."""
    settings = load(tmp_path, METERS + '[sources.lago]\npreset = "lago"\ntime_zone = "UTC"\n[sources.logs]\n')

    assert settings.source_named(None) == Source(name="default")
    assert settings.source_named("other") == Source(name="other")
    assert settings.source_named("logs") is settings.sources["logs"]
    assert settings.source_named(None, Preset.LAGO) is settings.sources["lago"]
    assert settings.source_named(None, Preset.CLOUDEVENTS) == source_of_preset(
        Preset.CLOUDEVENTS, "cloudevents"
    )
    assert settings.source_named("mine", Preset.LAGO) == source_of_preset(Preset.LAGO, "mine")


@pytest.mark.parametrize(
    ("name", "preset", "words"),
    [
        ("logss", None, "did you mean logs"),
        ("logs", Preset.LAGO, "with no preset"),
        ("lago", Preset.CLOUDEVENTS, "with lago"),
    ],
)
def test_an_option_that_contradicts_the_config_is_refused(
    tmp_path: Path, name: str, preset: Preset | None, words: str
) -> None:
    """A misspelt source, or a preset that the config says otherwise, would give usage another key."""
    settings = load(tmp_path, METERS + '[sources.lago]\npreset = "lago"\n[sources.logs]\n')
    with pytest.raises(UsageError) as refused:
        settings.source_named(name, preset)

    assert words in refused.value.message


@pytest.mark.parametrize(
    "changed",
    [
        'time_format = "iso8601"',
        'delimiter = ";"',
        'dimensions = ["team"]',
        'constants = { subscription_id = "s" }',
        'defaults = { feature = "calls" }',
        'quantities = { calls = "n" }',
        "scale = { calls = { multiply_by = 2 } }",
        'scale = { calls = { multiply_by = 2, round = "up" } }',
        'preset = "lago"',
    ],
)
def test_whatever_a_source_declares_changes_the_import_digest(tmp_path: Path, changed: str) -> None:
    """A file is read again when its source reads rows otherwise than it did."""
    before = load(tmp_path, declared(""))
    after = load(tmp_path, declared(changed))

    assert before.import_digest(before.sources["x"]) != after.import_digest(after.sources["x"])


def test_payload_keys_are_part_of_the_digest_where_rows_are_meter_events(tmp_path: Path) -> None:
    """Where customer and value are looked for matters to Stripe's own rows, and to no others."""
    digests = []
    for text in (METERS, METERS.replace("[meters.storage]", '[meters.storage]\nvalue_key = "gb"')):
        settings = load(tmp_path, text)
        digests.append([settings.import_digest(settings.source_named(None, preset)) for preset in Preset])

    same = [before == after for before, after in zip(*digests, strict=True)]
    assert dict(zip(Preset, same, strict=True)) == {
        preset: not source_of_preset(preset, "x").keeps_identifier for preset in Preset
    }
