"""Ledgers filled by chance, with instants on the audit's lines and a microsecond or a second beside them."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from meterledger.domain.billing_period import BillingCycle
from meterledger.domain.dues import NEVER, Due, Dues, DueStretch
from meterledger.domain.instant import DAY, HOUR, MINUTE, SECOND, Instant, parse_instant, to_text
from meterledger.ledger.subscriptions import Pull
from meterledger.usecases.import_customers import CustomersOptions, import_customers
from meterledger.usecases.known_dues import known_dues
from support.billing_facts import draft, pulled_item
from support.billing_facts import line as billed_line
from support.delivered_ledger import LedgerBuilder

BEGIN = parse_instant("2026-09-20T00:00:00Z")
LONG_AGO = parse_instant("2026-06-01T00:00:00Z")
MARGIN, RETRY = 5 * MINUTE, 15 * MINUTE
USUAL = 10 * MINUTE
"""How long delivery takes where nothing is wrong."""

BESIDE = (-SECOND, -1, 0, 0, 1, SECOND - 1, SECOND)
GRACE_HOURS = (1, 3, 6, 12, 24, 48, 72)
CUSTOMERS = ("cus_a", "cus_b", "cus_c", "cus_d", "acme")
SUBSCRIPTIONS = {"cus_b": ("sub_1", "sub_2", None)}
FORMER_METER = "old_requests"
FATES = (
    *("accepted",) * 8,
    *("window",) * 3,
    "none", "none", "not_sent", "unknown", "in_flight", "in_doubt", "resolved", "rejected",
    "dissolved", "written_off", "voided", "already_billed", "taken_back", "recovered",
)  # fmt: skip


_T = TypeVar("_T")


@dataclass(slots=True)
class Lane:
    """What a run of usage events has in common."""

    customer: str
    subscription: str | None
    feature: str
    source: str
    scale: int
    kind: str


Run = list[tuple[Lane, Instant, str, Instant | None]]
"""Usage events with lane, event_time, fate, and when they are accepted, unless that is left to chance."""


@dataclass(slots=True)
class RandomLedger:
    """Fills a ledger in one transaction, and says which instants are worth asking about."""

    built: LedgerBuilder
    chance: random.Random
    nows: list[Instant] = field(default_factory=list)
    dues: Dues = field(init=False)
    _customers: list[str] = field(init=False)
    _features: list[str] = field(init=False)
    _sources: list[str] = field(init=False)
    _scales: list[int] = field(init=False)
    _kinds: list[str] = field(init=False)
    _number: int = 0
    _last_accepted: Instant = 0

    def __post_init__(self) -> None:
        """Choose what usage of this ledger has in common: in some ledgers nearly all of it."""
        self._customers = self._some_of(CUSTOMERS)
        self._features = self._some_of(("api_calls", "api_calls", "api_calls", "seats", "seats", "gone"))
        self._sources = self._some_of(("gateway", "batch", "nightly"))
        self._scales = self._some_of((0, 1, 2))
        self._kinds = self._some_of(("", "", "", "", "backfill", "first"))

    def fill(self, folder: Path) -> None:
        """Import customers and drafts, and usage with its delivery."""
        with self.built.ledger.database.transaction():
            if self.chance.random() < 0.7:
                self._know_customers(folder)
            if self.chance.random() < 0.7:
                self._know_drafts()
            self.dues = known_dues(self.built.ledger, self.built.settings)
            self._choose_nows()
            usual = self._lane()
            if self.chance.random() < 0.6:
                self._usual_run(usual)
            about = [self._run_about_an_edge, self._run_about_an_acceptance, self._run_about_a_limit]
            styles = [self._run, self._run, self._run, *about, self._run_over_midnight, self._run_that_waits]
            if self.chance.random() < 0.5:
                self._sources, self._kinds = [usual.source], [usual.kind]
            runs = range(self.chance.randrange(1, 7))
            self._deliver_all([self.chance.choice(styles)(self._lane()) for _ in runs])
            for _ in range(self.chance.randrange(3)):
                self.built.rejection(to_text(self._some_time()), recorded=to_text(self._some_time()))

    def _know_customers(self, folder: Path) -> None:
        """Say since when the periods of customers are counted, at any time of day."""
        rows = [("cus_a", "", "month"), ("cus_b", "sub_1", "month"), ("cus_b", "sub_2", "week")]
        rows += [("cus_c", "", "month"), ("cus_d", "", "week")]
        lines = ["customer_id,stripe_customer_id,subscription_id,billing_cycle_anchor,interval\n"]
        for name, subscription, interval in rows:
            anchor = (
                parse_instant("2026-01-01T00:00:00Z") + self.chance.randrange(31 * DAY // SECOND) * SECOND
            )
            lines.append(f"{name},{name},{subscription},{to_text(anchor)},{interval}\n")
        file = folder / "anchors.csv"
        file.write_text("".join(lines))
        options = CustomersOptions(files=(str(file),))
        import_customers(self.built.ledger, self.built.settings, options, clock=lambda: LONG_AGO)

    def _know_drafts(self) -> None:
        """Say when the drafts of one customer finalize; one of them may be held open."""
        anchor = parse_instant("2026-01-03T00:00:00Z") + self.chance.randrange(20 * DAY // SECOND) * SECOND
        cycle = BillingCycle(anchor, "month", 1)
        current = cycle.period_at(BEGIN + 40 * DAY)
        before = cycle.period_at(current.start - 1)
        item = pulled_item(
            stripe_customer_id="cus_c",
            event_name="api_requests",
            anchor=anchor,
            start=anchor,
            period_start=current.start,
            period_end=current.end,
            cancel_at=self.chance.choice([None, current.start + self.chance.randrange(20 * DAY)]),
        )
        line = billed_line("10-01", "11-01")
        invoices = []
        for number, period in enumerate((before, current)):
            one = type(line)(item_id=line.item_id, price_id=line.price_id, start=period.start, end=period.end)
            invoices.append(
                draft(
                    invoice_id=f"in_{number}",
                    stripe_customer_id="cus_c",
                    created=period.end,
                    auto_advance=self.chance.random() < 0.8,
                    finalizes_at=period.end + self._wait(),
                    lines=(one,),
                )
            )
        pull = Pull(
            account_id="acct_1",
            mode="test",
            host="https://api.stripe.com",
            stripe_account="",
            subscriptions_read=True,
            invoices_read=True,
            recorded_at=self.chance.choice([LONG_AGO, BEGIN + 35 * DAY]),
        )
        self.built.ledger.subscriptions.record(pull, [item], invoices)

    def _wait(self) -> int:
        """Return how long a draft waits: a grace period, or hardly at all."""
        any_time = self.chance.randrange(72 * HOUR // SECOND) * SECOND
        return self.chance.choice([0, MINUTE, MARGIN, any_time, any_time])

    def _choose_nows(self) -> None:
        for _ in range(6):
            due = self._due(self._lane(), self._some_time() + 5 * DAY)
            deadline = min(due.deadline, due.period.end + 72 * HOUR)
            line = self.chance.choice(
                [
                    due.period.end,
                    deadline,
                    deadline - MARGIN - RETRY,
                    deadline - MARGIN - RETRY - USUAL,
                    deadline + self.chance.randrange(30 * DAY),
                    self._some_time() + 10 * DAY,
                ]
            )
            self.nows.append(self._beside(line))

    def _lane(self) -> Lane:
        choice = self.chance.choice
        customer = choice(self._customers)
        return Lane(
            customer,
            choice(SUBSCRIPTIONS.get(customer, (None,))),
            choice(self._features),
            choice(self._sources),
            choice(self._scales),
            choice(self._kinds),
        )

    def _usual_run(self, lane: Lane) -> None:
        """Let 25 usage events be delivered as usual: enough to learn from."""
        lane.feature, lane.kind = "api_calls", ""
        at = self._some_time()
        for _ in range(25):
            at += self.chance.randrange(20 * MINUTE)
            name = self._usage(lane, at, at)
            self.built.accepted(name, to_text(at + USUAL))

    def _run(self, lane: Lane) -> Run:
        """Return usage events of a lane that happen one after the other, many of them on one day."""
        at = self._some_time()
        fates = self.chance.choice([("accepted",), ("accepted", "accepted", "window"), FATES, FATES])
        found: Run = []
        for _ in range(self.chance.randrange(1, 14)):
            at = self._next_time(lane, at)
            found.append((self._of_another_subscription(lane), at, self.chance.choice(fates), None))
        return found

    def _run_about_an_edge(self, lane: Lane) -> Run:
        """Return usage events on both sides of a line, in any order, each accepted soon."""
        stretch = self._stretch(lane, self._some_time())
        now = self.chance.choice(self.nows)
        edges = [one for one in (stretch.start, stretch.end) if abs(one - BEGIN) < 90 * DAY]
        line = self.chance.choice([*edges, *edges, now - 32 * DAY, now - 35 * DAY, now - DAY])
        soon = self.chance.choice([0, 0, SECOND, USUAL])
        times = [line - USUAL, *(line + one for one in BESIDE), line + USUAL] * 2
        self.chance.shuffle(times)
        lanes = [lane, replace(lane, source="other")]
        return [(self.chance.choice(lanes), at, "accepted", at + soon) for at in times]

    def _run_about_a_limit(self, lane: Lane) -> Run:
        """Return usage events that are not sent and nearly, or just, too old or in the future."""
        now = self.chance.choice(self.nows)
        line = now + self.chance.choice([-35 * DAY, -32 * DAY, 5 * MINUTE, 5 * MINUTE])
        return [(lane, line + one, "none", now) for one in BESIDE]

    def _run_about_an_acceptance(self, lane: Lane) -> Run:
        """Return usage events of one moment that are accepted on both sides of a line."""
        due = self._due(lane, self._some_time())
        now = self.chance.choice(self.nows)
        lines = [due.period.end, due.deadline - MARGIN, due.deadline, now - DAY, now - DAY, now]
        line = self.chance.choice([one for one in lines if one < NEVER - MARGIN])
        back = self.chance.choice([USUAL, HOUR, 7 * HOUR, 80 * HOUR])
        accepted = [line - USUAL, *(line + one for one in BESIDE), line + USUAL]
        self.chance.shuffle(accepted)
        return [(lane, line - back, "accepted", at) for at in accepted]

    def _deliver_all(self, runs: list[Run]) -> None:
        """Deliver runs one after the other, or all of them at the same time."""
        if self.chance.random() < 0.5:
            order = [number for number, run in enumerate(runs) for _ in run]
            self.chance.shuffle(order)
        else:
            order = [number for number, run in enumerate(runs) for _ in run]
        waiting = [iter(run) for run in runs]
        for number in order:
            self._deliver(*next(waiting[number]))

    def _next_time(self, lane: Lane, at: Instant) -> Instant:
        stretch = self._stretch(lane, at)
        end = stretch.due.period.end
        boundary = at - (at - end) % DAY + self.chance.choice([0, DAY])
        edge = self.chance.choice([one for one in (stretch.start, stretch.end) if abs(one) < NEVER])
        now = self.chance.choice(self.nows)
        return self.chance.choice(
            [
                at,
                at + self.chance.randrange(HOUR),
                at + self.chance.randrange(12 * HOUR),
                at - self.chance.randrange(12 * HOUR),
                at - self.chance.randrange(12 * HOUR),
                self._beside(boundary),
                self._beside(boundary),
                self._beside(end),
                edge,
                self._beside(edge),
                self._beside(now - 32 * DAY),
                self._beside(now - 35 * DAY),
                self._beside(now + 5 * MINUTE),
                self._some_time(),
            ]
        )

    def _deliver(self, lane: Lane, at: Instant, fate: str, accepted: Instant | None) -> None:
        built, chance = self.built, self.chance
        accepted = self._last_accepted = accepted or self._acceptance(lane, at)
        built.sealed_for = chance.choice(["", "", "", "", FORMER_METER])
        came = accepted - chance.choice([0, 1, SECOND, USUAL, chance.randrange(6 * HOUR)])
        if lane.feature == "gone" and fate not in {"none", "written_off", "voided", "already_billed"}:
            fate = "none"
        name = self._usage(lane, at, came, already_billed=fate in {"already_billed", "taken_back"})
        text, later = to_text(accepted), to_text(self._beside(accepted + chance.randrange(3 * DAY)))
        later = max(text, later)
        match fate:
            case "none" | "already_billed":
                pass
            case "window":
                again = accepted + chance.randrange(20 * HOUR)
                ended = self._within(accepted, again, lane, at)
                built.found_duplicate(name, text, to_text(again), to_text(ended))
            case "recovered":
                built.unknown(name, text)
            case "resolved":
                built.in_doubt(name, text).resolved(name, later, sent=chance.random() < 0.5)
            case "dissolved":
                built.dissolved(name, text, later)
                if chance.random() < 0.5:
                    built.accepted(name, later)
            case "in_flight":
                built.claimed(name, text)
            case "taken_back":
                built.voided(name, later)
            case other:
                getattr(built, other)(name, text)

    def _within(self, first: Instant, last: Instant, lane: Lane, at: Instant) -> Instant:
        """Return an instant between two, on a line if there is one."""
        deadline = self._due(lane, at).deadline
        lines = [self._beside(one) for one in (first, last, deadline, deadline - MARGIN)]
        return self.chance.choice([one for one in lines if first <= one <= last] or [last])

    def _acceptance(self, lane: Lane, at: Instant) -> Instant:
        """Return when a usage event is accepted: at once, or on a line that is not before it happened."""
        due = self._due(lane, at)
        boundary = at - (at - due.period.end) % DAY + DAY
        chance = self.chance
        hours = chance.choice(GRACE_HOURS) * HOUR
        lines = [
            due.deadline,
            due.deadline - MARGIN,
            due.period.end,
            due.period.end + hours,
            due.period.end + chance.randrange(80) * HOUR,
            boundary,
            boundary + chance.randrange(1, 4) * DAY,
            boundary + hours - RETRY - MARGIN,
            *(now - DAY for now in self.nows),
            *self.nows,
        ]
        if at <= self._last_accepted < at + 3 * DAY and chance.random() < 0.2:
            return self._last_accepted
        usual = at + chance.choice([0, USUAL, chance.randrange(2 * HOUR), chance.randrange(30 * HOUR)])
        near = [one for one in lines if at <= one < min(NEVER, at + 40 * DAY)]
        same_day = [one for one in near if one <= boundary]
        if chance.random() < 0.4 or not near:
            return usual
        return self._beside(chance.choice(chance.choice([near, same_day or near])))

    def _usage(self, lane: Lane, at: Instant, came: Instant, *, already_billed: bool = False) -> str:
        self._number += 1
        name = f"r{self._number}"
        has_received = self.chance.random() < 0.3
        self.built.usage(
            name,
            to_text(at),
            recorded=to_text(came),
            received=to_text(came - self.chance.randrange(HOUR)) if has_received else None,
            quantity=self.chance.randrange(1, 1000),
            customer=lane.customer,
            feature=lane.feature,
            source=lane.source,
            backfill=lane.kind == "backfill",
            first=lane.kind == "first",
            subscription=lane.subscription,
            scale=0 if lane.feature == "seats" else lane.scale,
            already_billed=already_billed,
        )
        return name

    def _stretch(self, lane: Lane, at: Instant) -> DueStretch:
        meter = self.built.settings.catalogue.meter_of(lane.feature)
        return self.dues.at(lane.customer, lane.subscription, meter.event_name if meter else None, at)

    def _run_over_midnight(self, lane: Lane) -> Run:
        """Return usage events of two days, all accepted on the second of them: some of them hours late."""
        at = self._some_time()
        boundary = at - (at - self._due(lane, at).period.end) % DAY + DAY
        accepted = [boundary + self.chance.randrange(24 * HOUR) for _ in range(6)]
        soon = [(self._of_another_subscription(lane), one - 1, "accepted", one) for one in accepted]
        late = [(lane, boundary - self.chance.randrange(1, HOUR), "accepted", one) for one in accepted]
        return [self.chance.choice(pair) for pair in zip(soon, late, strict=True)]

    def _run_that_waits(self, lane: Lane) -> Run:
        """Return usage events of the last hours, some of which were sent and some not yet."""
        now = self.chance.choice(self.nows)
        times = [now - self.chance.randrange(6 * HOUR) for _ in range(5)]
        fates = ("none", "none", "not_sent", "accepted")
        return [(lane, at, self.chance.choice(fates), at) for at in times]

    def _of_another_subscription(self, lane: Lane) -> Lane:
        """Return the lane, now and then with another subscription of its customer."""
        if self.chance.random() < 0.6:
            return lane
        return replace(lane, subscription=self.chance.choice(SUBSCRIPTIONS.get(lane.customer, (None,))))

    def _some_of(self, all_of: Sequence[_T]) -> list[_T]:
        return self.chance.sample(all_of, self.chance.randrange(1, len(all_of) + 1))

    def _due(self, lane: Lane, at: Instant) -> Due:
        return self._stretch(lane, at).due

    def _some_time(self) -> Instant:
        return BEGIN + self.chance.randrange(45 * DAY)

    def _beside(self, line: Instant) -> Instant:
        return line + self.chance.choice(BESIDE)
