"""Export: a file of refused rows that an import reads again, with nothing lost and nothing twice."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterledger.errors import UsageError
from support.importing import CONFIG, HEADER, counts, row
from support.mending import BUILDS, Mending, mending
from support.properties import quick

BAD = (
    row("r1", "n/a"),
    row("r2", feature="builds"),
    'r3,"cus_1,,api_calls,1',
    row("", "1"),
    "r5,cus_1",
)
GOOD_JSON = '{"request_id":"%s","customer_id":"cus_1","feature":"%s","quantity":1,"event_time":1793448000}'


@pytest.fixture
def ledger(tmp_path: Path) -> Mending:
    """Return an empty ledger with a config beside it."""
    return mending(tmp_path)


def test_a_row_stands_untouched_behind_the_reason_columns(ledger: Mending) -> None:
    """The header is the source's own behind the reason columns; each row is as it was, broken or not."""
    ledger.run(ledger.write("a.csv", row("r0"), *BAD))
    content, report = ledger.export()
    header, *lines = content.decode().splitlines()

    assert report.rows == len(BAD)
    assert header == (
        "meterledger_reject,meterledger_reason,meterledger_message,meterledger_file,meterledger_line,"
        + HEADER
    )
    assert [line.endswith("," + bad) for line, bad in zip(lines, BAD, strict=True)] == [True] * len(BAD)
    assert lines[0].startswith('"1","invalid_quantity","quantity \'n/a\' is no plain decimal number;')


BITS = st.sampled_from(
    ["r1", "cus_1", "api_calls", "builds", "1", "n/a", "2026-10-31T12:00:00Z", '"', '""', ",", ",", "", " ",
     "é", "\udce9", "\0", '"a,b"', '"a\nb"']
)  # fmt: skip
ROWS = st.one_of(
    st.sampled_from([*BAD, row("good"), row("wide", region='"a\nb"'), row("x", "n/a", region='"""q"""')]),
    st.lists(BITS, min_size=1, max_size=12).map("".join),
    st.lists(BITS, min_size=8, max_size=8).map(",".join),
)
JSON_ROWS = st.one_of(
    st.sampled_from(
        [GOOD_JSON % ("r1", "api_calls"), GOOD_JSON % ("r2", "builds"), "{}", "[1]", "x", '{"a":', "{} {}",
         '  {"request_id":1}', GOOD_JSON % ("r\udce9", "api_calls"), '{"a":"\udce9"']
    ),
    st.text(st.sampled_from([*'{}[]",:1a \udce9']), min_size=1, max_size=10),
)  # fmt: skip


@quick
@given(rows=st.lists(ROWS, max_size=7), json_rows=st.lists(JSON_ROWS, max_size=7))
def test_an_export_that_is_imported_unmended_changes_nothing(rows: list[str], json_rows: list[str]) -> None:
    """Any mix of bad rows is refused again: as many as were exported, none accepted, none stored twice."""
    for name, lines in (("a.csv", [HEADER, *rows]), ("a.jsonl", json_rows)):
        content = "".join(f"{line}\n" for line in lines).encode(errors="surrogateescape")
        if not content.strip():
            continue
        with tempfile.TemporaryDirectory() as temporary:
            ledger = mending(Path(temporary))
            first = ledger.run(ledger.write_bytes(name, content))
            before = [reject[:2] for reject in ledger.rejects()]
            ids = ledger.query("SELECT id FROM rejects WHERE kind = 'rejection'")
            if not ids:
                continue
            exported, report = ledger.export()
            again = ledger.run(ledger.write_bytes(f"e-{name}", exported))
            twice = ledger.run(ledger.write_bytes(f"e-{name}", exported))

            assert report.rows == first.counts.rejected == len(ids)
            assert counts(again) == counts(twice) == (len(ids), 0, 0, 0, len(ids))
            assert before == [reject[:2] for reject in ledger.rejects()]
            assert ledger.export()[0] == exported
            assert ledger.counts_add_up()


def test_mended_rows_are_accepted_and_close_what_they_mend(ledger: Mending) -> None:
    """By the reject they name: also a row whose key could not be read, or whose key was what was wrong."""
    ledger.run(ledger.write("a.csv", *BAD))
    text = ledger.export()[0].decode()
    for before, after in (
        ("n/a", "3"),
        ("builds", "api_calls"),
        (BAD[2], row("r3")),
        (BAD[3], row("r4")),
        (BAD[4], row("r5")),
    ):
        head, _, tail = text.rpartition(before) if before != "n/a" else text.partition(",n/a,")
        text = f"{head},{after},{tail}" if before == "n/a" else f"{head}{after}{tail}"
    report = ledger.run(ledger.write_bytes("e.csv", text.encode()))

    assert counts(report) == (5, 5, 0, 0, 0)
    assert ledger.open_ids() == []
    assert ledger.query(
        "SELECT r.closed_as, u.request_id FROM rejects AS r JOIN usage_events AS u ON u.id = r.accepted_as "
        "ORDER BY r.id"
    ) == [("accepted", f"r{n}") for n in range(1, 6)]


def test_a_row_that_was_half_mended_is_kept_and_closed_with_its_first_form(ledger: Mending) -> None:
    """A mend that is refused again is kept as what it is, and the next one closes both, key or no key."""
    ledger.run(ledger.write("a.csv", row("", "n/a")))
    first = ledger.export()[0].decode()
    ledger.run(ledger.write_bytes("e.csv", first.replace(",n/a,", ",1,").encode()))
    half = ledger.query("SELECT raw, reason, mends FROM rejects WHERE closed_at IS NULL ORDER BY id")
    second = ledger.export()[0].decode().splitlines()
    ledger.run(
        ledger.write_bytes("e.csv", first.replace(",n/a,", ",1,").replace(",,cus_1", ",r1,cus_1").encode())
    )

    assert half == [(row("", "n/a"), "missing_field", None), (row("", "1"), "missing_field", 1)]
    assert second[2].endswith("," + row("", "1"))
    assert ledger.open_ids() == []


def test_the_export_of_another_ledger_closes_nothing(tmp_path: Path) -> None:
    """A number alone is no proof: file and line have to be those of the refused row."""
    one, other = mending(tmp_path / "one"), mending(tmp_path / "other")
    one.run(one.write("a.csv", row("", "1")))
    other.run(other.write("b.csv", row("", "1")))
    mended = one.export()[0].replace(b",,cus_1", b",r1,cus_1")
    report = other.run(other.write_bytes("e.csv", mended))

    assert counts(report) == (1, 1, 0, 0, 0)
    assert other.open_ids() == [1]


def test_an_export_of_json_has_the_reasons_as_keys(ledger: Mending) -> None:
    """Each row of JSONL stays one object, and a mended one closes what it names."""
    ledger.run(ledger.write_bytes("a.jsonl", f"{GOOD_JSON % ('', 'api_calls')}\nx\n".encode()))
    content = ledger.export()[0].decode()
    first = json.loads(content.splitlines()[0])
    report = ledger.run(ledger.write_bytes("e.jsonl", content.replace('_id":""', '_id":"r1"').encode()))

    assert first["meterledger_reject"] == 1
    assert first["meterledger_reason"] == "missing_field"
    assert (first["meterledger_line"], first["customer_id"]) == (1, "cus_1")
    assert content.splitlines()[1].endswith("} x")
    assert counts(report) == (2, 1, 0, 0, 1)
    assert ledger.open_ids() == [2]


def test_rows_that_are_no_utf8_come_out_with_their_very_bytes(ledger: Mending) -> None:
    r"""What the row itself writes as ``\xff`` stays so, and so does what the message says of its bytes."""
    bad = rb"\xe9,caf" + b"\xe9," + rb"\x5c" + b",,,,,"
    ledger.run(ledger.write_bytes("a.csv", HEADER.encode() + b"\n" + bad + b"\n"))
    exported = ledger.export()[0].splitlines()[1]

    assert exported.endswith(b"," + bad)
    assert rb'"it holds \xe9, which is no UTF-8;' in exported


def test_an_element_over_several_lines_is_one_line_and_keeps_what_it_holds(ledger: Mending) -> None:
    """Line ends between the tokens become blanks; what only looks like a line end is part of a text."""
    key = "a\u2028b\u2029c\u0085d"
    element = (GOOD_JSON % (key, "builds")).replace(",", ",\r\n ")
    ledger.run(ledger.write_bytes("a.json", f"[{element}]".encode()))
    content = ledger.export()[0].decode()

    assert content.count("\n") == 1
    assert content.endswith(element[1:].replace("\r\n", "  ") + "\n")


def test_rows_that_do_not_fit_together_are_not_exported(ledger: Mending) -> None:
    """Another source, format or header needs a file of its own, and the error says how to ask for it."""
    ledger.run(ledger.write("a.csv", row("r1", "n/a")))
    ledger.run(ledger.write("a.csv", row("r1", "n/a")), source="gateway")
    ledger.run(ledger.write_bytes("b.jsonl", b"{}\n"))
    with pytest.raises(UsageError) as error:
        ledger.export()

    assert error.value.message.endswith(
        "--source default (CSV) --import 1; --source gateway (CSV) --import 2; "
        "--source default (JSON) --import 3"
    )
    assert ledger.export(import_id=3)[1].rows == 1
    assert ledger.export(source="gateway")[1].rows == 1


def test_rows_of_an_import_without_its_header_are_named(ledger: Mending) -> None:
    """An import of an earlier version kept no header: importing the file again mends that."""
    path = ledger.write("a.csv", row("r1", "n/a"))
    ledger.run(path)
    with ledger._connected() as connection:
        connection.execute("UPDATE imports SET header = NULL")
        connection.commit()
    with pytest.raises(UsageError, match=r"the header of .*a\.csv is not on record"):
        ledger.export()
    ledger.run(path, again=True)

    assert ledger.export()[1].rows == 1


def test_a_row_that_was_cut_is_left_out_and_named(ledger: Mending) -> None:
    """What is not whole is not exported: a quantity that lost its end would be billed."""
    ledger.run(ledger.write("a.csv", row("r1", "n/a"), row("r2", "n/a", region="x" * 70_000)))
    content, report = ledger.export()

    assert (report.rows, report.cut) == (1, [2])
    assert b"r2" not in content


def test_conflicts_are_exported_when_asked_for(ledger: Mending) -> None:
    """A mended conflict closes it: by a new key, or by the content that is stored."""
    ledger.run(ledger.write("a.csv", row("r1"), row("r1", "2"), row("r1", "3"), row("r9", "n/a")))
    text = ledger.export(kind="conflict")[0].decode()
    unmended = ledger.run(ledger.write_bytes("e.csv", text.encode()))
    text = text.replace(",r1,cus_1,,api_calls,2", ",r2,cus_1,,api_calls,2").replace(
        "api_calls,3", "api_calls,1"
    )
    report = ledger.run(ledger.write_bytes("e.csv", text.encode()))

    assert counts(unmended) == (2, 0, 0, 2, 0)
    assert counts(report) == (2, 1, 1, 0, 0)
    assert ledger.query("SELECT kind FROM rejects WHERE closed_at IS NULL") == [("rejection",)]


def test_an_export_is_read_by_the_config_of_its_day(ledger: Mending) -> None:
    """An unmended row that today's config takes is taken."""
    ledger.run(ledger.write("a.csv", *BAD))
    content = ledger.export()[0]
    ledger.configure(BUILDS)
    report = ledger.run(ledger.write_bytes("e.csv", content))

    assert counts(report) == (5, 1, 0, 0, 4)
    assert ledger.open_ids() == [1, 3, 4, 5]
    assert CONFIG != BUILDS
