"""The checks: after each push what holds at any time, and at the end of a history everything."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from meterledger.domain.instant import DAY, HOUR, MINUTE, SECOND, to_text
from meterledger.errors import MeterledgerError
from meterledger.proving.history import ANCHOR, BULK, COUNT, LAST, SETTLE, START, WAYS, Push
from meterledger.proving.invariants import Broken, Invariant
from meterledger.proving.model import Accepted, Lane
from meterledger.proving.world import World
from meterledger.usecases.explain import explain
from meterledger.usecases.push import PushReport
from meterledger.usecases.verify import verify

MOST_PUSHES = 8
"""How often it is pushed at the end, until nothing changes any more."""

_OLDEST, _NEWEST = 35 * DAY, 5 * MINUTE
_LONGEST_GRACE = 72 * HOUR
_HORIZON = 23 * HOUR
_UNSETTLED = frozenset({"sending", "in_doubt"})
"""Stripe may have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the ledger says of one usage event."""

    state: str
    """Of its meter event if it has one, else ``blocked`` or ``unsealed``."""
    reason: str | None
    counted: int
    """How often Stripe counted it, under whatever identifier."""
    identifier: str = ""
    """Of the meter event that carries it."""
    doubt: str | None = None


def check_at_any_time(world: World) -> None:
    """Check that nothing is at Stripe twice, or too much of anything."""
    page = world.stripe.page()
    twice = [name for name, found in page["identifiers"].items() if found["counted"] > 1]
    world.check(Invariant.COUNTED_ONCE, not twice, f"counted more than once: {', '.join(twice)}")
    lanes = world.model.lanes()
    for row in page["usage"]:
        lane = (row["event_name"], row["customer"])
        given = lanes.get(lane, {}).values()
        most = max((one.quantity for one in given), default=Decimal(0)) if lane[0] == LAST else _total(given)
        world.check(
            Invariant.NEVER_TOO_MUCH,
            row["events"] <= len(given) and Decimal(row["total"]) <= most,
            f"{_name(lane)}: {row['total']} in {row['events']} events at Stripe; "
            f"handed over were {most} in {len(given)}",
        )


def check_the_end(world: World) -> None:
    """Let the weather clear, push until nothing changes any more, and check everything."""
    world.plan_faults()
    world.wait(HOUR)
    report = _push_until_quiet(world)
    check_at_any_time(world)
    if world.restored:
        return  # an old copy cannot tell what the lost ledger sent; it may not count any of it again
    page = world.stripe.page()
    standings = _standings(world, page)
    _check_states(world, standings, report)
    for lane, given in sorted(world.model.lanes().items()):
        (_check_last if lane[0] == LAST else _check_total)(world, lane, given, standings, page)
    _check_refused(world)
    with world.ledger() as ledger:
        wrong = [check.detail for check in verify(ledger) if not check.ok]
    world.check(Invariant.VERIFY_PASSES, not wrong, "; ".join(wrong))


def _push_until_quiet(world: World) -> PushReport:
    """
    Push until another push finds nothing to do.

    Where Stripe's answers settle nothing, as for a resend that has become too old, a day has to pass:
    what cannot be known is in doubt then, and what waits for it waits openly.
    """
    for _ in range(MOST_PUSHES):
        before = _counted(world.stripe.page())
        report = _push(world)
        if report.tally.accepted or report.tally.rejected:
            continue
        world.check(
            Invariant.PUSH_AGAIN_CHANGES_NOTHING,
            _counted(world.stripe.page()) == before,
            "a push that says that nothing was accepted was counted at Stripe",
        )
        with world.ledger() as ledger:
            counts = ledger.outbox.counts()
        if not (report.tally.sealed or counts["sending"] or counts["pending"]):
            return report
        world.wait(DAY)
    raise Broken(
        Invariant.PUSH_AGAIN_CHANGES_NOTHING,
        f"after {MOST_PUSHES} pushes in good weather there is still something to do: "
        f"{report.pending} pending, {report.tally.sealed} sealed by the last",
    )


def _push(world: World) -> PushReport:
    try:
        report = world.push(Push(way=WAYS[0], concurrency=4))
    except MeterledgerError as error:
        raise Broken(Invariant.ENDS_IN_ORDER, f"push in good weather ended with: {error.message}") from error
    if report is None:
        raise AssertionError("unreachable: this push has no crash point")
    world.check(
        Invariant.ENDS_IN_ORDER, report.stop is None, f"push in good weather stopped: {report.stop_message}"
    )
    return report


def _counted(page: Mapping[str, Any]) -> dict[str, int]:
    return {name: found["counted"] for name, found in page["identifiers"].items() if found["counted"]}


def _standings(world: World, page: Mapping[str, Any]) -> dict[str, Standing]:
    """Ask the ledger for each usage key that the model has, and compare the content."""
    standings = {}
    with world.ledger() as ledger:
        world.check(
            Invariant.USAGE_KEPT,
            ledger.reports.count_usage_events(world.now) == len(world.model.usage),
            "the ledger has another number of usage events than the model",
        )
        for key, accepted in world.model.usage.items():
            found = explain(ledger, world.settings, key, now=world.now)
            events = [(_content(event), event) for event in found.usage_events]
            wanted = (accepted.customer, accepted.feature, accepted.quantity, to_text(accepted.at))
            world.check(
                Invariant.USAGE_KEPT,
                [content for content, _ in events] == [wanted],
                f"{key}: the ledger has {[content for content, _ in events]}, the model {wanted}",
            )
            (_, event), live = events[0], _live(found.meter_events)
            state = live[0]["state"] if event["state"] == "sealed" and len(live) == 1 else event["state"]
            world.check(
                Invariant.USAGE_KEPT,
                len(live) == (event["state"] == "sealed"),
                f"{key} is {event['state']}, and {len(live)} meter events carry it",
            )
            names = {one["identifier"] for one in found.meter_events}
            counted = [page["identifiers"].get(name, {}) for name in names]
            standings[key] = Standing(
                state=state,
                reason=event["blocked_reason"],
                counted=sum(one.get("counted", 0) for one in counted),
                identifier=live[0]["identifier"] if live else "",
                doubt=live[0]["in_doubt_reason"] if live else None,
            )
    return standings


def _live(meter_events: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [one for one in meter_events if one["dissolved_at"] is None and one["retried_at"] is None]


def _content(event: Mapping[str, Any]) -> tuple[str, str, Decimal, str]:
    return event["customer_id"], event["feature"], Decimal(event["quantity"]), event["event_time"]


def _check_states(world: World, standings: Mapping[str, Standing], report: PushReport) -> None:
    for key, standing in standings.items():
        match standing.state:
            case "accepted":
                world.check(
                    Invariant.ACCEPTED_IS_COUNTED,
                    standing.counted == 1,
                    f"{key} is accepted, but not counted",
                )
            case "in_doubt":
                world.check(
                    Invariant.DOUBT_HAS_CAUSE,
                    _may_be_in_doubt(world, standing.doubt),
                    f"{key} is in doubt ({standing.doubt}), but no fault or crash had struck, or too little "
                    "time has passed",
                )
            case "written_off":
                world.check(
                    Invariant.UNSENT_IS_NOT_COUNTED,
                    world.wrote_off and standing.counted == 0,
                    f"{key} is written off, but counted at Stripe, or nobody said so",
                )
            case "rejected" | "blocked" | "unsealed":
                world.check(
                    Invariant.UNSENT_IS_NOT_COUNTED,
                    standing.counted == 0,
                    f"{key} is {standing.state}, but counted at Stripe",
                )
                world.check(
                    Invariant.BLOCKED_WITH_REASON,
                    standing.state == "rejected" or _is_held_back_rightly(world, key, standings),
                    f"{key} of {to_text(world.model.usage[key].at)} is {standing.state} "
                    f"({standing.reason}) at {to_text(world.now)}",
                )
            case other:
                raise Broken(Invariant.USAGE_KEPT, f"{key} is {other} after the last push")
    with world.ledger() as ledger:
        in_doubt = len(ledger.reports.in_doubt())
    told = {
        "in_doubt": report.in_doubt,
        "blocked": sum(report.blocked.values()),
        "unsealed": report.pending,
        "rejected": report.rejected_in_ledger,
    }
    by_itself = {
        (standing.state, standing.identifier or key) for key, standing in standings.items()
    }  # one meter event may carry many
    listed = Counter(state for state, _ in by_itself)
    world.check(
        Invariant.OPEN_IS_TOLD,
        in_doubt == report.in_doubt and all(listed[state] == count for state, count in told.items()),
        f"push tells {told}, explain {dict(listed)}, and {in_doubt} in doubt are listed",
    )


def _may_be_in_doubt(world: World, reason: str | None) -> bool:
    """Tell whether a doubt has a cause: time alone, a report, or an identifier that this ledger forgot."""
    match reason:
        case "outcome_unknown":
            return world.harmed and world.now - START >= _HORIZON
        case "unknown_report":
            return world.harmed
        case _:
            return world.restored or world.harmed


def _is_held_back_rightly(  # noqa: PLR0911 # one for each reason
    world: World, key: str, standings: Mapping[str, Standing]
) -> bool:
    """Judge by the model alone whether what is said to hold back a usage event is so."""
    usage, standing = world.model.usage[key], standings[key]
    name = world.model.lane_of(usage)
    lane = world.model.lanes()[name] if name else {}
    match standing.reason:
        case "too_old":
            return usage.at < world.now - _OLDEST
        case "in_future":
            return usage.at > world.now + _NEWEST
        case "superseded":
            later = (other for other, one in lane.items() if one.at > usage.at)
            return usage.feature == LAST and any(
                standings[other].state in {"accepted", *_UNSETTLED} for other in later
            )
        case "unknown_customer":
            return name is None
        case "closed_period":
            end = _period_end(world, usage)
            return end is not None and end + _LONGEST_GRACE <= world.now
        case None if usage.feature == BULK:
            length = {"hour": HOUR, "day": DAY}.get(world.rollup, 0)
            return usage.at - usage.at % (length or 1) + length + SETTLE > world.now
        case None:
            return usage.feature == LAST and any(standings[other].state == "in_doubt" for other in lane)
        case _:
            return False


def _period_end(world: World, usage: Accepted) -> int | None:
    """Return when the billing period of usage ends: a calendar month, or a customer's own; None: unknown."""
    billed = world.model.billed(usage.customer, usage.at)
    first = datetime.fromtimestamp(0, UTC)
    if not world.calendar:
        if billed is None or not billed.anchored:
            return None
        first = datetime.fromisoformat(ANCHOR)
    month = datetime.fromtimestamp(usage.at // SECOND, UTC).replace(day=1, hour=0, minute=0, second=0)
    ends = (
        (month + timedelta(days=32 * later)).replace(day=first.day, hour=first.hour, minute=first.minute)
        for later in (0, 1)
    )
    return next(end for one in ends if (end := int(one.timestamp()) * SECOND) > usage.at)


def _check_total(
    world: World,
    lane: Lane,
    given: Mapping[str, Accepted],
    standings: Mapping[str, Standing],
    page: Mapping[str, Any],
) -> None:
    """Compare a sum or a count: all that was handed over, but for what the ledger says is open."""
    there = _at_stripe(page, lane)
    sure = _total(one for key, one in given.items() if standings[key].state == "accepted")
    maybe = _total(one for key, one in given.items() if standings[key].state in _UNSETTLED)
    world.check(
        Invariant.TOTALS_WITHIN_BOUNDS,
        sure <= there <= sure + maybe,
        f"{_name(lane)}: {there} at Stripe; the model has {sure} accepted and {maybe} in doubt",
    )
    if lane[0] != COUNT:
        _check_days(world, lane, given, standings)
    if all(standings[key].state == "accepted" for key in given):
        whole = _total(given.values())
        world.check(
            Invariant.TOTALS_EQUAL, there == whole, f"{_name(lane)}: {there} at Stripe, {whole} handed over"
        )


def _check_days(
    world: World, lane: Lane, given: Mapping[str, Accepted], standings: Mapping[str, Standing]
) -> None:
    """Compare each UTC day's total by Stripe's own summaries: a window never reaches over a day's end."""
    sure: defaultdict[int, Decimal] = defaultdict(Decimal)
    maybe: defaultdict[int, Decimal] = defaultdict(Decimal)
    for key, one in given.items():
        day = one.at // DAY
        sure[day] += one.quantity * (standings[key].state == "accepted")
        maybe[day] += one.quantity * (standings[key].state in _UNSETTLED)
    there = world.stripe.day_totals(*lane, min(sure), max(sure))
    wrong = [
        day
        for day in sure.keys() | there.keys()
        if not sure[day] <= there.get(day, Decimal(0)) <= sure[day] + maybe[day]
    ]
    told = {day: (there.get(day), sure[day], maybe[day]) for day in wrong}
    world.check(Invariant.DAYS_EQUAL, not wrong, f"{_name(lane)}: by day, at Stripe, sure and open: {told}")


def _check_last(
    world: World,
    lane: Lane,
    given: Mapping[str, Accepted],
    standings: Mapping[str, Standing],
    page: Mapping[str, Any],
) -> None:
    """Compare a last value: the latest of what Stripe has, where nothing is in doubt."""
    there = {key: one for key, one in given.items() if standings[key].state == "accepted"}
    if not there or any(standings[key].state in _UNSETTLED for key in given):
        return
    latest = max(one.at for one in there.values())
    values = {one.quantity for one in there.values() if one.at == latest}
    world.check(
        Invariant.LAST_VALUE_STANDS,
        _at_stripe(page, lane) in values,
        f"{_name(lane)}: {_at_stripe(page, lane)} at Stripe, the latest is {sorted(values)}",
    )


def _check_refused(world: World) -> None:
    with world.ledger() as ledger:
        rejections, conflicts = ledger.reports.count_open_rejects(world.now)
    wanted = (len(world.model.rejected), len(world.model.conflicts))
    world.check(
        Invariant.REFUSED_ROWS_KEPT,
        (rejections, conflicts) == wanted,
        f"open rejections and conflicts: {(rejections, conflicts)} in the ledger, {wanted} in the model",
    )


def _at_stripe(page: Mapping[str, Any], lane: Lane) -> Decimal:
    rows = [row["total"] for row in page["usage"] if (row["event_name"], row["customer"]) == lane]
    return Decimal(rows[0]) if rows else Decimal(0)


def _total(usage: Any) -> Decimal:
    return sum((one.quantity for one in usage), Decimal(0))


def _name(lane: Lane) -> str:
    event_name, customer = lane
    return f"{event_name} of {customer}"
