"""Canceling one event within a day of its receipt."""

from meterledger.simulator.metering.acceptance import UNIQUE_SECONDS, Way, scope_of
from meterledger.simulator.state.account import Account

CANCELABLE_SECONDS = UNIQUE_SECONDS  # after the receipt, whatever the event's timestamp


class CancelRefusedError(Exception):
    """Nothing was canceled; the message says why."""


def cancel_event(account: Account, event_name: str, identifier: str, now: float) -> None:
    """
    Let an event count no longer.

    Args:
        account: Whose event it is.
        event_name: The event's.
        identifier: The event's. Where several events have it, the latest of the event name is meant.
        now: Seconds since the epoch.

    Raises:
        CancelRefusedError: There is no such event, it was received 24 hours ago or more, or it is canceled.
    """
    row = _find(account, event_name, identifier)
    if row is None:
        raise CancelRefusedError(
            f'No event with identifier {identifier} was received for event name "{event_name}".'
        )
    if now - account.usage.received_at(row) >= CANCELABLE_SECONDS:
        raise CancelRefusedError(
            f"The event with identifier {identifier} was received more than 24 hours ago."
        )
    if account.usage.is_canceled(row):
        raise CancelRefusedError(f"The event with identifier {identifier} was already canceled.")
    account.usage.cancel(row, now)


def _find(account: Account, event_name: str, identifier: str) -> int | None:
    scopes = {scope_of(account, event_name, way) for way in Way}
    held = (account.identifiers.held_by(identifier, scope) for scope in scopes)
    rows = [row for row in held if row is not None and _event_name(account, row) == event_name]
    return max(rows, default=None)


def _event_name(account: Account, row: int) -> str:
    return account.meters.get(account.usage.event(row).meter).spec.event_name
