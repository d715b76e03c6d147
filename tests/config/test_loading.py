"""The config: found, read, checked, and every error with its file, line, key and closest right name."""

from decimal import Decimal
from pathlib import Path

import pytest

from meterledger.config import (
    Invoicing,
    PlanFeature,
    Settings,
    Source,
    StripeSettings,
    find_config,
    load_settings,
)
from meterledger.domain.instant import HOUR, MINUTE
from meterledger.domain.meter import Aggregation, EventTimeWindow, Meter
from meterledger.errors import ExitCode, UsageError

CONTRACT = """\
[ledger]
path = "meterledger.db"

[sources.gateway]                 # meterledger import --source gateway
time_zone = "UTC"
key = ["request_id"]
[sources.gateway.columns]
request_id = "id"
event_time = "ts"

[meters.api_requests]             # Stripe's event_name
features = ["api_calls"]          # a feature belongs to one meter
aggregation = "sum"               # sum | count | last, as in Stripe
event_time_window = "none"        # none | hour | day, as in Stripe (pre-aggregated meters)
decimal_places = 0
customer_key = "stripe_customer_id"
value_key = "value"
dimensions = []
rollup = "none"                   # none | hour | day; only for sum without a window

[stripe]
api = "v1"                        # v1 | v2 | stream
account = ""                      # a connected account, sent as Stripe-Account

[invoicing]
grace_period = "1h"
billing_period = "month"
anchors = "assumed"               # "calendar": every period is a calendar month in UTC, for certain
safety_margin = "5m"
retry_time = "15m"

[plans.pro.features.api_calls]
included = 100000
soft_warning = "80%"
hard_warning = "95%"
"""
METER = '[meters.api]\nfeatures = ["calls"]\n'


def load(folder: Path, text: str | bytes) -> Settings:
    """Write a config into a folder and read it."""
    path = folder / "meterledger.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_settings(path, folder=folder)


def refusal(folder: Path, text: str | bytes) -> UsageError:
    """Return the error that reading a config ends with."""
    with pytest.raises(UsageError) as refused:
        load(folder, text)
    assert refused.value.exit_code is ExitCode.USAGE
    return refused.value


def test_without_a_config_every_default_holds(tmp_path: Path) -> None:
    """No config is no error: the ledger stands in the folder and everything else is Stripe's default."""
    settings = load_settings(None, folder=tmp_path)

    assert settings.config_path is None
    assert settings.ledger_path == tmp_path / "meterledger.db"
    assert settings.stripe == StripeSettings(api="v1", account="")
    assert settings.invoicing == Invoicing(
        grace_period=HOUR,
        grace_period_configured=False,
        calendar_periods=False,
        safety_margin=5 * MINUTE,
        retry_time=15 * MINUTE,
    )
    assert (settings.sources, settings.plans, settings.catalogue.meters) == ({}, {}, ())


def test_an_empty_config_says_nothing(tmp_path: Path) -> None:
    """An empty file is the same as none, but for where the ledger stands: beside it."""
    settings = load(tmp_path, "")

    assert settings.ledger_path == tmp_path / "meterledger.db"
    assert settings.invoicing == Invoicing()


def test_the_example_of_the_contract_loads(tmp_path: Path) -> None:
    """Every key that the contract names is read, and means what the contract says."""
    settings = load(tmp_path, CONTRACT)

    assert settings.ledger_path == tmp_path / "meterledger.db"
    assert settings.sources == {
        "gateway": Source(
            name="gateway",
            time_zone="UTC",
            key=("request_id",),
            columns={"request_id": "id", "event_time": "ts"},
        )
    }
    assert settings.catalogue.meters == (
        Meter(
            event_name="api_requests",
            features=("api_calls",),
            aggregation=Aggregation.SUM,
            event_time_window=EventTimeWindow.NONE,
            decimal_places=0,
            customer_key="stripe_customer_id",
            value_key="value",
            dimensions=(),
        ),
    )
    assert settings.stripe == StripeSettings(api="v1", account="")
    assert settings.invoicing == Invoicing(grace_period=HOUR, grace_period_configured=True)
    assert settings.plans["pro"].features == {
        "api_calls": PlanFeature(included=Decimal(100000), soft_warning=Decimal(80), hard_warning=Decimal(95))
    }


def test_every_choice_can_be_made(tmp_path: Path) -> None:
    """Values other than the defaults come through."""
    settings = load(
        tmp_path,
        """
        ledger.path = "elsewhere/usage.db"
        [sources.logs]
        time_zone = "Europe/Berlin"
        key = ["request_id", "feature"]
        columns = { quantity = "n", region = "zone" }
        [meters.egress]
        features = ["egress_gb", "egress"]
        aggregation = "last"
        event_time_window = "day"
        decimal_places = 12
        customer_key = "customer"
        value_key = "gb"
        dimensions = ["region"]
        [stripe]
        api = "stream"
        account = "acct_1"
        [invoicing]
        grace_period = "1h30m"
        anchors = "calendar"
        safety_margin = "0s"
        retry_time = "1h"
        [plans.free.features.egress]
        included = "0.5"
        """,
    )
    (meter,) = settings.catalogue.meters

    assert settings.ledger_path == tmp_path / "elsewhere" / "usage.db"
    assert settings.sources["logs"].key == ("request_id", "feature")
    assert settings.sources["logs"].columns == {"quantity": "n", "region": "zone"}
    assert settings.sources["logs"].zone is not None
    assert (meter.aggregation, meter.event_time_window) == (Aggregation.LAST, EventTimeWindow.DAY)
    assert (meter.decimal_places, meter.customer_key, meter.value_key) == (12, "customer", "gb")
    assert meter.dimensions == settings.catalogue.dimension_names == ("region",)
    assert settings.stripe == StripeSettings(api="stream", account="acct_1")
    assert settings.invoicing == Invoicing(
        grace_period=HOUR + 30 * MINUTE,
        grace_period_configured=True,
        calendar_periods=True,
        safety_margin=0,
        retry_time=HOUR,
    )
    assert settings.plans["free"].features["egress"].included == Decimal("0.5")


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


@pytest.mark.parametrize("zone", ["/etc/passwd", "../../etc/passwd", "local", "Nowhere", "\U0001f600"])
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


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    """Editors that put a mark in front do no harm."""
    assert load(tmp_path, b"\xef\xbb\xbf[ledger]\npath = 'x.db'\n").ledger_path == tmp_path / "x.db"


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


def test_the_nearest_config_is_found(tmp_path: Path) -> None:
    """The config of a folder goes before that of its parents, and a folder of that name is none."""
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    (tmp_path / "meterledger.toml").touch()
    (below / "meterledger.toml").mkdir()

    assert find_config(below) == tmp_path / "meterledger.toml"

    (tmp_path / "a" / "meterledger.toml").touch()

    assert find_config(below) == tmp_path / "a" / "meterledger.toml"
    assert find_config(tmp_path) == tmp_path / "meterledger.toml"


def test_the_ledger_named_by_the_command_is_stronger(tmp_path: Path) -> None:
    """A ledger given from outside goes before the config's path, which is relative to the config."""
    path = tmp_path / "meterledger.toml"
    path.write_text("[ledger]\npath = 'a.db'\n")

    assert load_settings(path, folder=Path("/")).ledger_path == tmp_path / "a.db"
    assert load_settings(path, folder=tmp_path, ledger=Path("b.db")).ledger_path == Path("b.db")


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        (CONTRACT, CONTRACT + "# a comment\n", True),
        (CONTRACT, CONTRACT.replace('grace_period = "1h"', 'grace_period = "2h"'), True),
        (CONTRACT, CONTRACT.replace('path = "meterledger.db"', 'path = "b.db"'), True),
        (CONTRACT, CONTRACT.replace("decimal_places = 0", "decimal_places = 1"), False),
        (CONTRACT, CONTRACT.replace('time_zone = "UTC"', 'time_zone = "Europe/Berlin"'), False),
        (CONTRACT, CONTRACT.replace('key = ["request_id"]', 'key = ["request_id", "feature"]'), False),
        (CONTRACT, CONTRACT.replace('event_time = "ts"', 'event_time = "at"'), False),
        (CONTRACT, CONTRACT.replace('["api_calls"]', '["api_calls", "api_reads"]'), False),
        (CONTRACT, CONTRACT.replace("dimensions = []", 'dimensions = ["region"]'), False),
        (CONTRACT, CONTRACT.replace('aggregation = "sum"', 'aggregation = "count"'), False),
        (CONTRACT, CONTRACT + "[plans.pro.features.other]\nincluded = 1\n", False),
    ],
)
def test_the_import_digest_changes_with_what_decides_about_rows(
    tmp_path: Path, before: str, after: str, same: object
) -> None:
    """The digest that lets a file be skipped stands for what decides what its rows become, and no more."""
    first = load(tmp_path, before)
    second = load(tmp_path, after)
    digests = [one.import_digest(one.sources["gateway"]) for one in (first, second)]

    assert (digests[0] == digests[1]) is same
    assert digests[0] != first.import_digest(Source(name="default"))
