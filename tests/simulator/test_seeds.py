"""Seeds: the meters of a config and the customers of a customers file, and how bad files are refused."""

from pathlib import Path

import pytest

from meterledger.simulator.metering.meters import Formula, MeterSpec, Window
from meterledger.simulator.options import Options
from meterledger.simulator.plan import StartError, check
from meterledger.simulator.rules import Rules
from meterledger.simulator.seeds.customers import CustomerSeed, SubscriptionSeed, read_customers
from meterledger.simulator.seeds.files import read_seeds
from meterledger.simulator.seeds.meters import read_meters
from meterledger.simulator.seeds.rows import SeedError, csv_rows, jsonl_rows
from simulator.conversation import METERS, START, Conversation

CONFIG = """
[ledger]
path = "meterledger.db"

[meters.api_requests]
features = ["api_calls"]

[meters."storage.gb"]
aggregation = "last"
event_time_window = "day"
customer_key = "who"
value_key = "gigabytes"
"""


HEADER = "customer_id,stripe_customer_id,subscription_id,plan,status,billing_cycle_anchor,interval\n"
CUSTOMERS = (
    f"{HEADER}acme,cus_Acme,sub_eu,pro,active,2026-10-31T09:30:00+01:00,3 months\n"
    "acme,cus_Acme,us,starter,past_due,,\n"
    "beta,cus_Beta,,free,,,\n"
)
ACME = CustomerSeed(
    id="cus_Acme",
    metadata={"customer_id": "acme", "plan": "pro, starter"},
    subscriptions=(
        SubscriptionSeed(
            id="sub_eu",
            metadata={"plan": "pro"},
            anchor=1_793_435_400,
            interval="month",
            count=3,
            status="active",
        ),
        SubscriptionSeed(
            id=None,
            metadata={"plan": "starter", "subscription_id": "us"},
            anchor=None,
            interval="month",
            count=1,
            status="past_due",
        ),
    ),
)
BETA = CustomerSeed(
    id="cus_Beta",
    metadata={"customer_id": "beta", "plan": "free"},
    subscriptions=(
        SubscriptionSeed(
            id=None, metadata={"plan": "free"}, anchor=None, interval="month", count=1, status="active"
        ),
    ),
)


def test_seeds_are_the_meters_of_a_config() -> None:
    """Each meter of a config becomes one here, with Stripe's defaults; the rest of the file is left alone."""
    plain, storage = read_meters(CONFIG)
    assert plain == MeterSpec(display_name="api_requests", event_name="api_requests", formula=Formula.SUM)
    assert storage == MeterSpec(
        display_name="storage.gb",
        event_name="storage.gb",
        formula=Formula.LAST,
        event_time_window=Window.DAY,
        customer_key="who",
        value_key="gigabytes",
    )
    assert read_meters("") == ()


def test_every_account_starts_with_the_seeds() -> None:
    """Seeded meters stand in each account and mode, active, from its first call."""
    talk = Conversation(Rules(seeds=read_meters(CONFIG)))
    for headers in ({}, {"Stripe-Account": "acct_other"}, {"Authorization": "Bearer sk_live_abc"}):
        listed = talk.call("GET", METERS, headers=headers).document["data"]
        assert sorted(meter["event_name"] for meter in listed) == ["api_requests", "storage.gb"]
    assert talk.event().status == 200


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("meters = 1", "meters"),
        ("meters.a = 1", "meters.a"),
        ('[meters.a]\naggregation = "max"', "meters.a.aggregation"),
        ('[meters.a]\nevent_time_window = "week"', "meters.a.event_time_window"),
        ("[meters.a]\nvalue_key = 3", "meters.a.value_key"),
        ('[meters.""]', "event name"),
        ("[meters", "Expected"),
    ],
)
def test_seeds_that_are_not_understood(text: str, named: str) -> None:
    """A malformed file is refused by the place that is wrong."""
    with pytest.raises(ValueError, match=named):
        read_meters(text)


def test_a_seed_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are a start error too."""
    file = tmp_path / "meterledger.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(StartError, match="cannot use"):
        check(Options(seed_from=file))


def test_customers_are_those_of_a_customers_file() -> None:
    """Rows of one customer are one customer with its subscriptions, in CSV and in JSONL alike."""
    assert read_customers(csv_rows(CUSTOMERS)) == (ACME, BETA)
    lines = (
        '{"customer_id": "acme", "stripe_customer_id": "cus_Acme", "subscription_id": "sub_eu",'
        ' "plan": "pro", "billing_cycle_anchor": 1793435400, "interval": "3 months", "region": "e"}\n'
        '{"customer_id": "acme", "stripe_customer_id": "cus_Acme", "subscription_id": "us",'
        ' "plan": "starter", "status": "past_due", "billing_cycle_anchor": null}\n\n'
        '{"customer_id": "beta", "stripe_customer_id": " cus_Beta ", "plan": "free"}'
    )
    assert read_customers(jsonl_rows(lines)) == (ACME, BETA)


def test_a_row_may_come_again_where_it_says_the_same() -> None:
    """The same row twice is one subscription, and blanks at the ends of fields are nothing."""
    again = CUSTOMERS + " acme , cus_Acme , sub_eu ,pro,active,2026-10-31T09:30:00+01:00,3 months\n"
    assert read_customers(csv_rows(again)) == (ACME, BETA)


@pytest.mark.parametrize(
    ("row", "named"),
    [
        (",cus_A,,,,,", "line 4, customer_id: is missing"),
        ("a,,,,,,", "line 4, stripe_customer_id: is missing"),
        ("a,acct_A,,,,,", "line 4, stripe_customer_id: 'acct_A'"),
        ("a,cus_,,,,,", "line 4, stripe_customer_id"),
        ("a,cus_A,,,lapsed,,", "line 4, status: 'lapsed'"),
        ("a,cus_A,,,,2026-10-31,", "line 4, billing_cycle_anchor"),
        ("a,cus_A,,,,2026-10-31T00:00:00,", "line 4, billing_cycle_anchor"),
        ("a,cus_A,,,,999999999999999,", "line 4, billing_cycle_anchor"),
        ("a,cus_A,,,,,months", "line 4, interval"),
        ("a,cus_A,,,,,1 months", "line 4, interval"),
        ("a,cus_A,,,,,37 months", "line 4, interval: '37 months' is longer than three years"),
        (f"a,cus_A,,{'p' * 256},,,", "line 4, plan: has 256 characters"),
        ("a,cus_A,,", "line 4: has 4 fields, the header 7"),
        ('a,cus_A,"x"y,,,,', "line 4: is no CSV"),
        (
            "acme,cus_Acme,sub_eu,free,active,2026-10-31T09:30:00+01:00,3 months",
            "line 4, plan: says other than",
        ),
        ("a,cus_A,sub_eu,,,,", "line 4, customer_id: says other than line 2"),
    ],
)
def test_bad_rows_are_refused_by_line_and_column(row: str, named: str) -> None:
    """A row that is not understood is named by its line, its column and what is wrong."""
    good = "acme,cus_Acme,sub_eu,pro,active,2026-10-31T09:30:00+01:00,3 months\n\n"
    with pytest.raises(SeedError, match=f"^{named}".replace("(", r"\(")):
        read_customers(csv_rows(f"{HEADER}{good}{row}\n"))


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("{", "line 2: is no JSON object"),
        ("[]", "line 2: is no JSON object"),
        ("[" * 100_000, "line 2: is no JSON object"),
        ('{"plan": {}}', "line 2, plan: is neither"),
        ('{"plan": 1.5}', "line 2, plan: is neither"),
        ('{"plan": true}', "line 2, plan: is neither"),
        ("{}", "line 2, customer_id: is missing"),
    ],
)
def test_bad_json_lines_are_refused(line: str, named: str) -> None:
    """A line that is no flat object is named too."""
    good = '{"customer_id": "a", "stripe_customer_id": "cus_A"}'
    with pytest.raises(SeedError, match=f"^{named}"):
        read_customers(jsonl_rows(f"{good}\n{line}\n"))


def test_a_header_names_a_column_once() -> None:
    """Which of two columns is meant would be a guess."""
    with pytest.raises(SeedError, match="line 1, plan: stands twice"):
        list(csv_rows("plan,customer_id,plan\n"))


def test_every_account_has_the_customers() -> None:
    """Seeded customers stand in each account, can be retrieved, and are known where only those are taken."""
    talk = Conversation(
        Rules(seeds=read_meters(CONFIG), customer_seeds=(ACME, BETA), known_customers_only=True)
    )
    for headers in ({}, {"Stripe-Account": "acct_other"}, {"Authorization": "Bearer sk_live_abc"}):
        found = talk.call("GET", "/v1/customers/cus_Acme", headers=headers).document
        assert (found["metadata"], found["created"]) == (ACME.metadata, START)
        assert found["livemode"] == ("Authorization" in headers)
    assert talk.event(customer="cus_Acme").status == 200
    assert talk.event(customer="cus_Other").status == 400


def test_no_id_of_a_seed_is_given_out_again() -> None:
    """A customer that is made later gets an id behind the seeds', where those are the simulator's own."""
    seeds = tuple(
        CustomerSeed(id=name, metadata={"customer_id": name}, subscriptions=())
        for name in ("cus_test_7", "cus_test_x", "cus_9")
    )
    talk = Conversation(Rules(customer_seeds=seeds))
    assert talk.post("/v1/customers", {}).document["id"] == "cus_test_8"
    live = talk.call("POST", "/v1/customers", headers={"Authorization": "Bearer sk_live_abc"})
    assert live.document["id"] == "cus_10"


def test_the_customers_file_beside_the_config_is_read(tmp_path: Path) -> None:
    """What stands beside the config is read and told, unless another file is named."""
    config, beside = tmp_path / "meterledger.toml", tmp_path / "customers.csv"
    config.write_text(CONFIG, encoding="utf-8")
    assert read_seeds(config, None).notes == (f"2 meters of {config}",)
    beside.write_text(f"\ufeff{CUSTOMERS}", encoding="utf-8")
    found = read_seeds(config, None)
    assert (len(found.meters), found.customers) == (2, (ACME, BETA))
    assert found.notes == (f"2 meters of {config}", f"2 customers of {beside}")
    other = tmp_path / "other.jsonl"
    other.write_text('{"customer_id": "a", "stripe_customer_id": "cus_A"}\n', encoding="utf-8")
    assert [seed.id for seed in read_seeds(config, other).customers] == ["cus_A"]
    assert read_seeds(None, other).notes == (f"1 customer of {other}",)
    other.rename(tmp_path / "customers.jsonl")
    with pytest.raises(ValueError, match=r"both .*csv and .*jsonl stand beside the config"):
        read_seeds(config, None)


def test_a_bad_file_beside_the_config_says_why_it_is_read(tmp_path: Path) -> None:
    """Nobody named it, so the refusal says where it comes from."""
    config = tmp_path / "meterledger.toml"
    config.write_text(CONFIG, encoding="utf-8")
    (tmp_path / "customers.csv").write_text("id;name\n1;Ann\n", encoding="utf-8")
    with pytest.raises(StartError, match=r"customers.csv: line 2, customer_id: .* --seed-customers names"):
        check(Options(seed_from=config))
