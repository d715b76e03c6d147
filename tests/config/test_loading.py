"""The config: found, read, and what each key means."""

from decimal import Decimal
from pathlib import Path

import pytest

from meterledger.config import Invoicing, PlanFeature, Source, StripeSettings, find_config, load_settings
from meterledger.domain.instant import HOUR, MINUTE
from meterledger.domain.meter import Aggregation, EventTimeWindow, Meter, Rollup
from meterledger.domain.way import Way
from support.config_files import load

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


def test_without_a_config_every_default_holds(tmp_path: Path) -> None:
    """No config is no error: the ledger stands in the folder and everything else is Stripe's default."""
    settings = load_settings(None, folder=tmp_path)

    assert settings.config_path is None
    assert settings.ledger_path == tmp_path / "meterledger.db"
    assert settings.stripe == StripeSettings(api=Way.V1, account="")
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
    assert settings.stripe == StripeSettings(api=Way.V1, account="")
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
    assert settings.stripe == StripeSettings(api=Way.STREAM, account="acct_1")
    assert settings.invoicing == Invoicing(
        grace_period=HOUR + 30 * MINUTE,
        grace_period_configured=True,
        calendar_periods=True,
        safety_margin=0,
        retry_time=HOUR,
    )
    assert settings.plans["free"].features["egress"].included == Decimal("0.5")


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    """Editors that put a mark in front do no harm."""
    assert load(tmp_path, b"\xef\xbb\xbf[ledger]\npath = 'x.db'\n").ledger_path == tmp_path / "x.db"


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


def test_a_meter_can_be_rolled_up(tmp_path: Path) -> None:
    """The window, and how long it waits: two hours unless told otherwise."""
    [plain] = load(tmp_path, '[meters.api]\nfeatures = ["calls"]\nrollup = "hour"\n').catalogue.meters
    [told] = load(
        tmp_path, '[meters.api]\nfeatures = ["calls"]\nrollup = "day"\nsettle = "30m"\n'
    ).catalogue.meters

    assert (plain.rollup, plain.settle) == (Rollup.HOUR, 2 * HOUR)
    assert (told.rollup, told.settle) == (Rollup.DAY, 30 * MINUTE)


def test_grace_rules_come_before_the_grace_period_of_all(tmp_path: Path) -> None:
    """Each rule names meters, customers, or both."""
    settings = load(
        tmp_path,
        '[meters.api]\nfeatures = ["calls"]\n[invoicing]\ngrace_period = "2h"\n'
        '[[invoicing.grace]]\ngrace_period = "24h"\nmeters = ["api"]\n'
        '[[invoicing.grace]]\ngrace_period = "72h"\ncustomers = ["acme", "cus_b"]\n',
    )
    grace = settings.invoicing.grace

    assert grace.period_of("api", ["zoo"]) == (24 * HOUR, True)
    assert grace.period_of("api", ["cus_b"]) == (72 * HOUR, True)
    assert grace.period_of("seats", ["zoo"]) == (2 * HOUR, True)
