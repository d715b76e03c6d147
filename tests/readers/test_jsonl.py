"""JSONL files: every line is read or named, and values are taken exactly as written."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterledger.readers import InputFormat, RawRow, RowProblem
from meterledger.readers.json_rows import MAX_DEPTH
from support.files import outline, rows_of
from support.properties import steady

GOOD = b'{"request_id":"r1","customer_id":"cus_1","feature":"f","quantity":1,"event_time":0}\n'


def read(content: bytes) -> list[RawRow]:
    """Return every row of a JSONL file."""
    return rows_of(content, InputFormat.JSONL)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b'"text"', "text"),
        (b'""', ""),
        (b'"  "', "  "),
        (b"12", "12"),
        (b"-0", "-0"),
        (b"1.50", "1.50"),
        (b"1e3", "1e3"),
        (b"1E-7", "1E-7"),
        (b"0.1", "0.1"),
        (b"12345678901234567890", "12345678901234567890"),
        (b"3.141592653589793238462643383279", "3.141592653589793238462643383279"),
        (b"null", None),
        (rb'"a\"b\\c\/d\n\t"', 'a"b\\c/d\n\t'),
        (rb'"Zo\u00eb"', "Zo\u00eb"),
        (rb'"\ud83d\ude00"', "\U0001f600"),
        ('"Zo\u00eb \U0001f600 \u2028"'.encode(), "Zo\u00eb \U0001f600 \u2028"),
    ],
)
def test_values_are_taken_as_written(value: bytes, expected: str | None) -> None:
    """Text is decoded, and numbers stay the text they were written as: no digit goes through a float."""
    ((_, found, _),) = read(b'{"request_id":' + value + b"}\n")

    assert not isinstance(found, RowProblem)
    assert expected == found[0]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (GOOD, [(1, "r1")]),
        (GOOD.rstrip(), [(1, "r1")]),
        (b"\xef\xbb\xbf" + GOOD, [(1, "r1")]),
        (GOOD.replace(b"\n", b"\r\n") * 2, [(1, "r1"), (2, "r1")]),
        (b"\n \n" + GOOD + b"\t\r\n\n" + GOOD + b"\n", [(3, "r1"), (6, "r1")]),
        (b"  " + GOOD, [(1, "r1")]),
        (b"{}\n" + GOOD, [(1, None), (2, "r1")]),
        (b"", []),
    ],
)
def test_lines_are_physical_lines(content: bytes, expected: list[tuple[int, str | None]]) -> None:
    """A row has its 1-based line, blank lines count as lines and are no rows."""
    assert expected == outline(read(content))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"request_id":"r2"', "malformed_row"),
        (b'{"request_id":"r2', "malformed_row"),
        (b"{'request_id':'r2'}", "malformed_row"),
        (b'{"request_id":"r2",}', "malformed_row"),
        (b'{"request_id":"r2"} {"request_id":"r3"}', "malformed_row"),
        (b'{"request_id":"r2"}x', "malformed_row"),
        (b"[1]", "malformed_row"),
        (b'"text"', "malformed_row"),
        (b"17", "malformed_row"),
        (b"null", "malformed_row"),
        (b"nonsense", "malformed_row"),
        (b'{"request_id":{"a":1}}', "malformed_row"),
        (b'{"request_id":["a"]}', "malformed_row"),
        (b'{"quantity":NaN}', "malformed_row"),
        (b'{"quantity":Infinity}', "malformed_row"),
        (b'{"quantity":01}', "malformed_row"),
        (b'{"quantity":1.}', "malformed_row"),
        (b'{"quantity":+1}', "malformed_row"),
        (b'{"meta":{"x":tru}}', "malformed_row"),
        (rb'{"request_id":"\ud800"}', "malformed_row"),
        (rb'{"request_id":"\udc00\ud800"}', "malformed_row"),
        (rb'{"request_id":"\u12"}', "malformed_row"),
        (rb'{"request_id":"\u0000r2"}', "malformed_row"),
        (rb'{"customer_id":"cus\u0000"}', "malformed_row"),
        (b'{"request_id":"r\x002"}', "malformed_row"),
        (b'{"request_id":"r\t2"}', "malformed_row"),
        (b'{"meta":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "malformed_row"),
        (b'{"request_id":"\xff"}', "not_utf8"),
        (b'{"request_id":"r2","meta":"Zo\xeb"}', "not_utf8"),
        (b'{"request_id":"\xed\xa0\x80"}', "not_utf8"),
        (b'{"request_id":"' + b"x" * 2_000_000 + b'"}', "row_too_long"),
        (b"x" * 10_000_000, "row_too_long"),
    ],
    ids=lambda value: str(value[:30]),
)
def test_a_bad_line_is_named_and_costs_no_other(line: bytes, reason: str) -> None:
    """A line that cannot be read is named, and the lines around it are read."""
    assert outline(read(GOOD + line + b"\n" + GOOD)) == [(1, "r1"), (2, reason), (3, "r1")]


@pytest.mark.parametrize("value", [b'{"a":[1,{"b":null}]}', b"[]", b"1e999", b'"Zo\\u00eb"', b"true"])
def test_fields_that_nobody_reads_may_hold_anything(value: bytes) -> None:
    """Objects, lists and any other value in a field that is not read are no fault of the row."""
    assert outline(read(b'{"request_id":"r1","meta":' + value + b"}\n")) == [(1, "r1")]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"request_id":"a","request_id":"b"}', "malformed_row"),
        (b'{"request_id":"a","request_id":"a"}', "malformed_row"),
        (b'{"request_id":"a","request\\u005fid":"b"}', "malformed_row"),
        (b'{"request_id":"a","x":1,"x":2}', "malformed_row"),
        (b'{"request_id":"a","x":{},"x":[]}', "malformed_row"),
        (b'{"request_id":"a","x" : 1 , "x":",:"}', "malformed_row"),
        (b'{"request_id":"a","a\\"b":1,"a\\"b":2}', "malformed_row"),
        (b'{"request_id":"a,b","x":"{[\\"\\\\","y":","}', "a,b"),
        (b'{"request_id":"a","a\\"b":1}', "a"),
        (b'{"request_id":"a","x":{"y":1,"y":2}}', "a"),
    ],
)
def test_a_key_that_stands_twice_is_refused(line: bytes, expected: str) -> None:
    """JSON leaves open what a repeated key means, so nothing is chosen, and no other row is doubted."""
    found = outline(read(GOOD + GOOD + line + b"\n" + GOOD))

    assert found == [(1, "r1"), (2, "r1"), (3, expected), (4, "r1")]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"data":{"tokens":"t"}}', "t"),
        (b'{"data":{"tokens":1.50,"other":[{}]}}', "1.50"),
        (b'{"data.tokens":"literal","data":{"tokens":"t"}}', "literal"),
        (b'{"data.tokens":null,"data":{"tokens":"t"}}', None),
        (b'{"data":{"tokens":null}}', None),
        (b'{"data":{}}', None),
        (b'{"data":null}', None),
        (b"{}", None),
        (b'{"data":5}', "malformed_row"),
        (b'{"data":[1]}', "malformed_row"),
        (b'{"data":{"tokens":{}}}', "malformed_row"),
        (b'{"data":{"tokens":1,"tokens":2}}', "malformed_row"),
        (b'{"data":{"x":1,"x":2}}', "malformed_row"),
    ],
)
def test_a_name_with_dots_is_a_key_or_else_a_path(line: bytes, expected: str | None) -> None:
    """A name with dots is first taken as a key as it stands, else as the way through objects."""
    rows = rows_of(line + b"\n", InputFormat.JSONL, {"request_id": "data.tokens"})

    assert outline(rows) == [(1, expected)]


@pytest.mark.parametrize(("depth", "expected"), [(MAX_DEPTH - 1, "r1"), (MAX_DEPTH, "malformed_row")])
@pytest.mark.parametrize("brackets", [(b"[", b"]"), (b'{"k":', b"}")])
def test_nesting_is_limited(depth: int, expected: str, brackets: tuple[bytes, bytes]) -> None:
    """Up to the limit a field may be nested; beyond it the row is refused, wherever brackets stand."""
    begin, end = brackets
    nested = begin * depth + b"1" * (begin == b'{"k":') + end * depth
    line = b'{"request_id":"r1","text":"[[[[","meta":' + nested + b"}\n"

    assert outline(read(GOOD + line)) == [(1, "r1"), (2, expected)]


@steady
@given(
    rows=st.lists(
        st.dictionaries(
            st.sampled_from(["request_id", "quantity", "received_at", "x", "y"]),
            st.none()
            | st.booleans()
            | st.integers()
            | st.text(st.sampled_from('a,:"\\{[é'), max_size=3)
            | st.just({"a": 1}),
            max_size=5,
        ),
        max_size=8,
    )
)
def test_what_is_read_does_not_depend_on_the_rows_before(rows: list[dict[str, object]]) -> None:
    """A row read after others that look alike, or do not, is what it is when read alone."""
    lines = [json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows]
    alone = [found for line in lines for _, found, _ in read(line)]

    assert [found for _, found, _ in read(b"".join(lines))] == alone


def test_an_escaped_key_is_the_same_key() -> None:
    """A key is compared by what it says, not by how it is written."""
    assert outline(read(b'{"request\\u005fid":"a"}\n')) == [(1, "a")]


def test_columns_are_mapped_and_dimensions_stand_behind() -> None:
    """A source's own names are read as the canonical fields, and dimensions follow in their order."""
    content = b'{"id":"r1","n":2.50,"zone":"eu","tier":3}\n'
    columns = {"request_id": "id", "quantity": "n", "region": "zone"}
    ((_, found, _),) = rows_of(content, InputFormat.JSONL, columns, ("region", "tier"))

    assert found == ("r1", None, None, None, "2.50", None, None, "eu", "3")


def test_a_field_that_holds_an_object_is_shown_in_the_message() -> None:
    """The message of a nested value says what was found and what belongs there."""
    ((_, found, raw),) = read(b'{"quantity":{"value":3}}\n')

    assert isinstance(found, RowProblem)
    assert '{"value":3}' in found.message
    assert raw == '{"quantity":{"value":3}}\n'


@steady
@given(
    texts=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=10), max_size=6),
    ascii_only=st.booleans(),
)
def test_any_text_comes_back_as_it_was(texts: list[str], ascii_only: object) -> None:
    """Whatever text a writer of JSON puts into a field is read back, escaped or not, on its line."""
    lines = [json.dumps({"request_id": text}, ensure_ascii=ascii_only is True) for text in texts]
    content = "".join(f"{line}\n" for line in lines).encode()

    assert outline(read(content)) == list(enumerate(texts, 1))


@steady
@given(number=st.decimals(allow_nan=False, allow_infinity=False).map(str))
def test_any_number_comes_back_as_its_text(number: str) -> None:
    """A number of any size and precision is kept digit by digit."""
    plain = number.lstrip("+")
    ((_, found, _),) = read(f'{{"quantity":{plain}}}\n'.encode())

    assert not isinstance(found, RowProblem)
    assert found[4] == plain


@steady
@given(
    lines=st.lists(
        st.sampled_from(
            [GOOD, b"\n", b" \r\n", b"[1]\n", b'{"a"\n', b'{"request_id":"\xff"}\n', b"\0\n", b"{}\r\n"]
        ),
        max_size=12,
    )
)
def test_every_line_in_is_a_row_out(lines: list[bytes]) -> None:
    """Each line that is not blank is one row or one problem, with its own line number and text."""
    expected = [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
    found = [(line, raw.encode(errors="surrogateescape").strip()) for line, _, raw in read(b"".join(lines))]

    assert expected == found
