"""Histories: what is done to a ledger, step by step."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from meterledger.domain.instant import DAY, HOUR, MINUTE, SECOND, Instant, to_text

START: Instant = 1_793_491_200 * SECOND
"""2026-11-01T00:00:00Z: every history begins then."""

WAYS = ("v1", "v2", "stream")
"""The ways in that a history may draw for a push."""

CUSTOMERS = ("cus_a", "cus_b", "cus_c")
PRODUCT_IDS = ("acme", "beta")
"""Customers by the product's own ids: only a customers file says who is billed for them."""
SUM, COUNT, LAST, BULK = "calls", "logins", "seats", "bytes"
"""The feature and event name of each meter, by what Stripe makes of their values; the last rolls up."""
ANCHOR = "2026-01-15T06:00:00Z"
"""Since when the periods of a customer count of whom a customers file says so: each a month."""
SETTLE = 2 * HOUR
"""After the end of its window, usage that rolls up is sealed."""
NOTICE = 20 * MINUTE
"""How long before it holds a customers file tells of a change: no usage of that time has come in yet."""

_METERS = f"""\
[meters.{SUM}]
features = ["{SUM}"]
decimal_places = 2

[meters.{COUNT}]
features = ["{COUNT}"]
aggregation = "count"

[meters.{LAST}]
features = ["{LAST}"]
aggregation = "last"

[meters.{BULK}]
features = ["{BULK}"]
"""


def config_text(rollup: str = "none", *, calendar: bool = False) -> str:
    """Return the config of a history."""
    anchors = "calendar" if calendar else "assumed"
    return f'{_METERS}rollup = "{rollup}"\nsettle = "2h"\n\n[invoicing]\nanchors = "{anchors}"\n'


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
    """Push; perhaps die at a crash point, be held, or find the clock ahead after one of the answers."""

    way: str = WAYS[0]
    limit: int | None = None
    concurrency: int = 1
    crash_at: int | None = None
    jump_after: int | None = None
    """After how many answers the clock jumps, as it does where a machine was suspended."""
    jump: int = 0
    """By how much, in microseconds."""
    held_after: int | None = None
    """After how many answers the process is held; a second push comes, and then the first goes on."""
    held: int = 0
    """For how long, in microseconds."""
    include_closed: bool = False
    retry_rejected: bool = False
    retry_code: str | None = None

    def __str__(self) -> str:
        parts = [f"push by {self.way}, {self.concurrency} at once"]
        if self.include_closed:
            parts.append("closed periods too")
        if self.retry_rejected:
            parts.append(f"retrying what was rejected{f' with {self.retry_code}' if self.retry_code else ''}")
        if self.held_after:
            parts.append(
                f"is held for {_span(self.held)} after answer {self.held_after} while another pushes"
            )
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Configure:
    """Give the config another roll-up, and say whether periods are calendar months for certain."""

    rollup: str
    calendar: bool

    def __str__(self) -> str:
        periods = "known to be calendar months" if self.calendar else "assumed"
        return f'configure: {BULK} rolls up by "{self.rollup}", periods are {periods}'


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerLine:
    """What a customers file says of one customer."""

    customer: str
    stripe: str
    canceled: bool = False
    anchored: bool = False
    """Whether it says when the customer's periods begin."""

    def line(self) -> str:
        """Return it as a line of a customers file."""
        fields = {
            "customer_id": self.customer,
            "stripe_customer_id": self.stripe,
            "status": "canceled" if self.canceled else "active",
        }
        anchor = {"billing_cycle_anchor": ANCHOR} if self.anchored else {}
        return json.dumps(fields | anchor)

    def __str__(self) -> str:
        marks = [word for word, holds in (("canceled", self.canceled), ("anchored", self.anchored)) if holds]
        return " ".join([f"{self.customer} is {self.stripe}", *marks])


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportCustomers:
    """Import a customers file; what it changes holds from the notice on."""

    lines: tuple[CustomerLine, ...]

    def __str__(self) -> str:
        return f"import customers, changes hold in {_span(NOTICE)}: " + "; ".join(map(str, self.lines))


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOff:
    """Let a person write off all that is blocked."""

    def __str__(self) -> str:
        return "a person writes off what is blocked"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackUp:
    """Copy the ledger, if nothing of it is open at Stripe."""

    def __str__(self) -> str:
        return "back the ledger up, if no outcome is open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restore:
    """Put the copy in the ledger's place, import again what came since, and push."""

    def __str__(self) -> str:
        return "restore the backup, import what came since, and push; where it stops, put the latest back"


Step = (
    ImportFile
    | Push
    | PlanFaults
    | Wait
    | SetClockBack
    | Settle
    | Configure
    | ImportCustomers
    | WriteOff
    | BackUp
    | Restore
)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Steps, and the seed that they were drawn from."""

    seed: int
    steps: tuple[Step, ...]


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
