"""The program as a whole: exit codes, start-up, and errors that are one thing on a terminal and in JSON."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from meterledger import __version__
from meterledger.cli.main import run
from meterledger.errors import ExitCode, InputError, LedgerError, StripeError, UsageError
from support.importing import Importing, ledger_file, row

_STARTED = """
import sys
from meterledger.cli.main import run
run(["--version"])
heavy = ("stripe", "aiohttp", "sqlite_utils", "rich", "msgspec", "dateutil")
print([name for name in heavy if name in sys.modules])
"""


def test_exit_codes_are_what_others_rely_on() -> None:
    """The numbers are a contract."""
    assert {code.name: code.value for code in ExitCode} == {
        "DONE": 0,
        "NEEDS_A_PERSON": 1,
        "USAGE": 2,
        "INPUT": 3,
        "LEDGER": 4,
        "STRIPE": 5,
        "BUG": 70,
        "INTERRUPTED": 130,
    }
    assert [int(kind.exit_code) for kind in (UsageError, InputError, LedgerError, StripeError)] == [
        2,
        3,
        4,
        5,
    ]


def test_help_lists_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    """Who reads --help learns what each code means."""
    assert run(["--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())

    assert all(f"{code.value}: {code.meaning}" in shown for code in ExitCode)


def test_version_starts_without_what_it_does_not_need() -> None:
    """Start-up stays quick: neither Stripe's SDK nor the database nor rich is imported for --version."""
    done = subprocess.run([sys.executable, "-c", _STARTED], capture_output=True, text=True, check=True)

    assert [f"meterledger {__version__}", "[]"] == done.stdout.splitlines()


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["push", "--limit", "0"],
        ["push", "--limit", str(2**64)],
        ["preview", "--limit", str(2**64)],
        ["rejects", "list", "--limit", str(2**64)],
        ["resolve"],
        ["import"],
        ["audit", "--as-of", "soon"],
    ],
)
def test_wrong_usage_is_code_2_with_one_json_document(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """What typer refuses comes out as our own error, in JSON where that was asked for."""
    assert run([*arguments, "--format", "json"]) == ExitCode.USAGE
    document = json.loads(capsys.readouterr().out)

    assert {key: document[key] for key in ("schema", "code")} == {"schema": "meterledger.error/1", "code": 2}
    assert document["message"]


def test_a_bug_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What nobody foresaw is code 70 and a line, not a traceback."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError("nobody foresaw this")

    monkeypatch.setattr("meterledger.cli.status.context_of", broken)

    assert run(["status"]) == ExitCode.BUG
    shown = capsys.readouterr().err
    assert "this is a bug: ZeroDivisionError: nobody foresaw this" in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ["explain", "\udcff"],
        ["rejects", "list", "--customer", "\udcff"],
        ["rejects", "list", "--import", str(2**64)],
        ["rejects", "show", str(2**64)],
        ["rejects", "dismiss", str(2**64), "--note", "x"],
        ["customers", "list", "--customer", "\udcff"],
        ["imports", "list", "--source", "\udcff"],
        ["audit", "--customer", "\udcff"],
        ["resolve", "\udcff", "--as", "sent", "--note", "x"],
        ["write-off", "\udcff", "--note", "x"],
    ],
    ids=ascii,
)
def test_ids_that_no_ledger_can_hold_are_wrong_usage(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arguments in another encoding and numbers beyond 64 bits are code 2, like any id that is not known."""
    monkeypatch.chdir(tmp_path)
    ledger_file(tmp_path)
    assert run(arguments) == ExitCode.USAGE


@pytest.mark.parametrize(
    "arguments",
    [
        ["--periods", "30000"],
        ["--periods", str(10**30)],
        ["--as-of", "0001-01-01T00:00:00Z"],
        ["--as-of", "0001-02-10T00:00:00Z"],
        ["--as-of", "9998-12-31T23:59:59Z"],
    ],
    ids=" ".join,
)
def test_an_audit_at_the_ends_of_the_calendar(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However far an audit looks back, and from whenever, it ends as an audit does."""
    monkeypatch.chdir(tmp_path)
    shop = Importing(tmp_path)
    shop.run(shop.write("usage.csv", row("r1")))
    assert run(["audit", *arguments]) in (ExitCode.DONE, ExitCode.NEEDS_A_PERSON)


_INTERRUPTED_AT_START = """
import runpy, sys
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupting())
runpy.run_module("meterledger", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("module", ["meterledger.cli.main", "typer", "meterledger.errors"])
def test_an_interrupt_at_start_up_is_one_line(module: str) -> None:
    """Ctrl-C while the program is still being loaded is code 130 and a line, not a traceback."""
    command = [sys.executable, "-c", _INTERRUPTED_AT_START, module]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == ExitCode.INTERRUPTED
    assert done.stderr == "Error: interrupted; progress is kept\n"
