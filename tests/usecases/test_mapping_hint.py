"""JSON rows whose fields have other names are told once what to map."""

import json
from pathlib import Path

import pytest

from meterledger.domain.preset import Preset
from meterledger.domain.source import source_of_preset
from meterledger.readers import open_input
from meterledger.usecases.try_source import try_source
from support.importing import CONFIG, Importing

ROW = {"job_id": "j1", "account": "cus_1", "kind": "api_calls", "data": {"amount": 1}, "ts": "2026-10-31"}


@pytest.fixture
def folder(tmp_path: Path) -> Importing:
    """Return a folder with a config and an empty ledger."""
    return Importing(tmp_path)


def _lines(*rows: object) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.mark.parametrize("name", ["usage.jsonl", "usage.json"])
def test_a_file_without_the_fields_says_once_what_it_has(folder: Importing, name: str) -> None:
    """The keys, those inside objects by their paths, and the likely mapping; the import is as it was."""
    content = _lines(*[ROW] * 12) if name.endswith("l") else json.dumps([ROW] * 12).encode()
    report = folder.run(folder.write_bytes(name, content))
    (hint,) = report.hints

    assert "have no request_id, customer_id, feature, quantity, event_time" in hint
    assert "'job_id, account, kind, data.amount, ts'" in hint
    assert "customer_id = 'account', feature = 'kind'" in hint
    assert "event_time = 'ts'" in hint
    assert report.counts.rejected == 12


def test_rows_that_differ_get_no_hint(folder: Importing) -> None:
    """A field that is there and empty, or a good row among the first, is no matter of the mapping."""
    good = {
        "request_id": "r1", "customer_id": "cus_1", "feature": "api_calls", "quantity": 1,
        "event_time": "2026-10-31T00:00:00Z",
    }  # fmt: skip
    empty = folder.run(folder.write_bytes("empty.jsonl", _lines({**good, "feature": None})))
    mixed = folder.run(folder.write_bytes("mixed.jsonl", _lines(ROW, good, ROW)))
    broken = folder.run(folder.write_bytes("broken.jsonl", b'{"a": 1\n'))

    assert empty.hints + mixed.hints + broken.hints == []


def test_a_few_good_rows_behind_many_do_not_silence_the_hint(folder: Importing) -> None:
    """Ten rows that lack the same fields are enough to tell, whatever comes behind them."""
    report = folder.run(folder.write_bytes("usage.jsonl", _lines(*[ROW] * 10, {"request_id": "r1"})))

    assert len(report.hints) == 1


def test_with_a_preset_the_file_is_said_to_be_another(folder: Importing) -> None:
    """What the preset needs is listed, for JSON and for a header; no mapping is proposed."""
    source = source_of_preset(Preset.LAGO, "lago")
    with open_input(folder.write_bytes("usage.jsonl", _lines(ROW))) as file:
        tried = try_source(file, source, folder.settings.catalogue, 10)
    folder.configure(f"{CONFIG}\n[sources.lago]\npreset = 'lago'\n")
    report = folder.run(folder.write("usage.csv", "r1,2", header="id,calls"), source="lago")

    for said in (tried.hint, report.failed[0].hint):
        assert "the preset lago is for files with transaction_id, external_customer_id" in said
        assert "map the columns" not in said
