"""Groups of fields: a whole object of JSON, all CSV columns of a prefix, each as one flat object."""

import json
from collections.abc import Sequence

import pytest

from meterledger.errors import InputError
from meterledger.readers import InputFormat, RowProblem, Wanted, read_rows
from support.files import input_file


def picked(content: bytes, input_format: InputFormat, *names: str) -> list[Sequence[str | None] | RowProblem]:
    """Return the fields of every row by these names."""
    rows = read_rows(input_file(content, input_format), Wanted(names, {}))
    return [found if isinstance(found, RowProblem) else tuple(found) for _, found, _ in rows]


def test_columns_of_a_prefix_are_one_object() -> None:
    """Keys come without the prefix, in the order of the header, and values as they stand."""
    content = b'id,p_a,x,p_b,p_\nr1,1,2,"a ""b"", \xc3\xa9",\nr2,,,,z\n'
    first, second = picked(content, InputFormat.CSV, "p_*", "id", "nothing", "q_*")

    assert not isinstance(first, RowProblem)
    assert not isinstance(second, RowProblem)
    assert json.loads(first[0] or "") == {"a": "1", "b": 'a "b", \u00e9', "": ""}
    assert list(first[1:]) == ["r1", None, "{}"]
    assert json.loads(second[0] or "") == {"a": "", "b": "", "": "z"}


def test_a_column_of_a_group_that_stands_twice_is_refused() -> None:
    """Of two columns with one name nobody knows which is meant, inside a group as well."""
    with pytest.raises(InputError, match="'p_a' more than once"):
        picked(b"id,p_a,p_a\nr1,1,2\n", InputFormat.CSV, "id", "p_*")

    assert picked(b"id,x,x\nr1,1,2\n", InputFormat.CSV, "id", "p_*") == [("r1", "{}")]


def test_an_object_is_one_field_of_text() -> None:
    """Scalars inside are the text they were written as, numbers to the last digit, null stays null."""
    content = b'{"p":{"a":1.50,"b":"x\\"y","c":null,"d":true},"p.a":5}\n{"p":null}\n{}\n'
    first, *others = picked(content, InputFormat.JSONL, "p.*", "p.a")

    assert others == [(None, None), (None, None)]
    assert first == ('{"a":"1.50","b":"x\\"y","c":null,"d":"true"}', "5")  # a literal key goes before a path


def test_a_key_or_column_called_as_a_group_is_no_group() -> None:
    """What ends in a star stands for many: one key or column of that very name never takes their place."""
    names = ("p_*", "p.*", "id")
    json_rows = b'{"id":"r1","p_*":"x","p.*":{"a":"99"}}\n{"id":"r2","p":{"a":"1"},"p.*":"5"}\n'

    assert picked(json_rows, InputFormat.JSONL, *names) == [(None, None, "r1"), (None, '{"a":"1"}', "r2")]
    assert picked(json_rows, InputFormat.JSONL, "p_*", "id") == [(None, "r1"), (None, "r2")]
    assert picked(b'id,p_a,p.*\nr1,5,"{}"\n', InputFormat.CSV, *names) == [('{"a":"5"}', None, "r1")]
    assert picked(b"id,p.*,p.*\nr1,5,6\n", InputFormat.CSV, *names) == [("{}", None, "r1")]


@pytest.mark.parametrize("value", [b"5", b'"x"', b"[]", b"true", b'{"a":[]}', b'{"a":{"b":1}}'])
def test_what_is_no_flat_object_is_malformed(value: bytes) -> None:
    """A group that is no object, or nests, is named as what it is."""
    (found,) = picked(b'{"p":%s}\n' % value, InputFormat.JSONL, "p.*")

    assert isinstance(found, RowProblem)
    assert found.reason == "malformed_row"
