"""One JSON array: every element is read or named, with the line it starts on, in bounded memory."""

import io
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterledger.readers import InputFormat, RawRow
from meterledger.readers.content import Content
from meterledger.readers.json_array import JsonArray
from support.files import outline, rows_of
from support.properties import steady

GOOD = b'{"request_id":"r1"}'


def read(content: bytes) -> list[RawRow]:
    """Return every row of a file that is one JSON array."""
    return rows_of(content, InputFormat.JSON)


class Trickle(io.BytesIO):
    """A file that brings a few bytes at a time."""

    def __init__(self, content: bytes, size: int) -> None:
        super().__init__(content)
        self._size = size

    def read(self, size: int | None = -1, /) -> bytes:
        """Return fewer bytes than were asked for."""
        return super().read(self._size if size else 0)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"[]", []),
        (b" \n [ \n ] \n", []),
        (b"\xef\xbb\xbf[" + GOOD + b"]", [(1, "r1")]),
        (b"[" + GOOD + b"," + GOOD + b"]\n", [(1, "r1"), (1, "r1")]),
        (b"\n[\n" + GOOD + b"\n,\n\n" + GOOD + b"]", [(3, "r1"), (6, "r1")]),
        (b'[\r\n  {\r\n    "request_id": "r1"\r\n  },\r\n  {}\r\n]\r\n', [(2, "r1"), (5, None)]),
        (b'[{"request_id":"}]{[,\\"\\\\"}]', [(1, '}]{[,"\\')]),
        (b'[{"x":[{"y":{}},[]],"request_id":"r1"}]', [(1, "r1")]),
    ],
)
def test_elements_have_the_line_they_start_on(content: bytes, expected: list[tuple[int, str | None]]) -> None:
    """Objects are found wherever line breaks stand, and what looks like structure in text is text."""
    assert outline(read(content)) == expected


BAD = "malformed_row"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'[1,\n"x,]",\nnull,\n[{}],\n{}]', [(1, BAD), (2, BAD), (3, BAD), (4, BAD), (5, None)]),
        (b'[{"a":},\n{}]', [(1, BAD), (2, None)]),
        (b"[{]},\n{}]", [(1, BAD), (1, BAD), (2, None)]),
        (b"[{}\n,,\n{}]", [(1, None), (2, BAD), (3, None)]),
        (b"[{},\n]", [(1, None), (2, BAD)]),
        (b"[{}\n{}]", [(1, None), (2, None)]),
        (b"[nonsense {}]", [(1, BAD), (1, None)]),
        (b'[\n {"a":"x},\n {},\n {}\n]', [(2, BAD), (3, None), (4, None)]),
        (b'[\n {\n  "a":"x\n  },\n {}\n]', [(2, BAD), (5, None)]),
        (b'[{"a":"x},{}]', [(1, BAD)]),
        (b'[{},\n{"a":"x', [(1, None), (2, BAD)]),
        (b'[{},\n{"a":"x\\', [(1, None), (2, BAD)]),
        (b'[{},\n{"a":[{}', [(1, None), (2, BAD)]),
        (b"[{},\n", [(1, None), (2, BAD)]),
        (b"[{}", [(1, None), (1, BAD)]),
        (b"[", [(1, BAD)]),
        (b"[]\n{}", [(2, BAD)]),
        (b"[{}]\n\n[{},{}]", [(1, None), (3, BAD)]),
        (b'[{"a":"\xff"},\n{}]', [(1, "not_utf8"), (2, None)]),
        (b'[{"a":"\0"},\n{"b":1,"b":2}]', [(1, BAD), (2, BAD)]),
        (b'[{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"},\n{}]", [(1, BAD), (2, None)]),
    ],
    ids=lambda value: str(value[:30]),
)
@pytest.mark.parametrize("size", [1, 3, 1_000_000])
def test_what_is_wrong_is_named_and_costs_no_other(
    content: bytes, size: int, expected: list[tuple[int, str | None]]
) -> None:
    """Each element that cannot be read is one rejection, and reading goes on; however the bytes come."""
    if len(content) < 1_000 or size > 3:
        rows = JsonArray(Content(Trickle(content, size)), ["request_id", "a"]).rows()

        assert [
            (line, BAD) if reason == BAD else (line, reason) for line, reason in outline(list(rows))
        ] == expected


@pytest.mark.parametrize(
    "element",
    [
        b'{"a":"' + b"x\\\\" * 1_000_000 + b'"}',
        b'{"a":[' + b"1," * 1_000_000 + b"1]}",
        b'"' + b"x" * 3_000_000 + b'"',
    ],
)
def test_an_element_over_the_limit_is_named_and_its_beginning_kept(element: bytes) -> None:
    """An element over 1 MiB is too long; what is kept is its beginning, and the next one is read."""
    rows = read(b"[\n" + element + b",\n" + GOOD + b"]")

    assert outline(rows) == [(2, "row_too_long"), (3, "r1")]
    assert rows[0][2] == element[: 64 * 1024].decode()


def test_an_array_is_read_in_bounded_memory() -> None:
    """Of an array on one line no more is held than a few blocks."""
    element = b'{"x":"' + b"x" * 10_000 + b'"}'
    content = io.BytesIO(b"[" + b",".join([element] * 2_000) + b"]")
    tracemalloc.start()
    count = sum(1 for _ in JsonArray(Content(content), ["request_id"]).rows())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert count == 2_000
    assert peak < 2_000_000


@steady
@given(
    elements=st.lists(
        st.dictionaries(st.text(max_size=3), st.text(max_size=4) | st.integers() | st.lists(st.just({}))),
        max_size=5,
    ),
    indent=st.sampled_from([None, 0, 2]),
    size=st.integers(1, 40),
)
def test_any_array_is_cut_into_its_elements(elements: list[object], indent: int | None, size: int) -> None:
    """Whatever a writer of JSON makes of a list, its elements are found as they are."""
    content = json.dumps(elements, indent=indent, ensure_ascii=False).encode()
    rows = list(JsonArray(Content(Trickle(content, size)), ["request_id"]).rows())

    assert [json.loads(raw) for _, _, raw in rows] == elements
    lines = content.decode().split("\n")
    assert all(raw.split("\n")[0] in lines[line - 1] for line, _, raw in rows)
