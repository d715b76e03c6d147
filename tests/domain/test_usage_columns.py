"""Usage events in columns: the same rows, in the order of their keys, small enough to travel."""

import marshal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterledger.domain import usage_columns
from meterledger.domain.usage import UsageEvent
from meterledger.domain.usage_columns import Packer, Unpacker, UsageColumns
from support.properties import steady

INSTANTS = st.integers(-(2**62), 2**62)
EVENTS = st.builds(
    UsageEvent,
    request_id=st.text(max_size=2),
    customer_id=st.sampled_from(["cus_1", "cus_2", "é"]),
    subscription_id=st.sampled_from([None, "sub_1"]),
    feature=st.sampled_from(["a", "b"]),
    units=st.integers(-(10**18), 10**18),
    scale=st.integers(0, 12),
    event_time=INSTANTS,
    received_at=st.none() | INSTANTS,
    line=st.integers(1, 2**40),
    dimensions=st.sampled_from([None, '{"region":"eu"}']),
)


@given(st.lists(st.lists(EVENTS, max_size=4), max_size=3))
@steady
def test_parts_are_joined_in_the_order_of_request_id(parts: list[list[UsageEvent]]) -> None:
    """Nothing is lost or changed, and rows of one request_id stay in the order in which they came."""
    joined = UsageColumns.joined([UsageColumns.of(part) for part in parts])

    assert list(joined) == sorted((event for part in parts for event in part), key=lambda e: e.request_id)
    assert len(joined) == sum(map(len, parts))


@given(st.lists(st.lists(EVENTS, max_size=4), max_size=4), st.integers(0, 3))
@steady
def test_columns_travel(chunks: list[list[UsageEvent]], remembered: int) -> None:
    """Chunks that are packed, sent as bytes and unpacked one after the other are the same usage."""
    packer, unpacker = Packer(), Unpacker()
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(usage_columns, "_NAMES_REMEMBERED", remembered)
        for events in chunks:
            packed = marshal.dumps(packer.pack(UsageColumns.of(events)))  # type: ignore[arg-type] # text, numbers and bytes

            assert list(unpacker.unpack(marshal.loads(packed))) == events  # noqa: S302 # our own bytes
