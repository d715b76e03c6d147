"""`meterledger sources` and `--preset` as people run them."""

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from meterledger.cli.main import run
from support.importing import CONFIG, row

SOURCES = (
    CONFIG
    + """
[sources.wide]
time_zone = "UTC"
[sources.wide.quantities]
api_calls = "calls"
egress_gb = "bytes"
[sources.wide.scale]
egress_gb = { divide_by = 1000000000 }
"""
)
WIDE = (
    "request_id,customer_id,event_time,calls,bytes,region\n"
    "r1,cus_1,2026-10-31 12:00:00,5,1500000000,eu\n"
    "r2,=cmd,2026-10-31 12:00:00,1,7,\n"
)
KEYS = [
    "line", "request_id", "customer_id", "subscription_id", "feature", "quantity", "event_time",
    "received_at", "dimensions", "reason", "message",
]  # fmt: skip


class Desk:
    """A folder with a config and files, without a ledger; commands run in this process."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys
        (folder / "meterledger.toml").write_text(SOURCES)
        (folder / "wide.csv").write_text(WIDE)

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run a command, and return its exit code and what it printed."""
        code = run(arguments)
        out, err = self._capsys.readouterr()
        assert "this is a bug" not in err, err
        return code, out, err

    def json(self, *arguments: str) -> Any:
        """Run a command that prints JSON and ends well."""
        code, out, _ = self.run(*arguments, "--format", "json")
        assert code == 0
        return json.loads(out)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    """Return a desk in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("METERLEDGER_", "COLUMNS"))]:
        monkeypatch.delenv(name)
    return Desk(tmp_path, capsys)


def test_try_shows_the_first_rows_mapped_and_writes_nothing(desk: Desk) -> None:
    """Each row has its line and canonical fields, or its reason and message; no ledger is needed or made."""
    document = desk.json("sources", "try", "wide.csv", "--source", "wide")

    assert document["schema"] == "meterledger.sources.try/1"
    assert [list(one) for one in document["rows"]] == [KEYS] * 4
    assert document["rows"][1] == {
        "line": 2,
        "request_id": "r1:egress_gb",
        "customer_id": "cus_1",
        "subscription_id": None,
        "feature": "egress_gb",
        "quantity": "1.5",
        "event_time": "2026-10-31T12:00:00Z",
        "received_at": None,
        "dimensions": {"region": "eu"},
        "reason": None,
        "message": None,
    }
    assert [one["reason"] for one in document["rows"]] == [None, None, None, "too_precise"]
    assert not (desk.folder / "meterledger.db").exists()


def test_try_shows_as_many_rows_as_asked_for(desk: Desk) -> None:
    """--rows bounds what is shown."""
    assert len(desk.json("sources", "try", "wide.csv", "--source", "wide", "--rows", "3")["rows"]) == 3
    assert desk.run("sources", "try", "wide.csv", "--rows", "0")[0] == 2


def test_try_as_a_table_and_as_csv_shows_values_and_refusals(desk: Desk) -> None:
    """A person sees what each row becomes and why not; a spreadsheet gets no formula from a file."""
    code, out, err = desk.run("sources", "try", "wide.csv", "--source", "wide")
    assert code == 0
    assert all(text in out for text in ("r1:egress_gb", "1.5", "region=eu", "too_precise", "Refused rows"))
    assert "4 rows, 1 refused; nothing was written." in err

    code, out, _ = desk.run("sources", "try", "wide.csv", "--source", "wide", "--format", "csv")
    header, *rows = csv.reader(io.StringIO(out))
    assert (code, header) == (0, KEYS)
    assert rows[1][KEYS.index("dimensions")] == '{"region": "eu"}'
    assert rows[2][KEYS.index("customer_id")] == "'=cmd"


def test_try_ends_as_import_would_where_a_file_cannot_be_read(desk: Desk) -> None:
    """A missing file, a missing column and a misspelt source have the exit codes of import."""
    (desk.folder / "other.csv").write_text("a,b\n1,2\n")

    assert desk.run("sources", "try", "nothing.csv")[0] == 3
    code, _, err = desk.run("sources", "try", "other.csv", "--source", "wide")
    assert (code, "lacks the required columns" in err) == (3, True)
    assert desk.run("sources", "try", "wide.csv", "--source", "wid")[0] == 2
    assert desk.run("sources", "try", "wide.csv", "--preset", "cloud")[0] == 2


def test_try_reads_with_the_delimiter_of_the_source_or_the_option(desk: Desk) -> None:
    """A file that a source or an option says how to cut is cut so, as import does."""
    (desk.folder / "semi.txt").write_text(WIDE.replace(",", ";"))
    config = desk.folder / "meterledger.toml"

    assert desk.run("sources", "try", "semi.txt", "--source", "wide")[0] == 3
    arguments = ("sources", "try", "semi.txt", "--source", "wide")
    assert len(desk.json(*arguments, "--delimiter", "semicolon")["rows"]) == 4
    config.write_text(SOURCES.replace("[sources.wide]", '[sources.wide]\ndelimiter = ";"'))
    assert len(desk.json(*arguments)["rows"]) == 4


def test_try_of_a_file_without_rows_says_so(desk: Desk) -> None:
    """A header alone is no mistake, and no rows."""
    (desk.folder / "empty.csv").write_text(WIDE.splitlines()[0] + "\n")

    assert "Warning: empty.csv has no rows." in desk.run("sources", "try", "empty.csv", "--source", "wide")[2]


def test_list_shows_every_source_and_what_it_declares(desk: Desk) -> None:
    """The list is the config's order, with the usage key that holds, wide rows included."""
    document = desk.json("sources", "list")

    assert [one["name"] for one in document["sources"]] == ["gateway", "logs", "wide"]
    assert document["sources"][2]["usage_key"] == ["request_id", "feature"]
    assert document["sources"][2]["scale"] == {"egress_gb": {"divide_by": "1000000000"}}
    table = desk.run("sources", "list")[1]
    assert all(text in table for text in ("canonical columns", "egress_gb = divide_by 1000000000"))
    _, text, _ = desk.run("sources", "list", "--format", "csv")
    assert [name for name, _ in csv.reader(io.StringIO(text))] == ["name", "gateway", "logs", "wide"]


def test_list_without_sources_says_what_holds_then(desk: Desk) -> None:
    """No source in the config is no mistake."""
    (desk.folder / "meterledger.toml").write_text("")

    code, _, err = desk.run("sources", "list")
    assert (code, "no sources" in err) == (0, True)


def test_import_by_preset_is_stored_under_the_presets_name(desk: Desk) -> None:
    """--preset needs no config of its own; --source gives the usage another name."""
    event = (
        '{"transaction_id":"t1","external_subscription_id":"cus_1","code":"api_calls","timestamp":1793347200,'
        '"properties":{"value":5}}\n'
    )
    (desk.folder / "lago.jsonl").write_text(event)
    desk.run("init")

    assert desk.json("import", "lago.jsonl", "--preset", "lago")["accepted"] == 1
    assert desk.json("import", "lago.jsonl", "--preset", "lago")["imports"][0]["skipped"]
    assert desk.json("import", "lago.jsonl", "--preset", "lago", "--source", "mine")["accepted"] == 1
    listed = desk.json("imports", "list")["imports"]
    assert [one["source"] for one in listed] == ["lago", "mine"]


@pytest.mark.parametrize("name", ["", " x", "a\nb", "x" * 101])
def test_import_refuses_a_source_name_that_cannot_be_shown(desk: Desk, name: str) -> None:
    """A name that would not survive a report is refused before the file is read."""
    (desk.folder / "usage.csv").write_text(
        "request_id,customer_id,feature,quantity,event_time\n" + row("r1") + "\n"
    )
    desk.run("init")

    assert desk.run("import", "usage.csv", "--source", name)[0] == 2
