"""Reading many rows at once gives the rows that reading them one by one gives, whatever the file holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterledger.readers import InputFormat, RawRow, RowProblem, Wanted, read_rows
from meterledger.readers.batches import ColumnBatch
from support.files import input_file
from support.properties import steady

NAMES = ("id", "n", "absent")
WANTED = Wanted(NAMES, {"id": "id"})
HEADER = "n,id,other"
CSV_PIECES = st.sampled_from(
    ["1,r1,x", "2,r2,y", "3,r3", "", " ", '4,"r4",z', '5,"a\nb",z', '6,"open', 'q"u,r,x', "7, r7 ,x\r",
     '7, "r7",x', '\t"7",r7,x', '7,\u00a0"r,7"",x', '7,"\n ""r7""",x', '7," ""r7""",x', '7,r7, "x"',
     '7,r7, "x,x"', "8,r8\r,x", "\ufeff9,r9,x", "1\u2028,r,x", "\x00,r,x", "\x85,r\x0c,x", "a b,c",
     'x,y,"z"']
)  # fmt: skip
JSON_PIECES = st.sampled_from(
    ['{"id":"r1","n":1,"other":true}', '{"id":"r2","n":2,"other":null}', '{"id":"r3","n":0,"other":1}',
     '{"id":"r4","n":-0,"other":1}', '{"id":"r5","n":1.50,"other":1}', '{"id":"r6","n":"7","other":1}',
     '{"id":"r7","n":10000000000000000000,"other":1}', '{"id":"a","id":"b","n":1}', '{"id":"r8","n":1}',
     '{"id":"r9","n":[1],"other":2}', '{"id":"\\u0041","n":1,"other":2}', '{"n":1,"other":2,"id":"r10"}', "",
     '{"id":"r11","n":1,"other":2},{"id":"r12","n":1,"other":2}', '{"id":"a\u2028b","n":1e3,"other":"}"}',
     '{"id":"r1","n":1,"other":"x}', '{","o":1,"id":"r","n":2}', " ", "5",
     '{"id":"r13","n":true,"other":2}', '{"id":"x","n":1,"other":', ' {"id":"e","n":3,"other":4} ']
)  # fmt: skip
SAME = st.sampled_from(
    [
        '{"id":"y","n":1,"other":"x}\n{"}',
        '{"id":"r","n":1,"other":true}',
        '{"id":"s","n":null,"other":2}',
        '{"id":" t","n":3,"other":"x"}',
    ]
)
ENDS = st.sampled_from(["\n", "\n", "\r\n", ""])


def one_by_one(content: bytes, input_format: InputFormat) -> list[RawRow]:
    """Return every row, read one after the other."""
    return [comparable(row) for row in read_rows(input_file(content, input_format), WANTED)]


def at_once(content: bytes, input_format: InputFormat, at_most: int) -> tuple[list[RawRow], int]:
    """Return every row, read many at a time, and how many came by columns."""
    found: list[RawRow] = []
    by_columns = 0
    for batch in read_rows(input_file(content, input_format), WANTED).batches(at_most):
        rows = list(batch.rows() if isinstance(batch, ColumnBatch) else batch.rows)
        assert list(batch.lines) == [line for line, _, _ in rows]
        if isinstance(batch, ColumnBatch):
            by_columns += len(rows)
            texts = [text or "" for column in batch.columns for text in column or ()]
            assert max(map(len, texts), default=0) <= batch.longest
            assert batch.has_blanks or all(text == text.strip() for text in texts)
        found += map(comparable, rows)
    return found, by_columns


def comparable(row: RawRow) -> RawRow:
    """Return a row without its line end, which a batch may write in another way."""
    line, values, raw = row
    return line, values if isinstance(values, RowProblem) else tuple(values), raw.rstrip("\r\n")


@given(st.lists(st.tuples(CSV_PIECES, ENDS), max_size=7), st.sampled_from([1, 2, 3, 100]))
@steady
def test_csv_at_once_is_csv_one_by_one(pieces: list[tuple[str, str]], at_most: int) -> None:
    """Quotes, line ends, blanks and other oddities: lines, fields and texts are the same by both ways."""
    content = f"{HEADER}\n{''.join(map(''.join, pieces))}".encode()

    assert at_once(content, InputFormat.CSV, at_most)[0] == one_by_one(content, InputFormat.CSV)


@given(
    st.one_of(
        st.lists(st.tuples(JSON_PIECES, ENDS), max_size=7),
        st.lists(st.tuples(st.one_of(SAME, SAME, SAME, JSON_PIECES), st.just("\n")), max_size=9),
    ),
    st.sampled_from([1, 2, 3, 100]),
)
@steady
def test_json_at_once_is_json_one_by_one(pieces: list[tuple[str, str]], at_most: int) -> None:
    """Keys in any order, twice, missing or nested, numbers of any kind: the same by both ways."""
    content = "".join(map("".join, pieces)).encode()

    assert at_once(content, InputFormat.JSONL, at_most)[0] == one_by_one(content, InputFormat.JSONL)


@pytest.mark.parametrize(
    ("content", "input_format", "expected"),
    [
        (f"{HEADER}\n" + "1,r1,x\n" * 50, InputFormat.CSV, 50),
        (f"{HEADER}\r\n" + '"1"," r1 ","x"\r\n' * 50, InputFormat.CSV, 50),
        (f"{HEADER}\n" + "1,r 1,x\n" * 50, InputFormat.CSV, 50),
        ('{"id":"r1","n":1}\n' * 50, InputFormat.JSONL, 40),
        ('{"n": 0, "id": "r 1", "other": [1, 2]}\n' * 50, InputFormat.JSONL, 0),
        ('{"n": 0, "id": "r 1", "other": null}\r\n' * 50, InputFormat.JSONL, 40),
    ],
)
def test_plain_lines_come_by_columns(content: str, input_format: InputFormat, expected: int) -> None:
    """The quick way is taken where a file allows it; of JSON the first batch shows what objects look like."""
    rows, by_columns = at_once(content.encode(), input_format, 10)

    assert (len(rows), by_columns) == (50, expected)
