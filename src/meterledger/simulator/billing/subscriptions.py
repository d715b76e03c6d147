"""Subscriptions: what a customer has subscribed to, and the billing period that runs."""

from dataclasses import dataclass
from enum import StrEnum

from meterledger.simulator.billing.periods import Cycle, next_boundary
from meterledger.simulator.protocol.api_errors import ApiError, no_such_object
from meterledger.simulator.state.book import Book, Journal
from meterledger.simulator.state.timeline import Timeline

END_PERIOD = "end_period"


class Status(StrEnum):
    """Whether a subscription is billed."""

    ACTIVE = "active"
    CANCELED = "canceled"


class BillingMode(StrEnum):
    """How usage from before a change in mid-cycle is billed: at its old price, or not at all."""

    FLEXIBLE = "flexible"
    CLASSIC = "classic"


class Collection(StrEnum):
    """How an invoice is paid."""

    CHARGE = "charge_automatically"
    SEND = "send_invoice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Usage from start to before end (epoch seconds) that a metered price is for."""

    price: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """
    A price that is subscribed to.

    Attributes:
        id: `si_...`.
        created: Whole seconds since the epoch.
        price: The id of its price.
        quantity: How many, of a licensed price; None of a metered one.
        metadata: The client's own.
        since: From which timestamp on usage of the running period is billed at this price; epoch seconds.
        earlier: Usage of the running period that will be billed at the prices before.
        repriced: Whether the price changed in the running period.
        dropped: Usage that no invoice bills: from before a change of price, or before the end.
        billed_until: Until when it has been billed; epoch seconds.
    """

    id: str
    created: int
    price: str
    quantity: int | None
    metadata: dict[str, str]
    since: int
    earlier: tuple[Segment, ...] = ()
    repriced: bool = False
    dropped: tuple[Segment, ...] = ()
    billed_until: int | None = None

    @property
    def metered(self) -> bool:
        """Whether a meter tells the quantity."""
        return self.quantity is None

    def segments(self, end: int) -> tuple[Segment, ...]:
        """Return the usage of the running period, if it ends at an instant in epoch seconds, by price."""
        if not self.metered or end <= self.since:
            return self.earlier
        return (*self.earlier, Segment(price=self.price, start=self.since, end=end))


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """
    A subscription; instants are whole seconds since the epoch.

    Attributes:
        id: `sub_...`.
        livemode: Whether it is of live mode.
        created: When it was made.
        start_date: When it began; before it was made where it is backdated.
        customer: The id of who has subscribed.
        currency: That of its prices.
        items: What is subscribed to.
        cycle: The length of a period, the same for all items.
        anchor: Where the periods are counted from.
        period_start: The running period's start.
        period_end: And its end.
        mode: How changes in mid-cycle are billed.
        cancel_at: When it is to end, if that was said.
        cancel_at_period_end: Whether it is to end with the running period.
        canceled_at: When its end was asked for.
        ended_at: When it ended.
        collection: How its invoices are paid.
        days_until_due: How long a sent invoice may stay unpaid.
        description: For people.
        metadata: The client's own.
        latest_invoice: The id of the last invoice made for it.
    """

    id: str
    livemode: bool
    created: int
    start_date: int
    customer: str
    currency: str
    items: tuple[Item, ...]
    cycle: Cycle
    anchor: int
    period_start: int
    period_end: int
    mode: BillingMode
    cancel_at: int | None = None
    cancel_at_period_end: bool = False
    canceled_at: int | None = None
    ended_at: int | None = None
    collection: Collection = Collection.CHARGE
    days_until_due: int | None = None
    description: str | None = None
    metadata: dict[str, str]
    latest_invoice: str | None = None

    @property
    def status(self) -> Status:
        """Whether it is billed."""
        return Status.ACTIVE if self.ended_at is None else Status.CANCELED

    @property
    def ends_at(self) -> int | None:
        """When it is to end, as far as that was said; epoch seconds."""
        return self.period_end if self.cancel_at_period_end else self.cancel_at

    def end_of_period(self, start: int) -> int:
        """Return when a period ends that starts at an instant; both in epoch seconds."""
        end = next_boundary(self.anchor, self.cycle, start)
        return end if self.cancel_at is None else min(end, self.cancel_at)


class SubscriptionBook:
    """
    The subscriptions of one account.

    Args:
        journal: Hears of every change.
        timeline: Where the ends of their periods are planned.
    """

    KIND = "subscription"

    def __init__(self, journal: Journal, timeline: Timeline) -> None:
        self._timeline = timeline
        self._book: Book[Subscription] = Book(Subscription, self.KIND, "subscription", journal)
        self._planned: dict[str, int] = {}
        self._of_item: dict[str, str] = {}  # the ids of subscriptions, by those of their items

    def put(self, subscription: Subscription) -> Subscription:
        """Take in a new subscription, or a changed one in its place, and return it."""
        return self._index(self._book.put(subscription))

    def get(self, subscription_id: str) -> Subscription:
        """
        Return a subscription.

        Raises:
            ApiError: 404 `resource_missing`.
        """
        return self._book.get(subscription_id)

    def knows(self, subscription_id: str) -> bool:
        """Tell whether there ever was a subscription with the id."""
        return self._book.find(subscription_id) is not None

    def given(self, subscription_id: str) -> Subscription:
        """
        Return a subscription that a parameter names.

        Raises:
            ApiError: 400 `resource_missing`.
        """
        found = self._book.find(subscription_id)
        if found is None:
            raise no_such_object("subscription", subscription_id, param="subscription", status=400)
        return found

    def of_item(self, item_id: str) -> tuple[Subscription, Item]:
        """
        Return an item and its subscription.

        Raises:
            ApiError: 404 `resource_missing`.
        """
        subscription_id = self._of_item.get(item_id)
        if subscription_id is None:
            raise no_such_object("subscription_item", item_id, param="id")
        subscription = self.get(subscription_id)
        return subscription, next(item for item in subscription.items if item.id == item_id)

    def newest_first(self) -> list[Subscription]:
        """Return every subscription, the newest first."""
        return self._book.newest_first()

    def oldest_first(self) -> list[Subscription]:
        """Return every subscription, the oldest first."""
        return list(self._book)

    def restore(self, key: str, document: bytes) -> None:
        """Take in a subscription of a state file."""
        self._book.restore(key, document)
        self._index(self._book.get(key))

    def _index(self, subscription: Subscription) -> Subscription:
        for item in subscription.items:
            self._of_item[item.id] = subscription.id
        due = subscription.period_end
        if subscription.status is Status.ACTIVE and self._planned.get(subscription.id) != due:
            self._planned[subscription.id] = due
            self._timeline.plan(due, END_PERIOD, subscription.id)
        return subscription


def refuse_canceled(subscription: Subscription) -> None:
    """
    Refuse a change of a subscription that has ended.

    Raises:
        ApiError: It has.
    """
    if subscription.status is Status.CANCELED:
        raise ApiError(
            f"The subscription '{subscription.id}' is canceled; only its metadata can change.",
            executed=True,
        )
