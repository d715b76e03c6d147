"""`imports show`, `imports void` and `write-off` as commands, and what import says of known files."""

import io
import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from meterledger.cli.main import run
from support.importing import Importing, row
from support.simulator_process import SimulatorProcess

NOW = "2026-11-01T00:00:00Z"


class Shop(Importing):
    """A folder in which commands run."""

    capsys: pytest.CaptureFixture[str]

    def command(self, *arguments: str) -> tuple[int, str, str]:
        """Run a command, and return its exit code, stdout and stderr."""
        code = run(arguments)
        out, err = self.capsys.readouterr()
        assert "this is a bug" not in err, err
        return code, out, err

    def json(self, *arguments: str) -> tuple[int, Any]:
        """Run a command with JSON output."""
        code, out, _ = self.command(*arguments, "--format", "json")
        return code, json.loads(out)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shop:
    """Return a folder with a config, an empty ledger, and a file of a good and a blocked row."""
    shop = Shop(tmp_path)
    shop.capsys = capsys
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    for name in [name for name in os.environ if name.startswith(("METERLEDGER_", "STRIPE_", "COLUMNS"))]:
        monkeypatch.delenv(name)
    shop.write("a.csv", row("r1"), row("r2", "2", customer_id="acme"))
    return shop


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        """Say that a person sits there."""
        return True


def test_a_known_file_is_said_at_once(shop: Shop) -> None:
    """Which import, when, and how it is read again; --quiet says nothing."""
    shop.command("import", "a.csv")
    _, _, err = shop.command("import", "a.csv")
    quiet = shop.command("--quiet", "import", "a.csv")

    assert "a.csv is in the ledger by import 1 of 20" in err
    assert "--again" in err
    assert quiet[2] == ""


def test_known_content_under_another_source_is_warned_of(shop: Shop) -> None:
    """It would be billed twice: a warning on stderr and in JSON; --strict refuses with exit code 2."""
    shop.command("import", "a.csv")
    code, document = shop.json("import", "--strict", "--source", "gateway", "a.csv")
    assert (code, document["schema"], document["committed"]) == (2, "meterledger.error/1", False)
    code, document = shop.json("import", "--source", "gateway", "a.csv")
    [warning] = document["warnings"]

    assert (code, document["accepted"]) == (0, 2)
    assert "import 1" in warning
    assert "'gateway'" in warning
    assert (
        "Warning: a.csv has the content"
        in shop.command("import", "--again", "--source", "gateway", "a.csv")[2]
    )


def test_a_contradiction_of_already_billed_ends_with_2(shop: Shop) -> None:
    """What waits to be sent cannot be called billed; the way out is named."""
    shop.command("import", "a.csv")
    code, document = shop.json("import", "--already-billed", "a.csv")

    assert (code, document["code"]) == (2, 2)
    assert "imports void 1" in document["hint"]


def test_an_import_is_shown_whole(shop: Shop) -> None:
    """File, path, how it was read, flags, and what became of its rows."""
    shop.write("b.csv", row("b1"), row("b2", "x"))
    shop.command("import", "--backfill", "--already-billed", "b.csv")
    code, document = shop.json("imports", "show", "1")
    [one] = document["imports"]

    assert (code, document["schema"]) == (0, "meterledger.imports.show/1")
    assert one["path"] == str(shop.folder / "b.csv")
    assert one["mapping"]["name"] == one["source"]
    assert (one["backfill"], one["already_billed"], one["keeps_identifier"]) == (True, True, False)
    assert one["usage_events"] == {"already_billed": 1}
    assert (one["open_rejections"], one["next"]) == (1, "meterledger rejects list")
    for format_ in ("table", "csv"):
        code, out, _ = shop.command("imports", "show", "1", "--format", format_)
        assert code == 0
        assert one["sha256"] in out
    assert shop.command("imports", "show", "9")[0] == 2


def test_the_list_can_be_narrowed(shop: Shop) -> None:
    """By source, and to the latest; the oldest of them first."""
    shop.command("import", "a.csv")
    for name in ("b", "c"):
        shop.command("import", "--source", "gateway", shop.write(f"{name}.csv", row(name)))

    def ids(*arguments: str) -> list[int]:
        return [one["id"] for one in shop.json("imports", "list", *arguments)[1]["imports"]]

    assert ids() == [1, 2, 3]
    assert ids("--source", "gateway") == [2, 3]
    assert ids("--source", "gateway", "--limit", "1") == [3]
    assert ids("--limit", "2") == [2, 3]
    assert "voided" not in shop.command("imports", "list")[1]
    shop.command("imports", "void", "2", "--note", "x")
    assert "voided" in shop.command("imports", "list")[1]


def test_voiding_has_a_document(shop: Shop) -> None:
    """What was taken back in counts, and nothing to correct; a dry run says the same."""
    shop.command("import", "a.csv")
    _, foreseen = shop.json("imports", "void", "1", "--note", "x", "--dry-run")
    code, document = shop.json("imports", "void", "1", "--note", "x")

    assert (code, document["schema"]) == (0, "meterledger.imports.void/1")
    assert (document["voided"], document["corrections"], document["dry_run"]) == (2, [], False)
    assert foreseen == document | {"dry_run": True}
    for format_ in ("table", "csv"):
        assert shop.command("imports", "void", "1", "--note", "x", "--format", format_)[0] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("imports", "void", "1"),
        ("imports", "void", "1", "--note", "  "),
        ("imports", "void", "9", "--note", "x"),
        ("imports", "void", str(2**70), "--note", "x"),
        ("write-off", "r2"),
        ("write-off", "--note", "x"),
        ("write-off", "--note", "x", "--source", "default"),
        ("write-off", "r2", "--note", "x", "--reason", "too_old"),
        ("write-off", "--note", "x", "--reason", "old"),
        ("write-off", "--note", "x", "--before", "yesterday"),
        ("write-off", "nobody", "--note", "x"),
        ("explain", "cus_1", "--limit", str(2**70)),
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(shop: Shop, arguments: tuple[str, ...]) -> None:
    """No note, no such thing, nothing chosen, or two ways to choose: said, and nothing is changed."""
    shop.command("import", "a.csv")
    code, document = shop.json(*arguments)

    assert (code, document["schema"]) == (2, "meterledger.error/1")
    assert shop.query("SELECT COUNT(*) FROM usage_closures") == [(0,)]


def test_writing_off_has_a_document(shop: Shop) -> None:
    """How many, by reason, and the first of them."""
    shop.command("import", "a.csv")
    code, document = shop.json("write-off", "--reason", "unknown_customer", "--note", "closed account")

    assert (code, document["schema"], document["written_off"]) == (0, "meterledger.write-off/1", 1)
    assert document["reasons"] == [{"reason": "unknown_customer", "count": 1}]
    [one] = document["usage_events"]
    assert (one["source"], one["request_id"], one["quantity"]) == ("default", "r2", "2")
    for format_ in ("table", "csv"):
        assert shop.command("write-off", "--customer", "x", "--note", "x", "--format", format_)[0] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("imports", "void", "1", "--note", "x"),
        ("write-off", "--reason", "unknown_customer", "--note", "x"),
    ],
    ids=["void", "write-off"],
)
@pytest.mark.parametrize(("answer", "is_closed"), [("y\n", True), ("n\n", False), ("", False)])
def test_a_person_at_a_terminal_is_asked(
    shop: Shop,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    answer: str,
    is_closed: bool,  # noqa: FBT001
) -> None:
    """What cannot be undone is asked for, with how much it is; --yes does not ask."""
    shop.command("import", "a.csv")
    monkeypatch.setattr("sys.stdin", _Terminal(answer))
    code, _, err = shop.command(*arguments)

    assert code == 0
    assert "for good" in err
    assert ("Nothing was changed" in err) is not is_closed
    assert (shop.query("SELECT COUNT(*) FROM usage_closures") != [(0,)]) is is_closed
    monkeypatch.setattr("sys.stdin", _Terminal(""))
    assert "[y/N]" not in shop.command("imports", "void", "1", "--note", "x", "--yes")[2]


def test_explain_shows_row_and_closure(shop: Shop) -> None:
    """A person reads the row as it stands in the file, and what was said when it was closed."""
    shop.command("import", "a.csv")
    shop.command("write-off", "r2", "--note", "account closed")
    code, out, _ = shop.command("explain", "r2")

    assert code == 0
    assert row("r2", "2", customer_id="acme") in out
    assert "written_off (unknown_customer) since" in out
    assert "account closed" in out


def test_a_simulator_hears_of_nothing_that_is_closed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Adopted, taken back, written off: push sends the one usage event that is none of these."""
    shop.write("void.csv", row("v1"))
    shop.write("adopted.csv", row("o1"))
    with SimulatorProcess(
        "--clock", NOW, "--freeze", "--seed-from", str(shop.folder / "meterledger.toml")
    ) as simulator:
        monkeypatch.setenv("STRIPE_API_BASE", simulator.url)
        monkeypatch.setenv("STRIPE_API_KEY", "sk_test_x")
        monkeypatch.setenv("METERLEDGER_CLOCK", "server")
        shop.command("import", "a.csv", "void.csv")
        shop.command("import", "--already-billed", "adopted.csv")
        shop.command("imports", "void", "2", "--note", "wrong")
        shop.command("write-off", "r2", "--note", "no customer")
        code, document = shop.json("push")
        code_after, voided = shop.json("imports", "void", "1", "--note", "late")

    assert (code, document["accepted"], document["blocked"]) == (0, 1, 0)
    [sent] = voided["corrections"]
    assert (code_after, sent["request_id"], sent["remedy"]) == (1, "r1", "cancel")
    assert sent["cancel_until"] == "2026-11-02T00:00:00Z"
    assert (voided["voided"], voided["written_off"]) == (0, 1)


def test_resolving_what_was_taken_back_warns(shop: Shop) -> None:
    """`not-sent` makes it pending again: that its import was voided is said before a push sends it."""
    shop.command("import", "a.csv")
    in_doubt(shop)
    assert shop.command("imports", "void", "1", "--note", "wrong")[0] == 1
    code, out, err = shop.command("resolve", "x", "--as", "not-sent", "--note", "seen")

    assert (code, out) == (0, "x is pending now\n")
    assert "imports void 1" in err
    assert shop.command("imports", "void", "1", "--note", "wrong")[0] == 0
    assert shop.query("SELECT state, COUNT(*) FROM usage_closures GROUP BY 1") == [("voided", 2)]


def in_doubt(shop: Shop) -> None:
    """Put the first usage event into a meter event in doubt, as a push does by and by."""
    with closing(sqlite3.connect(shop.ledger_path, isolation_level=None)) as connection:
        connection.execute(
            "INSERT INTO meter_events (id, identifier, revision, event_name, stripe_customer_id, timestamp, "
            "payload, quantity, scale, usage_events, event_time, sealed_at, state, state_at, "
            "in_doubt_reason) VALUES (1, 'x', 0, 'api_requests', 'cus_1', 1, '{}', 1, 0, 1, 1, 1, "
            "'in_doubt', 1, 'outcome_unknown')"
        )
        connection.execute(
            "INSERT INTO meter_event_usage (meter_event, usage_event, linked_at) VALUES (1, 1, 1)"
        )
