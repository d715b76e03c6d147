"""
The grace-period audit by the letter of its rules: one usage event at a time, slowly, and without a shortcut.

E is the period's end, D its deadline, m the safety margin, r the retry time, d the delivery delay to expect,
T the instant that is asked about, A when Stripe accepted a usage event. All in seconds, rounded down; delays
are rounded up.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from meterledger.config import Settings
from meterledger.domain.billing_period import BillingPeriod
from meterledger.domain.dues import Due, Dues
from meterledger.domain.instant import DAY, MINUTE, SECOND, Instant, to_text
from meterledger.usecases.audit_answer import AuditOptions
from support.known_usage import KnownUsage, LedgerRows

GRACE_HOURS = (1, 3, 6, 12, 24, 48, 72)
EDGES_MINUTES = (1, 5, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 4320, 10080)
DAY_SECONDS = 86_400

Answer = dict[Any, Any]
Key = Any


def sec(instant: Instant) -> int:
    """Return the second an instant lies in."""
    return instant // SECOND


def up(duration: int) -> int:
    """Return a duration in seconds, rounded up."""
    return -(-duration // SECOND)


def percentile(values: Iterable[int], percent: int) -> int:
    """Return a percentile by the nearest rank."""
    ordered = sorted(values)
    return ordered[max(-(-percent * len(ordered) // 100), 1) - 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A usage event that the audit counts, with its period and where it stands."""

    usage: KnownUsage
    meter: str | None
    due: Due
    landing: str

    @property
    def pair(self) -> tuple[str, str | None]:
        """Its source and meter."""
        return self.usage.source, self.meter

    @property
    def is_sample(self) -> bool:
        """Tell whether it says anything about delays."""
        return self.usage.state != "already_billed" and self.usage.left_out is None


@dataclass(slots=True, kw_only=True)
class Oracle:
    """Answers an audit from the rows of a ledger."""

    rows: LedgerRows
    settings: Settings
    options: AuditOptions
    dues: Dues
    """By the grace period that is asked for."""
    own_dues: Dues
    """By that of the config, which decides what is blocked."""
    now: Instant

    def answer(self) -> Answer:
        """Return every figure of the audit."""
        known = list(self.rows.known(self.now))
        asked = [one for one in known if self.is_asked(one)]
        expected = self.expected_delivery(known)
        counted = [self.judged(one, expected) for one in asked if one.state not in {"voided", "written_off"}]
        periods = self.periods_in_scope(counted)
        in_scope = [one for one in counted if one.due.period in periods]
        samples = [one for one in counted if one.is_sample]
        refused = self.refused()
        landings = {one.landing for one in in_scope} | {where for _, where in refused}
        return {
            "verdict": next((one for one in ("missed", "at_risk") if one in landings), "ok"),
            "entries": self.entries(in_scope),
            "sources": sums(in_scope, lambda one: one.pair),
            "customers_at_risk": at_risk(in_scope),
            "missed_curves": self.missed_curves(in_scope),
            "what_if": self.what_if(in_scope),
            "delays": delays(samples),
            **self.recommendation(samples),
            "left_out": left_out(asked),
            "findings": self.findings(asked, counted, samples, in_scope) | refused,
        }

    def meter_of(self, usage: KnownUsage) -> str | None:
        """Return the meter that counts a usage event: the one it was sealed for, else today's."""
        today = self.settings.catalogue.meter_of(usage.feature)
        return usage.sealed_for or (today.event_name if today else None)

    def due_of(self, usage: KnownUsage) -> Due:
        """Return period and deadline of a usage event."""
        return self.dues.at(
            usage.customer_id, usage.subscription_id, self.meter_of(usage), usage.event_time
        ).due

    def is_asked(self, usage: KnownUsage) -> bool:
        """Tell whether a usage event is of the customer and the meter that were asked for."""
        return self.options.customer in (None, usage.customer_id) and self.options.meter in (
            None,
            self.meter_of(usage),
        )

    def expected_delivery(self, known: Sequence[KnownUsage]) -> dict[Key, int]:
        """Return d of each source and meter: p99 of the delivery delays, 0 under 20 of them."""
        found: dict[Key, list[int]] = defaultdict(list)
        for one in known:
            if one.accepted_by is not None and one.left_out is None:
                found[one.source, self.meter_of(one)].append(up(one.accepted_by - one.arrived_at))
        return {key: percentile(values, 99) for key, values in found.items() if len(values) >= 20}

    def judged(self, usage: KnownUsage, expected: dict[Key, int]) -> Judged:
        """Judge one usage event."""
        meter, due = self.meter_of(usage), self.due_of(usage)
        landing = self.landing(usage, sec(due.deadline), expected.get((usage.source, meter), 0))
        return Judged(usage=usage, meter=meter, due=due, landing=landing)

    def landing(self, usage: KnownUsage, deadline: int, delivery: int) -> str:
        """Return landed, at_risk, missed or open, by the table."""
        margin, retry = sec(self.settings.invoicing.safety_margin), sec(self.settings.invoicing.retry_time)
        now = sec(self.now)
        if usage.state == "already_billed":
            return "landed"
        if usage.state in {"sending", "in_doubt"}:
            return "at_risk"
        if usage.accepted_from is not None and usage.accepted_by is not None:
            if sec(usage.accepted_by) <= deadline - margin:
                return "landed"
            # Where what the attempts allow straddles the deadline, nobody knows.
            return "missed" if sec(usage.accepted_from) > deadline else "at_risk"
        if now > deadline:
            return "missed"
        is_held = usage.state == "rejected" or self.is_blocked(usage)
        return "at_risk" if is_held or now + delivery + retry > deadline - margin else "open"

    def is_blocked(self, usage: KnownUsage) -> bool:
        """Tell whether unsealed usage would be held back."""
        meter = self.settings.catalogue.meter_of(usage.feature)
        if usage.state != "unsealed":
            return False
        if meter is None:
            return True
        if self.dues.customers is None:
            billed = {usage.customer_id} if usage.customer_id.startswith("cus_") else set()
        else:
            held = self.dues.customers.held(usage.customer_id, usage.subscription_id, usage.event_time)
            billed = {one.stripe_customer_id for one in held}
        if len(billed) != 1 or not self.now - 35 * DAY <= usage.event_time <= self.now + 5 * MINUTE:
            return True
        stretch = self.own_dues.at(
            usage.customer_id, usage.subscription_id, meter.event_name, usage.event_time
        )
        if self.now >= stretch.closes_at:
            return True
        latest = self.rows.latest_of_lane(billed.pop(), meter.event_name, self.now)
        return meter.is_ordered and latest is not None and usage.event_time < latest

    def periods_in_scope(self, counted: Iterable[Judged]) -> set[BillingPeriod]:
        """Return the current periods, those whose deadline is ahead or with unsettled usage, and the last."""
        found = set()
        for one in counted:
            is_settled = one.usage.state in {"accepted", "already_billed"}
            is_ahead = one.due.period.end > self.now or sec(one.due.deadline) >= sec(self.now)
            if is_ahead or not is_settled or one.due.period in self.last_closed(one):
                found.add(one.due.period)
        return found

    def last_closed(self, one: Judged) -> list[BillingPeriod]:
        """Return the last closed periods of the customer and meter of a usage event."""
        found: list[BillingPeriod] = []
        at = self.now
        while len(found) < self.options.periods and at > one.usage.event_time - 1000 * DAY:
            stretch = self.dues.at(one.usage.customer_id, one.usage.subscription_id, one.meter, at)
            due = stretch.due
            is_closed = due.period.end <= self.now and sec(due.deadline) < sec(self.now)
            if is_closed and due.period not in found:
                found.append(due.period)
            at = stretch.start - 1
        return found

    def entries(self, in_scope: Iterable[Judged]) -> Answer:
        """Return what stands where, by period, deadline and meter, and the number of customers."""

        def key(one: Judged) -> Key:
            return (
                one.due.period,
                one.due.deadline,
                one.due.source,
                one.meter,
                one.usage.customer_id if self.options.by_customer else None,
                one.usage.source if self.options.by_source else None,
            )

        customers: dict[Key, set[str]] = defaultdict(set)
        for one in in_scope:
            customers[key(one)].add(one.usage.customer_id)
        return {key: (amounts, len(customers[key])) for key, amounts in sums(in_scope, key).items()}

    def missed_curves(self, in_scope: Iterable[Judged]) -> Answer:
        """Return by meter the samples of ended periods, and what each hour of grace period misses."""
        found: dict[str | None, list[Judged]] = defaultdict(list)
        for one in in_scope:
            if one.due.period.end <= self.now:
                found[one.meter] += [one] if one.is_sample else []
        return {
            meter: (total(ended), [total(self.missed_by(ended, hours)) for hours in range(73)])
            for meter, ended in found.items()
        }

    def what_if(self, in_scope: Iterable[Judged]) -> Answer:
        """Return by grace period and meter what it would have missed of ended periods."""
        curves = self.missed_curves(in_scope)
        return {
            (hours * 3600, meter): curve[hours]
            for meter, (_, curve) in curves.items()
            for hours in GRACE_HOURS
        }

    def missed_by(self, ended: Iterable[Judged], hours: int) -> list[Judged]:
        """Return what came later than a grace period after the end."""
        return [one for one in ended if sec(self.known_by(one)) > sec(one.due.period.end) + hours * 3600]

    def known_by(self, one: Judged) -> Instant:
        """Return A, or T where it is not accepted."""
        return self.now if one.usage.accepted_by is None else one.usage.accepted_by

    def recommendation(self, samples: Sequence[Judged]) -> Answer:
        """Rehearse the period's end on every day, and return the grace period that all would have made."""
        late: dict[str, int] = defaultdict(int)
        now = sec(self.now)
        for one in samples:
            end, accepted = sec(one.due.period.end), sec(self.known_by(one))
            for day in range(36):
                boundary = now - (now - end) % DAY_SECONDS - day * DAY_SECONDS
                is_within = now - 35 * DAY_SECONDS <= boundary <= now
                if is_within and one.usage.event_time < boundary * SECOND and boundary <= accepted:
                    late[one.usage.source] = max(late[one.usage.source], accepted - boundary)
        largest = max(late.values(), default=0)
        invoicing = self.settings.invoicing
        needed = largest + sec(invoicing.retry_time) + sec(invoicing.safety_margin)
        enough = [hours * 3600 for hours in GRACE_HOURS if needed <= hours * 3600]
        return {
            "samples": len(samples),
            "rehearsed_lateness": largest,
            "deciding_sources": sorted(name for name, one in late.items() if largest and one == largest),
            "recommended": min(enough, default=None) if len(samples) >= 20 else None,
        }

    def refused(self) -> Answer:
        """Return the open rejections and conflicts with a readable event_time, by their deadlines."""
        found: Counter[Key] = Counter()
        for one in self.rows.rejects:
            is_open = one["recorded_at"] <= self.now and (one["closed_at"] or self.now + 1) > self.now
            meter = self.settings.catalogue.meter_of(one["feature"] or "")
            event_name = meter.event_name if meter else None
            is_asked = self.options.customer in (None, one["customer_id"]) and (
                self.options.meter in (None, event_name)
            )
            if is_open and is_asked and one["event_time"] is not None:
                due = self.dues.at(one["customer_id"] or "", None, event_name, one["event_time"]).due
                is_ahead = sec(self.now) <= sec(due.deadline)
                found[f"open_{one['kind']}s", "at_risk" if is_ahead else "missed"] += 1
        return dict(found)

    def findings(
        self,
        asked: Iterable[KnownUsage],
        counted: Sequence[Judged],
        samples: Sequence[Judged],
        in_scope: Iterable[Judged],
    ) -> Answer:
        """Return the figures of what is said of other clocks."""
        too_old = [
            one
            for one in asked
            if one.state in {"unsealed", "pending", "sending", "rejected", "in_doubt"}
            and self.now - 35 * DAY <= one.event_time < self.now - 32 * DAY
        ]
        cancelable = [one.usage for one in counted if self.is_cancelable(one.usage)]
        found: Answer = {
            "stamped_on_boundary": sum(one.usage.event_time == one.due.period.start for one in counted),
            "nearing_too_old": len(too_old),
            "cancellations_possible": len(cancelable),
            "too_little_history": len(samples) < 20,
            "period_assumed": any(not one.due.dates_known for one in in_scope),
        }
        if cancelable:
            found["first_until"] = to_text(min(one.accepted_from or 0 for one in cancelable) + DAY)
        return {code: value for code, value in found.items() if value}

    def is_cancelable(self, usage: KnownUsage) -> bool:
        """Tell whether Stripe took it less than 24 hours ago."""
        return usage.accepted_by is not None and usage.accepted_by > self.now - DAY


def total(counted: Iterable[Judged]) -> tuple[int, Fraction]:
    """Return how many they are, and their exact sum."""
    quantities = [one.usage.quantity for one in counted]
    return len(quantities), sum(quantities, Fraction(0))


def sums(counted: Iterable[Judged], key: Callable[[Judged], Key]) -> Answer:
    """Return by a key and landing how many they are, and their exact sum."""
    groups: dict[Key, dict[str, list[Judged]]] = defaultdict(lambda: defaultdict(list))
    for one in counted:
        groups[key(one)][one.landing].append(one)
    return {key: {where: total(found) for where, found in by.items()} for key, by in groups.items()}


def at_risk(in_scope: Iterable[Judged]) -> Answer:
    """Return the customers and periods of which anything is at risk or missed, with all that is of them."""
    found = sums(in_scope, lambda one: (one.usage.customer_id, one.due.period, one.due.deadline, one.meter))
    return {key: by for key, by in found.items() if by.keys() & {"at_risk", "missed"}}


def left_out(asked: Iterable[KnownUsage]) -> Counter[str]:
    """Count what is in no figure, and what says nothing about delays."""
    closed = {"voided", "written_off", "already_billed"}
    why = (one.state if one.state in closed else one.left_out for one in asked)
    return Counter(one for one in why if one)


def delays(samples: Iterable[Judged]) -> Answer:
    """Return by source, meter and kind: count, p50, p90, p99, max, and how many are in each bin."""
    found: dict[Key, list[int]] = defaultdict(list)
    for one in samples:
        usage = one.usage
        found[(*one.pair, "import")].append(up(usage.arrived_at - usage.event_time))
        if usage.accepted_by is not None:
            found[(*one.pair, "delivery")].append(up(usage.accepted_by - usage.arrived_at))
            found[(*one.pair, "ingestion")].append(up(usage.accepted_by - usage.event_time))
    return {
        key: (len(all_), *(percentile(all_, one) for one in (50, 90, 99)), max(all_), bins(all_))
        for key, all_ in found.items()
    }


def bins(values: Sequence[int]) -> list[int]:
    """Return how many delays end up to each edge, and at last beyond all of them."""
    edges = [minutes * 60 for minutes in EDGES_MINUTES]
    place = Counter(next((at for at, edge in enumerate(edges) if one <= edge), len(edges)) for one in values)
    return [place[at] for at in range(len(edges) + 1)]
