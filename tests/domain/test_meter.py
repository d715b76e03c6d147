"""Meters and the catalogue."""

import pytest

from meterledger.domain.meter import Aggregation, Catalogue, EventTimeWindow, Meter, features_claimed_twice

API = Meter(event_name="api_requests", features=("api_calls", "api_reads"), dimensions=("tier", "region"))
EGRESS = Meter(event_name="egress", features=("egress_gb",), dimensions=("region",))


def test_a_feature_is_counted_by_its_meter() -> None:
    """Each feature of a meter leads to it, and a feature of a plan alone is known without a meter."""
    catalogue = Catalogue((API, EGRESS), frozenset({"support"}))

    assert catalogue.meter_of("api_reads") is API
    assert catalogue.meter_of("egress_gb") is EGRESS
    assert catalogue.meter_of("support") is None
    assert catalogue.knows("support")
    assert catalogue.knows("api_calls")
    assert not catalogue.knows("api_call")


def test_lists_of_the_catalogue_are_sorted_and_without_repeats() -> None:
    """Features and dimensions come in a fixed order, each once."""
    catalogue = Catalogue((API, EGRESS), frozenset({"support", "api_calls"}))

    assert catalogue.features == ["api_calls", "api_reads", "egress_gb", "support"]
    assert catalogue.dimension_names == ("region", "tier")


@pytest.mark.parametrize(
    ("aggregation", "window", "expected"),
    [
        (Aggregation.SUM, EventTimeWindow.NONE, False),
        (Aggregation.COUNT, EventTimeWindow.NONE, False),
        (Aggregation.LAST, EventTimeWindow.NONE, True),
        (Aggregation.SUM, EventTimeWindow.HOUR, True),
        (Aggregation.SUM, EventTimeWindow.DAY, True),
        (Aggregation.LAST, EventTimeWindow.DAY, True),
    ],
)
def test_order_matters_where_a_later_event_replaces_an_earlier_one(
    aggregation: Aggregation, window: EventTimeWindow, expected: object
) -> None:
    """`last` and windowed meters are ordered, sums and counts of raw events are not."""
    meter = Meter(event_name="m", features=("f",), aggregation=aggregation, event_time_window=window)

    assert expected is meter.is_ordered


def test_a_feature_in_two_meters_is_found() -> None:
    """A feature that two meters count is named with both, and one that a meter names twice as well."""
    other = Meter(event_name="other", features=("egress_gb", "x", "x"))

    assert features_claimed_twice([API, EGRESS]) == []
    assert features_claimed_twice([API, EGRESS, other]) == [
        ("egress_gb", "egress", "other"),
        ("x", "other", "other"),
    ]
