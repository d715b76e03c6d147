"""What `meterledger import` says to people, and when it asks for one."""

from pathlib import Path
from typing import Any

import pytest

from support.commands import Workshop
from support.importing import row


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Workshop:
    """Return a folder with a config and an empty ledger."""
    return Workshop(tmp_path, monkeypatch, capsys)


def _json(shop: Workshop, *arguments: str) -> tuple[int, Any]:
    """Run an import with JSON output, and return its exit code and document."""
    ended = shop.command("import", "--format", "json", *arguments)
    return ended.code, ended.document


def test_a_refusal_that_was_settled_asks_for_nobody(shop: Workshop) -> None:
    """Kept and dismissed rows that come again are counted, called settled, and are no exit code 1."""
    shop.write("usage.csv", row("r1"), row("r1", "2"), row("r2", "n/a"))
    first, document = _json(shop, "usage.csv")
    shop.command("rejects", "keep", "2", "--note", "x")
    half, open_still = _json(shop, "--again", "usage.csv")
    shop.command("rejects", "dismiss", "1", "--note", "x")
    again = shop.command("import", "--again", "usage.csv")
    skipped = shop.command("import", "usage.csv")
    dry, tried = _json(shop, "--again", "--dry-run", "usage.csv")
    shop.write("more.csv", row("r1", "3"))

    assert (first, half, again.code, skipped.code, dry) == (1, 1, 0, 0, 0)
    assert [one["settled"] for one in (document, open_still, tried)] == [0, 1, 2]
    assert (tried["conflicts"], tried["rejected"]) == (1, 1)
    for ended in (again, skipped):
        assert "2 refused rows were settled before." in ended.err
        assert "rejects list" not in ended.err
    assert shop.command("import", "usage.csv", "more.csv").code == 1
    assert shop.command("import", "--again", "--strict", "usage.csv").code == 1


def test_a_file_without_rows_is_warned_of_by_name(shop: Workshop) -> None:
    """A header alone ends with 0, and with a warning, also among other files and where it is skipped."""
    shop.write("empty.csv")
    shop.write("usage.csv", row("r1"))
    first = shop.command("--quiet", "import", "usage.csv", "empty.csv")
    code, document = _json(shop, "empty.csv")

    assert (first.code, code) == (0, 0)
    assert first.err == "Warning: empty.csv has no rows\n"
    assert document["warnings"] == ["empty.csv has no rows"]


def test_tables_have_no_column_without_a_heading_or_content(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 80 columns a skipped file and a list of imports are tables still."""
    monkeypatch.setenv("COLUMNS", "80")
    shop.write("usage.csv", row("r1"), row("r2", "n/a"))
    shop.command("import", "usage.csv")
    shop.command("rejects", "dismiss", "1", "--note", "x")
    skipped = shop.command("import", "usage.csv")
    listed = shop.command("imports", "list")
    rejects = shop.command("rejects", "list", "--all")

    assert skipped.out.splitlines()[0].split()[-1] == "note"
    assert listed.out.splitlines()[0].split() == [
        "id",
        "source",
        "file",
        "started",
        "rows",
        "accepted",
        "rejected",
    ]
    assert "Next" not in rejects.err


def test_a_source_that_the_config_lacks_is_said_once(shop: Workshop) -> None:
    """A name near nothing may be meant: how the file is read is said; not so for default."""
    shop.write("usage.csv", row("r1"))
    said = "The source nope is not in the config: its files are read by the canonical columns.\n"

    assert said in shop.command("import", "--source", "nope", "usage.csv").err
    assert said in shop.command("sources", "try", "--source", "nope", "usage.csv").err
    for arguments in (("--source", "default"), ("--source", "gateway"), ()):
        assert "not in the config" not in shop.command("sources", "try", *arguments, "usage.csv").err


@pytest.mark.parametrize(
    ("preset", "words"), [("lagoo", "did you mean lago?"), ("x", "there are cloudevents, lago, stripe-bulk")]
)
def test_a_misspelt_preset_is_asked_for_by_its_name(shop: Workshop, preset: str, words: str) -> None:
    """On the command line and in the config, with exit code 2 and in our own words."""
    ended = shop.command("sources", "try", "--preset", preset, "usage.csv")

    assert ended.code == 2
    assert words in ended.err
    assert "Value error" not in ended.err


def test_a_misspelt_choice_in_the_config_is_asked_for_by_its_name(shop: Workshop) -> None:
    """A text that is none of a few gets the nearest of them, else all of them."""
    config = shop.folder / "meterledger.toml"
    config.write_text("[sources.x]\npreset = 'lagoo'\n")
    assert "did you mean lago?" in shop.command("sources", "list").err
    config.write_text("[meters.x]\nfeatures = ['a']\naggregation = 'zzz'\n")
    assert "known here: sum, count, last" in shop.command("sources", "list").err


def test_a_file_that_never_came_is_said_once(shop: Workshop) -> None:
    """A run that waits for nothing says of a missing file what is wrong with it, and no more."""
    ended = shop.command("import", "--follow", "missing.csv", "--until-idle", "0s")

    assert ended.code == 3
    assert ended.err == "Error: missing.csv does not exist\n  check the path\n"


def test_a_quiet_init_says_nothing(shop: Workshop) -> None:
    """With --quiet there is nothing to say where all went well; JSON is a result, and stays."""
    ended = shop.command("--quiet", "init")

    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert shop.command("--quiet", "init", "--format", "json").document["ledger"]


def test_one_is_one(shop: Workshop) -> None:
    """One row, time or field is not many."""
    shop.write("usage.csv", row("r1", "x"))
    shop.command("import", "usage.csv")
    shop.write("short.csv", "r1")

    assert "seen        1 time, first at" in shop.command("rejects", "show", "1").out
    assert "1 refused row written" in shop.command("rejects", "export", "--output", "out.csv").err
    assert "1 refused row is closed" in shop.command("rejects", "dismiss", "1", "--note", "x").err
    assert "it has 1 field, the header has 8" in shop.command("sources", "try", "short.csv").out
