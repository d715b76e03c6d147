"""Roll-ups: identifiers of windows, cuts at period boundaries, and sums in parts."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from meterledger.domain.billing_period import CALENDAR_MONTHS, BillingCycle
from meterledger.domain.instant import DAY, HOUR
from meterledger.domain.meter_event import MAX_IDENTIFIER_CHARS, RolledUpWindow, UsageToSeal
from meterledger.domain.quantity import Quantity, exact_sum, fits_one_value
from meterledger.domain.rollup import derive_rollup_identifier, split_into_parts, stretch_of, sum_of
from support.properties import steady

WINDOW = RolledUpWindow(start=0, end=HOUR, dimensions='{"a":"b"}')
USAGE = UsageToSeal(
    usage_event=1, source="s", request_id="r", customer_id="cus_a", subscription_id=None, feature="f",
    quantity=Quantity(1, 0), event_time=0, dimensions=None,
)  # fmt: skip
QUANTITIES = st.builds(Quantity, st.integers(-(10**15) + 1, 10**15 - 1), st.integers(0, 12))


def test_identifiers_tell_apart_all_that_names_a_window() -> None:
    """Each field counts, and no two fields run into each other; the window's length is none of them."""
    windows = [
        WINDOW,
        replace(WINDOW, start=1),
        replace(WINDOW, part=1),
        replace(WINDOW, dimensions="{}"),
        replace(WINDOW, dimensions='{"a":"c"}'),
        replace(WINDOW, dimensions='{"b":"a"}'),
        replace(WINDOW, dimensions='{"a":"b","c":"d"}'),
    ]
    found = [derive_rollup_identifier("m", "cus_a", window, 0) for window in windows]
    found += [
        derive_rollup_identifier("m", "cus_a", WINDOW, 1),
        derive_rollup_identifier("mc", "us_a", WINDOW, 0),
        derive_rollup_identifier("m", "cus_b", WINDOW, 0),
    ]

    assert len(set(found)) == len(found)
    assert all(one.startswith("mlr1-") and len(one) <= MAX_IDENTIFIER_CHARS for one in found)
    assert derive_rollup_identifier("m", "cus_a", replace(WINDOW, end=DAY), 0) == found[0]


def test_an_identifier_stays_what_it_was() -> None:
    """A later version that derived another one would count usage of a rebuilt ledger twice."""
    assert derive_rollup_identifier("m", "cus_a", WINDOW, 0) == IDENTIFIER


IDENTIFIER = "mlr1-cd946f8c4021e9a5febf24980bbb0772098ee1893266da820eb39171f150a1a4"


@steady
@given(st.lists(QUANTITIES, min_size=1, max_size=12))
def test_parts_are_values_that_stripe_takes(quantities: list[Quantity]) -> None:
    """Every part fits, nothing is left out, and the order in which usage came makes no difference."""
    usage = [
        replace(USAGE, usage_event=number, request_id=f"r{number}", quantity=quantity, event_time=number // 3)
        for number, quantity in enumerate(quantities)
    ]
    alone = all(fits_one_value(*exact_sum({one.scale: one.units})) for one in quantities)
    parts = list(split_into_parts(reversed(usage)))

    assert parts == list(split_into_parts(usage))
    assert not alone or all(fits_one_value(part.total.units, part.total.scale) for part in parts)
    assert sorted(number for part in parts for number in part.usage_events) == list(range(len(usage)))
    assert sum_of(part.total for part in parts) == sum_of(quantities)


@steady
@given(st.integers(0, 60 * DAY), st.sampled_from([HOUR, DAY]), st.integers(-DAY, DAY))
def test_a_stretch_lies_in_one_window_and_one_period(event_time: int, length: int, anchor: int) -> None:
    """Whatever the anchor: it holds the instant, and no boundary of any cycle is inside."""
    cycles = (CALENDAR_MONTHS, BillingCycle(anchor, "week", 1))
    found = stretch_of(cycles, length, event_time)

    assert found.start <= event_time < found.end
    assert found.start // length == (found.end - 1) // length
    for cycle in cycles:
        assert cycle.period_at(found.start) == cycle.period_at(found.end - 1)
    assert found.period_end == min(cycle.period_at(found.start).end for cycle in cycles)
