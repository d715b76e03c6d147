"""Standard streams that are closed, full, left or of a narrow encoding: the right code, and no traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from meterledger.errors import ExitCode
from support.importing import Importing, row

CUSTOMER = "cus_bét★"
AS_OF = ["--as-of", "2026-11-20T00:00:00Z"]
REPORTS = [
    ["status", *AS_OF, "--format", "json"],
    ["preview", *AS_OF, "--format", "csv"],
    ["preview", *AS_OF, "--format", "jsonl"],
    ["explain", CUSTOMER],
    ["--version"],
    ["--help"],
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a ledger with one usage event of a customer whose name is not ASCII."""
    shop = Importing(tmp_path_factory.mktemp("streams"))
    shop.run(shop.write("usage.csv", row("r1", customer_id=CUSTOMER)))
    return shop.folder


def meterledger(
    folder: Path,
    arguments: list[str],
    redirections: str = "",
    *,
    stdout: int = subprocess.PIPE,
    **environment: str,
) -> subprocess.CompletedProcess[bytes]:
    """Run a command below a shell that redirects its streams."""
    ended = subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" -m meterledger "$@" {redirections}', sys.executable, *arguments],
        cwd=folder,
        env={"PYTHONPATH": os.environ.get("PYTHONPATH", ""), "PYTHONUTF8": "1", **environment},
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=False,
        timeout=60,
    )
    assert b"Traceback" not in ended.stderr, ended.stderr
    assert b"this is a bug" not in ended.stderr, ended.stderr
    return ended


@pytest.mark.parametrize("where", [">/dev/full", ">&-"])
@pytest.mark.parametrize("arguments", REPORTS, ids=" ".join)
def test_output_that_cannot_be_written_is_an_error_of_its_own(
    folder: Path, arguments: list[str], where: str
) -> None:
    """A full disk or a closed output is one line and a hint on stderr, by exit code 2."""
    ended = meterledger(folder, arguments, where)
    assert ended.returncode == ExitCode.USAGE
    assert ended.stderr.startswith(b"Error: standard output cannot be written: ")
    assert ended.stderr.count(b"\n") == 2


def test_what_prints_nothing_needs_no_output(folder: Path) -> None:
    """Only a write can fail: without anything to print a closed output is no hindrance."""
    arguments = ["preview", "--as-of", "2026-01-01T00:00:00Z", "--format", "jsonl"]
    assert meterledger(folder, arguments, ">&-").returncode == 0


@pytest.mark.parametrize("where", ["2>/dev/full", "2>&-", "<&- 2>&-"])
def test_where_nobody_can_be_told_the_work_goes_on(folder: Path, where: str) -> None:
    """Words for people that cannot be written change neither the result nor the exit code."""
    ended = meterledger(folder, ["status", *AS_OF, "--format", "json"], where)
    assert ended.returncode == 0
    assert json.loads(ended.stdout)["usage_events"] == 1
    assert meterledger(folder, ["status", "--as-of", "soon"], where).returncode == ExitCode.USAGE


def test_an_error_that_cannot_be_printed_keeps_its_code(folder: Path) -> None:
    """The error comes first, not that its JSON could not be written."""
    ended = meterledger(folder, ["--ledger", "none.db", "status", "--format", "json"], ">/dev/full")
    assert ended.returncode == ExitCode.LEDGER


@pytest.mark.parametrize("arguments", REPORTS, ids=" ".join)
def test_a_reader_that_leaves_early_is_no_error(folder: Path, arguments: list[str]) -> None:
    """`| head` ends a command in peace, however little it had to say."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = meterledger(folder, arguments, stdout=writing)
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.parametrize("arguments", REPORTS, ids=" ".join)
def test_what_the_encoding_cannot_write_is_escaped(folder: Path, arguments: list[str]) -> None:
    """An ASCII terminal gets every report; JSON stays JSON, and request bodies stay what they are."""
    ended = meterledger(folder, arguments, PYTHONIOENCODING="ascii")
    assert ended.returncode == 0
    if "jsonl" in arguments:
        assert json.loads(ended.stdout)["payload"]["stripe_customer_id"] == CUSTOMER
        assert CUSTOMER.encode() in ended.stdout
        return
    assert ended.stdout.isascii()
    if "explain" in arguments:
        assert rb"cus_b\xe9t\u2605" in ended.stdout


def test_json_in_ascii_is_json(folder: Path) -> None:
    """What an ASCII terminal cannot take is escaped in JSON's own way."""
    ended = meterledger(folder, ["explain", CUSTOMER, "--format", "json"], PYTHONIOENCODING="ascii")
    assert ended.stdout.isascii()
    assert json.loads(ended.stdout)["usage_events"][0]["customer_id"] == CUSTOMER


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_a_reader_that_has_left_changes_neither_the_verdict_nor_the_files(folder: Path, form: str) -> None:
    """`audit --lost FILE | head` writes the whole file, and pipefail still hears that usage was missed."""
    reading, writing = os.pipe()
    os.close(reading)
    name = f"lost-{form}.csv"
    arguments = ["audit", "--as-of", "2027-01-20T00:00:00Z", "--periods", "9", "--lost", name]
    ended = meterledger(folder, [*arguments, "--format", form], stdout=writing)
    os.close(writing)
    assert ended.returncode == ExitCode.NEEDS_A_PERSON, ended.stderr
    assert b"1 line in" in ended.stderr
    assert len((folder / name).read_text(encoding="utf-8").splitlines()) == 2


@pytest.mark.parametrize("form", ["table", "json"])
@pytest.mark.parametrize("what", ["--lost", "--lost-events"])
def test_lost_usage_that_nobody_takes_is_no_traceback(tmp_path: Path, what: str, form: str) -> None:
    """A reader that leaves in the middle keeps the verdict; a full disk is an error of its own."""
    shop = Importing(tmp_path)
    rows = [row(f"r{number}", customer_id=f"cus_{number}") for number in range(200)]
    shop.run(shop.write("usage.csv", *rows))
    arguments = ["audit", "--as-of", "2027-01-20T00:00:00Z", "--periods", "9", what, "-", "--format", form]
    reading, writing = os.pipe()
    os.close(reading)
    left = meterledger(tmp_path, arguments, stdout=writing)
    os.close(writing)
    assert left.returncode == ExitCode.NEEDS_A_PERSON, left.stderr
    full = meterledger(tmp_path, arguments, ">/dev/full")
    assert full.returncode == ExitCode.USAGE
    assert b"standard output cannot be written" in full.stderr
