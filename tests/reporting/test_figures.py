"""What the pictures show: bounded, told apart, and never an unlikely scale."""

from meterledger.domain.billing_period import BillingPeriod, calendar_month
from meterledger.domain.dues import NEVER, DeadlineSource
from meterledger.domain.instant import DAY, HOUR, MINUTE, Instant, parse_instant
from meterledger.domain.lateness import BIN_EDGES, DelaySummary, Landing
from meterledger.domain.quantity import ZERO
from meterledger.reporting.audit_page import Rules, audit_page
from meterledger.reporting.figures import (
    MOST_CROWDED,
    MOST_CURVES,
    MOST_DEADLINES,
    deadline_rows,
    delay_curves,
    missed_curves,
    source_bars,
)
from meterledger.usecases.audit_answer import Amount, Audit, DelayLine, Entry, MissedCurve, SourceAmounts

NOW = parse_instant("2026-11-02T09:00:00Z")
LONG = "x" * 60


def entry(end: Instant, state: Landing, deadline: Instant | None = None) -> Entry:
    """Return a period of 30 days in which one usage event stands somewhere."""
    found = Entry(
        BillingPeriod(end - 30 * DAY, end),
        end + HOUR if deadline is None else deadline,
        DeadlineSource.CONFIGURED,
        "api_requests",
    )
    found.amounts[state].add(1, ZERO)
    return found


def result(**parts: object) -> Audit:
    """Return an audit with some of its parts."""
    return Audit(as_of=NOW, grace_period=3600, **parts)  # type: ignore[arg-type] # parts by name


def delays(source: str, count: int) -> DelayLine:
    """Return ingestion delays of under a minute."""
    return DelayLine(
        source=source,
        event_name="m",
        kind="ingestion",
        summary=DelaySummary(count=count, p50=1, p90=1, p99=1, max=1),
        histogram=[count, *[0] * len(BIN_EDGES)],
    )


def test_deadlines_with_trouble_leave_room_for_what_comes_next() -> None:
    """Of many missed ones the nearest are shown, and beside them the deadlines ahead."""
    entries = [entry(NOW - day * DAY, Landing.MISSED) for day in range(1, 30)]
    entries += [entry(NOW + day * DAY, Landing.OPEN) for day in range(1, 30)]
    shown, left_out = deadline_rows(result(entries=entries))
    assert len(shown) == MOST_DEADLINES
    assert left_out == len(entries) - MOST_DEADLINES
    assert [row.state for row in shown] == ["missed"] * 9 + ["open"] * 5
    assert [row.deadline for row in shown] == sorted(row.deadline for row in shown)
    assert max(row.deadline for row in shown) == NOW + 5 * DAY + HOUR


def test_one_old_period_does_not_press_the_time_line_together() -> None:
    """What ended years ago is left out of the picture, not of the count."""
    shown, left_out = deadline_rows(
        result(entries=[entry(NOW - 3_000 * DAY, Landing.MISSED), entry(NOW + DAY, Landing.OPEN)])
    )
    assert [row.state for row in shown] == ["open"]
    assert left_out == 1


def test_of_very_many_deadlines_each_is_named_by_its_minute() -> None:
    """Their periods begin and end on the same days: the two days tell none from another."""
    entries = [entry(NOW + number * 7 * MINUTE, Landing.OPEN) for number in range(MOST_CROWDED + 1)]
    shown, _ = deadline_rows(result(entries=entries))

    assert [row.name for row in shown[:3]] == ["to 02 Nov 09:00", "to 02 Nov 09:07", "to 02 Nov 09:14"]


def test_a_draft_that_is_held_open_is_drawn_without_a_deadline() -> None:
    """It has none: its bar ends with its period, and the words say so."""
    month = calendar_month(NOW - 5 * DAY)
    held = entry(month.end, Landing.OPEN, NEVER)
    shown, _ = deadline_rows(result(entries=[held, entry(month.end, Landing.LANDED)]))
    assert {row.name.endswith(", held open") for row in shown} == {True, False}
    page = audit_page(result(entries=[held]), Rules(safety_margin=300, retry_time=900))
    assert "<td>held open</td>" in page


def test_lines_are_bounded_and_names_that_are_cut_alike_stay_apart() -> None:
    """The sources with the most usage are drawn; two long names are not one line."""
    lines = [delays(f"{LONG}{number}", 100 + number) for number in range(MOST_CURVES + 2)]
    curves = delay_curves(result(delays=lines))
    assert curves.left_out == 2
    assert [curve.whole for curve in curves.shown] == [107, 106, 105, 104, 103, 102]
    assert len({curve.name for curve in curves.shown}) == MOST_CURVES
    bars = source_bars(
        result(sources=[SourceAmounts(source=f"{LONG}{number}", event_name="m") for number in range(30)])
    )
    assert len({bar.name for bar in bars}) == len(bars) == 10


def test_a_curve_of_nothing_is_no_curve() -> None:
    """A meter whose usage all was a backfill has no share of anything."""
    curve = MissedCurve(event_name=None, usage=Amount(), missed=[Amount() for _ in range(73)])
    assert missed_curves(result(missed_curves=[curve])).shown == []


def test_any_name_can_be_drawn() -> None:
    """Names that mean something to a template, to Vega, to XML or to a terminal are drawn as text."""
    names = ["", "\x00\ud800", "{{ 7 * 7 }}", "datum['x']\\", "</svg><script>1</script>", ' id="a" role="b"']
    page = audit_page(
        result(
            delays=[delays(name, 30) for name in names],
            sources=[SourceAmounts(source=name, event_name="m") for name in names],
            missed_curves=[
                MissedCurve(event_name=name or None, usage=Amount(3, ZERO), missed=[Amount(1, ZERO)] * 73)
                for name in names
            ],
        ),
        Rules(safety_margin=300, retry_time=900),
    )
    assert page.count("<script") == page.count("</script") == 1
    assert page.count("<svg") == page.count("</svg") == 6
    assert "{{ 7 * 7 }}" in page
    assert r"\x00\ud800" in page
    page.encode()
