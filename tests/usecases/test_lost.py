"""What missed its invoice: October's deadline is 2026-11-01T01:00:00Z, and the clock stands on 2 November."""

import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from meterledger.domain.instant import parse_instant, to_text
from meterledger.domain.lateness import Landing
from meterledger.domain.quantity import ZERO, Quantity
from meterledger.usecases.audit import AuditOptions, audited
from meterledger.usecases.lost import LostLine, LostUsage, Outcome, lost_lines, lost_usage
from support.delivered_ledger import LedgerBuilder, ledger_builder
from support.properties import quick

NOW = "2026-11-02T00:00:00Z"


@pytest.fixture
def built(tmp_path: Path) -> Iterator[LedgerBuilder]:
    """Yield an empty ledger to fill."""
    with ledger_builder(tmp_path) as builder:
        yield builder


def lost(built: LedgerBuilder, now: str = NOW, **options: object) -> list[LostUsage]:
    """Return what an audit at an instant has lost."""
    asked = AuditOptions(**options)  # type: ignore[arg-type] # options by name
    with built.ledger.database.snapshot():
        whole = audited(built.ledger, built.settings, asked, now=parse_instant(now))
        return list(lost_usage(whole))


def october(built: LedgerBuilder, name: str, **fields: object) -> LedgerBuilder:
    """Import a usage event of 31 October."""
    return built.usage(name, "2026-10-31T23:00:00Z", recorded="2026-10-31T23:10:00Z", **fields)  # type: ignore[arg-type] # fields by name


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("accepted in time", None),
        ("accepted in the margin", None),
        ("accepted late", ("accepted_late", "accepted_late")),
        ("unsent", ("never_accepted", "unsent")),
        ("sealed and not sent", ("never_accepted", "unsent")),
        ("blocked", ("never_accepted", "blocked: unknown_customer")),
        ("rejected", ("never_accepted", "rejected: no_meter")),
        ("unknown", ("may_be_on_it", "unknown")),
        ("around the deadline", ("may_be_on_it", "straddles")),
    ],
)
def test_each_usage_event_is_lost_or_may_be_or_is_not(
    built: LedgerBuilder, case: str, expected: tuple[str, str] | None
) -> None:
    """What Stripe took late or never is lost with a reason; what it may have in time is not called lost."""
    october(built, "r1", customer="acme" if case == "blocked" else "cus_a")
    match case:
        case "accepted in time":
            built.accepted("r1", "2026-11-01T00:30:00Z")
        case "accepted in the margin":
            built.accepted("r1", "2026-11-01T00:59:00Z")
        case "accepted late":
            built.accepted("r1", "2026-11-01T01:00:01Z")
        case "sealed and not sent":
            built.not_sent("r1", "2026-11-01T00:30:00Z")
        case "rejected":
            built.rejected("r1", "2026-11-01T00:30:00Z")
        case "unknown":
            built.unknown("r1", "2026-11-01T00:30:00Z")
        case "around the deadline":
            built.found_duplicate(
                "r1", "2026-11-01T00:58:00Z", "2026-11-01T01:30:00Z", "2026-11-01T01:02:00Z"
            )

    found = [(one.outcome.value, one.reason) for one in lost(built)]

    assert found == ([expected] if expected else [])


def test_nothing_is_lost_before_its_deadline(built: LedgerBuilder) -> None:
    """In the second of the deadline unsent usage can still make it; in the next it is lost."""
    october(built, "r1")

    assert lost(built, "2026-11-01T01:00:00Z") == []
    assert [one.request_id for one in lost(built, "2026-11-01T01:00:01Z")] == ["r1"]


def test_each_usage_event_leads_to_its_row(built: LedgerBuilder) -> None:
    """A lost usage event names its file and line, its key, its Stripe customer, and what it was sent as."""
    october(built, "r1").accepted("r1", "2026-11-01T02:00:00Z")

    (one,) = lost(built)

    assert (one.file, one.line, one.source, one.request_id) == ("usage.csv", 2, "default", "r1")
    assert (one.stripe_customer_id, one.event_name, one.quantity) == (
        "cus_a",
        "api_requests",
        Quantity(100, 2),
    )
    assert one.identifier is not None
    assert to_text(one.accepted_at or 0) == "2026-11-01T02:00:00Z"
    assert to_text(one.due.deadline) == "2026-11-01T01:00:00Z"


def test_lines_keep_what_is_lost_and_what_may_be_apart(built: LedgerBuilder) -> None:
    """One line for a customer and feature: lost by outcome and reason, and beside it what may be on it."""
    october(built, "late", quantity=150).accepted("late", "2026-11-01T02:00:00Z")
    built.usage("unsent", "2026-10-02T00:00:00Z", recorded="2026-10-31T23:10:01Z", quantity=25)
    october(built, "unknown", quantity=1000).unknown("unknown", "2026-11-01T00:30:00Z")
    october(built, "other", customer="cus_b")

    ours, other = lost_lines(lost(built))

    assert (ours.customer_id, str(ours.lost.quantity), ours.lost.events) == ("cus_a", "1.75", 2)
    assert str(ours.amounts[Outcome.MAY_BE_ON_IT].quantity) == "10"
    assert ours.reasons[Outcome.NEVER_ACCEPTED] == {"unsent": 1}
    assert to_text(ours.first_event_time) == "2026-10-02T00:00:00Z"
    assert (other.customer_id, other.lost.events) == ("cus_b", 1)


def test_a_filter_narrows_it_as_it_does_the_audit(built: LedgerBuilder) -> None:
    """With a customer, or a meter, only what the audit of it counts is lost."""
    october(built, "r1")
    october(built, "r2", customer="cus_b", feature="seats", quantity=1)

    assert [one.request_id for one in lost(built, customer="cus_b")] == ["r2"]
    assert [one.request_id for one in lost(built, meter="api_requests")] == ["r1"]


_TIMES = st.sampled_from(
    [
        "2026-09-30T23:59:59Z",
        "2026-10-01T00:00:00Z",
        "2026-10-15T12:00:00Z",
        "2026-10-31T23:59:59Z",
        "2026-11-01T00:00:00Z",
    ]
)
_HOW = st.sampled_from(["waits", "accepted", "rejected", "unknown", "not_sent", "duplicate"])
_WHEN = st.sampled_from(
    [
        "2026-11-01T00:30:00Z",
        "2026-11-01T00:57:00Z",
        "2026-11-01T01:00:00Z",
        "2026-11-01T01:00:01Z",
        "2026-11-01T09:00:00Z",
    ]
)
_USAGE = st.tuples(
    _TIMES,
    _HOW,
    _WHEN,
    st.sampled_from(["cus_a", "cus_b", "acme"]),
    st.integers(0, 10_000),
    st.sampled_from(["api_calls", "seats"]),
)


@examples(quick, max_examples=25)
@given(st.lists(_USAGE, max_size=12), _WHEN)
def test_the_sums_are_those_of_the_audit(usage: list[tuple[str, str, str, str, int, str]], now: str) -> None:
    """Over any ledger, by period, deadline and meter: what is lost is what the audit calls missed."""
    with ExitStack() as opened:
        folder = opened.enter_context(tempfile.TemporaryDirectory())
        built = opened.enter_context(ledger_builder(Path(folder)))
        for number, (event_time, how, when, customer, quantity, feature) in enumerate(usage):
            name = f"r{number}"
            built.usage(
                name,
                event_time,
                recorded=f"2026-11-01T00:10:{number:02}Z",
                customer=customer,
                quantity=quantity,
                feature=feature,
            )
            if customer == "acme" or how == "waits":
                continue
            match how:
                case "accepted":
                    built.accepted(name, when)
                case "rejected":
                    built.rejected(name, when)
                case "unknown":
                    built.unknown(name, when)
                case "not_sent":
                    built.not_sent(name, when)
                case _:
                    built.found_duplicate(name, "2026-11-01T00:50:00Z", when)
        options = AuditOptions(as_of=True, periods=3)
        with built.ledger.database.snapshot():
            whole = audited(built.ledger, built.settings, options, now=parse_instant(now))
            lines = lost_lines(lost_usage(whole))

    assert _sums(lines) == {
        (entry.period, entry.deadline, entry.event_name): (missed.events, missed.quantity)
        for entry in whole.audit.entries
        if (missed := entry.amounts[Landing.MISSED]).events
    }


def _sums(lines: list[LostLine]) -> dict[tuple[object, ...], tuple[int, Quantity]]:
    found: dict[tuple[object, ...], tuple[int, Quantity]] = defaultdict(lambda: (0, ZERO))
    for line in lines:
        if line.lost.events:
            key = (line.due.period, line.due.deadline, line.event_name)
            events, quantity = found[key]
            found[key] = (events + line.lost.events, quantity + line.lost.quantity)
    return dict(found)
