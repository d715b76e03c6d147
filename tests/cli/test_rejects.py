"""`meterledger rejects` as people and scripts run it: filters, files, JSON and exit codes."""

from pathlib import Path

import pytest

from meterledger.cli.output import harmless
from support.commands import Workshop
from support.importing import HEADER, row
from support.mending import BUILDS


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Workshop:
    """Return a folder whose ledger has the rejections 1 and 2, and the conflict 3."""
    shop = Workshop(tmp_path, monkeypatch, capsys)
    shop.write("a.csv", row("r0"), row("r1", "n/a"), row("r2", feature="builds"), row("r0", "2"))
    shop.run("a.csv")
    return shop


def ids(shop: Workshop, *filters: str) -> list[int]:
    """Return what a list with filters has."""
    ended = shop.command("rejects", "list", "--format", "json", *filters)
    assert ended.code == 0
    assert ended.document["schema"] == "meterledger.rejects.list/1"
    return [one["id"] for one in ended.document["rejects"]]


def test_the_list_has_what_others_rely_on(shop: Workshop) -> None:
    """Id, kind, place, reason, message, text and differences of each row, as the contract has them."""
    rejection, _, conflict = shop.command("rejects", "list", "--format", "json").document["rejects"]

    assert (rejection["id"], rejection["kind"], rejection["file"], rejection["line"]) == (
        1, "rejection", "a.csv", 3,
    )  # fmt: skip
    assert (rejection["reason"], rejection["raw"]) == ("invalid_quantity", row("r1", "n/a"))
    assert rejection["message"].startswith("quantity 'n/a'")
    assert conflict["differences"] == [{"field": "quantity", "stored": "1", "given": "2"}]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ("", [1, 2, 3]),
        ("--kind rejection", [1, 2]),
        ("--reason invalid_quantity --reason conflict", [1, 3]),
        ("--source default", [1, 2, 3]),
        ("--source gateway", []),
        ("--import 1", [1, 2, 3]),
        ("--import 2", []),
        ("--file a.csv", [1, 2, 3]),
        ("--file a.*", [1, 2, 3]),
        ("--file b.*", []),
        ("--customer cus_1 --feature builds", [2]),
        ("--since 2026-10-31T12:00:00Z", [1, 2, 3]),
        ("--until 2026-10-31T12:00:00Z", []),
        ("--limit 2", [1, 2]),
    ],
)
def test_filters_of_the_list(shop: Workshop, filters: str, expected: list[int]) -> None:
    """Each filter takes what it says; several take what all of them take."""
    assert ids(shop, *filters.split()) == expected


def test_an_unknown_reason_names_the_closest(shop: Workshop) -> None:
    """A misspelt code would find nothing, and that would look as if all were well."""
    ended = shop.command("rejects", "list", "--reason", "unknown_featur")

    assert ended.code == 2
    assert "did you mean unknown_feature?" in ended.err


def test_a_table_says_how_many_there_are(shop: Workshop) -> None:
    """Who sees a part of a list is told so."""
    ended = shop.command("rejects", "list", "--limit", "1")

    assert "r1" in ended.out
    assert "r2" not in ended.out
    assert "The first 1 of 3 are shown" in ended.err


def test_an_export_goes_to_a_private_file_and_back(shop: Workshop) -> None:
    """The file is its owner's alone, is not overwritten unasked, and closes what was mended in it."""
    path = shop.folder / "e.csv"
    first = shop.command("rejects", "export", "--output", "e.csv")
    mode = path.stat().st_mode & 0o777
    second = shop.command("rejects", "export", "--output", "e.csv")
    forced = shop.command("rejects", "export", "--output", "e.csv", "--force", "--reason", "invalid_quantity")
    path.write_text(path.read_text().replace(",n/a,", ",3,"))
    imported = shop.command("import", "e.csv", "--format", "json")

    assert (first.code, second.code, forced.code) == (0, 2, 0)
    assert mode == 0o600
    assert "e.csv exists" in second.err
    assert imported.document["accepted"] == 1
    assert ids(shop) == [2, 3]
    assert sorted(one.name for one in shop.folder.iterdir() if one.name.startswith(".rejects")) == []


@pytest.mark.parametrize("output", [(), ("--output", "-"), ("-o", "-", "--force")], ids=str)
def test_an_export_goes_to_standard_output(shop: Workshop, output: tuple[str, ...]) -> None:
    """Data is on stdout, words are on stderr, and no file is called like a dash."""
    ended = shop.command("rejects", "export", "--kind", "conflict", *output)

    assert ended.out.splitlines()[0].endswith(HEADER)
    assert ended.out.splitlines()[1].endswith(row("r0", "2"))
    assert "1 refused row written." in ended.err
    assert "import --source" in ended.err
    assert "FILE" in ended.err
    assert not (shop.folder / "-").exists()


def test_an_export_of_nothing_leaves_no_file(shop: Workshop) -> None:
    """A script sees by the exit code that there was nothing to export."""
    ended = shop.command("rejects", "export", "--output", "e.csv", "--source", "gateway")

    assert ended.code == 2
    assert not (shop.folder / "e.csv").exists()


def test_retry_ends_with_1_while_rows_are_refused(shop: Workshop) -> None:
    """Cron finds out whether a person is needed."""
    shop.configure(BUILDS)
    first = shop.command("rejects", "retry", "--format", "json")
    last = shop.command("rejects", "retry", "2", "--format", "json")
    none = shop.command("rejects", "retry", "--feature", "builds")

    assert first.code == 1
    assert first.document["schema"] == "meterledger.rejects.retry/1"
    assert (first.document["accepted"], first.document["rejected"], first.document["closed"]) == (1, 1, 1)
    assert [one["id"] for one in first.document["still_refused"]] == [1]
    assert last.document["not_read"] == [{"ids": [2], "because": "it is closed already, as accepted"}]
    assert (none.code, none.err) == (0, "No refused row is open, of those asked for.\n")


@pytest.mark.parametrize(
    "arguments",
    [
        "show 9",
        "retry 9",
        "export 9",
        "dismiss 9 --note x",
        "keep 9 --note x",
        "accept-as-new 9 --request-id x",
        "retry 1 --feature builds",
        "dismiss --note x",
        "dismiss --kind conflict --yes --note x",
        "dismiss 1 --note",
    ],
)
def test_what_is_wrong_ends_with_2_and_changes_nothing(shop: Workshop, arguments: str) -> None:
    """Unknown ids, ids together with filters, and filters without --yes are refused."""
    before = shop.dump()
    ended = shop.command("rejects", *arguments.split())

    assert ended.code == 2
    assert before == shop.dump()


def test_dismiss_by_filters_needs_yes(shop: Workshop) -> None:
    """With --yes all that match are closed, conflicts never."""
    ended = shop.command("rejects", "dismiss", "--yes", "--note", "old test data", "--format", "json")

    assert ended.code == 0
    assert [(one["id"], one["closed_note"]) for one in ended.document["rejects"]] == [
        (1, "old test data"),
        (2, "old test data"),
    ]
    assert ids(shop) == [3]
    assert ids(shop, "--all") == [1, 2, 3]


def test_a_dismissed_row_is_exported_with_all(shop: Workshop) -> None:
    """What was closed can still be got out."""
    shop.command("rejects", "dismiss", "1", "--note", "x")

    assert len(shop.command("rejects", "export").out.splitlines()) == 2
    assert len(shop.command("rejects", "export", "--all").out.splitlines()) == 3


def test_a_conflict_is_shown_field_by_field(shop: Workshop) -> None:
    """What is stored and what is given stand side by side, with where and how both stand."""
    ended = shop.command("rejects", "show", "3", "--format", "json")
    table = " ".join(shop.command("rejects", "show", "3").out.split())

    assert ended.document["schema"] == "meterledger.rejects.show/1"
    assert (ended.document["stored"]["line"], ended.document["stored"]["state"]) == (2, "unsealed")
    assert "quantity 1 2 where a.csv:2 a.csv:5 state unsealed open" in table


def test_a_rejection_is_shown_with_its_text(shop: Workshop) -> None:
    """The text comes out harmless, whatever it holds."""
    hostile = row("r7", "n/a", customer_id="\x1b[31m")
    shop.write("b.csv", hostile)
    shop.run("b.csv")
    ended = shop.command("rejects", "show", "4")

    assert "\x1b" not in ended.out
    assert harmless(hostile) in ended.out
    assert "invalid_quantity" in ended.out


def test_a_conflict_is_kept_or_accepted_as_new(shop: Workshop) -> None:
    """Either way the audit has no open conflict any more; the second way warns that it bills in addition."""
    shop.write("b.csv", row("r0", "3"))
    shop.run("b.csv")
    kept = shop.command("rejects", "keep", "3", "--note", "the first one is right", "--format", "json")
    arguments = ("rejects", "accept-as-new", "4", "--request-id", "r0-late", "--format", "json")
    dry = shop.command(*arguments, "--dry-run")
    accepted = shop.command(*arguments)
    audit = shop.command("audit", "--format", "json", "--as-of", "2100-01-01T00:00:00Z")

    assert kept.document["rejects"][0]["closed_as"] == "dismissed"
    assert not dry.document["committed"]
    assert accepted.document["usage_event"]["quantity"] == "3"
    assert (accepted.document["usage_event"]["file"], accepted.document["usage_event"]["line"]) == (
        "b.csv",
        2,
    )
    assert "billed in addition" in accepted.err
    assert "open_rejections" in [one["code"] for one in audit.document["findings"]]
    assert "open_conflicts" not in [one["code"] for one in audit.document["findings"]]
