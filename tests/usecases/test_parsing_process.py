"""Parsing beside the program gives what parsing inside it gives, and leaves no process behind."""

import gzip
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from meterledger.config import load_settings
from meterledger.domain.row_rules import RowRules
from meterledger.errors import IncompleteInputError, InputError
from meterledger.readers import InputFile, open_input
from meterledger.usecases import parsing
from meterledger.usecases.parsing import ParsedChunk, parsed_chunks
from meterledger.usecases.parsing_process import chunks_from_process, chunks_of

SAMPLE = Path(__file__).parents[2] / "sample_data"


def flat(chunk: ParsedChunk) -> tuple[list[tuple[object, ...]], list[object], int]:
    """Return a chunk in a form that compares: usage events as bare tuples."""
    return [tuple(event) for event in chunk.usage], list(chunk.rejections), chunk.bytes_read


def rules_of(source: str) -> RowRules:
    """Return the rules for a source of the sample."""
    settings = load_settings(SAMPLE / "meterledger.toml", folder=SAMPLE)
    return RowRules(source=settings.sources[source], catalogue=settings.catalogue)


@pytest.mark.parametrize(
    ("file", "source"), [("usage-gateway.csv", "gateway"), ("usage-workers.jsonl", "workers")]
)
def test_a_process_beside_gives_the_same_chunks(file: str, source: str) -> None:
    """Usage events and rejections of the sample, with all their fields, are the same by both ways."""
    with open_input(str(SAMPLE / file)) as opened:
        here = [flat(chunk) for chunk in parsed_chunks(opened, rules_of(source))]
    with open_input(str(SAMPLE / file)) as opened:
        beside = [flat(chunk) for chunk in chunks_from_process(opened, rules_of(source))]

    assert here == beside
    assert sum(len(rejections) for _, rejections, _ in beside) > 20


def test_a_wrong_header_is_the_same_error(tmp_path: Path) -> None:
    """What ends a reading in the other process ends it here, in the same words."""
    path = tmp_path / "usage.csv"
    path.write_text("id,customer\n1,2\n")
    with open_input(str(path)) as opened, pytest.raises(InputError) as here:
        list(parsed_chunks(opened, rules_of("gateway")))
    with open_input(str(path)) as opened, pytest.raises(InputError) as beside:
        list(chunks_from_process(opened, rules_of("gateway")))

    assert (here.value.message, here.value.hint) == (beside.value.message, beside.value.hint)


@pytest.mark.parametrize("chunks", [parsed_chunks, chunks_from_process])
def test_the_rows_before_a_break_come_before_the_error(
    tmp_path: Path, chunks: Callable[[InputFile, RowRules], Iterator[ParsedChunk]]
) -> None:
    """Of a packed file that is cut off the rows of the last, shorter chunk come, and then the error."""
    path = tmp_path / "usage.csv.gz"
    path.write_bytes(gzip.compress((SAMPLE / "usage-gateway.csv").read_bytes(), mtime=0)[:-5_000])
    found: list[ParsedChunk] = []
    with open_input(str(path)) as opened, pytest.raises(IncompleteInputError) as ended:
        found += chunks(opened, rules_of("gateway"))  # what came before stays

    assert sum(len(chunk.usage) for chunk in found) > 10_000
    assert "cut off" in ended.value.message
    assert ended.value.hint


@pytest.mark.parametrize("name", ["usage.csv.gz", "usage.tsv"])
def test_a_process_beside_knows_how_the_file_is_written(tmp_path: Path, name: str) -> None:
    """Packing and delimiter go with the file to the other process."""
    content = (SAMPLE / "usage-gateway.csv").read_bytes()
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content.replace(b",", b"\t"))
    with open_input(str(path)) as opened:
        (chunk,) = chunks_from_process(opened, rules_of("gateway"))

    assert len(chunk.usage) > 10_000


def test_an_unfinished_reading_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who stops reading in the middle ends the other process."""
    started: list[subprocess.Popen[bytes]] = []

    class Watched(subprocess.Popen):  # type: ignore[type-arg] # a real process, remembered
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)  # type: ignore[call-overload] # passed on
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Watched)
    with open_input(str(SAMPLE / "usage-gateway.csv")) as opened:
        chunks = chunks_from_process(opened, rules_of("gateway"))
        next(chunks)
        chunks.close()  # type: ignore[attr-defined] # it is a generator

    assert [process.poll() is not None for process in started] == [True]


def test_small_files_are_read_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second process costs more than a small file."""
    monkeypatch.setattr(subprocess, "Popen", None)
    monkeypatch.setattr(parsing, "CHUNK_ROWS", 1_000)
    with open_input(str(SAMPLE / "usage-gateway.csv")) as opened:
        chunks = list(chunks_of(opened, rules_of("gateway")))

    rows = [len(chunk.usage) + len(chunk.rejections) for chunk in chunks]
    assert sum(rows) == 15_000
    assert all(1_000 <= count < 2_000 for count in rows[:-1])
