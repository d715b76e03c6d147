"""The config refused: every error with its file, line, key and closest right name."""

from pathlib import Path

import pytest

from meterledger.config import load_settings
from meterledger.domain.instant import HOUR
from meterledger.errors import UsageError
from support.config_files import METER, load, refusal


@pytest.mark.parametrize(
    ("text", "line", "key", "closest"),
    [
        ("[meter.api]\n", 1, "meter", "meters"),
        ("\n\n[sourcse.x]\n", 3, "sourcse", "sources"),
        ("[ledger]\npaht = 'x.db'\n", 2, "ledger.paht", "path"),
        ('[stripe]\napi = "v1"\naccont = ""\n', 3, "stripe.accont", "account"),
        ('[invoicing]\ngrace_periode = "1h"\n', 2, "invoicing.grace_periode", "grace_period"),
        ('[sources.gateway]\ntimezone = "UTC"\n', 2, "sources.gateway.timezone", "time_zone"),
        (
            '[sources.gateway]\n[sources.gateway.columns]\nevent_tiem = "ts"\n',
            3,
            "sources.gateway.columns.event_tiem",
            "event_time",
        ),
        (METER + 'agregation = "sum"\n', 3, "meters.api.agregation", "aggregation"),
        ("# first\n" + METER + "decimals = 2\n", 4, "meters.api.decimals", "decimal_places"),
        ("[plans.pro]\nfeature = {}\n", 2, "plans.pro.feature", "features"),
        (
            "[plans.pro.features.calls]\nincluded = 1\nsoft_waring = '80%'\n",
            3,
            "plans.pro.features.calls.soft_waring",
            "soft_warning",
        ),
        ('invoicing.anchor = "calendar"\n', 1, "invoicing.anchor", "anchors"),
        ('stripe = { api = "v1", acount = "" }\n', 1, "stripe.acount", "account"),
        ('[ "stripe" ]\n"acount" = ""\n', 2, "stripe.acount", "account"),
    ],
)
def test_unknown_keys_are_errors_that_name_the_closest_right_one(
    tmp_path: Path, text: str, line: int, key: str, closest: str
) -> None:
    """At every level a key that is not known stops the command, with its line and the name that was meant."""
    error = refusal(tmp_path, text)

    assert error.message == f"{tmp_path / 'meterledger.toml'}:{line}: {key}: unknown key"
    assert error.hint == f"did you mean {closest}?"


def test_an_unknown_key_that_is_close_to_none_lists_those_there_are(tmp_path: Path) -> None:
    """Where nothing is close, the known keys of the table are named."""
    hint = refusal(tmp_path, "[ledger]\nzzz = 1\n").hint

    assert hint == "known here: path"


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("ledger = 5\n", 1, "ledger"),
        ("meters = []\n", 1, "meters"),
        ("[meters]\napi = 1\n", 2, "meters.api"),
        ("[sources]\nx = 'y'\n", 2, "sources.x"),
        ("[[meters.api]]\nfeatures = ['a']\n", 1, "meters.api"),
        ("[ledger]\npath = 1\n", 2, "ledger.path"),
        ("[ledger]\npath = ''\n", 2, "ledger.path"),
        ("[meters.api]\naggregation = 'sum'\n", 1, "meters.api"),
        ("[meters.api]\nfeatures = []\n", 2, "meters.api.features"),
        ("[meters.api]\nfeatures = 'calls'\n", 2, "meters.api.features"),
        ("[meters.api]\nfeatures = [1]\n", 2, "meters.api.features"),
        ("[meters.api]\nfeatures = ['']\n", 2, "meters.api.features"),
        (METER + "aggregation = 'max'\n", 3, "meters.api.aggregation"),
        (METER + "event_time_window = 'week'\n", 3, "meters.api.event_time_window"),
        (METER + "decimal_places = -1\n", 3, "meters.api.decimal_places"),
        (METER + "decimal_places = 13\n", 3, "meters.api.decimal_places"),
        (METER + "decimal_places = 1.0\n", 3, "meters.api.decimal_places"),
        (METER + "decimal_places = true\n", 3, "meters.api.decimal_places"),
        (METER + "decimal_places = '2'\n", 3, "meters.api.decimal_places"),
        (METER + "value_key = ''\n", 3, "meters.api.value_key"),
        ("[stripe]\napi = 'v3'\n", 2, "stripe.api"),
        ("[invoicing]\ngrace_period = 3600\n", 2, "invoicing.grace_period"),
        ("[invoicing]\ngrace_period = '1 hour'\n", 2, "invoicing.grace_period"),
        ("[invoicing]\ngrace_period = '-1h'\n", 2, "invoicing.grace_period"),
        ("[invoicing]\nsafety_margin = '5'\n", 2, "invoicing.safety_margin"),
        ("[invoicing]\nretry_time = ''\n", 2, "invoicing.retry_time"),
        ("[invoicing]\nbilling_period = 'week'\n", 2, "invoicing.billing_period"),
        ("[invoicing]\nanchors = 'known'\n", 2, "invoicing.anchors"),
        ("[sources.x]\ntime_zone = 'Europe/Berlinn'\n", 2, "sources.x.time_zone"),
        ("[sources.x]\ntime_zone = 2\n", 2, "sources.x.time_zone"),
        ("[sources.x]\nkey = ['feature']\n", 2, "sources.x.key"),
        ("[sources.x]\nkey = []\n", 2, "sources.x.key"),
        ("[sources.x]\nkey = ['request_id', 'quantity']\n", 2, "sources.x.key"),
        ("[sources.x.columns]\nquantity = 1\n", 1, "sources.x.columns"),
        ("[plans.pro.features.calls]\nincluded = -1\n", 2, "plans.pro.features.calls.included"),
        ("[plans.pro.features.calls]\nincluded = 'many'\n", 2, "plans.pro.features.calls.included"),
        ("[plans.pro.features.calls]\nincluded = 0.5\n", 2, "plans.pro.features.calls.included"),
        ("[plans.pro.features.calls]\nincluded = true\n", 2, "plans.pro.features.calls.included"),
        ("[plans.pro.features.calls]\nincluded = 'Infinity'\n", 2, "plans.pro.features.calls.included"),
        ("[plans.pro.features.calls]\nsoft_warning = 80\n", 2, "plans.pro.features.calls.soft_warning"),
        ("[plans.pro.features.calls]\nsoft_warning = '80'\n", 2, "plans.pro.features.calls.soft_warning"),
        ("[plans.pro.features.calls]\nhard_warning = '-5%'\n", 2, "plans.pro.features.calls.hard_warning"),
        ("[plans.pro.features.calls]\nhard_warning = '80 %'\n", 2, "plans.pro.features.calls.hard_warning"),
    ],
)
def test_values_that_cannot_be_are_refused_where_they_stand(
    tmp_path: Path, text: str, line: int, key: str
) -> None:
    """A value of another type, outside its range or unreadable is refused with its line and its key."""
    message = refusal(tmp_path, text).message

    assert message.startswith(f"{tmp_path / 'meterledger.toml'}:{line}: {key}: ")


@pytest.mark.parametrize(
    "zone",
    ["/etc/passwd", "../../etc/passwd", "local", "Nowhere", "\U0001f600", "localtime", "posixrules",
     "Factory", "posix/Europe/Berlin", "right/UTC"],
)  # fmt: skip
def test_what_is_no_time_zone_is_refused(tmp_path: Path, zone: str) -> None:
    """A time zone is a name of the zone database and nothing else, a path least of all."""
    assert "sources.x.time_zone" in refusal(tmp_path, f"[sources.x]\ntime_zone = '{zone}'\n").message


@pytest.mark.parametrize("grace", ["73h", "4d", "72h1s"])
def test_a_grace_period_that_stripe_has_not_is_refused(tmp_path: Path, grace: str) -> None:
    """Stripe's longest grace period is 72 hours: a longer one in the config can only mislead the audit."""
    assert "invoicing.grace_period" in refusal(tmp_path, f"[invoicing]\ngrace_period = '{grace}'\n").message
    assert load(tmp_path, "[invoicing]\ngrace_period = '72h'\n").invoicing.grace_period == 72 * HOUR


def test_a_feature_in_two_meters_is_refused(tmp_path: Path) -> None:
    """A feature belongs to one meter: the second that names it is refused, with the first."""
    error = refusal(tmp_path, METER + "[meters.other]\nfeatures = ['x', 'calls']\n")

    assert ":4: meters.other.features" in error.message
    assert "calls belongs to meter api" in error.message


@pytest.mark.parametrize(
    "keys",
    [
        "customer_key = 'value'",
        "value_key = 'stripe_customer_id'",
        "dimensions = ['value']",
        "dimensions = ['stripe_customer_id']",
        "dimensions = ['region', 'region']",
    ],
)
def test_one_payload_key_for_two_things_is_refused(tmp_path: Path, keys: str) -> None:
    """Customer, value and dimensions share one payload: the same key twice would overwrite one of them."""
    assert "meters.api" in refusal(tmp_path, METER + keys + "\n").message


def test_an_event_name_has_stripes_length(tmp_path: Path) -> None:
    """A meter's name is Stripe's event_name of 1 to 100 characters."""
    assert load(tmp_path, f"[meters.{'x' * 100}]\nfeatures = ['a']\n").catalogue.meters
    assert "100" in refusal(tmp_path, f"[meters.{'x' * 101}]\nfeatures = ['a']\n").message
    assert "100" in refusal(tmp_path, "[meters.'']\nfeatures = ['a']\n").message


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[ledger\n", "line 1"),
        ("a = 1\na = 2\n", "line 2"),
        ("just words\n", "line 1"),
        (b"[ledger]\npath = 'Zo\xeb.db'\n", "not UTF-8"),
        (b"\x00", "line 1"),
    ],
)
def test_what_is_no_toml_is_refused(tmp_path: Path, text: str | bytes, word: str) -> None:
    """A file that cannot be parsed is refused with its path and where it breaks."""
    message = refusal(tmp_path, text).message

    assert str(tmp_path / "meterledger.toml") in message
    assert word in message


def test_a_config_that_was_named_has_to_be_there(tmp_path: Path) -> None:
    """A config asked for and missing, or a folder, is an error and never silently the defaults."""
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(UsageError) as refused:
            load_settings(path, folder=tmp_path)

        assert str(path) in refused.value.message
        assert "--config" in refused.value.hint


def test_a_config_out_of_all_proportion_is_refused(tmp_path: Path) -> None:
    """A file of many megabytes is no config."""
    assert "larger" in refusal(tmp_path, b"#" * (5 * 1024 * 1024)).message


@pytest.mark.parametrize(
    ("lines", "line", "key", "what"),
    [
        ('aggregation = "last"\nrollup = "hour"\n', 4, "rollup", 'aggregation = "last"'),
        ('rollup = "day"\naggregation = "count"\n', 3, "rollup", 'aggregation = "count"'),
        ('event_time_window = "day"\nrollup = "day"\n', 4, "rollup", "event_time_window"),
        ('rollup = "day"\nsettle = "8d"\n', 4, "settle", "at most 7d"),
        ('settle = "soon"\n', 3, "settle", "is no duration"),
    ],
)
def test_only_sums_are_rolled_up(tmp_path: Path, lines: str, line: int, key: str, what: str) -> None:
    """Where Stripe does not add values up, nor does a roll-up; the error names the line."""
    message = refusal(tmp_path, METER + lines).message

    assert message.startswith(f"{tmp_path / 'meterledger.toml'}:{line}: meters.api.{key}: ")
    assert what in message


@pytest.mark.parametrize(
    ("rule", "line", "key"),
    [
        ('grace_period = "24h"\nmeters = ["app"]\n', 8, "invoicing.grace.meters"),
        ('grace_period = "73h"\nmeters = ["api"]\n', 7, "invoicing.grace.grace_period"),
        ('grace_period = "a day"\nmeters = ["api"]\n', 7, "invoicing.grace.grace_period"),
        ('grace_period = "24h"\n', 6, "invoicing.grace"),
        ('meters = ["api"]\n', 6, "invoicing.grace"),
        ('grace_period = "24h"\nmeter = ["api"]\n', 8, "invoicing.grace.meter"),
    ],
)
def test_a_wrong_grace_rule_is_named_by_its_own_line(tmp_path: Path, rule: str, line: int, key: str) -> None:
    """Of several rules the line is that of the wrong one, not of the first."""
    right = '[[invoicing.grace]]\ngrace_period = "2h"\n'
    error = refusal(tmp_path, METER + right + 'meters = ["api"]\n[[invoicing.grace]]\n' + rule)

    assert error.message.startswith(f"{tmp_path / 'meterledger.toml'}:{line}: {key}")
