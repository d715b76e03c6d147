"""Drawing histories: the same seed draws the same one."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from meterledger.domain.instant import DAY, HOUR, MINUTE, SECOND, Instant
from meterledger.proving.history import (
    BULK,
    COUNT,
    CUSTOMERS,
    LAST,
    PRODUCT_IDS,
    START,
    SUM,
    WAYS,
    BackUp,
    Configure,
    CustomerLine,
    Flaw,
    History,
    ImportCustomers,
    ImportFile,
    PlanFaults,
    Push,
    Restore,
    Row,
    SetClockBack,
    Settle,
    Step,
    Wait,
    WriteOff,
)

_STEPS = (7, 12)
_ROWS = 8
_OLD = 40 * DAY
_CRASH_POINTS = 45
"""About as many as the first push of a history passes."""

_FAULTS: tuple[Mapping[str, object], ...] = (
    {"kind": "answer_lost"},
    {"kind": "request_lost"},
    {"kind": "server_error", "stored": True, "counted": True},
    {"kind": "server_error", "stored": True, "counted": False},
    {"kind": "server_error", "stored": False, "counted": True},
    {"kind": "server_error", "stored": False, "counted": False},
    {"kind": "rate_limited", "reason": "endpoint-rate"},
    {"kind": "rate_limited", "reason": "none"},
    {"kind": "rate_limited", "reason": "none", "stored": True},
    {"kind": "conflict"},
    {"kind": "slow", "delay": "10ms"},
    {"kind": "reset"},
    {"kind": "delivered_twice"},
    {"kind": "rejected_later"},
    {"kind": "rejected_later", "code": "archived_meter"},
)
_CODES = ("archived_meter", "meter_event_customer_not_found")
_OUTAGE_KINDS = frozenset({"answer_lost", "request_lost", "server_error", "reset"})
_OUTAGES = 0.08
_RESTORES = 0.12
_READ_FAULTS = ("answer_lost", "request_lost", "server_error", "rate_limited", "reset")
_JUMPS = (MINUTE, 10 * MINUTE, HOUR, 11 * HOUR, 22 * HOUR, 23 * HOUR, 25 * HOUR)
_HELD = (MINUTE, 3 * MINUTE, HOUR, 22 * HOUR, 25 * HOUR)
_WAITS = (MINUTE, 10 * MINUTE, HOUR, 11 * HOUR, 22 * HOUR, 23 * HOUR, 25 * HOUR, 36 * DAY)


def draw(seed: int) -> History:
    """Draw a history: the same seed draws the same one."""
    drawing = _Drawing(random.Random(seed), backs_up=seed % 4 == 0)  # noqa: S311 # it is to be drawn again, not to be a secret
    steps: list[Step] = [drawing.configure(), drawing.faults(), drawing.import_file()]
    for _ in range(drawing.chance.randint(*_STEPS)):
        steps += drawing.next_steps()
    return History(seed=seed, steps=tuple(steps))


@dataclass(slots=True)
class _Drawing:
    chance: random.Random
    backs_up: bool = False
    now: Instant = START
    rows: list[Row] = field(default_factory=list)
    files: list[tuple[Row, ...]] = field(default_factory=list)
    known: list[CustomerLine] = field(default_factory=list)
    """What the latest customers file said."""
    features: tuple[str, ...] = (SUM, SUM, COUNT, LAST, BULK, BULK)

    def __post_init__(self) -> None:
        if self.backs_up:
            # A `last` value that is told again after a day changes no total: an old copy may do so.
            self.features = (SUM, SUM, COUNT, BULK, BULK)

    def next_steps(self) -> list[Step]:
        draws: tuple[Callable[[], Step], ...] = (
            self.import_file,
            self.push,
            self.faults,
            self.wait,
            SetClockBack,
            Settle,
            self.configure,
            self.import_customers,
            WriteOff,
            BackUp if self.backs_up else self.push,
            Restore if self.backs_up else self.push,
        )
        if self.chance.random() < _OUTAGES:
            return self._outage()
        if self.backs_up and self.chance.random() < _RESTORES:
            return self._old_copy()
        (drawn,) = self.chance.choices(draws, weights=(26, 38, 14, 14, 4, 4, 3, 5, 3, 7, 7))
        return [drawn()]

    def _outage(self) -> list[Step]:
        """Let every answer be of one bad kind during a push, and the next one come much later."""
        bad = self.chance.choice([fault for fault in _FAULTS if fault["kind"] in _OUTAGE_KINDS])
        before = PlanFaults(faults=({**bad, "times": 0},))
        return [self.import_file(), before, self.push(), PlanFaults(faults=()), self.wait(), self.push()]

    def _old_copy(self) -> list[Step]:
        """Let usage be sent between a backup and its return, perhaps beyond what identifiers guard."""
        sent: list[Step] = [self.import_file(), Push(way=self.chance.choice(WAYS)), self.wait()]
        return [PlanFaults(faults=()), BackUp(), *sent, self.faults(), Restore()]

    def import_file(self) -> ImportFile:
        if self.files and self.chance.random() < 0.1:  # noqa: PLR2004 # now and then the same file again
            rows = self.chance.choice(self.files)
        else:
            rows = tuple(self._row() for _ in range(self.chance.randint(1, _ROWS)))
            self.files.append(rows)
        return ImportFile(rows=rows, crash_at=self._now_and_then(5, 8))

    def push(self) -> Push:
        crash_at = self._now_and_then(3, _CRASH_POINTS)
        jump_after = None if crash_at else self._now_and_then(8, 4)
        held_after = None if crash_at or jump_after else self._now_and_then(6, 3)
        alone = crash_at or jump_after or held_after
        retry_rejected = self.chance.random() < 0.15  # noqa: PLR2004 # now and then, by a person's word
        return Push(
            way=self.chance.choice(WAYS),
            limit=self._now_and_then(6, 5),
            include_closed=self.chance.random() < 0.1,  # noqa: PLR2004 # now and then
            retry_rejected=retry_rejected,
            retry_code=self.chance.choice((None, *_CODES)) if retry_rejected else None,
            held_after=held_after,
            held=self._pass(self.chance.choice(_HELD)) if held_after else 0,
            concurrency=1 if alone else self.chance.choice((1, 4)),
            crash_at=crash_at,
            jump_after=jump_after,
            jump=self._pass(self.chance.choice(_JUMPS)) if jump_after else 0,
        )

    def faults(self) -> PlanFaults:
        return PlanFaults(faults=tuple(self._fault() for _ in range(self.chance.randint(0, 4))))

    def wait(self) -> Wait:
        return Wait(span=self._pass(self.chance.choice(_WAITS)))

    def configure(self) -> Configure:
        rollup = self.chance.choice(("none", "hour", "hour", "day"))
        return Configure(rollup=rollup, calendar=self.chance.random() < 0.6)  # noqa: PLR2004 # the better half

    def import_customers(self) -> ImportCustomers:
        """Draw a file with all that bill themselves, and some of the product's ids, appearing or not."""
        chance, before = self.chance, {one.customer: one for one in self.known}
        lines = [CustomerLine(customer=one, stripe=one, anchored=chance.random() < 0.5) for one in CUSTOMERS]  # noqa: PLR2004
        for one in PRODUCT_IDS:
            if chance.random() < 0.3:  # noqa: PLR2004 # not there, or not there any more
                continue
            known = before.get(one)
            stays = known is not None and chance.random() < 0.4  # noqa: PLR2004
            stripe = known.stripe if known and stays else chance.choice(CUSTOMERS)
            canceled = known is not None and chance.random() < 0.3  # noqa: PLR2004
            lines.append(CustomerLine(customer=one, stripe=stripe, canceled=canceled))
        self.known = lines
        return ImportCustomers(lines=tuple(lines))

    def _row(self) -> Row:
        (draw_row,) = self.chance.choices(
            (self._new, self._repeated, self._conflicting, self._flawed), weights=(70, 12, 9, 9)
        )
        row: Row = draw_row() if self.rows else self._new()
        self.rows.append(row)
        return row

    def _new(self) -> Row:
        chance = self.chance
        feature = chance.choice(self.features)
        quantity = {
            COUNT: "1", LAST: str(chance.randint(0, 99)), BULK: str(chance.randint(1, 10**6))
        }.get(feature, f"{chance.randint(0, 10**6)}.{chance.randint(0, 99):02}")  # fmt: skip
        age = chance.choice((HOUR, DAY, 20 * DAY, _OLD))
        # The old end is beyond the 35 days that Stripe takes, the young one minutes ahead of the clock.
        at = self.now + 10 * MINUTE - chance.randrange(age // SECOND) * SECOND
        return Row(
            key=f"r{len(self.rows) + 1}",
            customer=chance.choice((*CUSTOMERS, *CUSTOMERS, *PRODUCT_IDS) if self.known else CUSTOMERS),
            feature=feature,
            quantity=quantity,
            at=at,
        )

    def _repeated(self) -> Row:
        return self.chance.choice(self.rows)

    def _conflicting(self) -> Row:
        """Draw a row under a key that was used before; where that one was refused, it mends it."""
        row = self.chance.choice(self.rows)
        other = "1" if row.feature == COUNT else str(self.chance.randint(100, 199))
        customer = self.chance.choice(CUSTOMERS)
        return Row(key=row.key, customer=customer, feature=row.feature, quantity=other, at=row.at)

    def _flawed(self) -> Row:
        row = self._new()
        return Row(
            key=row.key,
            customer=row.customer,
            feature=row.feature,
            quantity=row.quantity,
            at=row.at,
            flaw=self.chance.choice(list(Flaw)),
        )

    def _fault(self) -> Mapping[str, object]:
        chance = self.chance
        if chance.random() < 0.08:  # noqa: PLR2004 # the reads before the first request
            return {"kind": chance.choice(_READ_FAULTS), "on": chance.choice(("account", "meters"))}
        fault: dict[str, object] = {**chance.choice(_FAULTS), "times": chance.choice((1, 1, 2, 3, 7))}
        if chance.random() < 0.5:  # noqa: PLR2004 # of all, or of one customer and meter
            fault |= {
                "customer": chance.choice(CUSTOMERS),
                "event_name": chance.choice((SUM, COUNT, LAST, BULK)),
            }
        if skip := chance.choice((0, 0, 1, 2, 5)):
            fault["skip"] = skip
        return fault

    def _pass(self, span: int) -> int:
        self.now += span
        return span

    def _now_and_then(self, one_in: int, most: int) -> int | None:
        return self.chance.randint(1, most) if self.chance.randrange(one_in) == 0 else None
