"""What people are told to do about forecasts."""

from meterledger.domain.billing_period import calendar_month
from meterledger.domain.forecast import Change, ChangeKind, Closing, Forecast
from meterledger.domain.instant import HOUR, MINUTE, parse_instant
from meterledger.domain.push_schedule import PushSchedule
from meterledger.usecases.forecast_advice import advice
from meterledger.usecases.forecast_answer import Forecasted

GRACE = Change(kind=ChangeKind.GRACE_PERIOD, seconds=48 * 3600)
NO_GRACE = Change(kind=ChangeKind.GRACE_PERIOD, seconds=None)
PUSH = Change(kind=ChangeKind.PUSH_EVERY, seconds=300)


def earlier(source: str, seconds: int | None) -> Change:
    """Return that a source would have to deliver earlier."""
    return Change(kind=ChangeKind.DELIVER_EARLIER, seconds=seconds, source=source)


def forecasted(*changes: Change, month: int = 10) -> Forecasted:
    """Return a forecast of a month of 2026 with these changes."""
    period = calendar_month(parse_instant(f"2026-{month:02d}-01T00:00:00Z"))
    closing = Closing(period=period, deadline=period.end + HOUR, event_name="api_requests")
    return Forecasted(
        forecast=Forecast(closing=closing, late=None, sources=(), changes=changes),
        schedule=PushSchedule(every=15 * MINUTE),
    )


def test_all_late_sources_have_to_deliver_earlier_together() -> None:
    """A grace period or more pushes do alone; one of two late sources does not, and no minute is cut."""
    minute = 60
    (line,) = advice(
        [forecasted(GRACE, PUSH, earlier("a", 35 * 3600 + 5 * minute), earlier("b", 10 * minute))]
    )

    assert line == (
        "So that nothing of api_requests is late at 2026-11-01T01:00:00Z: a grace period of 48h in place of "
        "1h would do; or a push every 5m in place of 15m would do; or source a would have to deliver 1d 11h "
        "5m earlier and source b would have to deliver 10m earlier."
    )


def test_what_would_not_do_is_no_way_to_be_in_time() -> None:
    """Where one source cannot be early enough, earlier delivery of the other is not offered."""
    (some,) = advice([forecasted(GRACE, earlier("a", None), earlier("b", 600))])
    (none,) = advice([forecasted(NO_GRACE, earlier("a", None))])

    assert some == (
        "So that nothing of api_requests is late at 2026-11-01T01:00:00Z: a grace period of 48h in place of "
        "1h would do. Earlier delivery alone is not enough: some usage of source a happens after the last "
        "push before the deadline."
    )
    assert none == (
        "No single change would bring all of api_requests in time at 2026-11-01T01:00:00Z. No grace period "
        "up to 72h would be long enough; earlier delivery alone is not enough: some usage of source a "
        "happens after the last push before the deadline."
    )


def test_the_same_advice_is_given_once() -> None:
    """Deadlines that want the same change share a line; a forecast without late usage has none."""
    months = [forecasted(GRACE, month=month) for month in (8, 7, 6, 9, 9)]
    (line,) = advice([*months, forecasted()])

    assert line.startswith(
        "So that nothing of api_requests is late at 2026-07-01T01:00:00Z, 2026-08-01T01:00:00Z, "
        "2026-09-01T01:00:00Z and 1 later deadline: a grace period"
    )


def test_many_pieces_of_advice_for_one_meter_are_made_into_one_that_does_for_all() -> None:
    """The longest of what is needed; pushes as often as keeps each push that would have been in time."""
    hour = 3600
    five = [
        forecasted(
            Change(kind=ChangeKind.GRACE_PERIOD, seconds=number * hour),
            Change(kind=ChangeKind.PUSH_EVERY, seconds=900 // (number % 2 + 2)),
            earlier("a", number * 60),
            *([earlier("b", 60)] if number == 3 else []),
            month=number,
        )
        for number in (6, 3, 12, 2, 1)
    ]
    (line,) = advice(five)
    assert line == (
        "So that nothing of api_requests is late at 2026-02-01T01:00:00Z, 2026-03-01T01:00:00Z, "
        "2026-04-01T01:00:00Z and 2 later deadlines: a grace period of 12h in place of 1h would do; or a "
        "push every 2m 30s in place of 15m would do; or source a would have to deliver 12m earlier and "
        "source b would have to deliver 1m earlier."
    )

    (line,) = advice([*five, forecasted(NO_GRACE, earlier("a", None), month=4)])
    assert line.startswith("No single change would bring all of api_requests in time at 2026-02-01")
    assert len(advice(five[:4])) == 4
