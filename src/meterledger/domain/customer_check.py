"""Whether usage could be billed, by what held of its customer at its event_time: refused at import if not."""

from collections.abc import Sequence

from meterledger.domain.customers import CustomerBook, Plans, Standing
from meterledger.domain.instant import to_text
from meterledger.domain.usage import Reason, UsageEvent, shown

_SUBSCRIPTIONS_SHOWN = 8
_MEND = (
    "mend the customers file and import it with `meterledger customers import --effective T`, T being since "
    "when that holds"
)


def customer_refusal(customers: CustomerBook, plans: Plans, event: UsageEvent) -> tuple[Reason, str] | None:
    """Return why usage is refused and how to mend that, or None; this runs once for every row."""
    held = customers.held(event.customer_id, event.subscription_id, event.event_time)
    for standing in held:
        if not standing.status.is_ended:
            features = plans.get(standing.plan) if standing.plan else None
            if features is None or event.feature in features:
                return None
    return _not_billable(held, event) if held else (Reason.UNKNOWN_CUSTOMER, _unknown(customers, event))


def _not_billable(held: Sequence[Standing], event: UsageEvent) -> tuple[Reason, str]:
    name, first = shown(event.customer_id), held[0]
    of = f"customer_id {name}"
    if first.subscription_id:
        of += f" (subscription {shown(first.subscription_id)})"
    when = to_text(event.event_time)
    if first.status.is_ended:
        message = f"{of} is {first.status} at {when}; if it is not, "
        return Reason.CUSTOMER_CANCELED, f"{message}{_MEND}"
    message = f"feature {shown(event.feature)} is not in plan {shown(first.plan or '')} of {of} at {when}; "
    return (
        Reason.FEATURE_NOT_IN_PLAN,
        f"{message}add it to that plan in the config, or {_MEND}",
    )


def _unknown(customers: CustomerBook, event: UsageEvent) -> str:
    name = f"customer_id {shown(event.customer_id)}"
    subscriptions = customers.subscriptions_of(event.customer_id)
    if subscriptions is None:
        what = f"{name} is in no customers file"
    elif event.subscription_id and any(subscriptions) and event.subscription_id not in subscriptions:
        named = [one for one in subscriptions if one]
        listed = ", ".join(map(shown, named[:_SUBSCRIPTIONS_SHOWN]))
        more = len(named) - _SUBSCRIPTIONS_SHOWN
        listed += f" and {more} more" if more > 0 else ""
        what = f"{name} has no subscription {shown(event.subscription_id)}, it has {listed}"
    else:
        return f"{name} is known, but not at {to_text(event.event_time)}; {_MEND}"
    return (
        f"{what}; add it to the customers file and import that with `meterledger customers import`, or mend "
        "the row"
    )
