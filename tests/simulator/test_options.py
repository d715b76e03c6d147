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
from meterledger.simulator.options import Options, flags
from meterledger.simulator.plan import StartError, check
from meterledger.simulator.protocol.origin import is_loopback
from meterledger.simulator.rules import Readings
from simulator.conversation import START

TYPED = (
    *("--host", "::1", "--port", "0", "--clock", "frozen", "--freeze", "--key", "sk_test_x"),
    *("--known-customers-only", "--limits", "test", "--limit", "7", "--lag", "30s", "--grace", "24h"),
    *("--grace-rule", "a", "--grace-rule", "b", "--report-samples", "3", "--latency", "20ms"),
    *("--faults", "plan.toml", "--fault-rate", "0.25", "--fault-seed", "9", "--state", "sim.db"),
    *("--seed-from", "meterledger.toml", "--seed-customers", "customers.csv"),
    *("--duplicate-code", "code", "--lock-status", "409", "--canceled-identifier", "free"),
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
    readings=Readings(duplicate_code="code", lock_status="409", canceled_identifier="free"),
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


def test_a_plan_is_made_of_options(tmp_path: Path) -> None:
    """Text becomes instants, seconds and rules."""
    config = tmp_path / "meterledger.toml"
    config.write_text("[meters.a]\n[meters.b]\n", encoding="utf-8")
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
        Options(fault_seed=7),
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


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("a.example", False)],  # noqa: S104 - judged, not bound
)
def test_loopback(host: str, local: bool) -> None:  # noqa: FBT001 - the expected answer
    """Only addresses of this machine count as loopback."""
    assert is_loopback(host) is local
