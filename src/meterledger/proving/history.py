"""Histories: what is done to a ledger, step by step, drawn from a seed."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from meterledger.domain.instant import DAY, HOUR, MINUTE, SECOND, Instant, to_text

START: Instant = 1_793_491_200 * SECOND
"""2026-11-01T00:00:00Z: every history begins then."""

WAYS = ("v1", "v2", "stream")
"""The ways in that a history may draw for a push."""

CUSTOMERS = ("cus_a", "cus_b", "cus_c")
SUM, COUNT, LAST = "calls", "logins", "seats"
"""The feature and event name of each of the three meters, by what Stripe makes of their values."""

CONFIG = f"""\
[meters.{SUM}]
features = ["{SUM}"]
decimal_places = 2

[meters.{COUNT}]
features = ["{COUNT}"]
aggregation = "count"

[meters.{LAST}]
features = ["{LAST}"]
aggregation = "last"
"""


class Flaw(StrEnum):
    """What is wrong with a row that import has to refuse."""

    NEGATIVE = "negative quantity"
    NO_NUMBER = "quantity is no number"
    NO_CUSTOMER = "no customer"
    NO_OFFSET = "time without offset"
    UNKNOWN_FEATURE = "unknown feature"
    MALFORMED = "no JSON"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One usage row; its quantity is decimal text, ``at`` an instant on a whole second."""

    key: str
    customer: str
    feature: str
    quantity: str
    at: Instant
    flaw: Flaw | None = None

    def line(self) -> str:
        """Return it as a line of an input file."""
        fields: dict[str, object] = {
            "request_id": self.key,
            "customer_id": self.customer,
            "feature": self.feature,
            "quantity": self.quantity,
            "event_time": self.at // SECOND,
        }
        match self.flaw:
            case Flaw.NEGATIVE:
                fields["quantity"] = "-1"
            case Flaw.NO_NUMBER:
                fields["quantity"] = "many"
            case Flaw.NO_CUSTOMER:
                del fields["customer_id"]
            case Flaw.NO_OFFSET:
                fields["event_time"] = "2026-10-31T12:00:00"
            case Flaw.UNKNOWN_FEATURE:
                fields["feature"] = "unheard_of"
            case Flaw.MALFORMED:
                return json.dumps(fields)[:-2]
        return json.dumps(fields)

    def __str__(self) -> str:
        what = f"{self.key} {self.customer} {self.feature} {self.quantity} at {to_text(self.at)}"
        return f"{what} ({self.flaw})" if self.flaw else what


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportFile:
    """Import a file; ``crash_at`` is the crash point at which the process dies, and runs it again."""

    rows: tuple[Row, ...]
    crash_at: int | None = None

    def __str__(self) -> str:
        crash = f", dies at crash point {self.crash_at}, and runs again" if self.crash_at else ""
        return f"import {len(self.rows)} rows{crash}: " + "; ".join(map(str, self.rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """Push; perhaps die at a crash point, or find the clock ahead after one of the answers."""

    way: str = WAYS[0]
    limit: int | None = None
    concurrency: int = 1
    crash_at: int | None = None
    jump_after: int | None = None
    """After how many answers the clock jumps, as it does where a machine was suspended."""
    jump: int = 0
    """By how much, in microseconds."""

    def __str__(self) -> str:
        parts = [f"push by {self.way}, {self.concurrency} at once"]
        if self.limit:
            parts.append(f"at most {self.limit} meter events")
        if self.crash_at:
            parts.append(f"dies at crash point {self.crash_at}")
        if self.jump_after:
            parts.append(f"the clock jumps by {_span(self.jump)} after answer {self.jump_after}")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFaults:
    """Put faults in the place of those that are planned, as the simulator's plans have them."""

    faults: tuple[Mapping[str, object], ...]

    def __str__(self) -> str:
        return "from now on: " + ("; ".join(map(_fault_text, self.faults)) or "no faults")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Let time pass, in microseconds."""

    span: int

    def __str__(self) -> str:
        return f"wait {_span(self.span)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetClockBack:
    """Set the clock back by a day, push, which has to refuse, and set it right again."""

    def __str__(self) -> str:
        return "set the clock back by a day, push, and set it right"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle:
    """Let a person look at Stripe, and resolve everything that is in doubt."""

    def __str__(self) -> str:
        return "a person resolves what is in doubt"


Step = ImportFile | Push | PlanFaults | Wait | SetClockBack | Settle


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Steps, and the seed that they were drawn from."""

    seed: int
    steps: tuple[Step, ...]


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
)
_OUTAGE_KINDS = frozenset({"answer_lost", "request_lost", "server_error", "reset"})
_OUTAGES = 0.08
_READ_FAULTS = ("answer_lost", "request_lost", "server_error", "rate_limited", "reset")
_WAITS = (MINUTE, 10 * MINUTE, HOUR, 11 * HOUR, 22 * HOUR, 23 * HOUR, 25 * HOUR, 36 * DAY)


def draw(seed: int) -> History:
    """Draw a history: the same seed draws the same one."""
    drawing = _Drawing(random.Random(seed))  # noqa: S311 # it is to be drawn again, not to be a secret
    steps: list[Step] = [drawing.faults(), drawing.import_file()]
    for _ in range(drawing.chance.randint(*_STEPS)):
        steps += drawing.next_steps()
    return History(seed=seed, steps=tuple(steps))


@dataclass(slots=True)
class _Drawing:
    chance: random.Random
    now: Instant = START
    rows: list[Row] = field(default_factory=list)
    files: list[tuple[Row, ...]] = field(default_factory=list)

    def next_steps(self) -> list[Step]:
        draws: tuple[Callable[[], Step], ...] = (
            self.import_file,
            self.push,
            self.faults,
            self.wait,
            SetClockBack,
            Settle,
        )
        if self.chance.random() < _OUTAGES:
            return self._outage()
        (drawn,) = self.chance.choices(draws, weights=(26, 38, 14, 14, 4, 4))
        return [drawn()]

    def _outage(self) -> list[Step]:
        """Let every answer be of one bad kind during a push, and the next one come much later."""
        bad = self.chance.choice([fault for fault in _FAULTS if fault["kind"] in _OUTAGE_KINDS])
        before = PlanFaults(faults=({**bad, "times": 0},))
        return [self.import_file(), before, self.push(), PlanFaults(faults=()), self.wait(), self.push()]

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
        alone = crash_at or jump_after
        return Push(
            way=self.chance.choice(WAYS),
            limit=self._now_and_then(6, 5),
            concurrency=1 if alone else self.chance.choice((1, 4)),
            crash_at=crash_at,
            jump_after=jump_after,
            jump=self._pass(self.chance.choice(_WAITS)) if jump_after else 0,
        )

    def faults(self) -> PlanFaults:
        return PlanFaults(faults=tuple(self._fault() for _ in range(self.chance.randint(0, 4))))

    def wait(self) -> Wait:
        return Wait(span=self._pass(self.chance.choice(_WAITS)))

    def _row(self) -> Row:
        (draw_row,) = self.chance.choices(
            (self._new, self._repeated, self._conflicting, self._flawed), weights=(70, 12, 9, 9)
        )
        row: Row = draw_row() if self.rows else self._new()
        self.rows.append(row)
        return row

    def _new(self) -> Row:
        chance = self.chance
        feature = chance.choice((SUM, SUM, COUNT, LAST))
        quantity = {COUNT: "1", LAST: str(chance.randint(0, 99))}.get(
            feature, f"{chance.randint(0, 10**6)}.{chance.randint(0, 99):02}"
        )
        age = chance.choice((HOUR, DAY, 20 * DAY, _OLD))
        # The old end is beyond the 35 days that Stripe takes, the young one minutes ahead of the clock.
        at = self.now + 10 * MINUTE - chance.randrange(age // SECOND) * SECOND
        return Row(
            key=f"r{len(self.rows) + 1}",
            customer=chance.choice(CUSTOMERS),
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
            fault |= {"customer": chance.choice(CUSTOMERS), "event_name": chance.choice((SUM, COUNT, LAST))}
        if skip := chance.choice((0, 0, 1, 2, 5)):
            fault["skip"] = skip
        return fault

    def _pass(self, span: int) -> int:
        self.now += span
        return span

    def _now_and_then(self, one_in: int, most: int) -> int | None:
        return self.chance.randint(1, most) if self.chance.randrange(one_in) == 0 else None


def size_of(steps: Sequence[Step]) -> int:
    """Return how much there is to read in steps: each counts, and each of its rows."""
    return sum(1 + (len(step.rows) if isinstance(step, ImportFile) else 0) for step in steps)


def _span(microseconds: int) -> str:
    for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if microseconds % unit == 0:
            return f"{microseconds // unit} {name}"
    return f"{microseconds // SECOND} s"


def _fault_text(fault: Mapping[str, object]) -> str:
    return " ".join(
        [str(fault["kind"]), *(f"{key}={value}" for key, value in fault.items() if key != "kind")]
    )
