"""One account's whole state, in one mode."""

from collections.abc import Mapping

from meterledger.simulator.billing.alerts import AlertBook
from meterledger.simulator.billing.catalog import PRICE_KIND, PRODUCT_KIND, Price, Product
from meterledger.simulator.billing.customers import CustomerBook
from meterledger.simulator.billing.invoices import InvoiceBook
from meterledger.simulator.billing.subscriptions import SubscriptionBook
from meterledger.simulator.instants import DAY_SECONDS
from meterledger.simulator.metering.error_reports import ErrorReports
from meterledger.simulator.metering.identifiers import IdentifierBook
from meterledger.simulator.metering.meters import Meter, MeterBook, MeterSpec
from meterledger.simulator.metering.stream_sessions import SessionBook
from meterledger.simulator.metering.usage import UsageBook
from meterledger.simulator.protocol.concurrency import ConcurrencyBook
from meterledger.simulator.protocol.idempotency import IdempotencyStore
from meterledger.simulator.protocol.rate_limit import RateLimits
from meterledger.simulator.rules import Rules
from meterledger.simulator.state.book import Book, Journal, Restorable
from meterledger.simulator.state.core_events import CoreEventLog
from meterledger.simulator.state.event_log import EventLog
from meterledger.simulator.state.ids import IdSource
from meterledger.simulator.state.timeline import Timeline

V1_KEY_LIFE_SECONDS = DAY_SECONDS
V2_KEY_LIFE_SECONDS = 30 * DAY_SECONDS


class Account:
    """
    The state of one account in one mode.

    Args:
        account_id: `acct_...`.
        livemode: Whether its keys are live ones.
        rules: What the simulator was told to be like.
        journal: Hears of every change.
    """

    def __init__(self, account_id: str, *, livemode: bool, rules: Rules, journal: Journal) -> None:
        self.account_id = account_id
        self.livemode = livemode
        self.rules = rules
        self.timeline = Timeline()
        self.concurrency = ConcurrencyBook(journal)
        self.limits = RateLimits(rules.limits, rules.events_per_second)
        self.ids = IdSource(journal)
        self.events = EventLog(self.ids, journal, livemode=livemode)
        self.core_events = CoreEventLog(self.ids, journal, livemode=livemode)
        self.error_reports = ErrorReports(
            self.core_events, self.timeline, journal, max_samples=rules.report_samples
        )
        self.meters = MeterBook(journal)
        self.sessions = SessionBook(journal)
        self.customers = CustomerBook(journal, known_only=rules.known_customers_only)
        self.identifiers = IdentifierBook(journal)
        self.usage = UsageBook(
            self.meters,
            journal,
            lag_seconds=rules.lag_seconds,
            last_by_receipt=rules.readings.last_by == "receipt",
        )
        self.alerts = AlertBook(journal, self.usage, self.events, self.core_events)
        self.products: Book[Product] = Book(Product, PRODUCT_KIND, "product", journal)
        self.prices: Book[Price] = Book(Price, PRICE_KIND, "price", journal)
        self.subscriptions = SubscriptionBook(journal, self.timeline)
        self.invoices = InvoiceBook(journal, self.timeline)
        self.v1_keys = IdempotencyStore("v1_key", V1_KEY_LIFE_SECONDS, journal)
        self.v2_keys = IdempotencyStore("v2_key", V2_KEY_LIFE_SECONDS, journal)

    def restorable(self) -> Mapping[str, Restorable]:
        """Return what takes the documents of a state file back in, by their kind, in the order to do it."""
        return {
            self.ids.KIND: self.ids,
            self.events.KIND: self.events,
            self.meters.KIND: self.meters,
            self.customers.KIND: self.customers,
            self.sessions.KIND: self.sessions,
            self.core_events.KIND: self.core_events,
            self.error_reports.KIND: self.error_reports,
            self.usage.KIND: self.usage,
            self.identifiers.KIND: self.identifiers,
            self.alerts.KIND: self.alerts,
            self.alerts.TRIGGERED_KIND: self.alerts.triggered,
            PRODUCT_KIND: self.products,
            PRICE_KIND: self.prices,
            self.subscriptions.KIND: self.subscriptions,
            self.invoices.KIND: self.invoices,
            self.v1_keys.kind: self.v1_keys,
            self.v2_keys.kind: self.v2_keys,
            self.concurrency.KIND: self.concurrency,
        }

    def add_meter(self, spec: MeterSpec, now: float) -> Meter:
        """
        Make a meter, at an instant in epoch seconds.

        Raises:
            ApiError: An active meter has its event name.
        """
        meter_id = self.ids.next("mtr_", livemode=self.livemode)
        created = int(now)
        return self.meters.add(
            Meter(meter_id=meter_id, livemode=self.livemode, spec=spec, created=created, updated=created)
        )
