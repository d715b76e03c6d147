"""
Reading meterledger.toml: found, parsed, checked; an error names the file, the line and the key.

Unknown keys are errors: a config that is silently half understood bills wrongly.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from meterledger.config import tables
from meterledger.config.duration import duration_text, parse_duration
from meterledger.config.reading import Reading, closest
from meterledger.config.settings import Invoicing, Plan, PlanFeature, Settings, StripeSettings
from meterledger.config.sources import read_sources
from meterledger.domain.billing_period import MAX_GRACE_PERIOD
from meterledger.domain.grace import GraceRule
from meterledger.domain.meter import (
    MAX_SETTLE,
    Aggregation,
    Catalogue,
    EventTimeWindow,
    Meter,
    Rollup,
    features_claimed_twice,
)
from meterledger.domain.usage import shown
from meterledger.domain.way import Way
from meterledger.errors import UsageError

CONFIG_NAME = "meterledger.toml"
MAX_CONFIG_BYTES = 4 * 1024 * 1024
_LONGEST_GRACE = "Stripe's longest grace period is 72h"
_TABLES = ("ledger", "sources", "meters", "stripe", "invoicing", "plans")


def find_config(folder: Path) -> Path | None:
    """Return the meterledger.toml of a folder or of its nearest parent that has one."""
    for candidate in (folder, *folder.parents):
        if (path := candidate / CONFIG_NAME).is_file():
            return path
    return None


def load_settings(config: Path | None, *, folder: Path, ledger: Path | None = None) -> Settings:
    """
    Read and check a config.

    Args:
        config: The file; None for no config at all: every default holds.
        folder: Where to keep the ledger when there is no config.
        ledger: Overrides the config's ``path``.

    Raises:
        UsageError: The file is missing or unreadable, or something in it is wrong.
    """
    reading = Reading(config, _read(config) if config else "")
    root = reading.parsed()
    reading.refuse_unknown_keys(root, _TABLES, ())
    ledger_table = reading.table(root.get("ledger", {}), tables.LedgerTable, ("ledger",))
    beside = config.parent if config else folder
    meters = _meters(reading, reading.tables_of(root, "meters"))
    plans = _plans(reading, reading.tables_of(root, "plans"))
    plan_features = frozenset(feature for plan in plans.values() for feature in plan.features)
    catalogue = Catalogue(meters, plan_features)
    stripe = reading.table(root.get("stripe", {}), tables.StripeTable, ("stripe",))
    return Settings(
        config_path=config,
        ledger_path=ledger or beside / ledger_table.path,
        catalogue=catalogue,
        sources=read_sources(reading, reading.tables_of(root, "sources"), catalogue),
        plans=plans,
        stripe=StripeSettings(api=Way(stripe.api), account=stripe.account),
        invoicing=_invoicing(reading, root.get("invoicing", {}), meters),
    )


def _read(config: Path) -> str:
    try:
        with config.open("rb") as file:
            content = file.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"the config {config} cannot be read: {error.strerror}",
            hint="name another with --config, or make one with `meterledger init`",
        ) from error
    if len(content) > MAX_CONFIG_BYTES:
        raise UsageError(f"the config {config} is larger than {MAX_CONFIG_BYTES} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"the config {config} is not UTF-8 (byte {error.start})") from error


def _meters(reading: Reading, found: Mapping[str, Any]) -> tuple[Meter, ...]:
    meters = tuple(_meter(reading, event_name, table) for event_name, table in found.items())
    for feature, first, second in features_claimed_twice(meters):
        raise reading.error(
            ("meters", second, "features"), f"feature {feature} belongs to meter {first} already"
        )
    return meters


def _meter(reading: Reading, event_name: str, found: object) -> Meter:
    keys = ("meters", event_name)
    if not 1 <= len(event_name) <= 100:  # noqa: PLR2004 # Stripe's limit for event_name
        raise reading.error(keys, "an event name has 1 to 100 characters")
    table = reading.table(found, tables.MeterTable, keys)
    settle = reading.checked(parse_duration, table.settle, (*keys, "settle"))
    _refuse_rollup(reading, table, settle, keys)
    payload_keys = [table.customer_key, table.value_key, *table.dimensions]
    if len(set(payload_keys)) < len(payload_keys):
        raise reading.error(keys, "customer_key, value_key and dimensions name one payload key twice")
    return Meter(
        event_name=event_name,
        features=tuple(table.features),
        aggregation=Aggregation(table.aggregation),
        event_time_window=EventTimeWindow(table.event_time_window),
        decimal_places=table.decimal_places,
        customer_key=table.customer_key,
        value_key=table.value_key,
        dimensions=tuple(table.dimensions),
        rollup=Rollup(table.rollup),
        settle=settle,
    )


def _refuse_rollup(reading: Reading, table: tables.MeterTable, settle: int, keys: tuple[str, ...]) -> None:
    """Refuse what rolling up would bill otherwise than Stripe does: only sums can be added up here."""
    if settle > MAX_SETTLE:
        raise reading.error((*keys, "settle"), f"at most {duration_text(MAX_SETTLE)}")
    if table.rollup == "none":
        return
    if table.aggregation != "sum":
        raise reading.error(
            (*keys, "rollup"),
            f'a meter with aggregation = "{table.aggregation}" cannot be rolled up, only "sum"',
            hint='leave it out, or write "none"',
        )
    if table.event_time_window != "none":
        raise reading.error(
            (*keys, "rollup"),
            "a meter with an event_time_window cannot be rolled up: only its last event counts",
            hint='leave it out, or write "none"',
        )


def _plans(reading: Reading, found: Mapping[str, Any]) -> dict[str, Plan]:
    plans = {}
    for name, raw in found.items():
        table = reading.table(raw, tables.PlanTable, ("plans", name))
        features = {
            feature: _plan_feature(reading, content, ("plans", name, "features", feature))
            for feature, content in table.features.items()
        }
        plans[name] = Plan(name=name, features=features)
    return plans


def _plan_feature(reading: Reading, found: object, keys: tuple[str, ...]) -> PlanFeature:
    table = reading.table(found, tables.PlanFeatureTable, keys)
    shares = {
        key: reading.checked(_percent, text, (*keys, key))
        for key in ("soft_warning", "hard_warning")
        if (text := getattr(table, key)) is not None
    }
    included = (
        None if table.included is None else reading.checked(_amount, str(table.included), (*keys, "included"))
    )
    return PlanFeature(included=included, **shares)


def _invoicing(reading: Reading, found: object, meters: Iterable[Meter]) -> Invoicing:
    table = reading.table(found, tables.InvoicingTable, ("invoicing",))
    durations = {
        key: reading.checked(parse_duration, text, ("invoicing", key))
        for key in ("grace_period", "safety_margin", "retry_time")
        if (text := getattr(table, key)) is not None
    }
    if durations.get("grace_period", 0) > MAX_GRACE_PERIOD:
        raise reading.error(("invoicing", "grace_period"), _LONGEST_GRACE)
    known = {meter.event_name for meter in meters}
    return Invoicing(
        **durations,
        grace_period_configured=table.grace_period is not None,
        grace_rules=tuple(_grace_rule(reading, raw, known, number) for number, raw in enumerate(table.grace)),
        calendar_periods=table.anchors == "calendar",
    )


def _grace_rule(reading: Reading, found: object, event_names: Collection[str], number: int) -> GraceRule:
    keys = ("invoicing", "grace")
    table = reading.table(found, tables.GraceTable, keys, block=number)
    duration = reading.checked(parse_duration, table.grace_period, (*keys, "grace_period"), block=number)
    if duration > MAX_GRACE_PERIOD:
        raise reading.error((*keys, "grace_period"), _LONGEST_GRACE, block=number)
    if not table.meters and not table.customers:
        raise reading.error(
            keys,
            "names neither meters nor customers",
            hint="for all of them it is grace_period of [invoicing]",
            block=number,
        )
    for name in table.meters:
        if name not in event_names:
            raise reading.error(
                (*keys, "meters"),
                f"there is no meter {shown(name)}",
                hint=closest(name, event_names),
                block=number,
            )
    return GraceRule(
        grace_period=duration, meters=frozenset(table.meters), customers=frozenset(table.customers)
    )


def _percent(text: str) -> Decimal:
    if not re.fullmatch(r"\d{1,4}(\.\d{1,4})?%", text, re.ASCII):
        msg = f"'{text}' is no share; write it like 80%"
        raise ValueError(msg)
    return Decimal(text[:-1])


def _amount(text: str) -> Decimal:
    if not re.fullmatch(r"\d{1,18}(\.\d{1,12})?", text, re.ASCII):
        msg = f"'{text}' is no amount; write it like 100000 or \"0.5\""
        raise ValueError(msg)
    return Decimal(text)
