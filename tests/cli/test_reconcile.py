"""`meterledger reconcile --errors-only` and `push --retry-rejected` as commands, against the simulator."""

import asyncio
import json
from collections.abc import Iterator
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
CONFIG = '[meters.calls]\nfeatures = ["calls"]\n[stripe]\naccount = "acct_reported"\n'


@pytest.fixture
def simulator() -> Iterator[SimulatorProcess]:
    """Start a simulator that answers 200 and looks later."""
    with SimulatorProcess("--clock", NOW, "--freeze", "--checks", "async") as process:
        yield process


class Desk:
    """A folder with a config and a ledger, and the commands there."""

    def __init__(self, folder: Path, simulator: SimulatorProcess, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.simulator, self._capsys = folder, simulator, capsys
        assert run(["init"]) == 0

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run a command; the key shows nowhere."""
        self._capsys.readouterr()
        code = run(list(arguments))
        out, err = self._capsys.readouterr()
        assert KEY not in out + err
        return code, out, err

    def json(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Run a command, and return its document."""
        code, out, _ = self.run(*arguments, "--format", "json")
        return code, json.loads(out)

    def bring(self, *keys: str, customer: str = "cus_a") -> None:
        """Import usage."""
        rows = (
            {
                "request_id": key,
                "customer_id": customer,
                "feature": "calls",
                "quantity": "2",
                "event_time": "2026-10-31T12:00:00Z",
            }
            for key in keys
        )
        file = self.folder / f"{keys[0]}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        assert run(["import", file.name]) == 0

    def counted(self) -> list[tuple[int, str]]:
        """Return how many events Stripe counted, and their total, for each meter and customer."""
        return [(row["events"], row["total"]) for row in self.simulator.ledger()["usage"]]


@pytest.fixture
def desk(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    simulator: SimulatorProcess,
    capsys: pytest.CaptureFixture[str],
) -> Desk:
    """Make a ledger whose Stripe is the simulator, with a meter there."""
    (tmp_path / "meterledger.toml").write_text(CONFIG, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name in ("METERLEDGER_CONFIG", "METERLEDGER_LEDGER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("METERLEDGER_DEBUG", "1")
    monkeypatch.setenv("METERLEDGER_CLOCK", "server")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("STRIPE_API_BASE", simulator.url)
    monkeypatch.setenv("STRIPE_API_KEY", KEY)
    asyncio.run(_make_meter(simulator.url))
    return Desk(tmp_path, simulator, capsys)


async def _make_meter(url: str) -> None:
    stripe.enable_telemetry = False
    transport = Transport(concurrency=1, through_proxy=False, on_date=lambda _date: None)
    client = stripe.StripeClient(KEY, base_addresses={"api": url}, http_client=transport)
    await client.v1.billing.meters.create_async(
        {"display_name": "Calls", "event_name": "calls", "default_aggregation": {"formula": "sum"}},
        {"stripe_account": "acct_reported"},
    )
    await transport.close_async()


def reject(desk: Desk, times: int = 0) -> None:
    """Let Stripe take meter events and reject them later."""
    desk.simulator.set_faults(
        {"kind": "rejected_later", "code": "meter_event_customer_not_found", "times": times}
    )


def test_a_200_is_not_the_end(desk: Desk) -> None:
    """Taken, reported, rejected; shown by reconcile, status and explain; sealed again and counted once."""
    desk.bring("r1", "r2", "r3")
    reject(desk)
    code, document = desk.json("push")
    assert (code, document["accepted"], document["rejected_later"]) == (0, 3, 0)
    desk.simulator.advance("1m")
    code, document = desk.json("reconcile", "--errors-only")
    assert (code, document["schema"]) == (ExitCode.NEEDS_A_PERSON, "meterledger.reconcile/1")
    assert document["settled"] == {"rejected": 3, "in_doubt": 0}
    assert (document["new_reports"], document["drift"], document["warnings"]) == (1, [], [])
    [report] = document["reports"]
    assert report == {
        "event_name": "calls",
        "code": "meter_event_customer_not_found",
        "start": "2026-11-01T00:00:00Z",
        "end": "2026-11-01T00:00:10Z",
        "error_count": 3,
        "ours": 3,
        "not_ours": 0,
        "unknown": 0,
    }
    assert desk.json("reconcile", "--errors-only")[1]["settled"] == {"rejected": 0, "in_doubt": 0}
    _, told = desk.json("explain", "r1")
    [reported] = told["error_reports"]
    assert reported["code"] == "meter_event_customer_not_found"
    assert "rejected" in desk.run("explain", "r1")[1]
    assert desk.json("verify")[0] == 0
    desk.simulator.set_faults()
    _, shown, _ = desk.run("push", "--dry-run", "--retry-rejected", "--format", "json")
    code, document = desk.json("push", "--retry-rejected", "--code", "meter_event_customer_not_found")
    assert (code, document["retried"], document["accepted"], document["rejected"]) == (0, 3, 3, 0)
    planned = {event["identifier"] for event in json.loads(shown)["meter_events"]}
    assert planned <= set(desk.simulator.ledger(identifiers=True)["identifiers"])
    assert (len(planned), desk.counted()) == (3, [(3, "6")])
    assert desk.json("verify")[0] == 0


def test_what_a_report_does_not_name_is_unknown_rejected(desk: Desk) -> None:
    """The difference is kept against meter and window, for reconcile and status."""
    desk.bring("r1", "r2", "r3")
    desk.simulator.set_faults(
        {"kind": "rejected_later", "code": "meter_event_customer_not_found", "times": 0},
        {"kind": "reports_partial", "samples": 1},
    )
    assert desk.json("push")[0] == 0
    desk.simulator.advance("1m")
    code, document = desk.json("reconcile", "--errors-only")
    assert (code, document["settled"]) == (ExitCode.NEEDS_A_PERSON, {"rejected": 1, "in_doubt": 0})
    [row] = document["drift"]
    assert (row["event_name"], row["unknown_rejected_events"]) == ("calls", 2)
    assert (row["start"], row["end"]) == ("2026-11-01T00:00:00Z", "2026-11-01T00:00:10Z")
    _, document = desk.json("status")
    assert "unknown_rejected" in [finding["code"] for finding in document["findings"]]


def test_late_reports_are_found_by_the_next_push(desk: Desk) -> None:
    """Whenever they come."""
    desk.bring("r1")
    desk.simulator.set_faults(
        {"kind": "rejected_later", "code": "archived_meter", "times": 0},
        {"kind": "reports_late", "delay": "5h"},
    )
    assert desk.json("push")[0] == 0
    desk.simulator.advance("1h")
    assert desk.json("push")[1]["rejected_later"] == 0
    desk.simulator.advance("5h")
    code, document = desk.json("push")
    assert (code, document["rejected_later"], document["rejected"]) == (ExitCode.NEEDS_A_PERSON, 1, 0)
    assert "--retry-rejected" in desk.run("push")[1]


def test_what_the_simulator_itself_finds_later(desk: Desk) -> None:
    """An unknown meter is reported without a meter; the event names it."""
    (desk.folder / "meterledger.toml").write_text(
        CONFIG + '[meters.gone]\nfeatures = ["gone"]\n', encoding="utf-8"
    )
    desk.bring("r1")
    desk.simulator.set_faults({"kind": "rejected_later", "code": "brand_new", "times": 0})
    desk.json("push")
    desk.simulator.advance("1m")
    code, document = desk.json("reconcile", "--errors-only")
    assert (code, document["settled"]) == (ExitCode.NEEDS_A_PERSON, {"rejected": 0, "in_doubt": 1})
    assert desk.json("status")[1]["in_doubt"][0]["reason"] == "unknown_report"


@pytest.mark.parametrize("format_", ["table", "csv"])
def test_other_formats_say_the_same(desk: Desk, format_: str) -> None:
    """Both name the code and the meter."""
    desk.bring("r1")
    reject(desk)
    desk.json("push")
    desk.simulator.advance("1m")
    code, out, err = desk.run("reconcile", "--errors-only", "--format", format_)
    assert code == ExitCode.NEEDS_A_PERSON
    assert "calls" in out
    assert "customer" in out
    assert ("Next:" in err) == (format_ == "table")


def test_nothing_open_is_0(desk: Desk) -> None:
    """A ledger that has sent, and of which nothing was reported."""
    desk.bring("r1")
    desk.json("push")
    code, document = desk.json("reconcile", "--errors-only")
    assert (code, document["reports"], document["drift"]) == (0, [], [])


def test_reconcile_without_errors_only_is_refused(desk: Desk) -> None:
    """It compares no totals yet, and says so."""
    code, _, err = desk.run("reconcile")
    assert code == ExitCode.USAGE
    assert "--errors-only" in err


def test_a_code_goes_with_a_retry(desk: Desk) -> None:
    """Alone it would do nothing."""
    code, _, err = desk.run("push", "--code", "no_meter")
    assert code == ExitCode.USAGE
    assert "--retry-rejected" in err


def test_another_account_is_refused(desk: Desk) -> None:
    """Its reports are about other events, and identifiers follow from content."""
    desk.bring("r1")
    desk.json("push")
    (desk.folder / "meterledger.toml").write_text(
        CONFIG.replace("acct_reported", "acct_other"), encoding="utf-8"
    )
    assert desk.run("reconcile", "--errors-only")[0] == ExitCode.USAGE


@pytest.mark.parametrize(("kind", "status"), [("server_error", "500"), ("rate_limited", "429")])
def test_a_poll_that_fails_in_a_push_is_a_warning(desk: Desk, kind: str, status: str) -> None:
    """What was sent is sent; reconcile alone has nothing else to do, and fails."""
    desk.bring("r1")
    desk.simulator.set_faults({"kind": kind, "on": "core_events", "times": 0})
    code, out, err = desk.run("push", "--format", "json")
    assert (code, json.loads(out)["accepted"]) == (0, 1)
    assert status in err
    assert desk.run("reconcile", "--errors-only")[0] == ExitCode.STRIPE
