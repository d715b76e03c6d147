"""What is printed: hostile text reaches no terminal or spreadsheet, and programs read it as it was."""

import csv
import io
import json
from contextlib import redirect_stdout
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterledger.cli.output import print_csv, print_json

HOSTILE = {
    "escape": "\x1b[2J",
    "delete": "\x7f",
    "one-byte-csi": "\x9b31m",
    "next-line": "a\x85b",
    "turned-around": "invoice\u202efdp.exe",
    "isolated": "\u2066x\u2069",
    "right-to-left-mark": "\u061cx\u200f",
    "invisible": "a\u200bb\ufeffc\u2060",
    "line-separator": "a\u2028b\u2029c",
    "tag": "x\U000e0041",
    "lone-surrogate": "\udcff",
    "behind-a-backslash": "\\\x9b",
}
HARMLESS = ["cus_bét★", "a\\u009bb", 'quote" and \\', "日本語", "😀"]


@pytest.mark.parametrize("text", [*HOSTILE.values(), *HARMLESS])
def test_json_escapes_what_a_terminal_would_obey(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Control and format characters stand in JSON's escapes, anything else as it is; all is read back."""
    print_json("test", {text: [text]})
    shown = capsys.readouterr().out
    assert all(line.isprintable() for line in shown.split("\n"))
    assert json.loads(shown) == {"schema": "meterledger.test/1", text: [text]}
    assert text not in HARMLESS or json.dumps(text, ensure_ascii=False) in shown


def escaped(text: str) -> str:
    """Write what is no printable character as JSON escapes it."""
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def lists_and_objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return what holds more of its kind."""
    return st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters()), inner, max_size=4)


ANY_TEXT = st.text(st.characters() | st.characters(categories=["Cs", "Cc", "Cf"]))
ANY_VALUE: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT, lists_and_objects, max_leaves=20
)


@given(value=ANY_VALUE, encoding=st.sampled_from(["utf-8", "ascii"]))
def test_json_is_laid_out_as_the_standard_library_does(value: object, encoding: str) -> None:
    """To the byte: line breaks, empty lists, numbers and escapes."""
    document = {"schema": "meterledger.test/1", "value": value}
    whole = json.dumps(document, ensure_ascii=encoding != "utf-8", indent=2)
    expected = "\n".join(map(escaped, whole.split("\n"))) + "\n"
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")
    with redirect_stdout(out):
        print_json("test", {"value": value})
    out.seek(0)
    assert out.read() == expected


@pytest.mark.parametrize("text", list(HOSTILE.values()), ids=list(HOSTILE))
def test_csv_escapes_what_a_terminal_would_obey(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A report as CSV holds no control or format character but line feeds inside quotes."""
    print_csv(("a", "b"), [(text, f"first\n{text}")])
    shown = capsys.readouterr().out
    assert all(line.isprintable() for line in shown.split("\n"))
    (first, second) = list(csv.reader(io.StringIO(shown)))[1]
    assert second == f"first\n{first}"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("@x", "'@x"),
        ("\t=1", "'\\t=1"),
        ("-5.25", "-5.25"),
        ("-x", "'-x"),
        ("cus_bét★", "cus_bét★"),
        (None, ""),
        (7, "7"),
    ],
)
def test_csv_starts_no_formula(value: object, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What a spreadsheet would run gets a quote in front; numbers and names stay as they are."""
    print_csv(("a",), [(value,), ("end",)])
    assert [row[0] for row in csv.reader(io.StringIO(capsys.readouterr().out))][1] == shown
