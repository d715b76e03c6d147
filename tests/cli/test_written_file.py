"""Files that commands write never cost another file that matters."""

import os
import shutil
from pathlib import Path

import pytest

from meterledger.errors import ExitCode
from support.commands import Workshop
from support.importing import CONFIG

WRITERS = [
    ["audit", "--format", "html", "--force", "--output"],
    ["rejects", "export", "--force", "--output"],
]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Workshop:
    """A folder with a config and an empty ledger."""
    return Workshop(tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize("writer", WRITERS, ids=lambda words: words[0])
@pytest.mark.parametrize(
    "name",
    [
        "{ledger}",
        "./{ledger}",
        "sub/../{ledger}",
        "soft.html",
        "hard.html",
        "{ledger}-wal",
        "{ledger}-shm",
        "{ledger}-journal",
        "{ledger}.head",
        "{ledger}-watch",
        "{ledger}-follow-0123",
        "backup.db",
        "meterledger.toml",
        "config.html",
        "pipe",
        "sub",
        "/dev/null",
    ],
)
def test_what_matters_is_not_overwritten_even_by_force(shop: Workshop, writer: list[str], name: str) -> None:
    """A ledger, what stands beside it, the config and what is no file stay, whatever they are called."""
    ledger = shop.ledger_path
    (shop.folder / "meterledger.toml").write_text(CONFIG, encoding="utf-8")
    (shop.folder / "sub").mkdir()
    (shop.folder / "soft.html").symlink_to(ledger.name)
    (shop.folder / "hard.html").hardlink_to(ledger)
    (shop.folder / "config.html").symlink_to("meterledger.toml")
    shutil.copyfile(ledger, shop.folder / "backup.db")
    os.mkfifo(shop.folder / "pipe")
    before = sorted(path.name for path in shop.folder.iterdir())
    content = ledger.read_bytes()
    ended = shop.command(*writer, name.format(ledger=ledger.name))
    assert ended.code == ExitCode.USAGE
    assert "name a" in ended.err
    assert "no refused row" not in ended.err, "it was refused for the wrong reason"
    assert sorted(path.name for path in shop.folder.iterdir()) == before
    assert ledger.read_bytes() == content
    assert (shop.folder / "pipe").is_fifo()


def test_a_ledger_behind_a_link_keeps_what_stands_beside_it(shop: Workshop) -> None:
    """SQLite's files stand beside the real ledger, and the link itself is the ledger to its user."""
    (shop.folder / "store").mkdir()
    real = shop.folder / "store" / "real.db"
    shop.ledger_path.rename(real)
    shop.ledger_path.symlink_to(real)
    for name in (shop.ledger_path.name, "store/real.db", "store/real.db-wal"):
        ended = shop.command("audit", "--format", "html", "--force", "--output", name)
        assert ended.code == ExitCode.USAGE, name
    assert shop.ledger_path.is_symlink()
    assert shop.command("status").code == ExitCode.DONE


@pytest.mark.parametrize(
    "words",
    [
        ["--format", "html", "--output", "x" * 300 + ".html"],
        ["--lost", "x" * 300 + ".csv"],
        ["--lost", "no/such/folder.csv"],
        ["--lost", "a.csv", "--lost-events", "sub/../a.csv"],
        ["--lost", "a.csv", "--format", "html", "--output", "sub/../a.csv"],
        ["--customer", "c", "--explain", "--format", "json", "--lost", "-"],
    ],
)
def test_names_that_cannot_be_written_are_refused(shop: Workshop, words: list[str]) -> None:
    """A name that is too long, no folder, one name for two things: exit code 2, and no file."""
    (shop.folder / "sub").mkdir()
    before = sorted(path.name for path in shop.folder.iterdir())
    ended = shop.command("audit", *words)
    assert ended.code == ExitCode.USAGE
    assert sorted(path.name for path in shop.folder.iterdir()) == before
