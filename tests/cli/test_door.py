"""The door as a user meets it, before a Stripe in another process; `meters` and `doctor`."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from meterledger.errors import ExitCode
from support.commands import Ended, Workshop
from support.simulator_process import SimulatorProcess

KEY = "sk_test_4eC39HqLyjWDarjtT1zdp7dc"
CONFIG = '[meters.calls]\nfeatures = ["calls"]\n'
ROWS = "".join(
    json.dumps(
        {
            "request_id": f"r{number}",
            "customer_id": "cus_a",
            "feature": "calls",
            "quantity": "2",
            "event_time": f"2026-10-31T{hour:02}:30:00Z",
        }
    )
    + "\n"
    for number, hour in enumerate((10, 10, 12))
)


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[SimulatorProcess]:
    """Start a simulator that has the meter of the config."""
    seed = tmp_path / "seed.toml"
    seed.write_text(CONFIG, encoding="utf-8")
    with SimulatorProcess("--clock", "2026-11-01T00:00:00Z", "--freeze", "--seed-from", str(seed)) as process:
        yield process


@pytest.fixture
def workshop(
    tmp_path: Path,
    simulator: SimulatorProcess,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Workshop:
    """Make a folder with a config and a file, and an environment that names the simulator."""
    workshop = Workshop(tmp_path, monkeypatch, capsys)
    lose_ledger(tmp_path)
    (tmp_path / "meterledger.toml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "usage.jsonl").write_text(ROWS, encoding="utf-8")
    monkeypatch.setenv("METERLEDGER_CLOCK", "server")
    monkeypatch.setenv("STRIPE_API_BASE", simulator.url)
    monkeypatch.setenv("STRIPE_API_KEY", KEY)
    return workshop


def filled(workshop: Workshop) -> None:
    """Make a ledger if there is none, and import the file."""
    assert workshop.command("init").code == ExitCode.DONE
    assert workshop.command("import", "usage.jsonl").code == ExitCode.DONE


def lose_ledger(folder: Path) -> None:
    """Delete the ledger and all beside it."""
    for file in folder.glob("meterledger.db*"):
        file.unlink()


def test_a_lost_ledger_that_is_made_anew_bills_nothing_twice(
    workshop: Workshop, simulator: SimulatorProcess, tmp_path: Path
) -> None:
    """Push, delete the ledger, 25 hours later init, import and push: stopped, and nothing counted twice."""
    filled(workshop)
    assert workshop.command("push").code == ExitCode.DONE
    lose_ledger(tmp_path)
    simulator.advance("25h")
    filled(workshop)
    ended = workshop.command("push", "--format", "json")
    assert ended.code == ExitCode.NEEDS_A_PERSON
    document = ended.document
    assert document["schema"] == "meterledger.push/1"
    assert (document["sealed"], document["accepted"], document["pending"]) == (0, 0, 3)
    assert document["foreign_usage"] == [
        {
            "event_name": "calls",
            "stripe_customer_id": "cus_a",
            "start": f"2026-10-31T{hour}:00:00Z",
            "end": f"2026-10-31T{hour + 1}:00:00Z",
            "ledger": "0",
            "stripe": stripe,
        }
        for hour, stripe in ((10, "4"), (12, "2"))
    ]
    assert "--allow-foreign-usage" in ended.err
    assert workshop.command("push").code == ExitCode.NEEDS_A_PERSON
    arrived = simulator.ledger(identifiers=True)["identifiers"].values()
    assert list(arrived) == [{"arrivals": 1, "counted": 1}] * 3


def test_within_a_day_nothing_is_counted_twice_either(
    workshop: Workshop, simulator: SimulatorProcess, tmp_path: Path
) -> None:
    """Even a person who says that the surplus is foreign is held by the identifiers for a day."""
    filled(workshop)
    assert workshop.command("push").code == ExitCode.DONE
    lose_ledger(tmp_path)
    simulator.advance("2h")
    filled(workshop)
    workshop.command("push", "--allow-foreign-usage")
    arrived = simulator.ledger(identifiers=True)["identifiers"].values()
    assert list(arrived) == [{"arrivals": 2, "counted": 1}] * 3


def test_the_stop_tells_people_what_is_wrong_and_what_to_do(
    workshop: Workshop, simulator: SimulatorProcess, tmp_path: Path
) -> None:
    """Customer, meter, window and both quantities, and the ways out; --quiet does not hide them."""
    filled(workshop)
    workshop.command("push")
    lose_ledger(tmp_path)
    simulator.advance("25h")
    filled(workshop)
    ended = workshop.command("--quiet", "push")
    told = (
        "Stripe has 4 of calls for cus_a from 2026-10-31T10:00:00Z to 2026-10-31T11:00:00Z; "
        "this ledger knows of 0."
    )
    assert told in ended.err
    assert "already-billed" in ended.err


def test_a_config_that_contradicts_its_meter_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    """Another aggregation in the config than in Stripe: exit code 2, nothing sent, nothing bound."""
    filled(workshop)
    (tmp_path / "meterledger.toml").write_text(CONFIG + 'aggregation = "last"\n', encoding="utf-8")
    ended = workshop.command("push", "--format", "json")
    assert ended.code == ExitCode.USAGE
    assert "aggregation = last, Stripe's meter has sum" in ended.document["message"]
    (tmp_path / "meterledger.toml").write_text(CONFIG, encoding="utf-8")
    assert workshop.command("push").code == ExitCode.DONE


@pytest.mark.parametrize(
    ("answer", "arguments", "sent"),
    [("n\n", (), 0), ("y\n", (), 3), ("", ("--yes",), 3)],
    ids=["no", "yes", "--yes"],
)
def test_a_live_key_asks_on_a_terminal(
    workshop: Workshop,
    simulator: SimulatorProcess,
    tmp_path: Path,
    answer: str,
    arguments: tuple[str, ...],
    sent: int,
) -> None:
    """On a terminal push names account, host, meter events and customers first; --yes does not ask."""
    filled(workshop)
    environment = {**os.environ, "STRIPE_API_KEY": "sk_live_x", "COLUMNS": "200"}
    main, terminal = pty.openpty()
    try:
        os.write(main, answer.encode())
        ended = subprocess.run(
            [sys.executable, "-m", "meterledger", "push", "--live", *arguments, "--format", "json"],
            stdin=terminal,
            capture_output=True,
            text=True,
            env=environment,
            cwd=tmp_path,
            timeout=60,
            check=False,
        )
    finally:
        os.close(main)
        os.close(terminal)
    document = json.loads(ended.stdout)
    assert (ended.returncode, document["accepted"], document["pending"]) == (0, sent, 3 - sent)
    asked = "Send 3 meter events of 1 customers to" in ended.stderr
    assert asked == (not arguments)
    assert not asked or f"live mode, at {simulator.url}: real invoices?" in ended.stderr


def test_a_script_with_a_live_key_is_not_asked(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal --live is the answer."""
    filled(workshop)
    monkeypatch.setenv("STRIPE_API_KEY", "sk_live_x")
    ended = workshop.command("push", "--live", "--format", "json")
    assert (ended.code, ended.document["accepted"]) == (ExitCode.DONE, 3)


def test_meters_are_listed_pulled_and_checked(
    workshop: Workshop, simulator: SimulatorProcess, tmp_path: Path
) -> None:
    """A meter that the config lacks is pulled into it, and what stands there stays as it is."""
    assert workshop.command("init").code == ExitCode.DONE
    before = (tmp_path / "meterledger.toml").read_bytes()
    listed = workshop.command("meters", "list", "--format", "json").document
    assert (listed["schema"], listed["meters"][0]["stripe"]) == ("meterledger.meters.list/1", None)
    for name, formula, key in (("t%C3%B6kens%20%22x%22", "last", "amount"), ("calls.", "sum", "value")):
        body = (
            f"display_name=T&event_name={name}&default_aggregation[formula]={formula}"
            f"&value_settings[event_payload_key]={key}"
        ).encode()
        status = simulator.status("/v1/billing/meters", body=body, Authorization=f"Bearer {KEY}")
        assert status == 200
    printed = workshop.command("meters", "pull")
    assert (tmp_path / "meterledger.toml").read_bytes() == before
    assert '[meters."tökens \\"x\\""]' in printed.out
    pulled = workshop.command("meters", "pull", "--write", "--format", "json").document
    assert [one["event_name"] for one in pulled["meters"]] == ["calls.", 'tökens "x"']
    assert (tmp_path / "meterledger.toml").read_bytes().startswith(before)
    checked = workshop.command("meters", "check", "--format", "json")
    assert (checked.code, checked.document["findings"], checked.document["meters"]) == (0, [], 3)
    assert workshop.command("meters", "pull", "--format", "json").document["meters"] == []
    filled(workshop)
    workshop.command("push")
    listed = workshop.command("meters", "list", "--format", "json").document
    assert {one["stripe"] for one in listed["meters"]} == {"active"}


def test_meters_check_names_every_difference(workshop: Workshop, tmp_path: Path) -> None:
    """Missing meters and every setting that contradicts are findings, and exit code 1."""
    (tmp_path / "meterledger.toml").write_text(
        CONFIG
        + 'aggregation = "last"\nevent_time_window = "day"\ncustomer_key = "customer"\nvalue_key = "n"\n'
        '[meters.gone]\nfeatures = ["gone"]\n',
        encoding="utf-8",
    )
    ended = workshop.command("meters", "check", "--format", "json")
    assert ended.code == ExitCode.NEEDS_A_PERSON
    assert [
        (one["event_name"], one["problem"], one["config"], one["stripe"])
        for one in ended.document["findings"]
    ] == [
        ("calls", "aggregation", "last", "sum"),
        ("calls", "event_time_window", "day", "none"),
        ("calls", "customer_key", "customer", "stripe_customer_id"),
        ("calls", "value_key", "n", "value"),
        ("gone", "missing", "", ""),
    ]
    for format_ in ("table", "csv"):
        assert "missing" in workshop.command("meters", "check", "--format", format_).out


def checks_of(ended: Ended) -> dict[str, bool]:
    """Return each check of doctor, in order, and whether it is ok."""
    assert ended.document["schema"] == "meterledger.doctor/1"
    assert KEY not in ended.out + ended.err
    return {check["name"]: check["ok"] for check in ended.document["checks"]}


ALL_CHECKS = ["config", "key", "ledger", "lease", "head", "host", "account", "clock", "meters"]


def test_doctor_finds_nothing_where_nothing_is_wrong(workshop: Workshop) -> None:
    """Every check is there and ok, before the first push and after it."""
    filled(workshop)
    for _ in range(2):
        ended = workshop.command("doctor", "--format", "json")
        assert (ended.code, checks_of(ended)) == (ExitCode.DONE, dict.fromkeys(ALL_CHECKS, True))
        workshop.command("push")
    assert "sk_" not in workshop.command("doctor").out


def test_doctor_works_without_a_key(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be looked at is said, and is no failure."""
    filled(workshop)
    monkeypatch.delenv("STRIPE_API_KEY")
    ended = workshop.command("doctor", "--format", "json")
    assert (ended.code, checks_of(ended)) == (ExitCode.DONE, dict.fromkeys(ALL_CHECKS, True))
    assert ended.out.count("Stripe was not asked") == 5


@pytest.mark.parametrize(
    ("variables", "config", "wrong"),
    [
        ({"STRIPE_API_KEY": "pk_test_x"}, CONFIG, {"key"}),
        (
            {"STRIPE_API_KEY": "sk_live_x", "STRIPE_API_BASE": "http://example.invalid"},
            CONFIG,
            {"key", "time"},
        ),
        ({"STRIPE_API_BASE": "http://127.0.0.1:1", "METERLEDGER_CLOCK": ""}, CONFIG, {"host"}),
        ({"METERLEDGER_CLOCK": ""}, CONFIG, {"clock"}),
        ({}, CONFIG + "rollup = 7\n", {"config"}),
        ({}, CONFIG + 'aggregation = "count"\n', {"meters"}),
        ({"METERLEDGER_LEDGER": "missing.db"}, CONFIG, {"ledger"}),
        ({"STRIPE_API_KEY": "sk_live_x"}, CONFIG, {"account"}),
    ],
)
def test_doctor_names_what_is_wrong(
    workshop: Workshop,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    variables: dict[str, str],
    config: str,
    wrong: set[str],
) -> None:
    """Whatever is wrong is named by itself, and the rest is looked at all the same."""
    filled(workshop)
    workshop.command("push")
    (tmp_path / "meterledger.toml").write_text(config, encoding="utf-8")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    ended = workshop.command("doctor", "--format", "json")
    found = {name for name, ok in checks_of(ended).items() if not ok}
    assert (ended.code, found) == (ExitCode.NEEDS_A_PERSON, wrong)


def test_doctor_notices_a_restored_backup(workshop: Workshop, tmp_path: Path) -> None:
    """The head tells that the ledger is older than its last push."""
    filled(workshop)
    backup = (tmp_path / "meterledger.db").read_bytes()
    workshop.command("push")
    (tmp_path / "meterledger.db").write_bytes(backup)
    ended = workshop.command("doctor", "--format", "json")
    assert {name for name, ok in checks_of(ended).items() if not ok} == {"head"}
