"""Meters: what they are and the rules for making and changing them."""

from dataclasses import dataclass, replace
from enum import StrEnum

from meterledger.simulator.instants import DAY_SECONDS, HOUR_SECONDS
from meterledger.simulator.protocol.api_errors import ApiError
from meterledger.simulator.state.book import Book, Journal

MAX_EVENT_NAME = 100  # characters
MAX_DISPLAY_NAME = 250  # characters
MAX_PAYLOAD_KEY = 100  # characters
DEFAULT_CUSTOMER_KEY = "stripe_customer_id"
DEFAULT_VALUE_KEY = "value"


class Formula(StrEnum):
    """How a meter makes one number of many events."""

    SUM = "sum"
    COUNT = "count"
    LAST = "last"


class Window(StrEnum):
    """A UTC span: of a pre-aggregated meter, or of one grouped summary."""

    HOUR = "hour"
    DAY = "day"

    @property
    def seconds(self) -> int:
        """The span's length in seconds."""
        return HOUR_SECONDS if self is Window.HOUR else DAY_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterSpec:
    """What a meter is made from, and what never changes about it but for its display name."""

    display_name: str
    event_name: str
    formula: Formula
    event_time_window: Window | None = None
    customer_key: str = DEFAULT_CUSTOMER_KEY
    value_key: str = DEFAULT_VALUE_KEY

    @property
    def adds(self) -> bool:
        """Whether every event counts by itself, so that order and windows change nothing."""
        return self.event_time_window is None and self.formula is not Formula.LAST


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """A meter as it stands; instants are whole seconds since the epoch."""

    meter_id: str
    livemode: bool
    spec: MeterSpec
    created: int
    updated: int
    deactivated_at: int | None = None

    @property
    def id(self) -> str:
        """The meter's id."""
        return self.meter_id

    @property
    def active(self) -> bool:
        """Whether the meter takes events."""
        return self.deactivated_at is None


class MeterBook:
    """
    The meters of one account.

    Args:
        journal: Hears of every change.
    """

    KIND = "meter"

    def __init__(self, journal: Journal) -> None:
        self._by_id: Book[Meter] = Book(Meter, self.KIND, "billing meter", journal)
        self._active: dict[str, Meter] = {}
        self._names: set[str] = set()  # of every meter there ever was

    def add(self, meter: Meter) -> Meter:
        """
        Take in a new, active meter, and return it.

        Raises:
            ApiError: An active meter has its event name.
        """
        self._refuse_taken_name(meter.spec.event_name)
        return self._store(meter)

    def get(self, meter_id: str) -> Meter:
        """
        Return a meter.

        Raises:
            ApiError: 404 `resource_missing`.
        """
        return self._by_id.get(meter_id)

    def find(self, meter_id: str) -> Meter | None:
        """Return a meter, or None where nothing has the id."""
        return self._by_id.find(meter_id)

    def active(self, event_name: str) -> Meter | None:
        """Return the active meter with the event name, if there is one."""
        return self._active.get(event_name)

    def is_archived(self, event_name: str) -> bool:
        """Tell whether the event name belongs to a meter that was deactivated, and to no active one."""
        return event_name in self._names and event_name not in self._active

    def latest(self, event_name: str) -> Meter | None:
        """Return the active meter with the event name, else the newest that had it, if there is one."""
        active = self._active.get(event_name)
        if active is not None:
            return active
        named = (meter for meter in self.newest_first() if meter.spec.event_name == event_name)
        return next(named, None)

    def knows(self, event_name: str) -> bool:
        """Tell whether there ever was a meter with the event name, active or not."""
        return event_name in self._names

    def newest_first(self) -> list[Meter]:
        """Return every meter, the newest first."""
        return self._by_id.newest_first()

    def rename(self, meter_id: str, display_name: str | None, now: int) -> Meter:
        """Give a meter another display name, if one is given, at an instant in epoch seconds."""
        meter = self.get(meter_id)
        if display_name is None:
            return meter
        return self._store(replace(meter, spec=replace(meter.spec, display_name=display_name), updated=now))

    def deactivate(self, meter_id: str, now: int) -> Meter:
        """Stop a meter taking events, at an instant in epoch seconds; an inactive one stays as it is."""
        meter = self.get(meter_id)
        if not meter.active:
            return meter
        del self._active[meter.spec.event_name]
        return self._store(replace(meter, deactivated_at=now, updated=now))

    def reactivate(self, meter_id: str, now: int) -> Meter:
        """
        Let a meter take events again, at an instant in epoch seconds; an active one stays as it is.

        Raises:
            ApiError: Another active meter has taken the event name meanwhile.
        """
        meter = self.get(meter_id)
        if meter.active:
            return meter
        self._refuse_taken_name(meter.spec.event_name)
        return self._store(replace(meter, deactivated_at=None, updated=now))

    def _refuse_taken_name(self, event_name: str) -> None:
        if event_name in self._active:
            raise ApiError(
                f'An active meter with event name "{event_name}" already exists.', param="event_name"
            )

    def _store(self, meter: Meter) -> Meter:
        return self._index(self._by_id.put(meter))

    def _index(self, meter: Meter) -> Meter:
        self._names.add(meter.spec.event_name)
        if meter.active:
            self._active[meter.spec.event_name] = meter
        return meter

    def restore(self, key: str, document: bytes) -> None:
        """Take in a meter of a state file."""
        self._by_id.restore(key, document)
        self._index(self._by_id.get(key))


def meter_body(meter: Meter) -> dict[str, object]:
    """Return a meter as the API shows it."""
    spec = meter.spec
    return {
        "id": meter.meter_id,
        "object": "billing.meter",
        "created": meter.created,
        "customer_mapping": {"type": "by_id", "event_payload_key": spec.customer_key},
        "default_aggregation": {"formula": spec.formula},
        "display_name": spec.display_name,
        "event_name": spec.event_name,
        "event_time_window": spec.event_time_window,
        "livemode": meter.livemode,
        "status": "active" if meter.active else "inactive",
        "status_transitions": {"deactivated_at": meter.deactivated_at},
        "updated": meter.updated,
        "value_settings": {"event_payload_key": spec.value_key},
    }
