"""The account's meters as tables of a config."""

import json
import re
from collections.abc import Container, Sequence

from meterledger.domain.declared_meter import DeclaredMeter

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def meter_tables(meters: Sequence[DeclaredMeter], taken: Container[str] = ()) -> str:
    """Return a ``[meters.X]`` table for each meter; a feature that is taken gets a number behind it."""
    return "".join(_meter_table(meter, _free_feature(meter.event_name, taken)) for meter in meters)


def _meter_table(meter: DeclaredMeter, feature: str) -> str:
    name = meter.event_name if _BARE_KEY.fullmatch(meter.event_name) else toml_string(meter.event_name)
    told = {
        "aggregation": meter.aggregation,
        "event_time_window": meter.event_time_window,
        "customer_key": meter.customer_key,
        "value_key": meter.value_key,
    }
    lines = [f"{key} = {toml_string(value)}\n" for key, value in told.items() if value is not None]
    lines.insert(2, "decimal_places = 0\n")
    return f"[meters.{name}]\nfeatures = [{toml_string(feature)}]\n{''.join(lines)}\n"


def toml_string(text: str) -> str:
    """Write a text as a string of TOML, which takes no raw control characters and no surrogates."""
    quoted = json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
    return quoted.encode("utf-8", "replace").decode()


def _free_feature(name: str, taken: Container[str]) -> str:
    free, number = name, 2
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    return free
