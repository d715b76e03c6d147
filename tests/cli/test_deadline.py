"""Pulling and moving deadlines as commands: a month's end on the simulator's clock, to the invoice."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import stripe

from meterledger.cli.main import run
from meterledger.errors import ExitCode
from support.commands import OF_OUR_OWN, Ended
from support.sdk_billing import Billed, billed
from support.sdk_desk import KEY, SdkDesk

CONFIG = '[meters.api_requests]\nfeatures = ["calls"]\n[invoicing]\ngrace_period = "1h"\n'
LIVE_KEY = "sk_live_meterledgertestlive"
WAIT_SECONDS = 20.0


@dataclass(slots=True)
class MonthsEnd:
    """A customer billed by calendar months, and a folder in which commands run as processes."""

    desk: SdkDesk
    made: Billed
    folder: Path
    capsys: pytest.CaptureFixture[str]

    @property
    def customer(self) -> str:
        """The Stripe customer."""
        return self.made.customer.id

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start a command as a process of its own, with nobody at a terminal."""
        return subprocess.Popen(
            [sys.executable, "-m", "meterledger", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def run(self, *arguments: str) -> Ended:
        """Run a command to its end; the key never shows."""
        code = run(arguments)
        out, err = self.capsys.readouterr()
        assert KEY not in out + err
        assert "this is a bug" not in err, err
        return Ended(code=code, out=out, err=err)

    def done(self, *arguments: str) -> Ended:
        """Run a command that ends with 0."""
        ran = self.run(*arguments)
        assert ran.code == ExitCode.DONE, ran.err + ran.out
        return ran

    def usage(self, name: str, quantity: int, event_time: str) -> None:
        """Import one usage event."""
        row = {
            "request_id": name,
            "customer_id": self.customer,
            "feature": "calls",
            "quantity": quantity,
            "event_time": event_time,
        }
        (self.folder / f"{name}.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
        self.done("import", f"{name}.jsonl")

    def extend(self, *arguments: str) -> Ended:
        """Give every draft that is behind six hours more."""
        return self.run("deadline", "extend", "--all-at-risk", "--by", "6h", "--format", "json", *arguments)

    def cycle_invoices(self) -> list[stripe.Invoice]:
        """Return the invoices of ended periods."""
        listed = self.desk.client.v1.invoices.list({"customer": self.customer}).data
        return [one for one in listed if one.billing_reason == "subscription_cycle"]

    @property
    def requests_to_move(self) -> int:
        """How often an invoice was asked to change."""
        counted = self.desk.simulator.ledger()["requests"]
        return sum(one["count"] for one in counted if one["method"] == "POST" and "/invoices/" in one["path"])


@pytest.fixture
def end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[MonthsEnd]:
    """Return November billed, its usage of 12 unsent, half an hour after its end: half an hour is left."""
    (tmp_path / "meterledger.toml").write_text(CONFIG, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(OF_OUR_OWN)]:
        monkeypatch.delenv(name)
    with SdkDesk() as desk:
        monkeypatch.setenv("STRIPE_API_BASE", desk.simulator.url)
        monkeypatch.setenv("STRIPE_API_KEY", KEY)
        monkeypatch.setenv("METERLEDGER_CLOCK", "server")
        months_end = MonthsEnd(desk, billed(desk), tmp_path, capsys)
        months_end.done("init")
        desk.simulator.set_clock("2026-11-20T00:00:00Z")
        months_end.usage("r1", 12, "2026-11-10T00:00:00Z")
        desk.simulator.set_clock("2026-12-01T00:30:00Z")
        yield months_end


def test_more_time_saves_the_usage_that_it_said(end: MonthsEnd) -> None:
    """Extended by six hours the draft stays open, what is pushed then is on the invoice, and all say so."""
    planned = end.extend("--dry-run")
    assert (planned.code, planned.document["extended"]) == (ExitCode.DONE, 0)
    (draft,) = planned.document["drafts"]
    assert (draft["from"], draft["to"], draft["result"]) == (
        "2026-12-01T01:00:00Z",
        "2026-12-01T07:00:00Z",
        "planned",
    )
    assert draft["unsent"] == [{"event_name": "api_requests", "events": 1, "quantity": "12"}]
    assert (end.cycle_invoices()[0].automatically_finalizes_at or 0) % 86_400 == 3600

    moved = end.extend("--yes").document
    assert (moved["schema"], moved["extended"]) == ("meterledger.deadline.extend/1", 1)
    assert moved["drafts"][0]["deadline"] == "2026-12-01T07:00:00Z"

    end.desk.simulator.set_clock("2026-12-01T06:30:00Z")
    assert end.cycle_invoices()[0].status == "draft"
    end.done("push")
    end.desk.simulator.set_clock("2026-12-01T07:00:01Z")
    (invoice,) = end.cycle_invoices()
    assert (invoice.status, [one.quantity for one in invoice.lines.data]) == ("open", [12])
    end.done("customers", "pull")
    end.done("verify")


class Terminal(io.StringIO):
    """A person at a terminal, with one answer."""

    def isatty(self) -> bool:
        """Tell that somebody is there."""
        return True


@pytest.mark.parametrize(("reply", "moved"), [("n", 0), ("", 0), ("y", 1)])
def test_at_a_terminal_it_shows_and_asks(
    end: MonthsEnd, monkeypatch: pytest.MonkeyPatch, reply: str, moved: int
) -> None:
    """The plan and what else it changes come first; without a yes nothing is moved."""
    monkeypatch.setattr("sys.stdin", Terminal(f"{reply}\n"))
    ran = end.done("deadline", "extend", "--all-at-risk", "--by", "6h")
    assert "2026-12-01T07:00:00Z" in ran.out
    assert "webhook" in ran.err
    assert end.requests_to_move == moved


def test_without_more_time_it_is_lost(end: MonthsEnd) -> None:
    """The other history: the same usage pushed after the deadline is on no invoice."""
    end.desk.simulator.set_clock("2026-12-01T01:30:00Z")
    end.done("push")
    (invoice,) = end.cycle_invoices()
    assert [one.quantity for one in invoice.lines.data] == [0]


def test_the_list_names_deadlines_and_what_is_behind_them(end: MonthsEnd) -> None:
    """Before a pull there is nothing; after it the draft comes first, then the period that runs."""
    assert end.done("deadline", "list", "--format", "json").document["pulled_at"] is None
    listed = end.done("deadline", "list", "--stripe", "--format", "json").document
    assert listed["schema"] == "meterledger.deadline.list/1"
    found = [(one["deadline"], one["deadline_source"], len(one["unsent"])) for one in listed["deadlines"]]
    assert found == [
        ("2026-12-01T01:00:00Z", "draft_invoice", 1),
        ("2027-01-01T01:00:00Z", "configured", 0),
    ]
    table = end.done("deadline", "list").out
    assert "2026-12-01T01:00:00Z" in table
    assert end.customer in table


def test_a_pull_says_what_it_read(end: MonthsEnd) -> None:
    """The document has each subscription, and a second pull finds nothing new."""
    first = end.done("customers", "pull", "--format", "json").document
    assert first["schema"] == "meterledger.customers.pull/1"
    assert (first["subscription_items"], first["drafts"], first["new_invoices"]) == (1, 1, 1)
    assert first["customers"][0]["subscription_id"] == end.made.subscription.id
    again = end.done("customers", "pull", "--format", "json").document
    assert (again["new_items"], again["new_invoices"]) == (0, 0)
    for format_ in ("table", "csv"):
        assert end.done("customers", "pull", "--format", format_).out


def test_audit_reads_first_and_names_a_mismatch(end: MonthsEnd) -> None:
    """Configured are three hours, Stripe waits one: both figures stand in the finding."""
    config = end.folder / "meterledger.toml"
    config.write_text(CONFIG.replace('"1h"', '"3h"'), encoding="utf-8")
    findings = end.run("audit", "--stripe", "--format", "json").document["findings"]
    (found,) = [one for one in findings if one["code"] == "grace_mismatch"]
    assert (found["observed_seconds"], found["configured_seconds"]) == (3600, 10_800)
    ran = end.run("audit", "--stripe", "--as-of", "2026-12-01T00:00:00Z")
    assert ran.code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("arguments", "key", "says"),
    [
        (("--all-at-risk", "--by", "6h"), KEY, "--yes"),
        (("--by", "6h", "--yes"), KEY, "--all-at-risk"),
        (("--all-at-risk", "--customer", "c", "--by", "6h", "--yes"), KEY, "--all-at-risk"),
        (("--all-at-risk", "--by", "0s", "--yes"), KEY, "nothing to move"),
        (("--customer", "nobody", "--by", "6h", "--yes"), KEY, "nobody"),
        (("--all-at-risk", "--by", "6h", "--yes", "--live"), KEY, "test key"),
        (("--all-at-risk", "--by", "6h", "--yes"), LIVE_KEY, "--live"),
        (("--all-at-risk", "--by", "6h", "--yes"), "", "no Stripe key"),
    ],
)
def test_what_is_not_said_well_moves_nothing(
    end: MonthsEnd, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], key: str, says: str
) -> None:
    """Exit code 2, a word on what to say, and no request to change anything."""
    monkeypatch.setenv("STRIPE_API_KEY", key)
    ran = end.run("deadline", "extend", *arguments)
    assert ran.code == ExitCode.USAGE
    assert says in ran.err
    assert end.requests_to_move == 0


def test_a_ledger_of_another_mode_is_refused(end: MonthsEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was pulled in test mode is not moved in live mode."""
    end.done("customers", "pull")
    monkeypatch.setenv("STRIPE_API_KEY", LIVE_KEY)
    ran = end.extend("--yes", "--live")
    assert ran.code == ExitCode.USAGE
    assert ran.document["schema"] == "meterledger.error/1"
    assert end.requests_to_move == 0


def test_a_final_invoice_is_not_reopened(end: MonthsEnd) -> None:
    """After the deadline there is no draft: exit code 1 for a customer that was named."""
    end.desk.simulator.set_clock("2026-12-01T02:00:00Z")
    ran = end.run("deadline", "extend", "--customer", end.customer, "--by", "6h", "--yes")
    assert ran.code == ExitCode.NEEDS_A_PERSON
    assert "No draft is open" in ran.err
    assert end.extend("--yes").code == ExitCode.DONE


def test_killed_between_intent_and_outcome_it_is_moved_once(end: MonthsEnd) -> None:
    """The answer is held back and the process killed; the next run finds the move made and adds nothing."""
    end.desk.simulator.set_faults({"kind": "slow", "on": "invoices", "method": "POST", "delay": "3s"})
    process = end.start("deadline", "extend", "--all-at-risk", "--by", "6h", "--yes")
    until = time.monotonic() + WAIT_SECONDS
    while not end.desk.simulator.faults()["log"] and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=WAIT_SECONDS)
    again = end.extend("--yes")
    assert again.code == ExitCode.DONE, again.err
    (draft,) = again.document["drafts"]
    assert (draft["result"], draft["deadline"]) == ("extended", "2026-12-01T07:00:00Z")
    assert end.requests_to_move == 1
    end.done("verify")


def test_a_lost_answer_is_no_failure(end: MonthsEnd) -> None:
    """The connection closes without a byte: the invoice itself tells that it was moved."""
    end.desk.simulator.set_faults({"kind": "answer_lost", "on": "invoices", "method": "POST"})
    ran = end.extend("--yes")
    assert (ran.code, ran.document["extended"]) == (ExitCode.DONE, 1)


def test_a_lost_request_is_said_to_be_unknown(end: MonthsEnd) -> None:
    """Exit code 5 and nothing claimed; the next run makes it good."""
    end.desk.simulator.set_faults({"kind": "request_lost", "on": "invoices", "method": "POST"})
    ran = end.extend("--yes")
    assert (ran.code, ran.document["drafts"][0]["result"]) == (ExitCode.STRIPE, "unknown")
    assert end.extend("--yes").document["extended"] == 1
