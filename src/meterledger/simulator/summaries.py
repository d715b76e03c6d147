"""`GET /v1/billing/meters/{id}/event_summaries`."""

import hashlib

from meterledger.simulator.accounts import Account
from meterledger.simulator.api_errors import ApiError
from meterledger.simulator.customers import MAX_CUSTOMER_FIELD
from meterledger.simulator.instants import MINUTE_SECONDS
from meterledger.simulator.meters import Meter, Window
from meterledger.simulator.paging import PAGE_NAMES, list_page, read_page
from meterledger.simulator.parameters import Parameters
from meterledger.simulator.usage import Tally

_NAMES = frozenset({"customer", "start_time", "end_time", "value_grouping_window"}) | PAGE_NAMES
_ID_BYTES = 12  # of digest in a summary's id


def list_summaries(account: Account, parameters: Parameters, _now: float, meter_id: str) -> dict[str, object]:
    """
    List what a meter makes of one customer's events in a range.

    Without a grouping window there is one summary, of zero where nothing was counted. With one there is a
    summary for each window that holds usage, the newest first.

    Raises:
        ApiError: The meter or the customer is unknown, or the range is misaligned or empty.
    """
    parameters.allow(_NAMES)
    meter = account.meters.get(meter_id)
    customer = parameters.text("customer", max_length=MAX_CUSTOMER_FIELD)
    refusal = account.customers.refusal(customer, param="customer")
    if refusal is not None:
        raise refusal
    word = parameters.optional_choice("value_grouping_window", tuple(Window))
    window = None if word is None else Window(word)
    start, end = _range(parameters, window)
    page = read_page(parameters)
    summaries = _summaries(account.usage.find(meter, customer), customer, (start, end), window)
    url = f"/v1/billing/meters/{meter_id}/event_summaries"
    return list_page(summaries, page, url=url, kind="meter event summary")


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


def _summaries(
    tally: Tally, customer: str, span: tuple[int, int], window: Window | None
) -> list[dict[str, object]]:
    start, end = span
    if window is None:
        return [_summary(tally.meter, customer, span, float(tally.between(start, end)))]
    groups = sorted(tally.grouped(start, end, window).items(), reverse=True)
    return [
        _summary(tally.meter, customer, (opens, opens + window.seconds), float(value))
        for opens, value in groups
    ]


def _summary(meter: Meter, customer: str, span: tuple[int, int], value: float) -> dict[str, object]:
    start, end = span
    # The id follows from what is summed, so that a cursor still stands when usage came in between.
    named = f"{meter.meter_id}|{customer}|{start}|{end}".encode()
    prefix = "mtrusg_" if meter.livemode else "mtrusg_test_"
    return {
        "id": prefix + hashlib.blake2b(named, digest_size=_ID_BYTES).hexdigest(),
        "object": "billing.meter_event_summary",
        "aggregated_value": value,
        "end_time": end,
        "livemode": meter.livemode,
        "meter": meter.meter_id,
        "start_time": start,
    }
