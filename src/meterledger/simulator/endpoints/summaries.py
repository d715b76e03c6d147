"""`GET /v1/billing/meters/{id}/event_summaries`."""

import hashlib
from functools import partial
from typing import NamedTuple

from meterledger.simulator.billing.customers import MAX_CUSTOMER_FIELD
from meterledger.simulator.instants import MINUTE_SECONDS
from meterledger.simulator.metering.meters import Meter, Window
from meterledger.simulator.metering.tally import Tally
from meterledger.simulator.protocol.api_errors import ApiError
from meterledger.simulator.protocol.api_request import ApiRequest
from meterledger.simulator.protocol.paging import PAGE_NAMES, list_page, read_page
from meterledger.simulator.protocol.parameters import Parameters
from meterledger.simulator.rules import Readings

_NAMES = frozenset({"customer", "start_time", "end_time", "value_grouping_window"}) | PAGE_NAMES
_ID_BYTES = 12  # of digest in a summary's id


class Summary(NamedTuple):
    """What a meter makes of one customer's events in a range, in epoch seconds."""

    id: str
    start: int
    end: int
    value: float


def list_summaries(request: ApiRequest) -> dict[str, object]:
    """
    List what a meter makes of one customer's events in a range.

    With a grouping window there is a summary for each window that holds usage, the newest first. Without
    one there is a single summary.

    Raises:
        ApiError: The meter or the customer is unknown, or the range is misaligned or empty.
    """
    parameters, account = request.parameters, request.account
    parameters.allow(_NAMES)
    meter = account.meters.get(request.object_id)
    customer = parameters.text("customer", max_length=MAX_CUSTOMER_FIELD)
    refusal = account.customers.refusal(customer, param="customer")
    if refusal is not None:
        raise refusal
    word = parameters.optional_choice("value_grouping_window", tuple(Window))
    window = None if word is None else Window(word)
    start, end = _range(parameters, window)
    page = read_page(parameters)
    series = account.usage.find(meter, customer)
    tally = None if series is None else account.usage.shown(series, request.now)
    values = _values(account.rules.readings, tally, (start, end), window)
    summaries = [_summary(meter, customer, *value) for value in values]
    url = f"/v1/billing/meters/{meter.meter_id}/event_summaries"
    return list_page(summaries, partial(_body, meter), page, url=url, kind="meter event summary")


def _range(parameters: Parameters, window: Window | None) -> tuple[int, int]:
    step = MINUTE_SECONDS if window is None else window.seconds
    word = "minute" if window is None else window.value
    start, end = parameters.integer("start_time"), parameters.integer("end_time")
    for name, instant in (("start_time", start), ("end_time", end)):
        if instant % step:
            raise ApiError(f"Invalid {name}: must be aligned with {word} boundaries (UTC)", param=name)
    if end <= start:
        raise ApiError("Invalid end_time: must be after start_time", param="end_time")
    return start, end


def _values(
    readings: Readings, tally: Tally | None, span: tuple[int, int], window: Window | None
) -> list[tuple[int, int, float]]:
    """Return the start, the end and the value of each summary, the newest first."""
    start, end = span
    last = end + (readings.summary_end == "inclusive")
    if window is not None:
        groups = {} if tally is None else tally.grouped(start, last, window)
        return [
            (opens, opens + window.seconds, float(value))
            for opens, value in sorted(groups.items(), reverse=True)
        ]
    if readings.empty_summary == "none" and (tally is None or not tally.within(start, last)):
        return []
    return [(start, end, 0.0 if tally is None else float(tally.between(start, last)))]


def _summary(meter: Meter, customer: str, start: int, end: int, value: float) -> Summary:
    # The id follows from what is summed, so that a cursor still stands when usage came in between.
    named = f"{meter.meter_id}|{customer}|{start}|{end}".encode()
    prefix = "mtrusg_" if meter.livemode else "mtrusg_test_"
    digest = hashlib.blake2b(named, digest_size=_ID_BYTES).hexdigest()
    return Summary(prefix + digest, start, end, value)


def _body(meter: Meter, summary: Summary) -> dict[str, object]:
    return {
        "id": summary.id,
        "object": "billing.meter_event_summary",
        "aggregated_value": summary.value,
        "end_time": summary.end,
        "livemode": meter.livemode,
        "meter": meter.meter_id,
        "start_time": summary.start,
    }
