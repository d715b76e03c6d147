"""CSV files: every row is read or named, none swallows another, lines are physical lines."""

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meterledger.errors import InputError
from meterledger.readers import RowProblem
from support.files import CSV_HEADER, csv_row, outline, rows_of
from support.properties import steady

GOOD = csv_row("r1")
STRAY = b'r2,"cus_1,api_calls,1,2026-10-01T00:00:00Z\n'
"""A row with a quote that is opened and not closed."""


def field_values(content: bytes) -> list[str | None]:
    """Return the fields of the only row of a file."""
    ((_, found, _),) = rows_of(content)
    assert not isinstance(found, RowProblem), found
    return list(found)


def test_fields_come_in_canonical_order() -> None:
    """Columns stand in any order in the file, others are left out, and absent ones are missing."""
    content = (
        b"region,event_time,quantity,feature,customer_id,request_id\neu,2026-10-01T00:00:00Z,1,api,cus_1,r1\n"
    )

    assert field_values(content) == ["r1", "cus_1", None, "api", "1", "2026-10-01T00:00:00Z", None]


def test_columns_are_mapped_and_dimensions_stand_behind() -> None:
    """A source's own names are read as the canonical fields, and dimensions follow in their order."""
    content = b"id,customer_id,feature,n,ts,zone,tier\nr1,cus_1,api,1,0,eu,gold\n"
    columns = {"request_id": "id", "quantity": "n", "event_time": "ts", "region": "zone"}
    ((line, found, raw),) = rows_of(content, columns=columns, dimensions=("region", "tier"))

    assert (line, raw) == (2, "r1,cus_1,api,1,0,eu,gold\n")
    assert found == ("r1", "cus_1", None, "api", "1", "0", None, "eu", "gold")


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (b'"r1"', "r1"),
        (b'"r,1"', "r,1"),
        (b'"r""1"', 'r"1'),
        (b'""', ""),
        (b'" ""r1"', ' "r1'),
        (b'"r\n1"', "r\n1"),
        (b'"r\r\n1"', "r\r\n1"),
        (b'"r\r1"', "r\r1"),
        (b'r"1"', 'r"1"'),
        (b" r1 ", " r1 "),
        ("r\u20281\u0085\x0b\x0c\x1c\x1d\x1e2".encode(), "r\u20281\u0085\x0b\x0c\x1c\x1d\x1e2"),
        ("\ufeffr1".encode(), "\ufeffr1"),
        ("r\U0001f600".encode(), "r\U0001f600"),
    ],
)
def test_fields_are_read_as_rfc_4180_has_them(field: bytes, expected: str) -> None:
    """Quotes, doubled quotes, commas and line breaks in quotes are content; so are Unicode's line ends."""
    content = CSV_HEADER + field + b",cus_1,api_calls,1,0\n" + csv_row("r2")
    (_, first, _), (_, second, _) = rows_of(content)

    assert not isinstance(first, RowProblem)
    assert not isinstance(second, RowProblem)
    assert (expected, "r2") == (first[0], second[0])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (CSV_HEADER + GOOD, [(2, "r1")]),
        (CSV_HEADER + GOOD.rstrip(), [(2, "r1")]),
        (b"\xef\xbb\xbf" + CSV_HEADER + GOOD, [(2, "r1")]),
        ((CSV_HEADER + GOOD + csv_row("r2")).replace(b"\n", b"\r\n"), [(2, "r1"), (3, "r2")]),
        (b"\n\n" + CSV_HEADER + GOOD, [(4, "r1")]),
        (CSV_HEADER + b"\n\r\n   \n\t\n" + GOOD + b"\n\n", [(6, "r1")]),
        (CSV_HEADER + b'"a\nb\nc",cus_1,api_calls,1,0\n' + GOOD, [(2, "a\nb\nc"), (5, "r1")]),
        (CSV_HEADER.replace(b",", b" , ") + GOOD, [(2, "r1")]),
        (CSV_HEADER, []),
        (CSV_HEADER.rstrip(), []),
        (CSV_HEADER + b",,,,\n", [(2, "")]),
    ],
)
def test_lines_are_physical_lines(content: bytes, expected: list[tuple[int, str]]) -> None:
    """A row has the line it starts on, counted from 1 with the header, whatever the line ends and blanks."""
    assert expected == outline(rows_of(content))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"r2,cus_1,api_calls,1\n", "malformed_row"),
        (b"r2,cus_1,api_calls,1,0,extra\n", "malformed_row"),
        (b"r2\n", "malformed_row"),
        (b'"r2"x,cus_1,api_calls,1,0\n', "malformed_row"),
        (b' "r2",cus_1,api_calls,1,0\n', "malformed_row"),
        (b'r2,cus_1,api_calls,1,\t "0"\n', "malformed_row"),
        (b'" ""q""",cus_1,"a,b", "1",0\r\n', "malformed_row"),
        (b"r\x002,cus_1,api_calls,1,0\n", "malformed_row"),
        (b"r2\rx,cus_1,api_calls,1,0\n", "malformed_row"),
        (b"r\xff2,cus_1,api_calls,1,0\n", "not_utf8"),
        (b"r2,cus_1,api_calls,1,Zo\xeb\n", "not_utf8"),
        (b"r\xed\xa0\x802,cus_1,api_calls,1,0\n", "not_utf8"),
        (b"r\xc0\xaf2,cus_1,api_calls,1,0\n", "not_utf8"),
        (b"\xff\x00,too,many,fields,here,now\n", "not_utf8"),
        (b"\xff" * 1_100_000 + b"\n", "not_utf8"),
        (b"x" * 2_000_000 + b"\n", "row_too_long"),
        (b"x" * 10_000_000 + b"\n", "row_too_long"),
        (b"r2,cus_1,api_calls,1," + b"0" * 1_100_000 + b"\n", "row_too_long"),
        (b"r2,cus_1,api_calls,1," + "\u00e9".encode() * 600_000 + b"\n", "row_too_long"),
    ],
    ids=lambda value: str(value[:30]),
)
def test_a_bad_row_is_named_and_costs_no_other(line: bytes, reason: str) -> None:
    """A row that cannot be read is named with its line, and the rows around it are read."""
    content = CSV_HEADER + GOOD + line + csv_row("r3") + csv_row("r4")

    assert outline(rows_of(content)) == [(2, "r1"), (3, reason), (4, "r3"), (5, "r4")]


def test_a_row_in_bytes_that_are_no_utf8_keeps_them_readable() -> None:
    """The message about foreign bytes shows them, and what is kept of the row still has them."""
    ((_, found, raw),) = rows_of(CSV_HEADER + b"Zo\xeb,cus_1,api_calls,1,0\n")

    assert isinstance(found, RowProblem)
    assert r"\xeb" in found.message
    assert raw == "Zo\udceb,cus_1,api_calls,1,0\n"


def test_what_is_kept_of_an_oversized_line_is_its_beginning() -> None:
    """Of a line too long to be read some of its beginning is kept, and nothing of the line behind."""
    content = CSV_HEADER + b"begin" + b"x" * 3_000_000 + b"\n" + GOOD
    (_, _, raw), (_, _, behind) = rows_of(content)

    assert raw.startswith("beginxxx")
    assert 1000 < len(raw) <= 64 * 1024 + 1
    assert behind == GOOD.decode()


@pytest.mark.parametrize("size", [1_048_500, 1_048_576 - len(",cus_1,api_calls,1,0\n")])
def test_a_row_of_up_to_a_mebibyte_is_read(size: int) -> None:
    """1 MiB is the limit of a row, and up to it nothing is cut."""
    assert field_values(CSV_HEADER + b"r" * size + b",cus_1,api_calls,1,0\n")[0] == "r" * size


@pytest.mark.parametrize(
    ("behind", "expected"),
    [
        ([], []),
        ([csv_row("r3"), csv_row("r4")], [(4, "r3"), (5, "r4")]),
        ([csv_row("r3"), b'r4,"cus_1",api_calls,1,0\n', csv_row("r5")], [(4, "r3"), (5, "r4"), (6, "r5")]),
        ([csv_row("r3"), STRAY, csv_row("r5")], [(4, "r3"), (5, "malformed_row"), (6, "r5")]),
        ([csv_row("r3"), b"\n", csv_row("r5")], [(4, "r3"), (6, "r5")]),
        (
            [csv_row("r3"), b"x" * 3_000_000 + b"\n", csv_row("r5")],
            [(4, "r3"), (5, "row_too_long"), (6, "r5")],
        ),
        ([csv_row(f"s{n}") for n in range(30_000)], [(4 + n, f"s{n}") for n in range(30_000)]),
    ],
    ids=["last line", "to the end", "a quote behind", "two", "a blank line", "a long line", "many lines"],
)
def test_a_stray_quote_costs_its_own_line_only(behind: list[bytes], expected: list[tuple[int, str]]) -> None:
    """A quote that is never closed gives up the line it stands on; every line behind it is read."""
    content = CSV_HEADER + GOOD + STRAY + b"".join(behind)

    assert outline(rows_of(content)) == [(2, "r1"), (3, "malformed_row"), *expected]


def test_a_stray_quote_in_a_last_line_without_an_end_is_named() -> None:
    """A file that was cut off within a quoted field says so, and keeps its rows before."""
    assert outline(rows_of(CSV_HEADER + GOOD + STRAY[:-10])) == [(2, "r1"), (3, "malformed_row")]


def test_a_quoted_field_of_many_lines_that_is_too_long_gives_up_lines_not_rows() -> None:
    """Where a quoted field grows past the limit its lines are named one by one, and rows behind are read."""
    content = CSV_HEADER + b'"' + b"x" * 99 + b"\n" + (b"y" * 99 + b"\n") * 12_000 + csv_row("last")
    found = outline(rows_of(content))

    assert found[-1] == (12_003, "last")
    assert [line for line, _ in found] == list(range(2, 12_004))
    assert {reason for _, reason in found[:-1]} <= {"malformed_row", "row_too_long"}


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (b"request_id,customer_id,feature,quantity\n", ["usage:1", "event_time"]),
        (b"customer_id,feature\n", ["columns", "request_id, quantity, event_time"]),
        (b"request_id,customer_id,feature,quantity,event_time,quantity\n", ["quantity", "more than once"]),
        (b"request_id;customer_id;feature;quantity;event_time\n", ["lacks", "request_id"]),
        (b"request_id,customer_id,feature,quantity,event_t\xffime\n", ["header", r"\xff"]),
        (b'request_id,"customer_id,feature,quantity,event_time\n', ["header"]),
        (b"request_id,customer_id,feature,quantity,\x00event_time\n", ["header", "NUL"]),
        (b"x" * 2_000_000 + b"\n", ["header"]),
        (b"\n\n \n", ["lacks"]),
    ],
)
def test_a_header_that_cannot_do_is_refused(header: bytes, words: list[str]) -> None:
    """A file without a column it needs, or with one twice, is refused whole, and the message names it."""
    with pytest.raises(InputError) as refused:
        rows_of(header + GOOD)

    assert all(word in refused.value.message for word in words)


@pytest.mark.parametrize(
    ("column", "hint"),
    [
        (b"Event Time", "event_time = 'Event Time'"),
        (b"eventtime", "event_time = 'eventtime'"),
        (b"EVENT_TIME", "event_time = 'EVENT_TIME'"),
        (b"zzz", "[sources.NAME.columns]"),
    ],
)
def test_the_hint_maps_the_closest_column(column: bytes, hint: str) -> None:
    """A column under another name is shown in the words of the config that would map it."""
    with pytest.raises(InputError) as refused:
        rows_of(CSV_HEADER.replace(b"event_time", column) + GOOD)

    assert hint in refused.value.hint


@pytest.mark.parametrize(
    ("delimiter", "given", "hint"),
    [(";", ",", "--delimiter ';'"), ("\t", ",", "--delimiter tab"), ("|", ",", "'|'"), (",", ";", "','")],
)
def test_another_delimiter_is_told_and_not_guessed(delimiter: str, given: str, hint: str) -> None:
    """A header that is one column and holds a likely delimiter names the option that reads it."""
    content = (CSV_HEADER + GOOD).replace(b",", delimiter.encode())
    with pytest.raises(InputError) as refused:
        rows_of(content, delimiter=given)

    assert hint in refused.value.hint
    assert outline(rows_of(content, delimiter=delimiter)) == [(2, "r1")]


@pytest.mark.parametrize("column", [b"Received At", b"RECEIVED_AT", b"received-at", b"receivedAt"])
def test_an_optional_column_in_another_spelling_is_not_passed_over(column: bytes) -> None:
    """A column that was probably meant is named, or its values would be missing without a word."""
    with pytest.raises(InputError) as refused:
        rows_of(CSV_HEADER[:-1] + b"," + column + b"\n" + GOOD[:-1] + b",0\n")

    assert f"no column received_at, but '{column.decode()}'" in refused.value.message


def test_a_column_in_another_spelling_may_be_another_field() -> None:
    """A column that the config names is that one, however much it looks like another."""
    content = b"ID,customer_id,feature,quantity,event_time\nr1,c,f,1,0\n"

    assert outline(rows_of(content, columns={"request_id": "ID"}, dimensions=("id",))) == [(2, "r1")]


def test_header_cells_may_be_empty() -> None:
    """A column without a name is one that nobody reads."""
    assert outline(rows_of(b"," + CSV_HEADER[:-1] + b",\n" + b"x," + GOOD[:-1] + b",y\n")) == [(2, "r1")]


def test_a_column_that_nobody_reads_may_stand_twice() -> None:
    """Only columns that are read have to be there once."""
    assert outline(rows_of(CSV_HEADER[:-1] + b",x,x\n" + GOOD[:-1] + b",1,2\n")) == [(2, "r1")]


SHARDS = (
    csv_row("a"),
    b'b,"cus_1",api_calls,1,0\n',
    b'"c,c","cus ""1""",api_calls,1,0\r\n',
    b'd,"cus\n1",api_calls,1,0\n',
    b"too,few\n",
    b"too,many,fields,in,this,row\n",
    b"\n",
    b" \r\n",
    b"e\xff,cus_1,api_calls,1,0\n",
    b"f\x00,cus_1,api_calls,1,0\n",
    '\u2028,cus_1,"\u00e9",1,0\n'.encode(),
)


@steady
@given(shards=st.lists(st.sampled_from(SHARDS), max_size=12), ended=st.booleans())
@example(shards=[SHARDS[0], STRAY, SHARDS[0]], ended=True)
def test_every_record_in_is_a_row_out(shards: list[bytes], ended: object) -> None:
    """A standard reader finds as many records as there are rows and problems; blank ones are none."""
    content = CSV_HEADER + b"".join(shards)
    content = content if ended is True else content.rstrip(b"\r\n")
    text = io.StringIO(content.decode(errors="surrogateescape").replace("\0", "?"), newline="")
    records = [record for record in csv.reader(text) if "".join(record).strip()]
    if STRAY in shards:
        records = [[line.decode()] for line in content.splitlines()]

    assert len(rows_of(content)) == len(records) - 1


@steady
@given(
    fields=st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8), max_size=8
    )
)
def test_what_the_csv_module_writes_is_read_back(fields: list[str]) -> None:
    """Any text that a standard writer quotes comes back as it was, on the line it was written on."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    out.write(CSV_HEADER.decode())
    lines = []
    for field in fields:
        lines.append(out.getvalue().count("\n") + 1)
        writer.writerow([field, "cus_1", "api_calls", "1", "0"])

    assert outline(rows_of(out.getvalue().encode())) == list(zip(lines, fields, strict=True))


@steady
@given(
    shards=st.lists(st.sampled_from(SHARDS), min_size=1, max_size=10),
    damage=st.lists(st.tuples(st.integers(0, 10_000), st.sampled_from(b'",\n\r\0\xff x')), max_size=8),
)
@example(shards=[SHARDS[0], SHARDS[0]], damage=[(2, ord('"'))])
def test_no_line_is_lost_whatever_is_damaged(shards: list[bytes], damage: list[tuple[int, int]]) -> None:
    """Whatever bytes are overwritten, rows and blank lines together hold every line of the file, in order."""
    content = bytearray(b"".join(shards))
    for position, byte in damage:
        content[position % len(content)] = byte
    rows = rows_of(CSV_HEADER + bytes(content))
    lines = content.decode(errors="surrogateescape").split("\n")
    found = [part.strip() for _, _, raw in rows for part in raw.split("\n") if part.strip()]

    assert [line.strip() for line in lines if line.strip()] == found
    for line, _, raw in rows:
        assert lines[line - 2].strip() == raw.split("\n")[0].strip()
