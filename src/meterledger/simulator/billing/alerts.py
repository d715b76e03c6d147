"""Alerts: a customer's usage has reached a number, told once in the customer's lifetime."""

from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from meterledger.simulator.metering.meters import Meter
from meterledger.simulator.metering.usage import UsageBook
from meterledger.simulator.protocol.api_errors import ApiError
from meterledger.simulator.state.book import Book, Journal
from meterledger.simulator.state.core_events import CoreEventLog, RelatedObject
from meterledger.simulator.state.event_log import EventLog

MAX_TITLE = 256  # characters
MAX_ALERTS = 25  # for one meter and customer


class AlertStatus(StrEnum):
    """Whether an alert watches."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    ARCHIVED = "archived"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """
    An alert on the usage of one customer, or of every customer, of a meter.

    Attributes:
        id: `alrt_...`.
        title: What it is called.
        meter: The meter's id.
        gte: The usage that triggers it.
        customer: Whose usage; everybody's, one by one, where None.
        status: Whether it watches.
        livemode: Whether it is one of live mode.
    """

    id: str
    title: str
    meter: str
    gte: int
    customer: str | None
    status: AlertStatus
    livemode: bool

    def watches(self, customer: str) -> bool:
        """Tell whether the alert is active and about the customer."""
        return self.status is AlertStatus.ACTIVE and self.customer in (None, customer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Triggered:
    """That an alert was triggered for a customer; it never is again. The id names both."""

    id: str


class AlertBook:
    """
    The alerts of one account.

    Args:
        journal: Hears of every change.
        usage: What was counted.
        events: Where triggered alerts are told with their usage.
        core_events: Where it is told that they were triggered.
    """

    KIND = "alert"
    TRIGGERED_KIND = "alert_triggered"

    def __init__(
        self, journal: Journal, usage: UsageBook, events: EventLog, core_events: CoreEventLog
    ) -> None:
        self._usage = usage
        self._events = events
        self._core_events = core_events
        self._book: Book[Alert] = Book(Alert, self.KIND, "billing alert", journal)
        self.triggered: Book[Triggered] = Book(Triggered, self.TRIGGERED_KIND, "triggered alert", journal)
        self._by_meter: dict[str, dict[str, Alert]] = {}

    def add(self, alert: Alert) -> Alert:
        """
        Take in a new alert, and return it.

        Raises:
            ApiError: The meter has 25 alerts for the customer.
        """
        alerts = self._by_meter.get(alert.meter, {}).values()
        same = [
            other for other in alerts if alert.customer is None or other.customer in (None, alert.customer)
        ]
        if len([other for other in same if other.status is not AlertStatus.ARCHIVED]) >= MAX_ALERTS:
            message = f"A meter can have at most {MAX_ALERTS} alerts for a customer."
            raise ApiError(message, param="usage_threshold[meter]", executed=True)
        return self._put(alert)

    def get(self, alert_id: str) -> Alert:
        """
        Return an alert.

        Raises:
            ApiError: 404 `resource_missing`.
        """
        return self._book.get(alert_id)

    def newest_first(self) -> list[Alert]:
        """Return every alert, the newest first."""
        return self._book.newest_first()

    def turn(self, alert_id: str, status: AlertStatus) -> Alert:
        """
        Give an alert another status.

        Raises:
            ApiError: There is no such alert, or it is archived, which is for good.
        """
        alert = self.get(alert_id)
        if alert.status is AlertStatus.ARCHIVED and status is not AlertStatus.ARCHIVED:
            raise ApiError("This alert is archived and cannot be changed any more.", executed=True)
        return self._put(replace(alert, status=status))

    def look(self, meter: Meter, customer: str, now: float) -> None:
        """Tell the alerts that a customer's newly counted usage has reached; now is in epoch seconds."""
        waiting = [
            alert
            for alert in self._by_meter.get(meter.meter_id, {}).values()
            if alert.watches(customer) and self.triggered.find(_trigger_id(alert, customer)) is None
        ]
        series = self._usage.find(meter, customer) if waiting else None
        if series is None:
            return
        total = self._usage.measure(series).total
        for alert in waiting:
            if total >= alert.gte:
                self._trigger(alert, customer, total, now)

    def restore(self, key: str, document: bytes) -> None:
        """Take in an alert of a state file."""
        self._book.restore(key, document)
        self._index(self._book.get(key))

    def _trigger(self, alert: Alert, customer: str, total: Decimal, now: float) -> None:
        self.triggered.put(Triggered(id=_trigger_id(alert, customer)))
        document: dict[str, object] = {
            "object": "billing.alert_triggered",
            "alert": alert_body(alert),
            "created": int(now),
            "customer": customer,
            "livemode": alert.livemode,
            "value": int(total),
        }
        self._events.record("billing.alert.triggered", document, now)
        related = RelatedObject(id=alert.id, type="billing.alert", url=f"/v1/billing/alerts/{alert.id}")
        self._core_events.record("v1.billing.alert.triggered", related, None, now)

    def _put(self, alert: Alert) -> Alert:
        return self._index(self._book.put(alert))

    def _index(self, alert: Alert) -> Alert:
        self._by_meter.setdefault(alert.meter, {})[alert.id] = alert
        return alert


def alert_body(alert: Alert) -> dict[str, object]:
    """Return an alert as the API shows it."""
    filters = [] if alert.customer is None else [{"type": "customer", "customer": alert.customer}]
    return {
        "id": alert.id,
        "object": "billing.alert",
        "alert_type": "usage_threshold",
        "livemode": alert.livemode,
        "status": alert.status,
        "title": alert.title,
        "usage_threshold": {
            "filters": filters,
            "gte": alert.gte,
            "meter": alert.meter,
            "recurrence": "one_time",
        },
    }


def _trigger_id(alert: Alert, customer: str) -> str:
    return f"{alert.id}|{customer}"
