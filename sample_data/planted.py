"""The tables of what is planted in each file: how often, and what an import makes of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

from sample_data.planting import ACCEPTED, BLANK, CONFLICT, DUPLICATE, Plant, Source
from sample_data.usage import json_text, render_csv, render_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from sample_data.usage import Row

WHOLE_FEATURES = ("api_calls", "seats")


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
    return _change("meta", lambda text: json_text({**json.loads(text), **fields}))


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
              edit=_change("amount", lambda text: json_text(_one_zero_more(text)))),
        Plant(kind="copy, `finished_at` as RFC 3339", outcome=DUPLICATE, count=4,
              edit=_change("finished_at",
                           lambda text: json_text(_instant_as_text(text, timezone(timedelta(hours=2)))))),
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
              edit=_change("finished_at", lambda text: json_text(_instant_as_text(text, UTC).split("+")[0]))),
        Plant(kind="unknown feature `gpu_minutes`", outcome="unknown_feature", count=3,
              edit=_set(kind='"gpu_minutes"')),
        Plant(kind="too many decimals", outcome="too_precise", count=3, edit=_too_fine("kind", "amount")),
    ),
)  # fmt: skip
