"""
Reading meterledger.toml: found, parsed, checked; an error names the file, the line and the key.

Unknown keys are errors: a config that is silently half understood bills wrongly.
"""

import difflib
import re
import tomllib
import zoneinfo
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from dateutil import tz

from meterledger.config import tables
from meterledger.config.duration import parse_duration
from meterledger.config.settings import Invoicing, Plan, PlanFeature, Settings, StripeSettings
from meterledger.domain.billing_period import MAX_GRACE_PERIOD
from meterledger.domain.meter import Aggregation, Catalogue, EventTimeWindow, Meter, features_claimed_twice
from meterledger.domain.source import Source
from meterledger.domain.usage import CANONICAL_FIELDS
from meterledger.errors import UsageError

_Table = TypeVar("_Table", bound=msgspec.Struct)
_Value = TypeVar("_Value")

CONFIG_NAME = "meterledger.toml"
MAX_CONFIG_BYTES = 4 * 1024 * 1024
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
    reading = _Reading(config, _read(config) if config else "")
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
        sources=_sources(reading, reading.tables_of(root, "sources"), catalogue),
        plans=plans,
        stripe=StripeSettings(api=stripe.api, account=stripe.account),
        invoicing=_invoicing(reading, root.get("invoicing", {})),
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


@dataclass(frozen=True, slots=True)
class _Reading:
    """One config while it is read; knows where things stand in its text."""

    path: Path | None
    text: str

    def parsed(self) -> dict[str, Any]:
        try:
            return tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"{self.path}: {error}", hint="mend the TOML there") from error

    def error(self, keys: tuple[str, ...], message: str, hint: str = "") -> UsageError:
        line = line_of(self.text, keys)
        where = f"{self.path}:{line}" if line else str(self.path)
        return UsageError(f"{where}: {'.'.join(keys)}: {message}", hint=hint)

    def refuse_unknown_keys(
        self, table: Mapping[str, Any], known: Iterable[str], keys: tuple[str, ...]
    ) -> None:
        known = list(known)
        for key in table:
            if key not in known:
                raise self.error((*keys, key), "unknown key", hint=_closest(key, known))

    def tables_of(self, root: Mapping[str, Any], name: str) -> dict[str, dict[str, Any]]:
        found = root.get(name, {})
        if not isinstance(found, dict):
            raise self.error((name,), "must be a table")
        for key, table in found.items():
            if not isinstance(table, dict):
                raise self.error((name, key), f"must be a table, [{name}.{key}]")
        return found

    def table(self, found: object, kind: type[_Table], keys: tuple[str, ...]) -> _Table:
        if not isinstance(found, dict):
            raise self.error(keys, "must be a table")
        self.refuse_unknown_keys(found, kind.__struct_fields__, keys)
        try:
            return msgspec.convert(found, kind)
        except msgspec.ValidationError as error:
            message, _, at = str(error).partition(" - at `$.")
            key = re.split(r"[`.\[]", at)[0] if at else ""
            raise self.error((*keys, key) if key else keys, message) from error

    def checked(self, parse: Callable[[str], _Value], text: str, keys: tuple[str, ...]) -> _Value:
        try:
            return parse(text)
        except ValueError as error:
            raise self.error(keys, str(error)) from error


def line_of(text: str, keys: tuple[str, ...]) -> int | None:
    """Return the 1-based line of a TOML text on which a key, or else its table, stands."""
    *parents, last = keys
    header = ".".join(parents)
    table, found, mention = "", None, None
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.strip().replace('"', "").replace(" ", "")
        if bare.startswith("["):
            table = bare.strip("[]").split("]")[0]
            if table == ".".join(keys) or table.startswith(".".join(keys) + "."):
                return number
            if table == header:
                found = number
        elif re.match(rf"{re.escape(last)}(\.|=)", bare) and table == header:
            return number
        elif mention is None and re.search(rf"(?<![\w-]){re.escape(last)}=", bare):
            mention = number  # in a dotted key or an inline table
    return found or mention


def _closest(key: str, known: Iterable[str]) -> str:
    known = list(known)
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"


def _meters(reading: _Reading, found: Mapping[str, Any]) -> tuple[Meter, ...]:
    meters = tuple(_meter(reading, event_name, table) for event_name, table in found.items())
    for feature, first, second in features_claimed_twice(meters):
        raise reading.error(
            ("meters", second, "features"), f"feature {feature} belongs to meter {first} already"
        )
    return meters


def _meter(reading: _Reading, event_name: str, found: object) -> Meter:
    keys = ("meters", event_name)
    if not 1 <= len(event_name) <= 100:  # noqa: PLR2004 # Stripe's limit for event_name
        raise reading.error(keys, "an event name has 1 to 100 characters")
    table = reading.table(found, tables.MeterTable, keys)
    if table.rollup != "none":
        raise reading.error(
            (*keys, "rollup"), "roll-ups are not there yet", hint='leave it out, or write "none"'
        )
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
    )


def _sources(reading: _Reading, found: Mapping[str, Any], catalogue: Catalogue) -> dict[str, Source]:
    sources = {}
    for name, raw in found.items():
        keys = ("sources", name)
        table = reading.table(raw, tables.SourceTable, keys)
        reading.refuse_unknown_keys(
            table.columns, (*CANONICAL_FIELDS, *catalogue.dimension_names), (*keys, "columns")
        )
        if "request_id" not in table.key:
            raise reading.error((*keys, "key"), "a usage key needs request_id")
        if table.time_zone is not None and not _is_time_zone(table.time_zone):
            raise reading.error(
                (*keys, "time_zone"),
                f"'{table.time_zone}' is no time zone",
                hint="write it like Europe/Berlin or UTC",
            )
        sources[name] = Source(
            name=name, time_zone=table.time_zone, key=tuple(table.key), columns=dict(table.columns)
        )
    return sources


def _plans(reading: _Reading, found: Mapping[str, Any]) -> dict[str, Plan]:
    plans = {}
    for name, raw in found.items():
        table = reading.table(raw, tables.PlanTable, ("plans", name))
        features = {
            feature: _plan_feature(reading, content, ("plans", name, "features", feature))
            for feature, content in table.features.items()
        }
        plans[name] = Plan(name=name, features=features)
    return plans


def _plan_feature(reading: _Reading, found: object, keys: tuple[str, ...]) -> PlanFeature:
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


def _invoicing(reading: _Reading, found: object) -> Invoicing:
    table = reading.table(found, tables.InvoicingTable, ("invoicing",))
    durations = {
        key: reading.checked(parse_duration, text, ("invoicing", key))
        for key in ("grace_period", "safety_margin", "retry_time")
        if (text := getattr(table, key)) is not None
    }
    if durations.get("grace_period", 0) > MAX_GRACE_PERIOD:
        raise reading.error(("invoicing", "grace_period"), "Stripe's longest grace period is 72h")
    return Invoicing(
        **durations,
        grace_period_configured=table.grace_period is not None,
        calendar_periods=table.anchors == "calendar",
    )


def _is_time_zone(name: str) -> bool:
    """Tell whether a name is in the IANA database; dateutil would also take files and POSIX rules."""
    try:
        zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return False
    return tz.gettz(name) is not None


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
