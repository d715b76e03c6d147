"""Options and seed files: what they mean and how they are refused."""

import sys
from dataclasses import fields
from pathlib import Path
from subprocess import run
from typing import Any

import pytest
import typer

from meterledger.cli.simulator import SimulatorCommand, simulator
from meterledger.simulator.__main__ import parse
from meterledger.simulator.metering.meters import Formula, MeterSpec, Window
from meterledger.simulator.options import Options, flags
from meterledger.simulator.plan import StartError, check, is_loopback
from meterledger.simulator.rules import Readings, Rules
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


TYPED = (
    *("--host", "::1", "--port", "0", "--clock", "frozen", "--freeze", "--key", "sk_test_x"),
    *("--known-customers-only", "--limits", "test", "--limit", "7", "--lag", "30s", "--grace", "24h"),
    *("--grace-rule", "a", "--grace-rule", "b", "--report-samples", "3", "--latency", "20ms"),
    *("--faults", "plan.toml", "--fault-rate", "0.25", "--fault-seed", "9", "--state", "sim.db"),
    *("--seed-from", "meterledger.toml", "--seed-customers", "customers.csv"),
    *("--duplicate-code", "code", "--lock-status", "409", "--cancelled-identifier", "free"),
)
MEANT = Options(
    host="::1",
    port=0,
    clock="frozen",
    freeze=True,
    key="sk_test_x",
    known_customers_only=True,
    limits="test",
    limit=7,
    lag="30s",
    grace="24h",
    grace_rule=("a", "b"),
    report_samples=3,
    latency="20ms",
    faults=Path("plan.toml"),
    fault_rate=0.25,
    fault_seed=9,
    state=Path("sim.db"),
    seed_from=Path("meterledger.toml"),
    seed_customers=Path("customers.csv"),
    readings=Readings(duplicate_code="code", lock_status="409", cancelled_identifier="free"),
)


def typer_command() -> Any:
    """Return `meterledger simulator` as the program has it."""
    app = typer.Typer()
    app.command("simulator", cls=SimulatorCommand)(simulator)
    return typer.main.get_command(app)


def test_both_command_lines_read_the_same() -> None:
    """What is typed means the same to `python -m meterledger.simulator` and to `meterledger simulator`."""
    command = typer_command()
    assert parse(TYPED) == MEANT
    assert command.options(command.make_context("simulator", list(TYPED))) == MEANT
    assert parse(()) == Options() == command.options(command.make_context("simulator", []))


def test_every_reading_is_an_option_with_its_words() -> None:
    """Each field of the readings is a flag: its words, its default and its help are the field's."""
    by_name = {flag.name: flag for flag in flags()}
    for field in fields(Readings):
        flag = by_name[field.name]
        assert flag.default in flag.choices
        assert (flag.default, flag.text) == (field.default, field.metadata["help"])
        for word in flag.choices:
            typed = (flag.spelled, word)
            assert getattr(parse(typed).readings, field.name) == word
        with pytest.raises(SystemExit):
            parse((flag.spelled, "perhaps"))


def test_no_other_command_imports_the_simulator() -> None:
    """The options of the simulator are made when they are asked for, so `--version` stays quick."""
    code = (
        "import sys; from meterledger.cli.main import run; run(['--version']); "
        "print([name for name in sys.modules if name.startswith('meterledger.simulator')])"
    )
    done = run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1] == "[]"


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
    given = check(Options(limits="live", lag="30s", readings=Readings(summary_end="inclusive"))).rules
    assert (given.limits, given.lag_seconds, given.readings.summary_end) == ("live", 30.0, "inclusive")


@pytest.mark.parametrize(
    ("options", "start", "frozen"),
    [
        (Options(), None, None),
        (Options(clock="running"), None, False),
        (Options(clock="frozen"), None, True),
        (Options(freeze=True), None, True),
        (Options(clock=str(START)), START, False),
        (Options(clock=str(START), freeze=True), START, True),
    ],
)
def test_the_clock_is_told_by_an_instant_or_a_word(
    options: Options,
    start: float | None,
    frozen: bool | None,  # noqa: FBT001 - the expected answer
) -> None:
    """An instant says where it starts, and that it runs; a word or --freeze says only whether it runs."""
    plan = check(options)
    assert (plan.start, plan.frozen) == (start, frozen)


@pytest.mark.parametrize(
    "options",
    [
        Options(port=70_000),
        Options(limit=0),
        Options(key="secret"),
        Options(clock="soon"),
        Options(latency="20"),
        Options(clock="running", freeze=True),
        Options(lag="-1s"),
        Options(report_samples=-1),
        Options(fault_rate=1.5),
        Options(fault_rate=float("nan")),
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
