"""The forecast of an audit against what then happens: a month's end played out in the ledger."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from meterledger.domain.forecast import ChangeKind
from meterledger.domain.instant import DAY, HOUR, MINUTE, SECOND, Instant, parse_instant, to_text
from meterledger.domain.lateness import Landing
from meterledger.domain.push_schedule import PushSchedule
from meterledger.ledger.lease import Binding
from meterledger.usecases.forecast_answer import Forecasted
from meterledger.usecases.import_customers import CustomersOptions, import_customers
from support.audits import audited, codes
from support.customers import import_anchors
from support.delivered_ledger import LedgerBuilder, ledger_builder

END = parse_instant("2026-11-01T00:00:00Z")
EVERY = 30 * MINUTE
FIRST_ANCHOR = parse_instant("2026-05-03T00:00:00Z")
SOURCES = {"hour_late": HOUR, "day_late": DAY, "prompt": 4 * MINUTE}


@pytest.fixture
def built(tmp_path: Path) -> Iterator[LedgerBuilder]:
    """Yield an empty ledger to fill."""
    with ledger_builder(tmp_path) as builder:
        yield builder


def play(built: LedgerBuilder, since: Instant, until: Instant) -> None:
    """Let each source bring a usage event every two hours, and a push take it when its time has come."""
    schedule = PushSchedule(every=EVERY)
    for source, delay in SOURCES.items():
        for event_time in range(since, until, 2 * HOUR):
            name = f"{source}-{event_time}"
            arrival = event_time + delay + 47 * MINUTE
            built.usage(
                name,
                to_text(event_time),
                recorded=to_text(arrival),
                quantity=25,
                source=source,
            )
            built.accepted(name, to_text(schedule.first_push(arrival) + SECOND))


def only(forecasts: list[Forecasted], end: Instant = END) -> Forecasted:
    """Return the one forecast of the periods that end then."""
    (found,) = (one for one in forecasts if one.forecast.closing.period.end == end)
    return found


def test_a_months_end_is_called_in_advance_to_the_event(built: LedgerBuilder) -> None:
    """What the audit forecasts on the last afternoon is what it finds missed when all is over."""
    play(built, END - 7 * DAY + HOUR, END + 2 * DAY)
    before = only(audited(built, "2026-10-31T16:00:00Z", push_every=EVERY, as_of=True).forecasts)
    after = audited(built, "2026-11-05T00:00:00Z")

    assert before.forecast.late is not None
    expected = before.forecast.late.expected
    assert before.forecast.late.least == before.forecast.late.most == expected
    (missed,) = (entry.amounts[Landing.MISSED] for entry in after.entries if entry.period.end == END)
    # Of the hour-late source that is 23:00, of the day-late one the whole day.
    assert missed.events == expected.events == 1 + 12
    assert str(missed.quantity) == str(expected.quantity) == "3.25"


def test_what_should_change_saves_all_of_it(built: LedgerBuilder) -> None:
    """With the grace period that the forecast names nothing is forecast to be late, or missed."""
    play(built, END - 7 * DAY + HOUR, END + 2 * DAY)
    before = only(audited(built, "2026-10-31T16:00:00Z", push_every=EVERY, as_of=True).forecasts)
    (grace,) = (
        one.seconds for one in before.forecast.changes if one.kind is ChangeKind.GRACE_PERIOD and one.seconds
    )
    longer = audited(built, "2026-10-31T16:00:00Z", push_every=EVERY, as_of=True, grace_period=grace * SECOND)
    after = audited(built, "2026-11-05T03:00:00Z", grace_period=grace * SECOND)

    assert grace == 48 * 3600
    late = only(longer.forecasts).forecast.late
    assert late is not None
    assert late.most.events == 0
    assert not any(entry.amounts[Landing.MISSED].events for entry in after.entries)


def test_late_usage_is_a_finding_that_leaves_the_verdict_alone(built: LedgerBuilder) -> None:
    """What is only expected is said; the verdict is about what is known."""
    play(built, END - 7 * DAY + HOUR, END + HOUR)
    result = audited(built, "2026-11-01T00:00:00Z", push_every=EVERY, as_of=True)

    assert "late_usage_expected" in codes(result)
    assert "source_silent" not in codes(result)


def test_one_customer_alone_is_forecast_by_its_own_usage(built: LedgerBuilder) -> None:
    """With --customer only that customer's usage is rehearsed."""
    play(built, END - 7 * DAY + HOUR, END + HOUR)
    built.usage("other", "2026-10-31T10:00:00Z", recorded="2026-10-31T10:00:00Z", customer="cus_b")
    result = audited(built, "2026-10-31T16:00:00Z", push_every=EVERY, as_of=True, customer="cus_b")

    late = only(result.forecasts).forecast.late
    assert late is not None
    assert late.most.events == 0


def test_what_the_delays_leave_out_says_nothing_here_either(built: LedgerBuilder) -> None:
    """Backfills, and first imports without received_at, are no history."""
    for number in range(40):
        at = to_text(END - 20 * DAY + number * 12 * HOUR)
        built.usage(f"b{number}", at, recorded="2026-10-31T10:00:00Z", backfill=True)
        built.usage(f"f{number}", at, recorded="2026-10-31T10:00:00Z", first=True, source="first")
    result = audited(built, "2026-10-31T16:00:00Z")

    assert only(result.forecasts).forecast.late is None
    assert "too_little_history" in codes(result)


def test_a_load_of_the_past_counts_as_of_when_it_was_received(built: LedgerBuilder) -> None:
    """Files of the last weeks that are imported today with received_at are a history of what came when."""
    for number in range(12 * 24):
        event_time = END - 14 * DAY + number * HOUR
        built.usage(
            f"r{number}",
            to_text(event_time),
            recorded="2026-10-31T23:00:00Z",
            received=to_text(event_time + 2 * HOUR),
            first=True,
        )
    forecasted = only(audited(built, "2026-10-31T23:30:00Z", push_every=EVERY, as_of=True).forecasts)

    # 23:00 arrives at 01:00, and the push of 01:00 is a second too late; 22:00 is in time.
    assert forecasted.forecast.late is not None
    assert forecasted.forecast.late.expected.events == 1
    assert forecasted.open.events == 12 * 24


def test_customers_with_anchors_are_each_forecast_at_their_own_end(
    built: LedgerBuilder, tmp_path: Path
) -> None:
    """Two customers whose periods end at other times: each end is rehearsed at its own time of day."""
    file = tmp_path / "customers.jsonl"
    anchors = {"one": "2026-08-15T09:30:00Z", "two": "2026-08-20T18:00:00Z"}
    lines = [
        f'{{"customer_id":"{name}","stripe_customer_id":"cus_{name}","billing_cycle_anchor":"{anchor}"}}\n'
        for name, anchor in anchors.items()
    ]
    file.write_text("".join(lines))
    began = END - 5 * DAY
    import_customers(built.ledger, built.settings, CustomersOptions(files=[str(file)]), clock=lambda: began)
    for number in range(5 * 24):
        for name, delay in (("one", 2 * HOUR), ("two", 3 * HOUR)):
            at = began + number * HOUR + 30 * MINUTE
            built.usage(f"{name}{number}", to_text(at), recorded=to_text(at + delay), customer=name)
    result = audited(built, "2026-11-01T00:00:00Z", push_every=EVERY, as_of=True)

    # At 09:30 usage of 08:30 is on its way; at 18:00 that of 17:30 and 16:30.
    assert [
        (to_text(one.forecast.closing.period.end), one.forecast.late and one.forecast.late.expected.events)
        for one in result.forecasts
    ] == [("2026-11-15T09:30:00Z", 1), ("2026-11-20T18:00:00Z", 2)]


def test_a_source_that_fell_silent_is_a_finding(built: LedgerBuilder) -> None:
    """Hourly usage that stopped yesterday: the finding names the source, and since when."""
    for number in range(5 * 24):
        at = to_text(END - 6 * DAY + number * HOUR)
        built.usage(f"r{number}", at, recorded=at, source="gateway")
    result = audited(built, "2026-10-31T23:30:00Z")

    (found,) = (finding for finding in result.findings if finding.code == "source_silent")
    assert found.details["source"] == "gateway"
    assert found.details["since"] == "2026-10-30T23:00:00Z"


def test_a_finding_that_holds_for_many_deadlines_is_said_once(built: LedgerBuilder, tmp_path: Path) -> None:
    """Thirty customers with thirty deadlines: one finding each for the late usage and the silent source."""
    began = END - 9 * DAY
    anchors = {f"cus_{number}": to_text(FIRST_ANCHOR + number * DAY // 4) for number in range(30)}
    import_anchors(built.ledger, built.settings, tmp_path, **anchors)
    for hour in range(8 * 24):
        at = began + hour * HOUR
        for name in list(anchors)[hour % 5 :: 5]:
            arrival = to_text(at + 150 * MINUTE)
            built.usage(f"{name}-{hour}", to_text(at), recorded=arrival, customer=name, source="gateway")
    result = audited(built, "2026-10-31T18:00:00Z", push_every=EVERY, as_of=True)

    assert len(result.forecasts) == 30
    (late,) = (finding for finding in result.findings if finding.code == "late_usage_expected")
    (silent,) = (finding for finding in result.findings if finding.code == "source_silent")
    known = [one.forecast.late for one in result.forecasts if one.forecast.late]
    assert late.details["expected"] == sum(one.expected.events for one in known)
    assert late.details["most"] == sum(one.most.events for one in known)
    assert late.details["deadlines"] == sum(one.most.events > 0 for one in known) > 1
    assert late.details["deadline"] == to_text(
        min(
            one.closing.deadline
            for one in result.forecasts
            if one.forecast.late and one.forecast.late.most.events
        )
    )
    assert silent.details["source"] == "gateway"


def test_the_schedule_is_seen_in_the_pushes_of_the_ledger(built: LedgerBuilder) -> None:
    """Without --push-every the pushes so far tell how often one runs, and at which minute."""
    built.usage("r1", "2026-10-31T10:00:00Z", recorded="2026-10-31T10:00:00Z")
    built.claimed("r1", "2026-10-31T10:10:00Z")
    token = 1
    for hour in range(11, 15):
        built.ledger.outbox.begin_push("v1", "test", token, parse_instant(f"2026-10-31T{hour}:10:00Z"))
    (forecasted,) = audited(built, "2026-10-31T16:00:00Z").forecasts

    assert forecasted.as_dict()["push_every_seconds"] == 3600
    assert forecasted.as_dict()["push_schedule"] == "observed"
    assert forecasted.schedule.first_push(END) == END + 10 * MINUTE


def test_the_pace_is_that_of_the_ledger_as_it_was_known_then(built: LedgerBuilder) -> None:
    """Before a ledger is bound to test mode, and slow, a live key's pace counts: also when asked later."""
    for number in range(40):
        built.usage(f"r{number}", "2026-10-31T10:00:00Z", recorded="2026-10-31T10:00:00Z")
    binding = Binding(account_id=None, stripe_account="", mode="test", host="https://api.stripe.com")
    before = only(audited(built, "2026-10-31T11:00:00Z").forecasts)
    built.ledger.lease.bind(binding, parse_instant("2026-10-31T12:00:00Z"))
    again = only(audited(built, "2026-10-31T11:00:00Z", as_of=True).forecasts)
    after = only(audited(built, "2026-10-31T13:00:00Z").forecasts)

    assert before.sending_seconds == again.sending_seconds == 1
    assert after.sending_seconds == 2


def test_nothing_is_forecast_for_a_deadline_that_is_over(built: LedgerBuilder) -> None:
    """A forecast is about what is still to come."""
    built.usage("r1", "2026-10-20T10:00:00Z", recorded="2026-10-20T10:00:00Z")

    assert audited(built, "2026-11-01T01:00:01Z").forecasts == []
