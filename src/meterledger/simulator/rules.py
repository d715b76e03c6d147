"""What the simulator was told to be like, and how it reads what Stripe leaves open."""

from dataclasses import dataclass, field
from typing import Literal

from meterledger.simulator.billing.grace import GraceRules
from meterledger.simulator.metering.meters import MeterSpec
from meterledger.simulator.protocol.rate_limit import Limits
from meterledger.simulator.seeds.customers import CustomerSeed

REPORT_SAMPLES = 5  # Stripe does not say how many


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """
    The questions that Stripe's documentation leaves open or answers twice, each with the reading in force.

    A field is a switch of the command line, its default is the reading that is harder on a client wherever
    one is. The help says what is asked.
    """

    duplicate_code: Literal["none", "code"] = field(
        default="none", metadata={"help": "Whether v1's refusal of a duplicate has the code that v2's has."}
    )
    identifier_scope: Literal["account", "event-name", "way"] = field(
        default="account",
        metadata={"help": "What an identifier is unique in; ways are v1, v2 and the stream."},
    )
    canceled_identifier: Literal["reserved", "free"] = field(
        default="reserved", metadata={"help": "Whether a canceled event's identifier can be used again."}
    )
    stored_refusals: Literal["none", "executed"] = field(
        default="executed",
        metadata={"help": "Which refusals v1 replays: none, or those of well-formed parameters."},
    )
    concurrent_calls: Literal["refused", "taken"] = field(
        default="refused",
        metadata={"help": "What becomes of a second call at once for one customer and meter."},
    )
    lock_status: Literal["429", "409"] = field(
        default="429", metadata={"help": "The status of that refusal on v1; on v2 it is 409."}
    )
    checks: Literal["sync", "async"] = field(
        default="sync",
        metadata={
            "help": "Whether v1 and v2 refuse unknown meters and customers, bad payloads and timestamps "
            "at once, or take them with 200 and report them later."
        },
    )
    unknown_customer: Literal["400", "404"] = field(
        default="400", metadata={"help": "The status of usage for a customer that does not exist."}
    )
    v2_values: Literal["integers", "decimals"] = field(
        default="integers", metadata={"help": "What v2 and the stream take as a value."}
    )
    v2_error_type: Literal["absent", "present"] = field(
        default="absent", metadata={"help": "Whether refusals of v2 meter events carry a type."}
    )
    v2_test_keys: Literal["taken", "refused"] = field(
        default="taken", metadata={"help": "Whether v2 takes sk_test_ keys, which are legacy test mode."}
    )
    session_expired: Literal["401", "400"] = field(
        default="401", metadata={"help": "The status when a stream session has expired."}
    )
    last_by: Literal["timestamp", "receipt"] = field(
        default="timestamp", metadata={"help": "Which event is the latest on a meter that takes the last."}
    )
    summary_end: Literal["exclusive", "inclusive"] = field(
        default="exclusive", metadata={"help": "Whether a summary counts the second that it ends with."}
    )
    empty_summary: Literal["zero", "none"] = field(
        default="zero", metadata={"help": "A summary without a window and without usage: of zero, or none."}
    )
    billed_by: Literal["received", "aggregated"] = field(
        default="received",
        metadata={"help": "An invoice bills what was received until then, or what summaries showed then."},
    )
    canceled_invoice: Literal["at-once", "grace"] = field(
        default="at-once",
        metadata={"help": "Whether the invoice of a cancellation at once is final at once, or has grace."},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """
    What the simulator was told to be like.

    Attributes:
        only_key: The one API key to accept; any well-formed one when None.
        known_customers_only: Refuse usage for customers that were not made here.
        events_per_second: A limit of its own on meter-event calls per account and second; none when None.
        limits: Stripe's rate limits of live or of test mode; none when None.
        report_samples: How many samples an error report gives of one kind of error, at most.
        lag_seconds: How long after its receipt an event shows in summaries.
        grace: How long draft invoices stay open.
        readings: How open questions are read.
        on_loopback: Whether only this machine can reach it, so that no other name may lead here.
        seeds: Meters that every account starts with.
        customer_seeds: Customers that every account starts with.
    """

    only_key: str | None = None
    known_customers_only: bool = False
    events_per_second: int | None = None
    limits: Limits | None = None
    report_samples: int = REPORT_SAMPLES
    lag_seconds: float = 0.0
    grace: GraceRules = field(default_factory=GraceRules)
    readings: Readings = field(default_factory=Readings)
    on_loopback: bool = True
    seeds: tuple[MeterSpec, ...] = ()
    customer_seeds: tuple[CustomerSeed, ...] = ()
