"""Seeded usage files and the config that fits them."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

COLUMNS = ("request_id", "customer_id", "feature", "quantity", "event_time")
CONFIG = """\
[meters.api_requests]
features = ["api_calls"]
aggregation = "sum"
"""
_ROWS_AT_ONCE = 10_000
_DAY_SECONDS = 86_400


def write_config(folder: Path) -> Path:
    """Write the config with a meter for the feature of the files below."""
    path = folder / "meterledger.toml"
    path.write_text(CONFIG)
    return path


def write_usage(
    path: Path, rows: int, *, customers: int, seed: int, time_ordered_ids: bool = False, days: int = 30
) -> None:
    """
    Write a CSV file of usage from the last days, in the order of event_time.

    Args:
        path: The file.
        rows: How many rows.
        customers: How many different customers they are spread over.
        seed: The same seed gives the same ids, customers and quantities.
        time_ordered_ids: Ids that grow with time, as UUIDv7 do, in place of random ones; 32 hex digits both.
        days: How many days it is spread over.
    """
    chance = random.Random(seed)  # noqa: S311 # test data
    randbytes, below = chance.randbytes, chance.random
    # Only the times follow the clock: Stripe takes 35 days back, so that older ones could not be pushed.
    end = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)  # noqa: TID251 # as said above
    begin = end - timedelta(days=days)
    step = days * _DAY_SECONDS / rows
    clock_texts = _clock_texts(begin)
    make_id: Callable[[int], str]
    if time_ordered_ids:
        make_id = lambda number: f"{number:012x}{randbytes(10).hex()}"  # noqa: E731 # as short as the other
    else:
        make_id = lambda _number: randbytes(16).hex()  # noqa: E731
    with path.open("w", encoding="ascii") as file:
        file.write(",".join(COLUMNS) + "\n")
        for first in range(0, rows, _ROWS_AT_ONCE):
            file.write(
                "".join(
                    f"{make_id(number)},cus_{int(below() * customers):08d},api_calls,"
                    f"{1 + int(below() * 99)},{clock_texts(int(number * step))}\n"
                    for number in range(first, min(first + _ROWS_AT_ONCE, rows))
                )
            )


def _clock_texts(begin: datetime) -> Callable[[int], str]:
    """Return what writes the instant so many seconds after ``begin``; rows of one minute share its text."""
    start = begin.replace(second=0)
    minutes: dict[int, str] = {}

    def text(seconds: int) -> str:
        minute, second = divmod(seconds, 60)
        if minute not in minutes:
            minutes.clear()
            minutes[minute] = (start + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:")
        return f"{minutes[minute]}{second:02d}Z"

    return text
