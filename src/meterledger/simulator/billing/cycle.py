"""The life of a subscription: its first invoice, the end of each period, changes in between, its end."""

from dataclasses import replace

from meterledger.simulator.billing.invoices import BillingReason, Invoice, Line
from meterledger.simulator.billing.invoicing import (
    Occasion,
    as_of,
    counted,
    drafted,
    issue,
    licensed_line,
    metered_line,
)
from meterledger.simulator.billing.subscription_body import subscription_body
from meterledger.simulator.billing.subscriptions import (
    BillingMode,
    Item,
    Segment,
    Status,
    Subscription,
)
from meterledger.simulator.metering.usage import Span
from meterledger.simulator.state.account import Account

UPCOMING_PREFIX = "upcoming_in_"


def begin(account: Account, subscription: Subscription) -> Subscription:
    """
    Take in a new subscription and bill its first invoice, which is final at once.

    That one has no usage, but for what a flexible subscription was backdated for. Licensed items are
    billed ahead, if the first period is a whole one.
    """
    at = subscription.created
    flexible = subscription.mode is BillingMode.FLEXIBLE
    backdated = Span(subscription.start_date if flexible else at, at)
    lines = []
    for item in subscription.items:
        if item.metered:
            segment = Segment(price=item.price, start=backdated.start, end=backdated.end)
            lines.append(metered_line(account, item, segment))
        elif subscription.anchor <= at:
            lines.append(licensed_line(account, item, _period(subscription)))
    occasion = Occasion(reason=BillingReason.CREATE, at=at, at_once=True, period=backdated)
    begun = issue(account, account.subscriptions.put(subscription), lines, occasion)
    return told(account, begun, "created", at)


def end_period(account: Account, subscription_id: str, due: float) -> None:
    """Bill the period that ends, if this is still the instant for it, and begin the next or none."""
    subscription = account.subscriptions.get(subscription_id)
    if subscription.status is Status.CANCELED or subscription.period_end != due:
        return
    at = subscription.period_end
    ending = subscription.ends_at is not None and subscription.ends_at <= at
    following = ended(subscription, at) if ending else renewed(subscription, at)
    lines = closing_lines(account, subscription, at)
    if not ending:
        lines += licensed_lines(account, following)
    occasion = Occasion(reason=BillingReason.CYCLE, at=at, at_once=False, period=_period(subscription))
    done = issue(account, account.subscriptions.put(following), lines, occasion)
    told(account, done, "deleted" if ending else "updated", at)


def restart(account: Account, subscription: Subscription, changed: Subscription, at: int) -> Subscription:
    """
    End the running period now and begin one that later ones are counted from.

    Args:
        account: Whose subscription it is.
        subscription: As it was; usage so far is billed at its prices, at once.
        changed: As it is to be from now on.
        at: Now, in epoch seconds.
    """
    # A classic change in mid-cycle would drop the usage so far; here it is billed.
    kept = (
        replace(item, dropped=before.dropped)
        for item, before in zip(changed.items, subscription.items, strict=True)
    )
    following = renewed(replace(changed, items=tuple(kept), anchor=at), at)
    lines = closing_lines(account, subscription, at) + licensed_lines(account, following)
    period = Span(subscription.period_start, at)
    occasion = Occasion(reason=BillingReason.UPDATE, at=at, at_once=True, period=period)
    return issue(account, account.subscriptions.put(following), lines, occasion)


def cancel(account: Account, subscription: Subscription, at: int, *, invoice_now: bool) -> Subscription:
    """End a subscription at an instant in epoch seconds; its usage is billed only with invoice_now."""
    lines = closing_lines(account, subscription, at) if invoice_now else []
    last = ended(replace(subscription, canceled_at=at), at)
    if not invoice_now:
        items = (
            replace(item, dropped=item.dropped + kept.segments(at))
            for item, kept in zip(last.items, subscription.items, strict=True)
        )
        last = replace(last, items=tuple(items))
    at_once = account.rules.readings.canceled_invoice == "at-once"
    period = Span(subscription.period_start, at)
    occasion = Occasion(reason=BillingReason.UPDATE, at=at, at_once=at_once, period=period)
    return told(account, issue(account, account.subscriptions.put(last), lines, occasion), "deleted", at)


def reprice(mode: BillingMode, item: Item, price: str, quantity: int | None, at: int) -> Item:
    """Return an item with another price from an instant in epoch seconds on, in the middle of a period."""
    before = item.segments(at)
    if mode is BillingMode.FLEXIBLE:
        billed, dropped = before, item.dropped
    else:
        billed, dropped = (), item.dropped + before
    changed = replace(item, price=price, quantity=quantity, since=at, earlier=billed, dropped=dropped)
    return replace(changed, repriced=item.repriced or bool(before))


def upcoming(account: Account, subscription: Subscription, now: float) -> Invoice:
    """Return the invoice that the running period comes to, as of now (epoch seconds)."""
    at = subscription.period_end
    lines = [
        metered_line(account, item, segment) for item in subscription.items for segment in item.segments(at)
    ]
    if subscription.ends_at is None or subscription.ends_at > at:
        lines += licensed_lines(account, renewed(subscription, at))
    occasion = Occasion(reason=BillingReason.UPCOMING, at=at, at_once=True, period=_period(subscription))
    invoice_id = f"{UPCOMING_PREFIX}{subscription.id}"
    shown = as_of(account, drafted(account, subscription, lines, occasion, invoice_id), now)
    return replace(shown, automatically_finalizes_at=None)


def closing_lines(account: Account, subscription: Subscription, at: int) -> list[Line]:
    """Return the lines of the usage of a period that ends at an instant in epoch seconds."""
    lines = []
    for item in subscription.items:
        for segment in item.segments(at):
            line = metered_line(account, item, segment)
            # Grace is not for an item whose price has changed: what comes from now on stands on no invoice.
            lines.append(counted(account, subscription.customer, line, at) if item.repriced else line)
    return lines


def licensed_lines(account: Account, subscription: Subscription) -> list[Line]:
    """Return the lines of the licensed items, for the whole running period."""
    return [
        licensed_line(account, item, _period(subscription)) for item in subscription.items if not item.metered
    ]


def renewed(subscription: Subscription, at: int) -> Subscription:
    """Return a subscription with a period that begins at an instant in epoch seconds."""
    end = subscription.end_of_period(at)
    items = (_afresh(item, at, billed_until=at if item.metered else end) for item in subscription.items)
    return replace(subscription, items=tuple(items), period_start=at, period_end=end)


def ended(subscription: Subscription, at: int) -> Subscription:
    """Return a subscription that ended at an instant in epoch seconds."""
    items = (_afresh(item, at, billed_until=at) for item in subscription.items)
    return replace(subscription, items=tuple(items), ended_at=at)


def told(account: Account, subscription: Subscription, what: str, at: float) -> Subscription:
    """Record what became of a subscription at an instant in epoch seconds, and return it."""
    document = subscription_body(subscription, account.prices.get)
    account.events.record(f"customer.subscription.{what}", document, at)
    return subscription


def _afresh(item: Item, since: int, *, billed_until: int) -> Item:
    return replace(item, since=since, earlier=(), repriced=False, billed_until=billed_until)


def _period(subscription: Subscription) -> Span:
    return Span(subscription.period_start, subscription.period_end)
