"""Every format and packing gives the same rows, and a row that was kept reads as it did in its file."""

from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from meterledger.domain.usage import kept_raw
from meterledger.readers import InputFormat, Wanted, read_rows
from meterledger.readers.compression import Compression
from meterledger.usecases.reading_again import _file_of
from support.files import CSV_HEADER, input_file
from support.packing import PACK
from support.properties import quick, steady
from support.writing import NAMES, written

WANTED = Wanted((*NAMES, "absent"), {name: name for name in NAMES})
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)
tables = st.lists(st.tuples(texts.map(lambda text: f"r{text}"), *[texts] * 4), max_size=6)


@quick
@given(
    rows=tables,
    input_format=st.sampled_from(InputFormat),
    packing=st.none() | st.sampled_from(Compression),
    delimiter=st.sampled_from(",;|\x1f\u00a6"),
)
def test_rows_come_back_from_every_format_and_packing(
    rows: list[tuple[str, ...]], input_format: InputFormat, packing: Compression | None, delimiter: str
) -> None:
    """What was written is read, on the line it was written on, in every format, packed or not."""
    delimiter = "\t" if input_format is InputFormat.TSV else delimiter
    content, lines = written(rows, input_format, delimiter)
    if input_format is InputFormat.PARQUET:
        packing = None
    packed = PACK[packing](content) if packing else content
    source = input_file(packed, input_format, compression=packing, delimiter=delimiter)
    found = [(line, values) for line, values, _ in read_rows(source, WANTED)]

    assert found == list(zip(lines, [(*row, None) for row in rows], strict=True))


CSV_PARTS = [
    "r1,cus_1,f,1,0",
    '"a\nb",c,f,1,0',
    '"stray,c,f,1,0',
    'x"y,c',
    "too,few",
    "n\0,c,f,1,0",
    " ",
    'a,"b"c,"',
]
JSON_PARTS = [
    '{"request_id":"r1"}', '{"request_id":\n"r2"}', '{"a":1,"a":2}', "7", ",", "[", '"x', "{",
    '{"request_id":"\\ud800"}',
]  # fmt: skip


@steady
@given(
    parts=st.lists(st.sampled_from(CSV_PARTS + JSON_PARTS), max_size=8),
    input_format=st.sampled_from([InputFormat.CSV, InputFormat.JSONL, InputFormat.JSON]),
    end=st.sampled_from(["\n", "\r\n", ",\n"]),
)
def test_a_kept_row_reads_as_it_did_in_its_file(
    parts: list[str], input_format: InputFormat, end: str
) -> None:
    """The text that is kept of a row gives its values again, or its problem in the same words."""
    text = end.join(parts)
    if input_format is InputFormat.CSV:
        text = CSV_HEADER.decode() + text
    if input_format is InputFormat.JSON:
        text = f"[{text}"
    rows = read_rows(input_file(text.encode(), input_format), WANTED)
    for _, found, raw in rows:
        kept = {"raw": kept_raw(raw), "reason": "", "input_format": input_format, "header": rows.header}
        again = read_rows(_file_of(cast("Any", {**kept, "delimiter": ",", "file": "usage"})), WANTED)
        assert [values for _, values, _ in again] == [found]


def test_the_header_is_there_once_a_row_was_asked_for() -> None:
    """Rows of CSV bring their header as it stands, for who writes them to another file."""
    content = b"\xef\xbb\xbf\n" + CSV_HEADER.replace(b",", b' , "x" ,', 1).strip() + b"\r\n"
    rows = read_rows(input_file(content + b"1\n"), WANTED)
    before = rows.header
    next(rows)

    assert before is None
    assert rows.header == 'request_id , "x" ,customer_id,feature,quantity,event_time'
