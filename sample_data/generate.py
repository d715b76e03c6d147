"""
Write the sample data: one month of usage from two sources, with what real files have wrong with them.

The seed is fixed, so every run writes the same bytes. README.md tells what each file holds. How many rows an
import into an empty ledger must accept, skip and refuse is written to expected.json, counted from what this
script plants and not by reading the files back.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
import random
import string
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SEED = 20261001
HERE = Path(__file__).resolve().parent

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
WHOLE_FEATURES = ("api_calls", "seats")

# Outcomes that are no reason codes; every other outcome in this script is one.
ACCEPTED, DUPLICATE, CONFLICT, BLANK = "accepted", "duplicate", "conflict", "blank"

BEGIN_TABLE, END_TABLE = "<!-- irregularities: begin -->\n", "<!-- irregularities: end -->\n"

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
class Line:
    """One row on its way into a file, with what an import must make of it."""

    row: Row
    data: bytes
    outcome: str = ACCEPTED
    kind: str = ""


def _same_row(row: Row) -> Row:
    return row


def _same_bytes(data: bytes) -> bytes:
    return data


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """One kind of irregularity: how often, what it does to a row, what an import makes of it."""

    kind: str
    outcome: str
    count: int
    edit: Callable[[Row], Row] = _same_row
    damage: Callable[[bytes], bytes] = _same_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file to write: how its rows look, what its fields are called, what is planted in it."""

    name: str
    file: str
    header: bytes
    render: Callable[[Row], bytes]
    received_at: str
    plants: tuple[Plant, ...]
    resent_rows: int
    resent_kind: str


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


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _local_text(at: datetime) -> str:
    zone = timezone(timedelta(hours=2 if at < FALL_BACK else 1))
    return at.astimezone(zone).isoformat(timespec="seconds")


def _worker_row(job_id: str, account: str, usage: tuple[str, str], times: tuple[int, int], meta: Row) -> Row:
    """Make one row; `times` are the job's end and the batch's arrival in milliseconds of the month."""
    (kind, amount), (finished_ms, seen_ms) = usage, times
    return {
        "job_id": _json(job_id),
        "account": _json(account),
        "kind": _json(kind),
        "amount": amount,
        "finished_at": str(int(MONTH_START.timestamp()) * 1000 + finished_ms),
        "seen_at": _json(_local_text(MONTH_START + timedelta(milliseconds=seen_ms))),
        "meta": _json(meta),
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


# --- what is planted


def _set(**fields: str) -> Callable[[Row], Row]:
    return lambda row: {**row, **fields}


def _change(name: str, change: Callable[[str], str]) -> Callable[[Row], Row]:
    return lambda row: {**row, name: change(row[name])}


def _one_zero_more(number: str) -> str:
    return number + ("0" if "." in number else ".0")


def _one_more(number: str) -> str:
    whole, point, fraction = number.partition(".")
    return f"{int(whole) + 1}{point}{fraction}"


def _too_fine(feature: str, quantity: str) -> Callable[[Row], Row]:
    def edit(row: Row) -> Row:
        fraction = ".5" if row[feature].strip('"') in WHOLE_FEATURES else ".48275"
        return {**row, quantity: row[quantity].partition(".")[0] + fraction}

    return edit


def _other_offset(text: str) -> str:
    at = datetime.fromisoformat(text).astimezone(timezone(timedelta(hours=2)))
    return at.isoformat(timespec="milliseconds")


def _instant_as_text(milliseconds: str, zone: timezone) -> str:
    at = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=int(milliseconds))
    return at.astimezone(zone).isoformat(timespec="milliseconds")


def _meta(**fields: str) -> Callable[[Row], Row]:
    return _change("meta", lambda text: _json({**json.loads(text), **fields}))


GATEWAY = Source(
    name="gateway",
    file="usage-gateway.csv",
    header=b"request_id,customer_id,subscription_id,feature,quantity,event_time,received_at,region\n",
    render=render_csv,
    received_at="received_at",
    resent_rows=25,
    resent_kind="block sent again after a restart, later `received_at`",
    plants=(
        # Odd, but right: an import must take these.
        Plant(kind="Unicode in `request_id`", outcome=ACCEPTED, count=6,
              edit=_change("request_id", lambda text: text.replace("req_", "req_Zoë-"))),
        Plant(kind="Unicode in `region`", outcome=ACCEPTED, count=12, edit=_set(region="東京")),
        Plant(kind="quoted field with a comma", outcome=ACCEPTED, count=15,
              edit=_set(region="Frankfurt, DE")),
        Plant(kind="quoted field with quotes", outcome=ACCEPTED, count=3,
              edit=_set(region='us-east-1 "old"')),
        Plant(kind="quoted field with a line break", outcome=ACCEPTED, count=4,
              edit=_set(region="eu-west-1\n(failover)")),
        Plant(kind="white space around fields", outcome=ACCEPTED, count=8,
              edit=lambda row: {**row, "customer_id": f" {row['customer_id']} ",
                                "quantity": f" {row['quantity']}"}),
        Plant(kind="blank line", outcome=BLANK, count=2),
        # The same usage again.
        Plant(kind="exact copy", outcome=DUPLICATE, count=18),
        Plant(kind="copy, equal by value (`1.50` for `1.5`)", outcome=DUPLICATE, count=6,
              edit=_change("quantity", _one_zero_more)),
        Plant(kind="copy, same instant at +02:00", outcome=DUPLICATE, count=6,
              edit=_change("event_time", _other_offset)),
        Plant(kind="same `request_id`, other quantity", outcome=CONFLICT, count=1,
              edit=_change("quantity", _one_more)),
        # Refused. Where a row has two faults, the first in the contract's order counts.
        Plant(kind="Latin-1 bytes in `region`", outcome="not_utf8", count=1, edit=_set(region="São Paulo"),
              damage=lambda data: data.decode().encode("latin-1")),
        Plant(kind="one field too many (comma not quoted)", outcome="malformed_row", count=4,
              damage=lambda data: data.replace(b"\n", b", DE\n")),
        Plant(kind="no customer", outcome="missing_field", count=8, edit=_set(customer_id="")),
        Plant(kind="no customer, and quantity `n/a`", outcome="missing_field", count=1,
              edit=_set(customer_id="", quantity="n/a")),
        Plant(kind="`request_id` over 255 characters", outcome="field_too_long", count=1,
              edit=_change("request_id", lambda text: text + "-retry" * 50)),
        Plant(kind="quantity `n/a`", outcome="invalid_quantity", count=6, edit=_set(quantity="n/a")),
        Plant(kind="quantity with exponent", outcome="invalid_quantity", count=2, edit=_set(quantity="1e3")),
        Plant(kind="negative quantity", outcome="negative_quantity", count=5,
              edit=_change("quantity", lambda text: f"-{text}")),
        Plant(kind="negative quantity, and time without offset", outcome="negative_quantity", count=1,
              edit=lambda row: {**row, "quantity": f"-{row['quantity']}",
                                "event_time": row["event_time"].removesuffix("Z")}),
        Plant(kind="hour 25", outcome="invalid_time", count=3,
              edit=_change("event_time", lambda text: f"{text[:10]}T25{text[13:]}")),
        Plant(kind="time without offset", outcome="time_without_offset", count=8,
              edit=_change("event_time", lambda text: text.removesuffix("Z"))),
        Plant(kind="unknown feature `api_call`", outcome="unknown_feature", count=4,
              edit=_set(feature="api_call")),
        Plant(kind="unknown feature `webhooks`", outcome="unknown_feature", count=3,
              edit=_set(feature="webhooks")),
        Plant(kind="too many decimals", outcome="too_precise", count=6,
              edit=_too_fine("feature", "quantity")),
        Plant(kind="counter run wild (16 digits)", outcome="too_many_digits", count=1,
              edit=_set(quantity="9007199254740993")),
    ),
)  # fmt: skip

WORKERS = Source(
    name="workers",
    file="usage-workers.jsonl",
    header=b"",
    render=render_json,
    received_at="seen_at",
    resent_rows=12,
    resent_kind="part of a batch sent again, later `seen_at`",
    plants=(
        Plant(kind="Unicode in `job_id`", outcome=ACCEPTED, count=3,
              edit=_change("job_id", lambda text: f'{text[:-1]}-東京"')),
        Plant(kind="Unicode in `meta`", outcome=ACCEPTED, count=15, edit=_meta(owner="Zoë", team="東京")),
        Plant(kind="blank line", outcome=BLANK, count=1),
        Plant(kind="exact copy", outcome=DUPLICATE, count=8),
        Plant(kind='copy, equal by value (`"4.50"` for `4.5`)', outcome=DUPLICATE, count=4,
              edit=_change("amount", lambda text: _json(_one_zero_more(text)))),
        Plant(kind="copy, `finished_at` as RFC 3339", outcome=DUPLICATE, count=4,
              edit=_change("finished_at",
                           lambda text: _json(_instant_as_text(text, timezone(timedelta(hours=2)))))),
        Plant(kind="same `job_id`, other amount", outcome=CONFLICT, count=1,
              edit=_change("amount", _one_more)),
        Plant(kind="line cut off", outcome="malformed_row", count=2,
              damage=lambda data: data[: len(data) // 2] + b"\n"),
        Plant(kind="JSON, but no object", outcome="malformed_row", count=2,
              damage=lambda _: b'["batch","closed"]\n'),
        Plant(kind="`account` is null", outcome="missing_field", count=4, edit=_set(account="null")),
        Plant(kind="`amount` is not there", outcome="missing_field", count=1,
              edit=lambda row: {name: text for name, text in row.items() if name != "amount"}),
        Plant(kind='amount `"n/a"`', outcome="invalid_quantity", count=3, edit=_set(amount='"n/a"')),
        Plant(kind="amount with exponent", outcome="invalid_quantity", count=1, edit=_set(amount="1.2e1")),
        Plant(kind="negative amount", outcome="negative_quantity", count=2,
              edit=_change("amount", lambda text: f"-{text}")),
        Plant(kind="time in microseconds (16 digits)", outcome="invalid_time", count=2,
              edit=_change("finished_at", lambda text: f"{text}000")),
        Plant(kind="time without offset", outcome="time_without_offset", count=3,
              edit=_change("finished_at", lambda text: _json(_instant_as_text(text, UTC).split("+")[0]))),
        Plant(kind="unknown feature `gpu_minutes`", outcome="unknown_feature", count=3,
              edit=_set(kind='"gpu_minutes"')),
        Plant(kind="too many decimals", outcome="too_precise", count=3, edit=_too_fine("kind", "amount")),
    ),
)  # fmt: skip

LATE_KIND = "31 October, received hours to a day and a half later"


def _slots(rng: random.Random, source: Source, rows: int) -> Iterator[tuple[int, Plant]]:
    """
    Spread the plants evenly over the rows, each on a row of its own, in a chance order.

    One of each kind comes first, so that the first third of a file shows every kind.
    """
    first = list(source.plants)
    more = [one for one in source.plants for _ in range(one.count - 1)]
    rng.shuffle(first)
    rng.shuffle(more)
    plants = first + more
    for number, one in enumerate(plants):
        start, end = number * rows // len(plants), (number + 1) * rows // len(plants)
        yield rng.randrange(start, end), one


def _planted(source: Source, one: Plant, row: Row) -> Line:
    if one.outcome == BLANK:
        return Line(row=row, data=b"\n", outcome=BLANK, kind=one.kind)
    edited = one.edit(row)
    data = one.damage(source.render(edited))
    return Line(row=edited, data=data, outcome=one.outcome, kind=one.kind)


@dataclass(slots=True, kw_only=True)
class _Draft:
    """A file being put together: its rows, and what is put in after which of them."""

    lines: list[Line]
    inserted: dict[int, list[Line]] = field(default_factory=dict)

    def insert(self, after: int, line: Line) -> None:
        self.inserted.setdefault(min(after, len(self.lines) - 1), []).append(line)

    def merged(self) -> Iterator[Line]:
        for index, line in enumerate(self.lines):
            yield line
            yield from self.inserted.get(index, ())


def _send_block_again(rng: random.Random, source: Source, draft: _Draft) -> None:
    """Copy some neighbouring good rows to a place a little below, with the time they came the second time."""
    start = rng.randrange(len(draft.lines) // 8, len(draft.lines) // 4)
    good = [i for i in range(start, start + 2 * source.resent_rows) if draft.lines[i].outcome == ACCEPTED]
    block = good[: source.resent_rows]
    after = block[-1] + source.resent_rows
    received = draft.lines[after].row[source.received_at]
    for index in block:
        row = {**draft.lines[index].row, source.received_at: received}
        line = Line(row=row, data=source.render(row), outcome=DUPLICATE, kind=source.resent_kind)
        draft.insert(after, line)


def plant(rng: random.Random, source: Source, in_time: list[Row], late: list[Row]) -> list[Line]:
    """Turn rows into the lines of a file, irregularities included."""
    draft = _Draft(lines=[Line(row=row, data=source.render(row)) for row in in_time])
    for index, one in _slots(rng, source, len(in_time)):
        line = _planted(source, one, in_time[index])
        if one.outcome in (DUPLICATE, CONFLICT, BLANK):
            # A copy stands below its original, else the copy would be the accepted one.
            draft.insert(index + rng.randrange(1, 40), line)
        else:
            draft.lines[index] = line
    _send_block_again(rng, source, draft)
    late_lines = [Line(row=row, data=source.render(row), kind=LATE_KIND) for row in late]
    return [*draft.merged(), *late_lines]


# --- what is written


def _counts(source: Source, lines: list[Line]) -> dict[str, object]:
    outcomes = Counter(line.outcome for line in lines)
    blank, accepted = outcomes.pop(BLANK, 0), outcomes.pop(ACCEPTED)
    duplicates, conflicts = outcomes.pop(DUPLICATE), outcomes.pop(CONFLICT)
    return {
        "source": source.name,
        "rows_read": len(lines) - blank,
        "accepted": accepted,
        "duplicates": duplicates,
        "conflicts": conflicts,
        "rejected": outcomes.total(),
        "rejected_by_reason": dict(sorted(outcomes.items())),
    }


class Irregularity(NamedTuple):
    """A kind of irregularity and the physical lines on which its rows start."""

    kind: str
    outcome: str
    lines: list[int]


def _irregularities(source: Source, lines: list[Line]) -> list[Irregularity]:
    """Find where each kind came to stand, in the order in which the kinds are told above."""
    kinds = [(one.kind, one.outcome) for one in source.plants]
    kinds += [(source.resent_kind, DUPLICATE), (LATE_KIND, ACCEPTED)]
    found: dict[str, list[int]] = {kind: [] for kind, _ in kinds}
    number = 1 + source.header.count(b"\n")
    for line in lines:
        if line.kind:
            found[line.kind].append(number)
        number += line.data.count(b"\n")
    return [Irregularity(kind, outcome, found[kind]) for kind, outcome in kinds]


def _ranges(numbers: Iterable[int]) -> str:
    """Write line numbers shortly: 3, 7-9."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)


def _table(source: Source, lines: list[Line]) -> str:
    rows = [f"\n`{source.file}`\n", "| what | import says | rows | lines |", "|---|---|---:|---|"]
    for kind, outcome, numbers in _irregularities(source, lines):
        says = "not a row" if outcome == BLANK else outcome
        rows.append(f"| {kind} | {says} | {len(numbers)} | {_ranges(numbers)} |")
    return "\n".join(rows) + "\n"


def _readme(tables: str) -> str:
    """Put fresh tables into the page beside this script."""
    text = (HERE / "README.md").read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN_TABLE)
    return f"{before}{BEGIN_TABLE}{tables}\n{END_TABLE}{rest.partition(END_TABLE)[2]}"


def make_files() -> dict[str, bytes]:
    """Make every file's name and content; the same ones at each call."""
    rng = random.Random(SEED)
    customers = make_customers(rng)
    planted = (
        (GATEWAY, plant(rng, GATEWAY, *gateway_rows(rng, customers))),
        (WORKERS, plant(rng, WORKERS, *worker_rows(rng, customers))),
    )
    expected = {
        source.file: {
            **_counts(source, lines),
            "irregularities": [found._asdict() for found in _irregularities(source, lines)],
        }
        for source, lines in planted
    }
    files = {source.file: source.header + b"".join(line.data for line in lines) for source, lines in planted}
    files["expected.json"] = (json.dumps(expected, indent=1, ensure_ascii=False) + "\n").encode()
    files["README.md"] = _readme("".join(_table(source, lines) for source, lines in planted)).encode()
    return files


def main() -> None:
    """Write the files to the folder that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=HERE, metavar="DIR", help="default: beside this script")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for name, content in make_files().items():
        (out / name).write_bytes(content)
        print(f"{out / name}: {len(content):,} bytes")


if __name__ == "__main__":
    main()
