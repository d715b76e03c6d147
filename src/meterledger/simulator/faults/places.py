"""The short names of endpoints in a plan of faults."""

from collections.abc import Mapping

EVERYWHERE = "all"
STREAM = "/v2/billing/meter_event_stream"

_EVENTS_V1 = "/v1/billing/meter_events"
_EVENTS_V2 = "/v2/billing/meter_events"
_METERS = "/v1/billing/meters"
_ADJUSTMENTS = "meter_event_adjustments"

NAMES: Mapping[str, tuple[str, ...]] = {
    EVERYWHERE: ("*",),
    "meter_events": (_EVENTS_V1, _EVENTS_V2, STREAM),
    "meter_events_v1": (_EVENTS_V1,),
    "meter_events_v2": (_EVENTS_V2,),
    "stream": (STREAM,),
    "sessions": ("/v2/billing/meter_event_session",),
    "adjustments": (f"/v1/billing/{_ADJUSTMENTS}", f"/v2/billing/{_ADJUSTMENTS}"),
    "meters": (_METERS, f"{_METERS}/{{id}}", f"{_METERS}/{{id}}/deactivate", f"{_METERS}/{{id}}/reactivate"),
    "event_summaries": (f"{_METERS}/{{id}}/event_summaries",),
    "alerts": ("/v1/billing/alerts*",),
    "customers": ("/v1/customers*",),
    "products": ("/v1/products*",),
    "prices": ("/v1/prices*",),
    "subscriptions": ("/v1/subscriptions*",),
    "subscription_items": ("/v1/subscription_items*",),
    "invoices": ("/v1/invoices*",),
    "account": ("/v1/account",),
    "events": ("/v1/events*",),
    "core_events": ("/v2/core/events*",),
}
"""What each name stands for: patterns of paths, where a star at the end takes whatever follows."""


def covers(on: str, pattern: str) -> bool:
    """Tell whether an endpoint, given by the pattern of its path, is meant by a name or a pattern."""
    return any(
        pattern.startswith(meant[:-1]) if meant.endswith("*") else pattern == meant
        for meant in NAMES.get(on, (on,))
    )
