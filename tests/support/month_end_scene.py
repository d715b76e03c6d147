"""A month's end with something to see: sources on time, an hour and a day late, and hostile names."""

from datetime import UTC, datetime, timedelta

from support.delivered_ledger import LedgerBuilder

NOW = "2026-11-02T09:00:00Z"
HOSTILE_CUSTOMER = "</td><script>alert(1)</script>"
HOSTILE_SOURCE = "late\x1b[2J`<img src=x onerror=alert(2)>\u202e"
LOST = "gate-0114-api_calls"
_START = datetime(2026, 10, 27, tzinfo=UTC)


def play_month_end(built: LedgerBuilder, *, hours: int = 24 * 6) -> None:
    """
    Bring usage of each hour of the last days of October and the first of November.

    "gateway" brings it 10 minutes later, "worker" of every third hour 130 minutes later, and the hostile
    source each day's usage at 02:00 of the next but one. One answer is lost.
    """
    now = datetime.fromisoformat(NOW)
    for hour in range(hours):
        used = _START + timedelta(hours=hour)
        customer = f"cus_{hour % 7}" if hour % 23 else HOSTILE_CUSTOMER
        _bring(built, "gateway", customer, used, used + timedelta(minutes=10), now)
        if hour % 3 == 2:
            _bring(built, "worker", customer, used, used + timedelta(minutes=130), now)
        if hour % 12 == 0:
            batch = used.replace(hour=2) + timedelta(days=2)
            _bring(built, HOSTILE_SOURCE, customer, used, batch, now, feature="seats")
    built.rejection("2026-10-31T10:00:00Z", recorded="2026-10-31T11:00:00Z")


def _bring(  # noqa: PLR0913 # every fact of it
    built: LedgerBuilder,
    source: str,
    customer: str,
    used: datetime,
    at: datetime,
    now: datetime,
    *,
    feature: str = "api_calls",
) -> None:
    if at > now:
        return
    name = f"{source[:4]}-{used:%d%H}-{feature}"
    recorded = f"{at:%Y-%m-%dT%H:%M:%SZ}"
    built.usage(
        name, f"{used:%Y-%m-%dT%H:%M:%SZ}", recorded=recorded, source=source, customer=customer,
        feature=feature, quantity=123_456 if feature == "api_calls" else 3,
    )  # fmt: skip
    if name == LOST:
        built.unknown(name, f"{at + timedelta(minutes=2):%Y-%m-%dT%H:%M:%SZ}")
    else:
        built.accepted(name, f"{at + timedelta(minutes=2):%Y-%m-%dT%H:%M:%SZ}")
