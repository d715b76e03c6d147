"""The countdown to October's deadline, 2026-11-01T01:00:00Z, in made-up time."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from meterledger.domain.instant import DAY, HOUR, MINUTE, SECOND, Instant, parse_instant, to_text
from meterledger.domain.rhythm import SourceState
from meterledger.errors import UsageError
from meterledger.usecases.audit import AuditOptions
from meterledger.usecases.countdown import MOST_DEADLINES, Countdown, Ending, Look, Waiting, count_down
from meterledger.usecases.import_customers import CustomersOptions, import_customers
from support.delivered_ledger import LedgerBuilder, ledger_builder

EVENING = parse_instant("2026-10-31T22:00:00Z")
DEADLINE = parse_instant("2026-11-01T01:00:00Z")


@pytest.fixture
def built(tmp_path: Path) -> Iterator[LedgerBuilder]:
    """Yield an empty ledger to fill."""
    with ledger_builder(tmp_path, anchors="calendar") as builder:
        yield builder


def countdown(built: LedgerBuilder, until: Instant | None = None, **options: object) -> Countdown:
    """Return a countdown of a ledger."""
    asked = AuditOptions(**options)  # type: ignore[arg-type] # options by name
    return Countdown(built.ledger, built.settings, asked, until)


def daily_batches(
    built: LedgerBuilder, first: int, last: int, *, source: str = "batch", at: str = "00:20"
) -> None:
    """Import and deliver, on each of some days of October, the usage of the day before."""
    for day in range(first, last + 1):
        midnight = parse_instant("2026-10-01T00:00:00Z") + (day - 1) * DAY
        recorded = f"{to_text(midnight)[:10]}T{at}:00Z"
        name = f"{source}{day}"
        built.usage(name, to_text(midnight - MINUTE), recorded=recorded, source=source)
        built.accepted(name, recorded)


def run_down(counting: Countdown, start: Instant, interval: int = 10 * MINUTE) -> list[Look]:
    """Count down with a clock that jumps while it waits; return all that was shown."""
    shown: list[Look] = []
    clock = [start]

    def wait(microseconds: int) -> bool:
        clock[0] += microseconds
        return False

    count_down(counting, interval=interval, clock=lambda: clock[0], wait=wait, show=shown.append)
    return shown


def test_everything_that_waits_is_counted_by_deadline(built: LedgerBuilder) -> None:
    """Unsent, blocked, unknown, rejected and refused rows are counted, each once."""
    built.usage("landed", "2026-10-31T20:00:00Z", recorded="2026-10-31T20:10:00Z")
    built.accepted("landed", "2026-10-31T20:11:00Z")
    built.usage("unsealed", "2026-10-31T20:00:00Z", recorded="2026-10-31T20:10:01Z")
    built.usage("pending", "2026-10-31T20:00:00Z", recorded="2026-10-31T20:10:02Z")
    built.not_sent("pending", "2026-10-31T20:11:00Z")
    built.usage("blocked", "2026-10-31T20:00:00Z", recorded="2026-10-31T20:10:03Z", customer="acme")
    built.usage("unknown", "2026-10-31T20:00:00Z", recorded="2026-10-31T20:10:04Z")
    built.unknown("unknown", "2026-10-31T20:11:00Z")
    built.usage("refused", "2026-10-31T20:00:00Z", recorded="2026-10-31T20:10:05Z")
    built.rejected("refused", "2026-10-31T20:11:00Z")
    built.rejection("2026-10-31T20:00:00Z", recorded="2026-10-31T20:10:06Z")
    built.usage("next", "2026-11-01T00:10:00Z", recorded="2026-11-01T00:20:00Z")

    october, november = countdown(built).look(parse_instant("2026-11-01T00:30:00Z")).deadlines

    assert to_text(october.deadline) == "2026-11-01T01:00:00Z"
    assert {what.value: count for what, count in october.waiting.items() if count} == {
        "unsent": 2,
        "blocked": 1,
        "unknown": 1,
        "rejected": 1,
        "open_rejections": 1,
    }
    assert november.waiting[Waiting.UNSENT] == 1
    assert october.customers == 2


def test_a_late_source_is_named_before_the_deadline_and_counts_at_the_end(built: LedgerBuilder) -> None:
    """A batch that comes at 00:20 is expected, then late; the deadline finds nothing missed, but not ok."""
    daily_batches(built, 20, 31)

    shown = run_down(countdown(built), EVENING)

    states = {to_text(look.as_of): look.deadlines[0].sources["batch"].state for look in shown}
    assert states["2026-11-01T00:20:00Z"] is SourceState.EXPECTED
    assert states["2026-11-01T00:30:00Z"] is SourceState.LATE
    last = shown[-1]
    assert (to_text(last.as_of), last.ending) == ("2026-11-01T01:00:01Z", Ending.DEADLINE)
    assert (last.verdict, last.outstanding) == ("at_risk", ("batch",))


def test_a_batch_that_comes_after_the_deadline_is_called_in_advance(built: LedgerBuilder) -> None:
    """Of a source that delivers at 02:00, the last day is known to come after the deadline at 01:00."""
    daily_batches(built, 20, 31, at="02:00")

    first, *_, last = run_down(countdown(built), EVENING)

    batch = first.deadlines[0].sources["batch"]
    assert batch.state is SourceState.EXPECTED
    assert batch.complete_by == parse_instant("2026-11-01T02:00:00Z")
    assert (last.verdict, last.outstanding) == ("at_risk", ("batch",))


def test_it_ends_at_once_when_everything_has_landed(built: LedgerBuilder) -> None:
    """With the batch of the last day in and delivered, nothing is waited for: ok before the deadline."""
    daily_batches(built, 20, 32)

    shown = run_down(countdown(built), parse_instant("2026-11-01T00:21:00Z"))

    assert [(look.ending, look.verdict, look.outstanding) for look in shown] == [(Ending.LANDED, "ok", ())]


def test_what_is_unsent_at_the_deadline_is_missed(built: LedgerBuilder) -> None:
    """Usage that nobody pushes counts down to a verdict of missed, the second after the deadline."""
    daily_batches(built, 20, 32)
    built.usage("unsent", "2026-10-31T23:00:00Z", recorded="2026-11-01T00:20:00Z", source="batch")

    shown = run_down(countdown(built), parse_instant("2026-11-01T00:21:00Z"))

    assert [look.ending for look in shown[:-1]] == [None] * (len(shown) - 1)
    assert (shown[-1].ending, shown[-1].verdict) == (Ending.DEADLINE, "missed")
    assert shown[-1].after_deadline == 1


def test_what_comes_in_between_two_looks_is_seen(built: LedgerBuilder) -> None:
    """A later look sees the delivery, and takes the source for complete."""
    daily_batches(built, 20, 31)
    counting = countdown(built)
    before = counting.look(parse_instant("2026-11-01T00:10:00Z"))
    daily_batches(built, 32, 32)
    after = counting.look(parse_instant("2026-11-01T00:21:00Z"))

    assert before.deadlines[0].sources["batch"].state is SourceState.EXPECTED
    assert after.ending is Ending.LANDED


def test_too_little_history_never_ends_it_early(built: LedgerBuilder) -> None:
    """Of a source with two deliveries nothing is expected, so the countdown goes on to the deadline."""
    daily_batches(built, 31, 32)

    shown = run_down(countdown(built), parse_instant("2026-11-01T00:30:00Z"))

    assert shown[0].deadlines[0].sources["batch"].state is SourceState.TOO_LITTLE_HISTORY
    assert (shown[-1].ending, shown[-1].verdict) == (Ending.DEADLINE, "ok")


def test_backfill_is_no_delivery(built: LedgerBuilder) -> None:
    """A backfill on the last day does not make the source complete."""
    daily_batches(built, 20, 31)
    built.usage("old", "2026-10-31T23:59:30Z", recorded="2026-11-01T00:30:00Z", source="batch", backfill=True)
    built.accepted("old", "2026-11-01T00:31:00Z")

    look = countdown(built).look(parse_instant("2026-11-01T00:40:00Z"))

    assert look.deadlines[0].sources["batch"].state is SourceState.LATE


def test_many_deadlines_are_grouped_and_the_next_ten_shown(built: LedgerBuilder, tmp_path: Path) -> None:
    """Customers with the same period share a line; of many deadlines the nearest ten are shown in order."""
    rows = ["customer_id,stripe_customer_id,subscription_id,billing_cycle_anchor,interval"]
    for number in range(24):
        rows.append(f"c{number},cus_{number},sub_{number},2026-01-{number // 2 + 1:02}T09:00:00Z,month")
        built.usage(
            f"r{number}", "2026-10-31T20:00:00Z", recorded="2026-10-31T20:10:00Z", customer=f"c{number}"
        )
    (tmp_path / "customers.csv").write_text("\n".join(rows) + "\n")
    import_customers(
        built.ledger,
        built.settings,
        CustomersOptions(files=(str(tmp_path / "customers.csv"),)),
        clock=lambda: EVENING,
    )
    settings = replace(built.settings, invoicing=replace(built.settings.invoicing, calendar_periods=False))

    look = Countdown(built.ledger, settings, AuditOptions()).look(EVENING)

    assert len(look.deadlines) == MOST_DEADLINES
    assert [one.customers for one in look.deadlines] == [2] * MOST_DEADLINES
    assert look.deadlines == sorted(look.deadlines, key=lambda one: one.deadline)
    assert look.more_deadlines == 2
    assert to_text(look.deadlines[0].deadline) == "2026-11-01T10:00:00Z"


def test_until_goes_on_over_a_deadline(built: LedgerBuilder) -> None:
    """With an instant given, the countdown passes the first deadline and ends then."""
    built.usage("unsent", "2026-10-31T23:00:00Z", recorded="2026-10-31T23:10:00Z")
    until = DEADLINE + 2 * HOUR

    shown = run_down(countdown(built, until), EVENING + 2 * HOUR)

    assert (shown[-1].as_of, shown[-1].ending, shown[-1].verdict) == (until, Ending.DEADLINE, "missed")


def test_whoever_stops_it_gets_no_verdict(built: LedgerBuilder) -> None:
    """A countdown that is stopped while it waits ends with the look before, and without a verdict."""
    built.usage("unsent", "2026-10-31T20:00:00Z", recorded="2026-10-31T20:10:00Z")
    asked: list[int] = []

    def stopped(microseconds: int) -> bool:
        asked.append(microseconds)
        return True

    look = count_down(
        countdown(built), interval=30 * SECOND, clock=lambda: EVENING, wait=stopped, show=lambda _: None
    )

    assert (look.ending, look.verdict, asked) == (None, None, [30 * SECOND])


def test_an_empty_ledger_has_nothing_to_wait_for(built: LedgerBuilder) -> None:
    """Without usage there is no deadline ahead, and the countdown is over at once."""
    look = countdown(built).look(EVENING)

    assert (look.ending, look.verdict) == (Ending.NOTHING, "ok")


def test_a_misspelt_customer_is_refused(built: LedgerBuilder) -> None:
    """A customer that the ledger does not know would leave nothing to count down to."""
    built.usage("r1", "2026-10-31T20:00:00Z", recorded="2026-10-31T20:10:00Z")

    with pytest.raises(UsageError, match="cus_b"):
        countdown(built, customer="cus_b").look(EVENING)
