"""What people are shown of an audit of many customers adds up to all of it."""

from collections import Counter

from meterledger.domain.billing_period import BillingPeriod
from meterledger.domain.dues import NEVER, DeadlineSource
from meterledger.domain.instant import DAY, HOUR, MINUTE, parse_instant
from meterledger.domain.lateness import Landing
from meterledger.domain.quantity import Quantity
from meterledger.usecases.audit_answer import Amount, Entry
from meterledger.usecases.audit_digest import added_up, worst

NOW = parse_instant("2026-11-22T12:00:00Z")
METERS = ("storage", None, "api_requests")


def entries() -> list[Entry]:
    """Return 900 periods of three meters, from a month ago to two months ahead, and one held open."""
    made = []
    for number in range(900):
        end = NOW + (number - 300) * (2 * HOUR + MINUTE)
        deadline = NEVER if number == 700 else end + HOUR
        one = Entry(
            BillingPeriod(end - 30 * DAY, end),
            deadline,
            DeadlineSource.CONFIGURED,
            METERS[number % 3],
            customers=1,
        )
        for where in Landing:
            events = number * 7 % (3 + len(where.value))
            one.amounts[where] = Amount(events, Quantity(events * 25, 1))
        made.append(one)
    return made


def test_the_sums_are_those_of_all_periods() -> None:
    """By meter and landing; no period is left out or counted twice."""
    whole = entries()
    sums = added_up(whole, NOW)

    assert sum(one.periods for one in sums) == 900
    for where in Landing:
        counted, expected = Counter[str | None](), Counter[str | None]()
        for one in sums:
            counted[one.event_name] += one.amounts[where].events
            assert str(one.amounts[where].quantity) == str(Quantity(one.amounts[where].events * 25, 1))
        for entry in whole:
            expected[entry.event_name] += entry.amounts[where].events
        assert counted == expected


def test_stretches_follow_time_and_meters_stand_in_one_order() -> None:
    """What is over comes first, held open last; each stretch has its meters once."""
    sums = added_up(entries(), NOW)

    stretches = list(dict.fromkeys(one.deadlines for one in sums))
    days = [f"2026-11-{day}" for day in range(22, 30)]
    assert stretches == [
        "2026-10 (over)",
        "2026-11 (over)",
        *days,
        "later in 2026-11",
        "2026-12",
        "2027-01",
        "held open",
    ]
    assert [one.event_name for one in sums] == [None, "api_requests", "storage"] * (len(stretches) - 1) + [
        None
    ]


def test_the_worst_are_of_what_is_over_and_of_what_can_still_be_saved() -> None:
    """Half of each; where one kind has few, the other has the rest; never more than asked for."""
    whole = entries()
    shown = worst(whole, NOW, most=20)
    over = [one for one in shown if one.amounts[Landing.MISSED].events]

    assert len(shown) == 20
    assert shown[:10] == over
    assert all(one.deadline >= NOW for one in shown[10:])
    few = [one for one in whole if not one.amounts[Landing.MISSED].events and one.deadline >= NOW]
    assert len(worst([*few[:50], *over[:3]], NOW, most=20)) == 20
    assert len(worst([*few[:3], *over], NOW, most=20)) == 13
