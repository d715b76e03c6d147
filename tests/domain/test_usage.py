"""Usage: the reasons, and text from files made fit to show and to keep."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterledger.domain.usage import (
    CANONICAL_FIELDS,
    MAX_RAW_BYTES,
    REQUIRED_FIELDS,
    Conflict,
    Difference,
    Reason,
    is_cut,
    kept_raw,
    original_bytes,
    shown,
)
from support.properties import quick

CONTRACT_ORDER = (
    "not_utf8", "row_too_long", "malformed_row", "missing_field", "field_too_long", "invalid_quantity",
    "negative_quantity", "invalid_time", "time_without_offset", "unknown_feature", "too_precise",
    "too_many_digits", "unknown_customer", "customer_canceled", "feature_not_in_plan",
)  # fmt: skip


def test_reasons_are_those_of_the_contract_in_its_order() -> None:
    """Reason codes are stable: each stands in the contract, in the order in which the rules are tried."""
    codes = [reason.value for reason in Reason]

    assert codes == [code for code in CONTRACT_ORDER if code in codes]
    assert len(codes) >= 12


def test_every_field_is_required_or_optional() -> None:
    """The canonical fields are the required and the optional ones, and no field is both."""
    assert sorted(CANONICAL_FIELDS) == sorted((*REQUIRED_FIELDS, "subscription_id", "received_at"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "'plain'"),
        ("", "''"),
        ("Zo\u00eb \U0001f600", "'Zo\u00eb \U0001f600'"),
        ("a\x1b[31mb", r"'a\x1b[31mb'"),
        ("a\nb\r\t", r"'a\nb\r\t'"),
        ("a\u2028b\u202eb", r"'a\u2028b\u202eb'"),
        ("\udcff", r"'\udcff'"),
        ("x" * 60, f"'{'x' * 60}'"),
        ("x" * 61, f"'{'x' * 60}\u2026'"),
    ],
)
def test_values_are_shown_harmless_and_short(text: str, expected: str) -> None:
    """What a terminal would obey is escaped, and long values are cut with a mark."""
    assert expected == shown(text)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("a,b\n", "a,b"),
        ("a,b\r\n", "a,b"),
        ('"a\nb",c\n', '"a\nb",c'),
        ("Zo\u00eb\n", "Zo\u00eb"),
        ("a\udcffb\n", r"a\xffb"),
        ("x" * (MAX_RAW_BYTES + 1), "x" * MAX_RAW_BYTES),
    ],
)
def test_what_is_kept_of_a_refused_row(raw: str, expected: str) -> None:
    """A refused row is kept without its line end, foreign bytes readable, and no more than 64 Ki of it."""
    assert expected == kept_raw(raw)


def test_a_conflict_says_what_differs() -> None:
    """The message of a conflict names its key, and each field with both values."""
    conflict = Conflict(
        line=3,
        raw="",
        request_id="req_1",
        customer_id="cus_1",
        feature="api_calls",
        event_time=0,
        differences=(
            Difference(field="quantity", stored="1", given="2"),
            Difference(field="customer_id", stored="cus_1", given="cus_2"),
        ),
    )

    assert conflict.message == (
        "usage key 'req_1' exists with other content: quantity 1 is now 2, customer_id cus_1 is now cus_2"
    )


@pytest.mark.parametrize("size", [MAX_RAW_BYTES - 5, MAX_RAW_BYTES, MAX_RAW_BYTES + 1])
@pytest.mark.parametrize("character", ["a", "é", "€"])
def test_a_row_that_was_cut_is_known(size: int, character: str) -> None:
    """Whatever is kept of a longer row counts as cut, wherever the limit fell; a shorter one does not."""
    raw = (character * size).encode()[:size].decode(errors="ignore")

    assert is_cut(kept_raw(raw)) == (len(raw.encode()) > MAX_RAW_BYTES - 4)


@given(
    st.lists(
        st.sampled_from(
            [b"r1,caf\xe9", b"\xff\x80", b"\xc3\xa9", b"\\", b"x", b"\\x", b"ff", b"5c", b"\\xe9", b"\\x5cx"]
        ),
        max_size=9,
    )
)
@quick
def test_foreign_bytes_come_out_as_they_went_in(pieces: list[bytes]) -> None:
    r"""What is kept of a row that is no UTF-8 leads back to its bytes, even if it writes ``\xff`` itself."""
    content = b"\xe9" + b"".join(pieces)
    kept = kept_raw(content.decode(errors="surrogateescape"))

    assert original_bytes(kept, Reason.NOT_UTF8) == content
    assert original_bytes(kept_raw("\\xe9 \\x5c"), Reason.MALFORMED_ROW) == rb"\xe9 \x5c"
    assert original_bytes(r"a\xe9", Reason.MALFORMED_ROW) == rb"a\xe9"
