"""`meterledger import` as people and cron run it: exit codes, messages and the JSON that others rely on."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from meterledger.cli.main import run
from support.commands import OF_OUR_OWN, Ended
from support.importing import CONFIG, HEADER, Importing, row

COUNTS = {"rows_read", "accepted", "duplicates", "conflicts", "rejected"}


class Shop(Importing):
    """A folder with a config and a ledger, in which commands run: in this process, or as one of their own."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        super().__init__(folder)
        self._capsys = capsys
        self._monkeypatch = monkeypatch
        monkeypatch.chdir(folder)
        for name in [name for name in os.environ if name.startswith(OF_OUR_OWN)]:
            monkeypatch.delenv(name)

    def command(self, *arguments: str, environment: dict[str, str] | None = None) -> Ended:
        """Run a command in this process: quicker, and all but the process itself is the same."""
        with self._monkeypatch.context() as patched:
            for name, value in (environment or {}).items():
                patched.setenv(name, value)
            code = run(arguments)
        return _sound(code, *self._capsys.readouterr())

    def process(self, *arguments: str | bytes, stdin: bytes = b"") -> Ended:
        """Run a command as a process of its own."""
        ended = subprocess.run(
            [sys.executable, "-m", "meterledger", *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONUTF8": "1"},
            input=stdin,
            capture_output=True,
            check=False,
            timeout=60,
        )
        return _sound(ended.returncode, ended.stdout.decode(), ended.stderr.decode())

    def json(self, *arguments: str) -> tuple[int, Any]:
        """Run an import with JSON output, and return its exit code and document."""
        ended = self.command("import", "--format", "json", *arguments)
        return ended.code, ended.document


def _sound(code: int, out: str, err: str) -> Ended:
    """Whatever happens, a command ends without a traceback, and with no words of a bug."""
    assert "Traceback" not in out + err, err
    assert "this is a bug" not in out + err, err
    return Ended(code=code, out=out, err=err)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shop:
    """Return a folder with a config and an empty ledger."""
    return Shop(tmp_path, monkeypatch, capsys)


def test_a_clean_import_ends_with_0(shop: Shop) -> None:
    """Everything accepted is exit code 0: results on stdout, words on stderr, and none with --quiet."""
    shop.write("usage.csv", row("r1"), row("r2"))
    ended = shop.process("import", "usage.csv")
    again = shop.process("--quiet", "import", "--again", "usage.csv")

    assert (ended.code, again.code) == (0, 0)
    assert "usage.csv" in ended.out
    assert "meterledger preview" in ended.err
    assert again.err == ""
    assert "\x1b" not in ended.out + ended.err


def test_the_document_has_the_keys_that_others_rely_on(shop: Shop) -> None:
    """JSON is one document with the counts, the rejections and each import, under a versioned schema."""
    shop.write("usage.csv", row("r1"), row("r1"), row("r1", "2"), row("r2", "n/a"))
    code, document = shop.json("usage.csv")

    assert code == 1
    assert document["schema"] == "meterledger.import/1"
    assert {name: document[name] for name in COUNTS} == {
        "rows_read": 4,
        "accepted": 1,
        "duplicates": 1,
        "conflicts": 1,
        "rejected": 1,
    }
    assert document["committed"] is True
    (rejection,) = document["rejections"]
    assert {name: rejection[name] for name in ("file", "line", "reason")} == {
        "file": "usage.csv",
        "line": 5,
        "reason": "invalid_quantity",
    }
    assert "'n/a'" in rejection["message"]
    (one,) = document["imports"]
    assert one.keys() >= {"id", "file", "sha256", "skipped", "complete"} | COUNTS
    assert (one["id"], one["file"], one["skipped"], one["complete"]) == (1, "usage.csv", False, True)


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ((row("r1"), row("r1")), 0),
        ((row("r1"), row("r1", "2")), 1),
        ((row("r1"), row("r2", "n/a")), 1),
        ((), 0),
    ],
    ids=["duplicate", "conflict", "rejection", "header alone"],
)
def test_only_what_was_refused_needs_a_person(shop: Shop, rows: Sequence[str], code: int) -> None:
    """Rejections and conflicts of this run are exit code 1; duplicates and quiet hours are none."""
    shop.write("usage.csv", *rows)

    assert code == shop.command("import", "usage.csv").code


def test_a_missing_file_stops_no_other(shop: Shop) -> None:
    """A file that is not there is exit code 3 even beside a rejection, and the others are imported."""
    shop.write("usage.csv", row("r1"), row("r2", "n/a"))
    ended = shop.process("import", "none.csv", "usage.csv", "--format", "json")
    document = ended.document

    assert ended.code == 3
    assert "Error: none.csv does not exist" in ended.err
    assert document["schema"] == "meterledger.error/1"
    assert (document["code"], document["message"]) == (3, "none.csv does not exist")
    assert document["hint"]
    assert shop.usage() == [("default", "r1", "cus_1", "1")]
    assert [one["file"] for one in document["imports"]] == ["usage.csv"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"[1]", "array"),
        (b"request_id,customer_id\nr1,cus_1\n", "feature, quantity, event_time"),
    ],
    ids=["empty", "gzip", "array", "columns"],
)
def test_a_file_that_cannot_be_read_ends_with_3(shop: Shop, content: bytes, words: str) -> None:
    """An empty file, another format and a missing column are exit code 3, said on stderr."""
    shop.write_bytes("usage.csv", content)
    ended = shop.command("import", "usage.csv")

    assert ended.code == 3
    assert "Error: usage.csv" in ended.err
    assert words in ended.err
    assert ended.out == ""


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ('[meters.api]\nfeatures = ["a"]\nagregation = "sum"\n', "did you mean aggregation?"),
        ("[meter.api]\n", "did you mean meters?"),
        ("[ledger\n", "line 1"),
        ("[invoicing]\ngrace_period = 'soon'\n", "meterledger.toml:2: invoicing.grace_period"),
    ],
)
def test_a_wrong_config_ends_with_2(shop: Shop, config: str, words: str) -> None:
    """A mistake in the config is exit code 2, with its place and the closest right name."""
    shop.write("usage.csv", row("r1"))
    (shop.folder / "meterledger.toml").write_text(config)
    ended = shop.command("import", "usage.csv")

    assert ended.code == 2
    assert words in ended.err
    assert shop.usage() == []


def test_a_ledger_that_is_missing_ends_with_4(shop: Shop) -> None:
    """Only init makes a ledger: import on a missing one is exit code 4, and none is made."""
    shop.write("usage.csv", row("r1"))
    shop.ledger_path.unlink()
    ended = shop.process("import", "usage.csv")

    assert ended.code == 4
    assert "does not exist" in ended.err
    assert "meterledger init" in ended.err
    assert not shop.ledger_path.exists()


@pytest.mark.parametrize("name", ["notes.db", ".", "x" * 300], ids=["text", "folder", "long"])
def test_a_ledger_that_is_none_ends_with_4(shop: Shop, name: str) -> None:
    """Text, a folder or a name no file can have in the ledger's place are exit code 4."""
    (shop.folder / "notes.db").write_text("nothing like a database\n" * 50)
    shop.write("usage.csv", row("r1"))
    ended = shop.command("--ledger", name, "import", "usage.csv")

    assert ended.code == 4
    assert (shop.folder / "notes.db").read_text() == "nothing like a database\n" * 50


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("import", "none.csv"), 3),
        (("--ledger", "none.db", "import", "usage.csv"), 4),
        (("--config", "none.toml", "import", "usage.csv"), 2),
        (("import", "usage.csv", "--source", "gatewaay"), 2),
        (("import", "usage.csv", "--no-such-option"), 2),
        (("import",), 2),
        (("import", "usage.csv", "--input-format", "xml"), 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_every_error_is_a_document_too(shop: Shop, arguments: tuple[str, ...], code: int) -> None:
    """With --format json an exit code of 2 and above comes with one error document on stdout."""
    shop.write("usage.csv", row("r1"))
    ended = shop.command(*arguments, "--format", "json")

    assert ended.code == code
    assert ended.document["schema"] == "meterledger.error/1"
    assert ended.document["code"] == code
    assert ended.document["message"]
    assert isinstance(ended.document["hint"], str)


def test_a_misspelt_source_is_refused(shop: Shop) -> None:
    """A source that is nearly one of the config would bill everything twice: the right name is asked for."""
    shop.write("usage.csv", row("r1"))
    ended = shop.command("import", "--source", "gatewya", "usage.csv")

    assert ended.code == 2
    assert "did you mean gateway?" in ended.err
    assert shop.usage() == []


def test_strict_and_dry_run_keep_nothing(shop: Shop) -> None:
    """--strict with a refused row and --dry-run report the counts, say so, and leave the ledger empty."""
    shop.write("usage.csv", row("r1"), row("r2", "n/a"))
    strict_code, strict = shop.json("--strict", "usage.csv")
    dry_code, dry = shop.json("--dry-run", "usage.csv")

    assert (strict_code, dry_code) == (1, 1)
    assert (strict["committed"], dry["committed"]) == (False, False)
    assert (strict["rejected"], dry["accepted"]) == (1, 1)
    assert [one["id"] for one in strict["imports"] + dry["imports"]] == [None, None]
    assert shop.usage() == []


def test_standard_input_is_read(shop: Shop) -> None:
    """A pipe is imported like a file, and an empty one is an error."""
    content = f"{HEADER}\n{row('r1')}\n".encode()
    piped = shop.process("import", "-", "--format", "json", stdin=content)
    empty = shop.process("import", "-")

    assert piped.code == 0
    assert piped.document["imports"][0]["file"] == "-"
    assert empty.code == 3
    assert "- is empty" in empty.err


def test_a_file_imported_before_says_so(shop: Shop) -> None:
    """A skipped file is marked, its counts are those of a full read, and the exit code is 0."""
    shop.write("usage.csv", row("r1"))
    shop.json("usage.csv")
    code, document = shop.json("usage.csv")

    assert code == 0
    assert document["imports"][0]["skipped"] is True
    assert (document["rows_read"], document["accepted"], document["duplicates"]) == (1, 0, 1)


def test_hostile_text_reaches_no_terminal(shop: Shop) -> None:
    """Control characters and markup of a file come out escaped, in tables and in errors."""
    shop.write("[red]usage.csv", row("\x1b[2Jr1", "\x1b]0;owned\x07"), row("r2", event_time="[bold]1[/bold]"))
    ended = shop.command("import", "[red]usage.csv", environment={"FORCE_COLOR": ""})

    assert ended.code == 1
    assert not {"\x1b", "\x07"} & set(ended.out + ended.err)
    assert "[red]usage.csv" in ended.out
    assert "[bold]1[/bold]" in ended.out
    assert r"\x1b]0;owned\x07" in ended.out.replace("\n", "")


def test_a_file_name_in_another_encoding_is_no_hindrance(shop: Shop) -> None:
    """A name that is no UTF-8 is imported and printed in a form that JSON can hold."""
    Path(shop.write("usage.csv", row("r1"))).rename(shop.folder / os.fsdecode(b"us\xe4ge.csv"))
    ended = shop.process("import", b"us\xe4ge.csv", "--format", "json")

    assert ended.code == 0
    assert "ge.csv" in ended.document["imports"][0]["file"]


def test_the_environment_names_config_and_ledger(
    shop: Shop, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """METERLEDGER_CONFIG and METERLEDGER_LEDGER stand in for their options, and options are stronger."""
    other = Importing(tmp_path_factory.mktemp("other"), CONFIG)
    shop.write("usage.csv", row("r1"))
    environment = {
        "METERLEDGER_CONFIG": str(other.folder / "meterledger.toml"),
        "METERLEDGER_LEDGER": str(other.ledger_path),
    }
    elsewhere = shop.command("import", "usage.csv", environment=environment)
    here = shop.command("--ledger", str(shop.ledger_path), "import", "usage.csv", environment=environment)

    assert (elsewhere.code, here.code) == (0, 0)
    assert len(other.usage()) == len(shop.usage()) == 1


def test_csv_output_is_safe_for_spreadsheets(shop: Shop) -> None:
    """A file name that a spreadsheet would run as a formula gets a quote in front."""
    shop.write("=1+1.csv", row("r1"))
    ended = shop.command("import", "=1+1.csv", "--format", "csv")

    assert ended.code == 0
    assert ended.out.splitlines()[1].startswith("1,'=1+1.csv,")


def test_patterns_folders_and_delimiters_are_taken(shop: Shop) -> None:
    """One command reads a folder and a pattern in any delimiter; what is left out is said."""
    (shop.folder / "logs").mkdir()
    content = f"{HEADER}\n{row('r1')}\n".replace(",", ";").encode()
    shop.write_bytes("logs/one.csv", content)
    shop.write_bytes("logs/notes.txt", b"x")
    shop.write_bytes("two.csv", content.replace(b"r1", b"r2"))
    ended = shop.command("import", "logs", "t*.csv", "--delimiter", "semicolon")

    assert ended.code == 0
    assert "left out of folders, because their names tell no format: 1." in ended.err
    assert [key for _, key, _, _ in shop.usage()] == ["r1", "r2"]


def test_a_name_that_stands_for_nothing_ends_with_3_and_the_others_go_on(shop: Shop) -> None:
    """A pattern without a match is an input error; the other files of the command are imported."""
    shop.write("usage.csv", row("r1"))
    ended = shop.command("import", "*.tsv", "usage.csv")

    assert ended.code == 3
    assert "*.tsv matches no file" in ended.err
    assert len(shop.usage()) == 1


def test_what_is_no_delimiter_ends_with_2(shop: Shop) -> None:
    """A delimiter of two characters is wrong usage."""
    shop.write("usage.csv", row("r1"))

    assert shop.command("import", "usage.csv", "--delimiter", "||").code == 2
