"""`meterledger customers` as a command: exit codes, what it prints, and a push with the product's own ids."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from meterledger.cli.main import run
from meterledger.errors import ExitCode
from support.customers import customer, customers_csv
from support.simulator_process import SimulatorProcess

NOW = "2026-11-01T00:00:00Z"
CONFIG = """\
[meters.calls]
features = ["calls"]
[plans.pro.features.calls]
[plans.none.features]
"""
USAGE = [
    {"request_id": "r1", "customer_id": "acme"},
    {"request_id": "r2", "customer_id": "acme", "subscription_id": "sub_1"},
    {"request_id": "r3", "customer_id": "beta"},
    {"request_id": "r4", "customer_id": "gone"},
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The JSON document on stdout."""
        return json.loads(self.out)


Command = Callable[..., Ended]


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    """Start a simulator with the meter of the config."""
    config = tmp_path_factory.mktemp("seed") / "meterledger.toml"
    config.write_text(CONFIG, encoding="utf-8")
    with SimulatorProcess("--clock", NOW, "--freeze", "--seed-from", str(config)) as process:
        yield process


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulator: SimulatorProcess) -> Path:
    """Make a folder with a config and usage, and an environment that names the simulator."""
    (tmp_path / "meterledger.toml").write_text(CONFIG, encoding="utf-8")
    common = {"feature": "calls", "quantity": 1, "event_time": "2026-10-31T12:00:00Z"}
    (tmp_path / "usage.jsonl").write_text(
        "".join(json.dumps(common | one) + "\n" for one in USAGE), encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    for name in ("METERLEDGER_CONFIG", "METERLEDGER_LEDGER"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "METERLEDGER_DEBUG": "1",
        "METERLEDGER_CLOCK": "server",
        "NO_COLOR": "1",
        "COLUMNS": "200",
        "STRIPE_API_BASE": simulator.url,
        "STRIPE_API_KEY": "sk_test_customers",
    }.items():
        monkeypatch.setenv(name, value)
    assert run(["init"]) == 0
    return tmp_path


@pytest.fixture
def command(folder: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Return what runs a command in that folder."""
    assert folder.is_dir()
    capsys.readouterr()

    def ran(*arguments: str) -> Ended:
        code = run(arguments)
        out, err = capsys.readouterr()
        return Ended(code=code, out=out, err=err)

    return ran


def test_the_documents_have_the_keys_that_others_rely_on(command: Command, folder: Path) -> None:
    """Counts of an import, and every field of a list, under their schemas."""
    path = customers_csv(folder, customer("acme", "cus_A", "sub_1", plan="pro"))
    taken = command("customers", "import", path, "--format", "json")
    listed = command("customers", "list", "--format", "json")

    assert (taken.code, listed.code) == (ExitCode.DONE, ExitCode.DONE)
    assert taken.document == {
        "schema": "meterledger.customers.import/1",
        "rows_read": 1,
        "added": 1,
        "changed": 0,
        "unchanged": 0,
        "absent": 0,
        "until_later": 0,
        "effective": NOW,
        "committed": True,
        "problems": [],
    }
    assert listed.document == {
        "schema": "meterledger.customers.list/1",
        "customers": [
            {
                "customer_id": "acme",
                "subscription_id": "sub_1",
                "stripe_customer_id": "cus_A",
                "plan": "pro",
                "status": "active",
                "billing_cycle_anchor": None,
                "interval": "month",
                "effective_at": None,
                "until": None,
                "recorded_at": NOW,
                "file": path,
                "line": 2,
            }
        ],
    }


@pytest.mark.parametrize("format_", ["table", "json", "csv"])
def test_bad_rows_are_1_and_take_nothing(command: Command, folder: Path, format_: str) -> None:
    """The problems are shown with file and line, and nothing is known afterwards."""
    path = customers_csv(folder, customer("acme", "cus_A"), customer("beta", "acct_B"))
    ended = command("customers", "import", path, "--format", format_)

    assert ended.code == ExitCode.NEEDS_A_PERSON
    if format_ == "json":
        assert ended.document["committed"] is False
        assert [(one["line"], one["reason"]) for one in ended.document["problems"]] == [
            (3, "no_stripe_customer")
        ]
    if format_ == "table":
        assert "customers.csv:3" in ended.out
        assert "Nothing was taken" in ended.err
    assert command("customers", "list", "--format", "json").document["customers"] == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("customers",), ExitCode.USAGE),
        (("customers", "import"), ExitCode.USAGE),
        (("customers", "import", "nothing.csv"), ExitCode.INPUT),
        (("customers", "import", "usage.jsonl", "--effective", "soon"), ExitCode.USAGE),
        (("customers", "list", "--as-of", "then"), ExitCode.USAGE),
    ],
)
def test_wrong_usage_has_its_exit_code(command: Command, arguments: tuple[str, ...], code: ExitCode) -> None:
    """A wrong option is 2, a file that is not there 3."""
    assert command(*arguments).code == code


def test_people_are_told_what_keeps_holding(command: Command, folder: Path) -> None:
    """What is absent, since when a change holds, and what a dry run would have done."""
    command("customers", "import", customers_csv(folder, customer("a", "cus_A"), customer("b", "cus_B")))
    path = customers_csv(folder, customer("a", "cus_C"))
    dry = command("customers", "import", path, "--dry-run", "--effective", "2026-10-01T00:00:00Z")
    command("customers", "import", path)
    early = command("customers", "import", customers_csv(folder, customer("a", "cus_D")), "--effective", "0")

    assert "1 known before and absent from this" in dry.err
    assert "since 2026-10-01T00:00:00Z" in dry.err
    assert "Nothing was kept: this was a dry run." in dry.err
    assert "hold only until a later one" in early.err


@pytest.mark.parametrize("options", [(), ("--all",), ("--format", "csv"), ("--customer", "cus_A")])
def test_lists_show_every_customer(command: Command, folder: Path, options: tuple[str, ...]) -> None:
    """As a table or CSV, with or without the history."""
    command("customers", "import", customers_csv(folder, customer("acme", "cus_A", plan="pro")))
    ended = command("customers", "list", *options)

    assert ended.code == ExitCode.DONE
    assert all(word in ended.out for word in ("acme", "cus_A", "pro", "active"))


def test_no_customers_are_said_to_be_none(command: Command) -> None:
    """An empty list says how to fill it, and is no failure."""
    ended = command("customers", "list")

    assert (ended.code, ended.out) == (ExitCode.DONE, "")
    assert "meterledger customers import" in ended.err


def test_the_whole_way_with_the_products_own_ids(
    command: Command, folder: Path, simulator: SimulatorProcess
) -> None:
    """Refused, mended, imported again, held back as ambiguous, decided, sent to the mapped customers."""
    first = customers_csv(
        folder,
        customer("acme", "cus_A", "sub_1", plan="pro"),
        customer("acme", "cus_B", "sub_2", plan="pro"),
        customer("beta", "cus_C", plan="none"),
        customer("gone", "cus_D", status="canceled"),
    )
    command("customers", "import", first)
    refused = command("import", "usage.jsonl", "--format", "json").document
    mended = customers_csv(
        folder, customer("acme", "cus_B"), customer("beta", "cus_C", plan="pro"), customer("gone", "cus_D")
    )
    pushed = command("push", "--format", "json")
    taken = command("customers", "import", mended, "--effective", "2026-10-01T00:00:00Z", "--format", "json")
    again = command("import", "usage.jsonl", "--format", "json").document
    status = command("status", "--format", "json").document
    last = command("push", "--format", "json")

    assert refused["rejected_by_reason"] == {"customer_canceled": 1, "feature_not_in_plan": 1}
    assert (pushed.code, pushed.document["accepted"], pushed.document["blocked"]) == (1, 1, 1)
    assert (taken.document["added"], taken.document["changed"], taken.document["absent"]) == (1, 2, 2)
    assert (again["accepted"], again["duplicates"], again["rejected"]) == (2, 2, 0)
    assert status["blocked"] == []
    assert (last.code, last.document["accepted"], last.document["blocked"]) == (0, 3, 0)
    assert {
        (usage["request_id"], event["stripe_customer_id"])
        for name in ("r1", "r2", "r3", "r4")
        for explained in [command("explain", name, "--format", "json").document]
        for usage in explained["usage_events"]
        for event in explained["meter_events"]
    } == {("r1", "cus_B"), ("r2", "cus_A"), ("r3", "cus_C"), ("r4", "cus_D")}
    assert simulator.ledger()["identifier_totals"]["arrivals"] == 4


def test_explain_shows_what_is_known_of_a_customer(command: Command, folder: Path) -> None:
    """A customer without any usage is known too, by either id."""
    command("customers", "import", customers_csv(folder, customer("acme", "cus_A", plan="pro")))
    for name in ("acme", "cus_A"):
        ended = command("explain", name, "--format", "json")
        assert (ended.code, [one["plan"] for one in ended.document["customers"]]) == (0, ["pro"])
    assert "cus_A" in command("explain", "acme").out
    assert command("explain", "beta").code == ExitCode.USAGE
