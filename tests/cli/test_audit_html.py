"""`audit --format html`: where the page goes, and what is refused before any work is done."""

import stat
import sys
from pathlib import Path

import pytest

from meterledger.errors import ExitCode
from support.commands import Workshop

pytestmark = pytest.mark.usefixtures("shop")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Workshop:
    """A folder with a config and an empty ledger."""
    return Workshop(tmp_path, monkeypatch, capsys)


def test_the_page_is_its_owners_alone_and_said_to_be_there(shop: Workshop) -> None:
    """The file holds customers' names: nobody else reads it, and stdout stays empty."""
    ended = shop.command("audit", "--format", "html", "--output", "report.html")
    file = shop.folder / "report.html"
    assert ended.code == ExitCode.DONE
    assert ended.out == ""
    assert "the report is in report.html" in ended.err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text().startswith("<!doctype html>")


def test_a_file_that_is_there_is_kept_unless_forced(shop: Workshop) -> None:
    """Nothing is overwritten by an oversight."""
    file = shop.folder / "report.html"
    file.write_text("mine")
    refused = shop.command("audit", "--format", "html", "-o", "report.html")
    assert refused.code == ExitCode.USAGE
    assert "--force" in refused.err
    assert file.read_text() == "mine"
    assert shop.command("audit", "--format", "html", "-o", "report.html", "--force").code == ExitCode.DONE
    assert file.read_text().startswith("<!doctype html>")


def test_a_dash_is_stdout(shop: Workshop) -> None:
    """For a pipe: the page and nothing else."""
    ended = shop.command("audit", "--format", "html", "--output", "-")
    assert ended.out.startswith("<!doctype html>")
    assert ended.out.rstrip().endswith("</html>")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--output", "report.html"], "for --format html"),
        (["--format", "json", "--force"], "for --format html"),
        (["--format", "html", "--customer", "c", "--explain"], "--explain has no page"),
        (["--format", "html", "--output", "no/such/folder.html"], "cannot be written"),
    ],
)
def test_what_cannot_be_meant_is_refused(shop: Workshop, arguments: list[str], words: str) -> None:
    """Exit code 2, and no file."""
    ended = shop.command("audit", *arguments)
    assert ended.code == ExitCode.USAGE
    assert words in ended.err
    assert not list(shop.folder.glob("*.html"))


def test_a_page_is_no_text_for_a_terminal(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --output a terminal would be flooded."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    ended = shop.command("audit", "--format", "html")
    assert ended.code == ExitCode.USAGE
    assert "--output report.html" in ended.err


@pytest.mark.parametrize("package", ["altair", "vl_convert"])
def test_without_the_extra_it_says_how_to_install_it(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    """A plain installation has no charts library; nothing is written."""
    monkeypatch.setitem(sys.modules, package, None)
    ended = shop.command("audit", "--format", "html", "--output", "report.html")
    assert ended.code == ExitCode.USAGE
    assert "pip install 'meterledger[report]'" in ended.err
    assert not (shop.folder / "report.html").exists()
