"""Meters from a meterledger.toml, so that the simulator knows what its user is about to send."""

import tomllib
from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from meterledger.simulator.metering.meters import (
    DEFAULT_CUSTOMER_KEY,
    DEFAULT_VALUE_KEY,
    MAX_EVENT_NAME,
    MAX_PAYLOAD_KEY,
    Formula,
    MeterSpec,
    Window,
)

NO_WINDOW = "none"

_Word = TypeVar("_Word", bound=StrEnum)


def read_meters(text: str) -> tuple[MeterSpec, ...]:
    """
    Read the meters of a config; everything else in it is left alone.

    Args:
        text: A meterledger.toml.

    Raises:
        ValueError: It is no TOML, or a meter in it is not understood. The message names the meter.
    """
    meters = _table(tomllib.loads(text).get("meters", {}), "meters")
    return tuple(_spec(event_name, table) for event_name, table in meters.items())


def _spec(event_name: str, given: object) -> MeterSpec:
    where = f"meters.{event_name}"
    table = _table(given, where)
    if not 1 <= len(event_name) <= MAX_EVENT_NAME:
        raise ValueError(f"{where}: an event name has 1 to {MAX_EVENT_NAME} characters")
    window = _text(table, "event_time_window", where, NO_WINDOW)
    return MeterSpec(
        display_name=event_name,
        event_name=event_name,
        formula=_word(Formula, _text(table, "aggregation", where, Formula.SUM), f"{where}.aggregation"),
        event_time_window=None
        if window == NO_WINDOW
        else _word(Window, window, f"{where}.event_time_window"),
        customer_key=_text(table, "customer_key", where, DEFAULT_CUSTOMER_KEY),
        value_key=_text(table, "value_key", where, DEFAULT_VALUE_KEY),
    )


def _table(given: object, where: str) -> dict[str, object]:
    match given:
        case dict():
            return given
        case _:
            raise ValueError(f"{where} is not a table")


def _text(table: Mapping[str, object], key: str, where: str, default: str) -> str:
    value = table.get(key, default)
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_PAYLOAD_KEY:
        raise ValueError(f"{where}.{key} is a text of 1 to {MAX_PAYLOAD_KEY} characters")
    return value


def _word(words: type[_Word], text: str, where: str) -> _Word:
    try:
        return words(text)
    except ValueError:
        raise ValueError(f"{where} is one of {', '.join(words)}, not {text!r}") from None
