"""A month played out on the simulator's clock: usage that arrives late, pushes, and what the invoices say."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import stripe

from meterledger.cli.main import run
from meterledger.domain.instant import DAY, HOUR, MINUTE, Instant, parse_instant, to_text
from support.commands import OF_OUR_OWN, Ended
from support.sdk_billing import metered_price
from support.sdk_desk import KEY, SdkDesk

START = parse_instant("2026-10-01T00:00:00Z")
END = parse_instant("2026-11-01T00:00:00Z")
METER = "api_requests"
CONFIG = """
[sources.punctual]
[sources.hour_late]
[sources.day_late]
[meters.api_requests]
features = ["calls"]
[meters.seats]
features = ["seats"]
[invoicing]
grace_period = "1h"
"""


class Used(NamedTuple):
    """One usage event: what it is, and when it reaches the place it is imported from."""

    source: str
    customer: str
    event_time: Instant
    received_at: Instant
    quantity: int
    feature: str = "calls"
    subscription_id: str = ""

    @property
    def request_id(self) -> str:
        """Its name, once in its source."""
        return f"{self.source}-{self.feature}-{self.customer}-{to_text(self.event_time)}"


class Source(NamedTuple):
    """How a source brings the usage of each hour."""

    name: str
    minute: int
    delay: int
    factor: int
    """Of its quantities, so that each source can be told in a sum."""


SOURCES = (
    Source("punctual", 20, 10 * MINUTE, 1),
    Source("hour_late", 30, HOUR, 100),
    Source("day_late", 30, DAY, 10_000),
)


def every_hour(customers: Sequence[str], quantity: Callable[[int], int], *, days: int = 31) -> list[Used]:
    """
    Return usage until some hours after October: an event of each source and hour, of the customers in turn.

    Args:
        customers: Whose; a day's hours are shared out in the same way every day if their number divides 24.
        quantity: Number of the hour from the start of the month -> quantity, before the source's factor.
        days: How many days of October have usage, the last ones.
    """
    return [
        Used(
            source.name,
            customers[hour % len(customers)],
            at := START + hour * HOUR + source.minute * MINUTE,
            at + source.delay,
            quantity(hour) * source.factor,
        )
        for hour in range((END - START - days * DAY) // HOUR, (END - START) // HOUR + 4)
        for source in SOURCES
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a report told at an instant."""

    command: tuple[str, ...]
    at: Instant
    out: str


@dataclass(slots=True, kw_only=True)
class PlayedMonth:
    """
    A folder in which commands run as the simulator's clock goes on, and the invoices beside it.

    Attributes:
        usage: All usage there will be; it is imported when it has arrived.
        told: What reports told, to be asked for again.
    """

    desk: SdkDesk
    folder: Path
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    pushes_as_processes: bool = False
    """Whether each push is a process of its own."""
    usage: list[Used] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    now: Instant = START
    _arrived_until: Instant = -1
    _imports: int = 0

    def subscribe(self, *event_names: str) -> stripe.Subscription:
        """Make a customer with a subscription that begins now and bills these meters, `METER` unless told."""
        customer = self.desk.client.v1.customers.create({"name": "One of many"})
        return self.subscribe_too(customer.id, *event_names)

    def subscribe_too(self, customer: str, *event_names: str) -> stripe.Subscription:
        """Give a customer a subscription more that begins now."""
        client = self.desk.client.v1
        meters = {meter.event_name: meter.id for meter in client.billing.meters.list().data}
        items: list[Any] = [
            {"price": metered_price(self.desk, meters[name]).id} for name in event_names or (METER,)
        ]
        return client.subscriptions.create({"customer": customer, "items": items})

    def run(self, *arguments: str, as_process: bool = False) -> Ended:
        """Run a command to its end; the key never shows."""
        if as_process:
            command = [sys.executable, "-m", "meterledger", *arguments]
            ended = subprocess.run(command, capture_output=True, text=True, check=False)
            ran = Ended(code=ended.returncode, out=ended.stdout, err=ended.stderr)
        else:
            code = run(arguments)
            out, err = self.capsys.readouterr()
            ran = Ended(code=code, out=out, err=err)
        assert KEY not in ran.out + ran.err
        assert "this is a bug" not in ran.err, ran.err
        return ran

    def done(self, *arguments: str) -> Ended:
        """Run a command that ends with 0."""
        ran = self.run(*arguments)
        assert ran.code == 0, ran.err + ran.out
        return ran

    def set_clock(self, at: str) -> None:
        """Set the simulator's clock, and the commands' with it."""
        self.now = parse_instant(at)
        self.desk.simulator.set_clock(at)

    def import_arrived(self, at: str) -> None:
        """Set the clock, and import what has arrived since the last time."""
        self.set_clock(at)
        arrived = [one for one in self.usage if self._arrived_until < one.received_at <= self.now]
        self._arrived_until = self.now
        self._imports += 1
        for source in SOURCES:
            rows = [one for one in arrived if one.source == source.name]
            if rows:
                file = self.folder / f"{source.name}-{self._imports}.jsonl"
                file.write_text("".join(map(_line, rows)), encoding="utf-8")
                self.done("--quiet", "import", "--source", source.name, str(file))

    def push(self, at: str, *, code: int = 0) -> Any:
        """Set the clock, import what has arrived, and push it; return what push says."""
        self.import_arrived(at)
        ran = self.run("push", "--format", "json", as_process=self.pushes_as_processes)
        assert ran.code == code, ran.err + ran.out
        return ran.document

    def tell(self, *command: str) -> str:
        """Return a report, and remember it: it has to be the last that happens at this instant."""
        out = self.run(*command, "--format", "json").out
        self.told.append(Told(command=command, at=self.now, out=out))
        return out

    def audit(self, *arguments: str) -> Any:
        """Return the audit."""
        return json.loads(self.tell("audit", *arguments))

    def lost(self) -> tuple[list[Any], list[Any]]:
        """Return the lines of `audit --lost`, and of `--lost-events`."""
        lines, events = (
            [json.loads(line) for line in self.tell("audit", option, "-").splitlines()]
            for option in ("--lost", "--lost-events")
        )
        return lines, events

    def check_told_again(self) -> None:
        """Every report is told again, to the letter, by the ledger alone: without Stripe, key or clock."""
        self.desk.simulator.stop()
        for name in ("STRIPE_API_KEY", "STRIPE_API_BASE", "METERLEDGER_CLOCK"):
            self.monkeypatch.delenv(name)
        assert self.told
        for one in self.told:
            again = self.run(*one.command, "--format", "json", "--as-of", to_text(one.at))
            assert again.out == one.out, f"{one.command} as of {to_text(one.at)}"

    def drafts(self) -> dict[str, str]:
        """Return subscription -> its draft."""
        listed = self.desk.client.v1.invoices.list({"status": "draft", "limit": 100}).data
        return {subscription_of(one): one.id for one in listed}

    def invoices(self) -> dict[str, stripe.Invoice]:
        """Return subscription -> its latest invoice of an ended period."""
        listed = self.desk.client.v1.invoices.list({"limit": 100}).data
        cycle = [one for one in listed if one.billing_reason == "subscription_cycle"]
        return {subscription_of(one): one for one in reversed(cycle)}

    def billed(self) -> dict[str, Decimal]:
        """Return subscription -> the quantity on its latest invoice of an ended period, if that is final."""
        return {
            subscription: sum((line.quantity_decimal or Decimal(0) for line in one.lines.data), Decimal(0))
            for subscription, one in self.invoices().items()
            if one.status != "draft"
        }

    def used(self, *customers: str) -> dict[str, Any]:
        """Return the true usage of October that has arrived, of all customers or of these."""
        found = [
            one.quantity
            for one in self.usage
            if START <= one.event_time < END
            and one.received_at <= self.now
            and (not customers or one.customer in customers)
        ]
        return amount(len(found), Decimal(sum(found)))


def subscription_of(invoice: stripe.Invoice) -> str:
    """Return the subscription that an invoice bills."""
    assert invoice.parent is not None
    assert invoice.parent.subscription_details is not None
    subscription = invoice.parent.subscription_details.subscription
    assert isinstance(subscription, str)
    return subscription


def ended(document: Any, what: str = "periods", *, end: str = "2026-11-01T00:00:00Z") -> list[Any]:
    """Return the entries of the period that ends at the month's end, or at another instant."""
    return [one for one in document[what] if one["end"] == end]


def amount(events: int, quantity: Decimal) -> dict[str, Any]:
    """Return an amount as JSON shows it."""
    return {"events": events, "quantity": str(quantity)}


def total(amounts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Add amounts up as JSON shows them."""
    found = list(amounts)
    return amount(
        sum(one["events"] for one in found), sum((Decimal(one["quantity"]) for one in found), Decimal(0))
    )


def quantity(amounts: Iterable[Mapping[str, Any]]) -> Decimal:
    """Return the quantity of amounts, added up."""
    return Decimal(total(amounts)["quantity"])


@contextmanager
def played_month(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[PlayedMonth]:
    """Yield a month with an empty ledger, at the start of October; its clock stands still."""
    (folder / "meterledger.toml").write_text(CONFIG, encoding="utf-8")
    monkeypatch.chdir(folder)
    for name in [name for name in os.environ if name.startswith(OF_OUR_OWN)]:
        monkeypatch.delenv(name)
    with SdkDesk("--clock", to_text(START), "--seed-from", str(folder / "meterledger.toml")) as desk:
        monkeypatch.setenv("STRIPE_API_BASE", desk.simulator.url)
        monkeypatch.setenv("STRIPE_API_KEY", KEY)
        monkeypatch.setenv("METERLEDGER_CLOCK", "server")
        month = PlayedMonth(desk=desk, folder=folder, monkeypatch=monkeypatch, capsys=capsys)
        month.done("init")
        yield month


def _line(one: Used) -> str:
    row = {
        "request_id": one.request_id,
        "customer_id": one.customer,
        "feature": one.feature,
        "quantity": one.quantity,
        "event_time": to_text(one.event_time),
        "received_at": to_text(one.received_at),
    }
    if one.subscription_id:
        row["subscription_id"] = one.subscription_id
    return json.dumps(row) + "\n"
