"""Customers list: who is billed, as it holds at an instant, or with its history."""

from collections.abc import Iterator
from itertools import groupby, pairwise
from typing import Any

from meterledger.domain.instant import Instant, to_text, to_text_or_none
from meterledger.ledger import Ledger
from meterledger.ledger.customers import RecordedState
from meterledger.usecases.import_customers import since


def list_customers(
    ledger: Ledger,
    *,
    now: Instant,
    as_of: Instant | None = None,
    customer: str | None = None,
    with_history: bool = False,
) -> list[dict[str, Any]]:
    """
    Return what is known of customers, as JSON shows it, by customer, subscription and time.

    Args:
        ledger: The ledger.
        now: What holds at this instant, unless the history is asked for.
        as_of: Hides what was recorded after it.
        customer: This customer_id or Stripe customer alone.
        with_history: What held before and what will hold too, also what a later record has corrected.
    """
    store = ledger.customers
    states = store.states(as_of) if customer is None else store.states_of(customer, as_of)
    found = []
    for _, history in groupby(sorted(states, key=lambda one: (*_key(one), since(one))), key=_key):
        for state, until in _with_ends(list(history)):
            holds = since(state) <= now and (until is None or now < until)
            if with_history or (holds and customer in (None, *_names(state))):
                found.append(_shown(state, until))
    return found


def _key(recorded: RecordedState) -> tuple[str, str]:
    return recorded.state.customer_id, recorded.state.subscription_id


def _names(recorded: RecordedState) -> tuple[str, str]:
    return recorded.state.customer_id, recorded.state.stripe_customer_id


def _with_ends(history: list[RecordedState]) -> Iterator[tuple[RecordedState, Instant | None]]:
    """Yield each state with when it ends, which is when the next one begins."""
    for state, following in pairwise(history):
        yield state, since(following)
    yield history[-1], None


def _shown(recorded: RecordedState, until: Instant | None) -> dict[str, Any]:
    state = recorded.state
    return {
        "customer_id": state.customer_id,
        "subscription_id": state.subscription_id or None,
        "stripe_customer_id": state.stripe_customer_id,
        "plan": state.plan,
        "status": state.status.value,
        "billing_cycle_anchor": to_text_or_none(state.billing_cycle_anchor),
        "interval": str(state.interval),
        "effective_at": to_text_or_none(recorded.effective_at),
        "until": to_text_or_none(until),
        "recorded_at": to_text(recorded.recorded_at),
        "file": recorded.file,
        "line": recorded.line,
    }
