"""Receiving meter events: counted, refused at once, or taken and reported later."""

from meterledger.simulator.metering.acceptance import Submission, accept, is_reserved, scope_of
from meterledger.simulator.metering.error_reports import Sample
from meterledger.simulator.metering.meters import DEFAULT_CUSTOMER_KEY
from meterledger.simulator.metering.refusals import EventRefusedError, Reason
from meterledger.simulator.protocol.api_request import ApiRequest
from meterledger.simulator.protocol.arrival import Arrival
from meterledger.simulator.state.account import Account


def receive(request: ApiRequest, submission: Submission) -> None:
    """
    Receive an event that came alone.

    Raises:
        EventRefusedError: It is refused at once; nothing was counted.
    """
    account, now = request.account, request.now
    if _rejected_later(request, submission):
        return
    try:
        accept(account, submission, now)
    except EventRefusedError as refusal:
        if account.rules.readings.checks == "sync" or refusal.reason.always_at_once:
            raise
        scope = scope_of(account, submission.event_name, submission.way)
        if is_reserved(account, submission.identifier, scope, now):
            raise EventRefusedError.duplicate(submission.identifier) from None
        _report(account, submission, refusal, now)


def receive_streamed(request: ApiRequest, submission: Submission) -> None:
    """Receive an event of the stream: nobody is told at once what becomes of it."""
    account, now = request.account, request.now
    if _rejected_later(request, submission):
        return
    try:
        accept(account, submission, now)
    except EventRefusedError as refusal:
        if refusal.reason is not Reason.DUPLICATE:  # no error of reports stands for one: it is dropped
            _report(account, submission, refusal, now)


def _rejected_later(request: ApiRequest, submission: Submission) -> bool:
    """Report an event without counting it, if that is the fault that strikes its request."""
    if request.strike is None:
        return False
    account = request.account
    if is_reserved(
        account,
        submission.identifier,
        scope_of(account, submission.event_name, submission.way),
        request.now,
    ):
        return False  # a duplicate: what was counted under its identifier stays so
    meter = account.meters.latest(submission.event_name)
    key = DEFAULT_CUSTOMER_KEY if meter is None else meter.spec.customer_key
    subject = Arrival(submission.event_name, submission.payload.get(key, ""), submission.identifier)
    code = request.strike.rejected_code(subject)
    if code is None:
        return False
    sample = Sample(message="The event was rejected (a planned fault).", identifier=submission.identifier)
    account.error_reports.note(None if meter is None else meter.id, code, sample, request.now)
    return True


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
