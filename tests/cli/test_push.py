"""`meterledger push` as a command: exit codes, what it prints, and that the key stays out of it."""

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import stripe

from meterledger.cli.main import run
from meterledger.errors import ExitCode
from meterledger.stripe_gateway.transport import Transport
from support.simulator_process import SimulatorProcess

NOW = "2026-11-01T00:00:00Z"
KEY = "sk_test_4eC39HqLyjWDarjtT1zdp7dc"
CONFIG = '[meters.calls]\nfeatures = ["calls"]\ndecimal_places = 2\n'
ROW = {
    "request_id": "r",
    "customer_id": "cus_a",
    "feature": "calls",
    "quantity": "2.5",
    "event_time": "2026-10-31T12:00:00Z",
}

Push = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorProcess]:
    """Start one simulator for all tests here; each test has a connected account of its own."""
    with SimulatorProcess("--clock", NOW, "--freeze") as process:
        yield process


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulator: SimulatorProcess) -> Path:
    """Make a folder with a config, and an environment that names the simulator."""
    account = "acct_" + "".join(filter(str.isalnum, tmp_path.name))
    (tmp_path / "meterledger.toml").write_text(f'{CONFIG}[stripe]\naccount = "{account}"\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name in ("METERLEDGER_CONFIG", "METERLEDGER_LEDGER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("METERLEDGER_DEBUG", "1")
    monkeypatch.setenv("METERLEDGER_CLOCK", "server")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("STRIPE_API_BASE", simulator.url)
    monkeypatch.setenv("STRIPE_API_KEY", KEY)
    make_meter(simulator, account)
    return tmp_path


def make_meter(simulator: SimulatorProcess, account: str) -> None:
    """Make the config's meter in an account."""

    async def made() -> None:
        stripe.enable_telemetry = False
        transport = Transport(concurrency=1, through_proxy=False, on_date=lambda _date: None)
        client = stripe.StripeClient(KEY, base_addresses={"api": simulator.url}, http_client=transport)
        await client.v1.billing.meters.create_async(
            {"display_name": "Calls", "event_name": "calls", "default_aggregation": {"formula": "sum"}},
            {"stripe_account": account},
        )
        await transport.close_async()

    asyncio.run(made())


@pytest.fixture
def push(folder: Path, capsys: pytest.CaptureFixture[str]) -> Push:
    """Make a ledger with one usage event, and return how to push it."""
    (folder / "usage.jsonl").write_text(json.dumps(ROW) + "\n", encoding="utf-8")
    assert run(["init"]) == 0
    assert run(["import", "usage.jsonl"]) == 0
    capsys.readouterr()

    def pushed(*arguments: str) -> tuple[int, str, str]:
        code = run(["push", *arguments])
        out, err = capsys.readouterr()
        assert KEY not in out + err
        return code, out, err

    return pushed


def test_everything_sent_is_0(push: Push) -> None:
    """The document has the keys that others rely on, and a second push finds nothing to do."""
    code, out, _ = push("--format", "json")
    document: dict[str, Any] = json.loads(out)
    assert code == ExitCode.DONE
    assert document["schema"] == "meterledger.push/1"
    counts = {
        key: document[key] for key in ("sealed", "accepted", "rejected", "pending", "in_doubt", "blocked")
    }
    assert counts == {"sealed": 1, "accepted": 1, "rejected": 0, "pending": 0, "in_doubt": 0, "blocked": 0}
    code, out, _ = push("--format", "json")
    assert (code, json.loads(out)["accepted"]) == (ExitCode.DONE, 0)


@pytest.mark.parametrize("format_", ["table", "csv"])
def test_other_formats_say_the_same(push: Push, format_: str) -> None:
    """Both name what was accepted."""
    code, out, _ = push("--format", format_)
    assert code == ExitCode.DONE
    assert "accepted" in out


def test_what_needs_a_person_is_1(push: Push, folder: Path) -> None:
    """Blocked usage is no failure, and no success either."""
    old = {**ROW, "request_id": "old", "event_time": "2026-09-01T00:00:00Z"}
    (folder / "old.jsonl").write_text(json.dumps(old) + "\n", encoding="utf-8")
    assert run(["import", "old.jsonl"]) == 0
    code, out, _ = push()
    assert code == ExitCode.NEEDS_A_PERSON
    assert "too_old" in out


@pytest.mark.parametrize(
    ("key", "arguments"),
    [
        ("", ()),
        ("pk_test_x", ()),
        ("sk_live_x", ()),
        (KEY, ("--live",)),
        (KEY, ("--max-duration", "soon")),
        (KEY, ("--limit", "0")),
        (KEY, ("--nonsense",)),
        (KEY, ("--api-key-file", "missing")),
    ],
)
def test_wrong_use_is_2(
    push: Push, monkeypatch: pytest.MonkeyPatch, key: str, arguments: tuple[str, ...]
) -> None:
    """No key, the wrong kind of key, --live on either side of right, and options that are none."""
    monkeypatch.setenv("STRIPE_API_KEY", key)
    code, out, err = push("--format", "json", *arguments)
    assert code == ExitCode.USAGE
    assert json.loads(out)["code"] == 2
    assert err != ""


def test_a_live_key_with_live_pushes(push: Push, monkeypatch: pytest.MonkeyPatch) -> None:
    """Live mode is another world: the meter is not there, and the usage is blocked, not sent."""
    monkeypatch.setenv("STRIPE_API_KEY", "sk_live_x")
    code, out, _ = push("--live", "--format", "json")
    assert (code, json.loads(out)["blocked"]) == (ExitCode.NEEDS_A_PERSON, 1)


def test_a_missing_ledger_is_4(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only init makes a ledger."""
    assert run(["push"]) == ExitCode.LEDGER
    assert "meterledger init" in capsys.readouterr().err
    assert not (folder / "meterledger.db").exists()


def test_nobody_at_the_other_end_is_5(push: Push, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that cannot be reached costs nothing but the try."""
    monkeypatch.delenv("METERLEDGER_CLOCK")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("STRIPE_API_BASE", f"http://127.0.0.1:{taken.getsockname()[1]}")
        code, out, _ = push("--format", "json")
    assert (code, json.loads(out)["code"]) == (ExitCode.STRIPE, 5)


def test_a_refused_key_is_5(push: Push, monkeypatch: pytest.MonkeyPatch) -> None:
    """401 ends the push before it began."""
    with SimulatorProcess("--clock", NOW, "--freeze", "--key", "sk_test_other") as other:
        monkeypatch.setenv("STRIPE_API_BASE", other.url)
        code, out, err = push("--format", "json")
        assert code == ExitCode.STRIPE
        assert "401" in json.loads(out)["message"]
        assert "401" in err
        assert other.ledger()["identifier_totals"]["arrivals"] == 0


def test_another_host_is_2(push: Push, monkeypatch: pytest.MonkeyPatch, simulator: SimulatorProcess) -> None:
    """After its first push a ledger goes nowhere else."""
    push()
    monkeypatch.setenv("STRIPE_API_BASE", simulator.url.replace("127.0.0.1", "localhost"))
    code, _, err = push()
    assert code == ExitCode.USAGE
    assert "bound" in err


def test_a_clock_far_off_is_5(push: Push, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its own clock this machine is not where the simulator is: nothing is sent."""
    monkeypatch.delenv("METERLEDGER_CLOCK")
    with SimulatorProcess("--clock", "2020-01-01T00:00:00Z", "--freeze") as other:
        monkeypatch.setenv("STRIPE_API_BASE", other.url)
        code, _, err = push()
        assert code == ExitCode.STRIPE
        assert "clock" in err
        assert other.ledger()["identifier_totals"]["arrivals"] == 0


def test_the_way_in_is_that_of_the_config_unless_push_says_otherwise(push: Push, folder: Path) -> None:
    """What only v1 can take stays blocked by the config's v2, and goes with --api v1."""
    config = folder / "meterledger.toml"
    config.write_text(config.read_text(encoding="utf-8") + 'api = "v2"\n', encoding="utf-8")
    code, out, _ = push()
    assert code == ExitCode.NEEDS_A_PERSON
    assert "value_needs_v1" in out
    code, out, _ = push("--dry-run", "--api", "v1", "--format", "json")
    assert [event["payload"]["value"] for event in json.loads(out)["meter_events"]] == ["2.5"]
    assert push("--api", "v1")[0] == ExitCode.DONE


def test_a_dry_run_is_the_preview(
    push: Push, capsys: pytest.CaptureFixture[str], simulator: SimulatorProcess
) -> None:
    """--dry-run prints what preview prints, and sends nothing."""
    before = simulator.ledger()["identifier_totals"]["arrivals"]
    assert run(["preview", "--format", "json"]) == 0
    shown = capsys.readouterr().out
    code, out, _ = push("--dry-run", "--format", "json")
    assert (code, out) == (ExitCode.DONE, shown)
    assert simulator.ledger()["identifier_totals"]["arrivals"] == before


def test_the_key_can_come_from_a_file(push: Push, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--api-key-file needs nothing in the environment, and leaves no trace of the key in the ledger."""
    monkeypatch.delenv("STRIPE_API_KEY")
    (folder / "key").write_text(KEY + "\n", encoding="utf-8")
    code, _, _ = push("--api-key-file", "key")
    assert code == ExitCode.DONE
    for file in folder.glob("meterledger.db*"):
        assert KEY.encode() not in file.read_bytes()


@pytest.mark.usefixtures("push")
def test_quiet_says_nothing_but_results(capsys: pytest.CaptureFixture[str]) -> None:
    """With --quiet a push that has no warnings writes nothing on stderr."""
    assert run(["--quiet", "push", "--format", "json"]) == ExitCode.DONE
    out, err = capsys.readouterr()
    assert (json.loads(out)["accepted"], err) == (1, "")


def test_a_limit_slows_the_push_and_loses_nothing(
    push: Push, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Against a host that takes 40 calls a second, 121 events of as many customers all arrive, once each."""
    rows = ({**ROW, "request_id": f"r{number}", "customer_id": f"cus_{number}"} for number in range(120))
    (folder / "more.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert run(["import", "more.jsonl"]) == 0
    capsys.readouterr()
    with SimulatorProcess("--clock", NOW, "--freeze", "--limit", "40") as limited:
        monkeypatch.setenv("STRIPE_API_BASE", limited.url)
        make_meter(limited, "acct_" + "".join(filter(str.isalnum, folder.name)))
        code, out, _ = push("--format", "json")
        assert (code, json.loads(out)["accepted"]) == (0, 121)
        page = limited.ledger()
    assert page["identifier_totals"]["counted"] == 121
    assert any(row["status"] == 429 for row in page["requests"])


# Metrics, waiting and watching.


def figure(folder: Path, name: str) -> float:
    """Return a figure of the metrics file."""
    [line] = [
        one for one in (folder / "m.prom").read_text().splitlines() if one.startswith(f"meterledger_{name}")
    ]
    return float(line.rpartition(" ")[2])


def test_a_single_push_writes_its_figures_whatever_comes_of_it(
    push: Push, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cron has the figures too; after a failure they say so, and when all was well last."""
    assert push("--metrics-file", "m.prom")[0] == ExitCode.DONE
    assert (figure(folder, "up"), figure(folder, "accepted_total")) == (1, 1)
    assert (
        figure(folder, 'meter_events{ledger="' + str(folder / "meterledger.db") + '",state="accepted"}') == 1
    )
    well = figure(folder, "last_success_timestamp_seconds")
    with SimulatorProcess("--clock", NOW, "--freeze", "--key", "sk_test_other") as other:
        monkeypatch.setenv("STRIPE_API_BASE", other.url)
        assert push("--metrics-file", "m.prom")[0] == ExitCode.USAGE
    assert (figure(folder, "up"), figure(folder, "failed_rounds_total")) == (0, 1)
    assert figure(folder, "last_success_timestamp_seconds") == well
    assert push("--metrics-file", "missing/m.prom")[0] == ExitCode.USAGE


def test_a_worker_with_an_end_ends_as_a_push_does(push: Push, folder: Path) -> None:
    """--max-duration ends it in good order; its log is one line for people for each round."""
    code, out, err = push(
        "--watch", "--interval", "50ms", "--max-duration", "500ms", "--metrics-file", "m.prom"
    )
    assert (code, err) == (ExitCode.DONE, "")
    lines = out.splitlines()
    assert [line.split(" ")[1].strip(":") for line in lines] == ["started", "push", "ended"]
    assert "1 sealed, 1 accepted, 0 rejected" in lines[1]
    assert figure(folder, "accepted_total") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("--interval", "1s"),
        ("--log-format", "json"),
        ("--watch", "--limit", "1"),
        ("--watch", "--dry-run"),
        ("--watch", "--format", "csv"),
        ("--watch", "--retry-rejected"),
        ("--watch", "--allow-foreign-usage"),
        ("--watch", "--interval", "0s"),
        ("--watch", "--interval", "soon"),
    ],
)
def test_options_that_make_no_sense_together_are_2(push: Push, arguments: tuple[str, ...]) -> None:
    """What a worker cannot heed is refused, not ignored."""
    assert push(*arguments)[0] == ExitCode.USAGE
