"""The usage itself, before anything is planted: who used what, when, and when it arrived."""

from __future__ import annotations

import csv
import io
import json
import math
import string
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

MONTH_START = datetime(2026, 10, 1, tzinfo=UTC)
MONTH_END = datetime(2026, 11, 1, tzinfo=UTC)
HOURS = (MONTH_END - MONTH_START) // timedelta(hours=1)
MS_PER_HOUR = 3_600_000
# The workers' clock shows Central European time, which falls back during this month.
FALL_BACK = datetime(2026, 10, 25, 1, tzinfo=UTC)

CUSTOMERS = 40
GATEWAY_ROWS = 14_900  # before late arrivals and copies
BUILD_ROWS = 3_718
ALPHANUMERIC = string.ascii_letters + string.digits
REGIONS = (("eu-central-1", 2), ("eu-west-1", 1), ("us-east-1", -4), ("us-west-2", -7), ("ap-northeast-1", 9))
RUNNERS = ("linux-4", "linux-8", "linux-16", "macos-6", "windows-8")
BRANCHES = ("main", "develop", "release/4.2", "fix/login", "feature/export", "deps/weekly")

Row = dict[str, str]
"""Field name to text. For JSON Lines the text is a piece of JSON, so that no quantity becomes a float."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """Who uses the product: a heavy few come first, a long tail follows."""

    customer_id: str
    subscription_id: str
    weight: float
    region: str
    hour_weights: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A spool that stood still over the end of the month and was delivered when it came back."""

    rank: int  # of the customer, by weight
    events: int
    start: datetime
    back: datetime


def _utc(day: int, hour: int, minute: int) -> datetime:
    """An instant counted from 1 October, so that day 32 is 1 November."""
    return MONTH_START + timedelta(days=day - 1, hours=hour, minutes=minute)


GATEWAY_OUTAGES = (
    Outage(rank=1, events=16, start=_utc(31, 19, 0), back=_utc(32, 3, 12)),
    Outage(rank=4, events=9, start=_utc(31, 14, 0), back=_utc(32, 9, 41)),
    Outage(rank=9, events=7, start=_utc(31, 20, 0), back=_utc(32, 18, 5)),
    Outage(rank=15, events=5, start=_utc(31, 21, 0), back=_utc(33, 6, 30)),
    Outage(rank=22, events=7, start=_utc(31, 22, 30), back=_utc(33, 10, 20)),
)
WORKER_OUTAGES = (
    Outage(rank=2, events=8, start=_utc(31, 18, 0), back=_utc(32, 7, 4)),
    Outage(rank=9, events=5, start=_utc(31, 20, 0), back=_utc(32, 18, 3)),
)


# --- customers and their rhythm


def _token(rng: random.Random, length: int) -> str:
    return "".join(rng.choice(ALPHANUMERIC) for _ in range(length))


def _hour_weights(utc_offset: int) -> tuple[float, ...]:
    """How busy each hour of the month is: days over nights, weekdays over weekends."""
    weights = []
    for hour in range(HOURS):
        local = MONTH_START + timedelta(hours=hour + utc_offset)
        daylight = max(0.0, math.sin(math.pi * (local.hour - 6) / 16))
        weights.append((0.2 + daylight) * (0.35 if local.weekday() >= 5 else 1.0))
    return tuple(weights)


def make_customers(rng: random.Random) -> list[Customer]:
    """Make the customers, the heaviest first."""
    rhythm = {region: _hour_weights(offset) for region, offset in REGIONS}
    customers = []
    for rank in range(CUSTOMERS):
        region = rng.choice(REGIONS)[0]
        customer = Customer(
            customer_id=f"cus_{_token(rng, 14)}",
            subscription_id=f"sub_{_token(rng, 14)}",
            weight=(rank + 1) ** -0.8,
            region=region,
            hour_weights=rhythm[region],
        )
        customers.append(customer)
    return customers


def _moments(rng: random.Random, customers: list[Customer], count: int) -> Iterator[tuple[Customer, int]]:
    """Who used something, and when, in milliseconds after the month's start."""
    for customer in rng.choices(customers, [c.weight for c in customers], k=count):
        hour = rng.choices(range(HOURS), customer.hour_weights)[0]
        yield customer, hour * MS_PER_HOUR + rng.randrange(MS_PER_HOUR)


def _late_moments(rng: random.Random, outage: Outage) -> Iterator[int]:
    start = (outage.start - MONTH_START) // timedelta(milliseconds=1)
    for _ in range(outage.events):
        yield rng.randrange(start, HOURS * MS_PER_HOUR)


def _decimal_text(units: int, places: int) -> str:
    """Write `units` x 10^-places as a program would print it, without zeros at the end."""
    whole, rest = divmod(units, 10**places)
    fraction = f"{rest:0{places}d}".rstrip("0")
    return f"{whole}.{fraction}" if fraction else str(whole)


def _size(customer: Customer) -> float:
    """Heavy customers send larger rows too, but far less so than more rows."""
    return float(customer.weight**0.5)


# --- the gateway's CSV


def _utc_text(ms: int, timespec: str) -> str:
    at = MONTH_START + timedelta(milliseconds=ms)
    return at.isoformat(timespec=timespec).replace("+00:00", "Z")


def _gateway_row(rng: random.Random, customer: Customer, event_ms: int, received_ms: int) -> Row:
    if rng.random() < 0.68:
        feature = "api_calls"
        quantity = str(1 + int(rng.lognormvariate(5.2, 0.9) * _size(customer)))
    else:
        feature = "egress_gb"
        quantity = _decimal_text(1 + int(rng.lognormvariate(6.9, 1.1) * _size(customer)), 3)
    return {
        "request_id": f"req_{_token(rng, 12)}",
        "customer_id": customer.customer_id,
        "subscription_id": customer.subscription_id,
        "feature": feature,
        "quantity": quantity,
        "event_time": _utc_text(event_ms, "milliseconds"),
        "received_at": _utc_text(received_ms, "seconds"),
        "region": customer.region,
    }


def gateway_rows(rng: random.Random, customers: list[Customer]) -> tuple[list[Row], list[Row]]:
    """Make the gateway's rows in order of arrival: those in time, then the late ones."""
    in_time, late = [], []
    for customer, event_ms in _moments(rng, customers, GATEWAY_ROWS):
        delay_ms = 1000 + int(min(rng.lognormvariate(9.2, 0.8), 290_000))
        in_time.append((event_ms + delay_ms, _gateway_row(rng, customer, event_ms, event_ms + delay_ms)))
    for outage in GATEWAY_OUTAGES:
        back_ms = (outage.back - MONTH_START) // timedelta(milliseconds=1)
        for event_ms in sorted(_late_moments(rng, outage)):
            back_ms += rng.randrange(200, 4000)
            late.append((back_ms, _gateway_row(rng, customers[outage.rank], event_ms, back_ms)))
    return _by_arrival(in_time), _by_arrival(late)


def _by_arrival(timed: list[tuple[int, Row]]) -> list[Row]:
    return [row for _, row in sorted(timed, key=lambda pair: pair[0])]


def render_csv(row: Row) -> bytes:
    """Write one CSV record; a field is quoted only where it must be."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(row.values())
    return buffer.getvalue().encode()


# --- the workers' JSON Lines


def json_text(value: object) -> str:
    """Write a value as JSON, shortly."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _local_text(at: datetime) -> str:
    zone = timezone(timedelta(hours=2 if at < FALL_BACK else 1))
    return at.astimezone(zone).isoformat(timespec="seconds")


def _worker_row(job_id: str, account: str, usage: tuple[str, str], times: tuple[int, int], meta: Row) -> Row:
    """Make one row; `times` are the job's end and the batch's arrival in milliseconds of the month."""
    (kind, amount), (finished_ms, seen_ms) = usage, times
    return {
        "job_id": json_text(job_id),
        "account": json_text(account),
        "kind": json_text(kind),
        "amount": amount,
        "finished_at": str(int(MONTH_START.timestamp()) * 1000 + finished_ms),
        "seen_at": json_text(_local_text(MONTH_START + timedelta(milliseconds=seen_ms))),
        "meta": json_text(meta),
    }


def _build_row(rng: random.Random, customer: Customer, finished_ms: int, seen_ms: int) -> Row:
    amount = _decimal_text(5 + int(rng.lognormvariate(6.5, 0.8) * _size(customer)), 2)
    job_id = f"bld_{_token(rng, 12)}"
    meta = {"runner": rng.choice(RUNNERS), "branch": rng.choice(BRANCHES)}
    times = finished_ms, seen_ms
    return _worker_row(job_id, customer.customer_id, ("build_minutes", amount), times, meta)


def _seat_rows(
    rng: random.Random, customers: list[Customer], seen: Callable[[int], int]
) -> Iterator[tuple[int, Row]]:
    """Count every customer's seats once a day, shortly after four in the morning."""
    for customer in customers:
        seats = 3 + int(rng.lognormvariate(3.4, 0.5) * _size(customer))
        offset_ms = rng.randrange(1_200_000)
        for day in range(HOURS // 24):
            seats = max(1, seats + rng.choices((-2, -1, 0, 1, 2, 5), (2, 6, 70, 14, 6, 2))[0])
            taken_ms = (day * 24 + 4) * MS_PER_HOUR + offset_ms
            date = (MONTH_START + timedelta(days=day)).date().isoformat()
            job_id = f"seats-{date}-{customer.customer_id[4:]}"
            usage, times = ("seats", str(seats)), (taken_ms, seen(taken_ms))
            row = _worker_row(job_id, customer.customer_id, usage, times, {"by": "seat-counter"})
            yield times[1], row


def worker_rows(rng: random.Random, customers: list[Customer]) -> tuple[list[Row], list[Row]]:
    """Make the workers' rows in order of arrival: those in time, then the late ones."""
    uploads = [rng.randrange(40_000, 400_000) for _ in range(HOURS + 2)]

    def seen(finished_ms: int) -> int:
        """A batch closes on the hour; what ends in its last minute waits for the next one."""
        hour = (finished_ms + 60_000) // MS_PER_HOUR + 1
        return hour * MS_PER_HOUR + uploads[hour]

    in_time, late = list(_seat_rows(rng, customers, seen)), []
    for customer, finished_ms in _moments(rng, customers, BUILD_ROWS):
        seen_ms = seen(finished_ms)
        in_time.append((seen_ms, _build_row(rng, customer, finished_ms, seen_ms)))
    in_time.sort(key=lambda pair: (pair[0], pair[1]["finished_at"]))
    for outage in WORKER_OUTAGES:
        back_ms = (outage.back - MONTH_START) // timedelta(milliseconds=1)
        for finished_ms in sorted(_late_moments(rng, outage)):
            row = _build_row(rng, customers[outage.rank], finished_ms, back_ms)
            late.append((back_ms, row))
    return _by_arrival(in_time), _by_arrival(late)


def render_json(row: Row) -> bytes:
    """Write one line of JSON from fields that are JSON already."""
    return ("{" + ",".join(f'"{name}":{text}' for name, text in row.items()) + "}\n").encode()
