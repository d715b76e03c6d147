"""Options and seed files: what they mean and how they are refused."""

from pathlib import Path

import pytest

from meterledger.simulator.metering.meters import Formula, MeterSpec, Window
from meterledger.simulator.options import Options, StartError, check, is_loopback
from meterledger.simulator.rules import Rules
from meterledger.simulator.seeds import read_seeds
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


def test_seeds_are_the_meters_of_a_config() -> None:
    """Each meter of a config becomes one here, with Stripe's defaults; the rest of the file is left alone."""
    plain, storage = read_seeds(CONFIG)
    assert plain == MeterSpec(display_name="api_requests", event_name="api_requests", formula=Formula.SUM)
    assert storage == MeterSpec(
        display_name="storage.gb",
        event_name="storage.gb",
        formula=Formula.LAST,
        event_time_window=Window.DAY,
        customer_key="who",
        value_key="gigabytes",
    )
    assert read_seeds("") == ()


def test_every_account_starts_with_the_seeds() -> None:
    """Seeded meters stand in each account and mode, active, from its first call."""
    talk = Conversation(Rules(seeds=read_seeds(CONFIG)))
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
        read_seeds(text)


def test_a_plan_is_made_of_options(tmp_path: Path) -> None:
    """Text becomes instants, seconds and rules."""
    config = tmp_path / "meterledger.toml"
    config.write_text(CONFIG, encoding="utf-8")
    plan = check(
        Options(clock="2026-11-01T00:00:00Z", latency="20ms", key="sk_test_x", limit=5, seed_from=config)
    )
    assert (plan.start, plan.latency_seconds) == (START, 0.02)
    assert (plan.rules.only_key, plan.rules.events_per_second, len(plan.rules.seeds)) == ("sk_test_x", 5, 2)


@pytest.mark.parametrize(
    "options",
    [
        Options(port=70_000),
        Options(limit=0),
        Options(key="secret"),
        Options(clock="soon"),
        Options(latency="20"),
        Options(seed_from=Path("no/such/file.toml")),
        Options(seed_from=Path()),
    ],
)
def test_bad_options_are_one_line(options: Options) -> None:
    """Each bad option is a start error of one line."""
    with pytest.raises(StartError) as caught:
        check(options)
    assert "\n" not in str(caught.value)


def test_a_seed_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are a start error too."""
    file = tmp_path / "meterledger.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(StartError, match="cannot use"):
        check(Options(seed_from=file))


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("a.example", False)],  # noqa: S104 - judged, not bound
)
def test_loopback(host: str, local: bool) -> None:  # noqa: FBT001 - the expected answer
    """Only addresses of this machine count as loopback."""
    assert is_loopback(host) is local
