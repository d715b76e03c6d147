"""Receiving meter events: counted, refused at once, or taken and reported later."""

from meterledger.simulator.metering.acceptance import Submission, accept, is_reserved, scope_of
from meterledger.simulator.metering.error_reports import Sample
from meterledger.simulator.metering.refusals import EventRefusedError, Reason
from meterledger.simulator.state.account import Account


def receive(account: Account, submission: Submission, now: float) -> None:
    """
    Receive an event that came alone (now in epoch seconds).

    Raises:
        EventRefusedError: It is refused at once; nothing was counted.
    """
    try:
        accept(account, submission, now)
    except EventRefusedError as refusal:
        if account.rules.readings.checks == "sync" or refusal.reason.always_at_once:
            raise
        scope = scope_of(account, submission.event_name, submission.way)
        if is_reserved(account, submission.identifier, scope, now):
            raise EventRefusedError.duplicate(submission.identifier) from None
        _report(account, submission, refusal, now)


def receive_streamed(account: Account, submission: Submission, now: float) -> None:
    """Receive an event of the stream (now in epoch seconds): nobody is told at once what becomes of it."""
    try:
        accept(account, submission, now)
    except EventRefusedError as refusal:
        if refusal.reason is not Reason.DUPLICATE:  # no error of reports stands for one: it is dropped
            _report(account, submission, refusal, now)


def drop_unprocessed(account: Account, customer: str, now: float) -> None:
    """
    Let what is still being processed of a customer that is deleted now (epoch seconds) count no longer.

    With summaries that lag, events are processed for as long as these do not show them.
    """
    lag_seconds = account.usage.lag_seconds
    if not lag_seconds:
        return
    for meter in account.meters.newest_first():
        series = account.usage.find(meter, customer)
        for row in () if series is None else reversed(series.rows):
            received_at = account.usage.received_at(row)
            if received_at <= now - lag_seconds:
                break  # and so is all that came before it
            if account.usage.is_canceled(row):
                continue
            account.usage.cancel(row, received_at)  # so that it never counted
            sample = Sample(
                message=f"No such customer: '{customer}'", identifier=account.usage.event(row).identifier
            )
            account.error_reports.note(meter.id, Reason.UNKNOWN_CUSTOMER.report_code, sample, now)


def _report(account: Account, submission: Submission, refusal: EventRefusedError, now: float) -> None:
    meter = account.meters.latest(submission.event_name)
    message = refusal.message
    if meter is None:
        message = f"No meter was found matching event_name {submission.event_name}."
    sample = Sample(message=message, identifier=submission.identifier)
    code = refusal.reason.report_code
    account.error_reports.note(None if meter is None else meter.id, code, sample, now)
