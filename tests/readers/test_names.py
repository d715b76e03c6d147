"""Names on the command line: files as they are, patterns and folders as the files they stand for."""

from pathlib import Path

import pytest

from meterledger.readers import expand_names


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with files of all kinds, which is the current one."""
    for name in (
        "b.csv", "a.csv.gz", "sub/c.JSONL", "sub/deep/d.parquet", "notes.txt", "sub/x.gz", "[1].csv", "1.csv",
        ".hidden.csv", ".git/e.csv", "none/readme.md",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["b.csv", "-", "missing.csv"], ["b.csv", "-", "missing.csv"]),
        (["*.csv"], ["1.csv", "[1].csv", "b.csv"]),
        (["[1].csv"], ["[1].csv"]),
        (["[ab].*"], ["a.csv.gz", "b.csv"]),
        (["**/*.parquet", "b.csv"], ["sub/deep/d.parquet", "b.csv"]),
        (["s*"], ["sub/c.JSONL", "sub/deep/d.parquet"]),
        (["sub"], ["sub/c.JSONL", "sub/deep/d.parquet"]),
        (["sub/", "b.csv"], ["sub/c.JSONL", "sub/deep/d.parquet", "b.csv"]),
        (["sub/**"], ["sub/c.JSONL", "sub/deep/d.parquet", "sub/x.gz"]),
        (["**"], ["1.csv", "[1].csv", "a.csv.gz", "b.csv", "none/readme.md", "notes.txt", "sub/c.JSONL",
                  "sub/deep/d.parquet", "sub/x.gz"]),
        (["./**/deep/**/*.parquet"], ["./sub/deep/d.parquet"]),
        (["**/**/s*/**/**/d.*"], ["sub/deep/d.parquet"]),
        (["**b/*.JSONL"], ["sub/c.JSONL"]),
        ([".git/**/*.csv"], [".git/e.csv"]),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("folder")
def test_patterns_and_folders_stand_for_files(names: list[str], expected: list[str]) -> None:
    """Patterns and folders give their files sorted, in place; what is there under its name is that."""
    expanded = expand_names(names)

    assert (expanded.files, expanded.failed) == (expected, [])


def test_links_that_lead_back_to_their_folder_have_an_end(folder: Path) -> None:
    """Stars for all folders below follow no link to a folder: each file is there once, in a bounded time."""
    for name in ("one", "two", "sub/three"):
        (folder / name).symlink_to(folder)
    (folder / "sub/link.csv").symlink_to(folder / "b.csv")

    assert expand_names(["**/*.csv"]).files == ["1.csv", "[1].csv", "b.csv", "sub/link.csv"]
    assert expand_names(["one/s*/*.JSONL"]).files == ["one/sub/c.JSONL"]


def test_a_folder_counts_what_it_leaves_out(folder: Path) -> None:
    """Files of a folder whose names tell no format are counted; hidden ones are not looked at."""
    expanded = expand_names([str(folder)])

    assert [Path(file).name for file in expanded.files] == [
        "1.csv", "[1].csv", "a.csv.gz", "b.csv", "c.JSONL", "d.parquet",
    ]  # fmt: skip
    assert expanded.left_out == 3


@pytest.mark.parametrize("name", ["*.tsv", "none", "none/*/"])
@pytest.mark.usefixtures("folder")
def test_a_name_that_stands_for_no_file_is_an_error_of_its_own(name: str) -> None:
    """A pattern that matches nothing and a folder without usage files are errors; other names go on."""
    expanded = expand_names([name, "b.csv"])

    assert expanded.files == ["b.csv"]
    (error,) = expanded.failed
    assert error.message.startswith(name)
    assert error.hint
