"""
From the fields of a row to a usage event or a rejection.

The rules are tried in the order of ``Reason``; the first that fails names the rejection. Everything
that repeats from row to row (features, quantities) is looked up in a cache first: this runs once for
every row of every file.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from meterledger.domain import quantity as decimal
from meterledger.domain.customer_check import customer_refusal
from meterledger.domain.customers import CustomerBook, Plans
from meterledger.domain.instant import Instant, OffsetMissingError, TimeError
from meterledger.domain.meter import Aggregation, Catalogue, Meter
from meterledger.domain.meter_event import MAX_IDENTIFIER_CHARS
from meterledger.domain.scaling import MAX_SCALED_DIGITS, InexactError, Scaling
from meterledger.domain.source import DEFAULT_KEY, Source
from meterledger.domain.time_format import example_of, likely_formats
from meterledger.domain.usage import (
    CANONICAL_FIELDS,
    MAX_FIELD_CHARS,
    MAX_REQUEST_ID_CHARS,
    REQUIRED_FIELDS,
    Reason,
    Rejection,
    UsageEvent,
    composed_key,
    kept_raw,
    shown,
)

Values = Sequence[str | None]
"""The fields of one row in canonical order, the dimensions of source and catalogue behind them."""

_QUANTITIES_CACHED = 50_000
_KEY_FIELDS = ("request_id", "customer_id", "subscription_id", "feature")


@dataclass(frozen=True, slots=True)
class Unmapped:
    """A row of a source that becomes no usage row: why, and what could be read of it."""

    reason: Reason
    message: str
    values: Values


@dataclass(slots=True)
class FeatureRule:
    """What a feature asks of its rows, and the quantities already found good under it."""

    scale: int
    scaling: Scaling | None
    dimensions: tuple[tuple[str, int], ...]
    units: dict[str, int] = field(default_factory=dict)


class _RefusedError(Exception):
    """A rule failed; carries the reason out of the depth of a check."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class RowCheck:
    """Checks the rows of one source against the catalogue, and against the customers where they are known."""

    first_dimension = len(CANONICAL_FIELDS)
    """Where the dimensions stand in the fields of a row."""

    def __init__(
        self,
        catalogue: Catalogue,
        source: Source,
        *,
        customers: CustomerBook | None = None,
        plans: Plans | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._source = source
        self.customers = customers
        self._plans = plans or {}
        self.instant_of = source.parse_time
        """Reads a time as the source writes it; raises TimeError."""
        self.has_rfc3339_minutes = source.time_format in ("rfc3339", "iso8601")
        """Whether times that begin as RFC 3339 does, up to the minute, lie in that minute."""
        self._names = source.dimension_names(catalogue)
        self.composes_key = source.usage_key != DEFAULT_KEY
        self._key_positions = tuple(_KEY_FIELDS.index(name) for name in source.usage_key)
        self.key_chars = MAX_IDENTIFIER_CHARS if source.keeps_identifier else MAX_REQUEST_ID_CHARS
        """How long a request_id may be."""
        self._rules: dict[str, FeatureRule] = {}

    def check(self, line: int, values: Values, raw: str) -> UsageEvent | Rejection:
        """Return the usage event of a row, or the rejection that names the first rule it breaks."""
        request_id, customer_id, subscription_id, feature, quantity, event_time, received_at = values[:7]
        request_id = request_id and request_id.strip()
        customer_id = customer_id and customer_id.strip()
        subscription_id = subscription_id and subscription_id.strip()
        feature = feature and feature.strip()
        quantity = quantity and quantity.strip()
        event_time = event_time and event_time.strip()
        received_at = received_at and received_at.strip()
        try:
            if not (request_id and customer_id and feature and quantity and event_time):
                raise self._missing(values)
            if self.composes_key:
                request_id = self.composed((request_id, customer_id, subscription_id, feature))
            if len(request_id) > self.key_chars or len(customer_id) > MAX_FIELD_CHARS:
                raise self._too_long(request_id, customer_id)
            rule = self._rules.get(feature) or self._rule_for(feature)
            units = rule.units.get(quantity) if rule else None
            if rule is None or units is None or (subscription_id and len(subscription_id) > MAX_FIELD_CHARS):
                self._learn(values, subscription_id, feature, quantity)
                return self.check(line, values, raw)
            dimensions = _dimensions(rule, values) if rule.dimensions else None
            event = UsageEvent(
                request_id,
                customer_id,
                subscription_id or None,
                feature,
                units,
                rule.scale,
                *self._times(event_time, received_at),
                line,
                dimensions,
            )
        except _RefusedError as refused:
            return self._rejection(refused, line, values, raw)
        if self.customers is not None and (refusal := customer_refusal(self.customers, self._plans, event)):
            return self._rejection(_RefusedError(*refusal), line, values, raw)
        return event

    def takes_customer_of(self, event: UsageEvent) -> bool:
        """Tell whether a usage event is of a customer, and of a plan, that usage is taken of."""
        return self.customers is None or customer_refusal(self.customers, self._plans, event) is None

    def rule_of(self, feature: str) -> FeatureRule | None:
        """Return what a feature asks of its rows; None for an unknown one."""
        return self._rules.get(feature) or self._rule_for(feature)

    def units_of(self, feature: str, quantity: str) -> int | None:
        """Return a quantity as units at the feature's scale; None if it breaks a rule."""
        rule = self.rule_of(feature)
        if rule is None:
            return None
        try:
            self._learn_units(rule, feature, quantity)
        except _RefusedError:
            return None
        return rule.units[quantity]

    def dimensions_of(self, feature: str, given: Sequence[str | None]) -> str | None:
        """Write the dimensions that a feature's meter names, from all that were given; raises ValueError."""
        rule = self.rule_of(feature)
        try:
            return _dimensions(rule, [None] * self.first_dimension + [*given]) if rule else None
        except _RefusedError as refused:
            raise ValueError(refused.message) from refused

    def refuse(self, line: int, unmapped: Unmapped, raw: str) -> Rejection:
        """Return the rejection of a row that its source could not map; an earlier rule goes before."""
        refused = _RefusedError(unmapped.reason, unmapped.message)
        if unmapped.reason is Reason.UNKNOWN_FEATURE:
            request_id, customer_id, *_, event_time, received_at = (
                (value or "").strip() for value in unmapped.values[:7]
            )
            try:
                if len(request_id) > self.key_chars or len(customer_id) > MAX_FIELD_CHARS:
                    raise self._too_long(request_id, customer_id)
                self._times(event_time, received_at)
            except _RefusedError as earlier:
                refused = earlier
        return self._rejection(refused, line, unmapped.values, raw)

    def _learn(self, values: Values, subscription_id: str | None, feature: str, quantity: str) -> None:
        """Run every rule in its order, for a quantity or feature not seen before, and remember it."""
        for name, text in (("subscription_id", subscription_id), ("feature", feature)):
            if text and len(text) > MAX_FIELD_CHARS:
                raise _field_too_long(name, text, MAX_FIELD_CHARS)
        rule = self.rule_of(feature)
        if rule:
            _dimensions(rule, values)
        number = _number(quantity, self._catalogue.meter_of(feature))
        self._times((values[5] or "").strip(), (values[6] or "").strip())
        if rule is None:
            raise _unknown_feature(feature, self._catalogue)
        self._remember(rule, quantity, _fitting_units(quantity, number, feature, rule))

    def _learn_units(self, rule: FeatureRule, feature: str, quantity: str) -> None:
        number = _number(quantity, self._catalogue.meter_of(feature))
        self._remember(rule, quantity, _fitting_units(quantity, number, feature, rule))

    def _remember(self, rule: FeatureRule, quantity: str, units: int) -> None:
        if len(rule.units) >= _QUANTITIES_CACHED:
            rule.units.clear()
        rule.units[quantity] = units

    def _rule_for(self, feature: str) -> FeatureRule | None:
        if not self._catalogue.knows(feature):
            return None
        meter = self._catalogue.meter_of(feature)
        dimensions = {*self._source.dimensions, *(meter.dimensions if meter else ())}
        rule = FeatureRule(
            scale=meter.decimal_places if meter else 0,
            scaling=self._source.scale.get(feature),
            dimensions=tuple((name, 7 + self._names.index(name)) for name in sorted(dimensions)),
        )
        self._rules[feature] = rule
        return rule

    def composed(self, fields: tuple[str | None, ...]) -> str:
        """Join the parts of a composed key, one to one."""
        return composed_key(fields[position] or "" for position in self._key_positions)

    def _missing(self, values: Values) -> _RefusedError:
        order = dict(zip(CANONICAL_FIELDS, values, strict=False))
        missing = [
            f"{name} ({shown(column)})" if (column := self._source.columns.get(name, name)) != name else name
            for name in REQUIRED_FIELDS
            if not (order[name] or "").strip()
        ]
        *others, last = missing
        said = f"{', '.join(others)} and {last} are" if others else f"{last} is"
        return _RefusedError(Reason.MISSING_FIELD, f"{said} missing; fill {'them' if others else 'it'} in")

    def _too_long(self, request_id: str, customer_id: str) -> _RefusedError:
        if len(request_id) > self.key_chars:
            return _field_too_long("request_id", request_id, self.key_chars)
        return _field_too_long("customer_id", customer_id, MAX_FIELD_CHARS)

    def _times(self, event_time: str, received_at: str | None) -> tuple[Instant, Instant | None]:
        try:
            instant = self._instant("event_time", event_time)
        except _RefusedError as refused:
            if refused.reason is Reason.TIME_WITHOUT_OFFSET and received_at:
                # A time that is none comes before one that only lacks its offset.
                self._instant("received_at", received_at)
            raise
        return instant, self._instant("received_at", received_at) if received_at else None

    def _instant(self, name: str, text: str) -> Instant:
        try:
            return self.instant_of(text)
        except OffsetMissingError as error:
            raise _RefusedError(
                Reason.TIME_WITHOUT_OFFSET,
                f"{name} {shown(text)}: {error}; write an offset such as Z or +02:00",
            ) from error
        except TimeError as error:
            raise _RefusedError(
                Reason.INVALID_TIME,
                f"{name} {shown(text)}: {error}; write it like {example_of(self._source.time_format)}"
                + _or_declare(text, self._source.time_format),
            ) from error

    def _rejection(self, refused: _RefusedError, line: int, values: Values, raw: str) -> Rejection:
        """Keep with a rejection what can be read of its row, for closing it and for the audit."""
        key_fields = [(value or "").strip() or None for value in values[:4]]
        request_id = key_fields[0]
        if request_id and self.composes_key:
            request_id = self.composed(tuple(key_fields))
        try:
            event_time: Instant | None = self.instant_of((values[5] or "").strip())
        except TimeError:
            event_time = None
        of_feature = f"{key_fields[3]}: " if self._source.quantities and key_fields[3] else ""
        return Rejection(
            line=line,
            reason=refused.reason,
            message=of_feature + refused.message,
            raw=kept_raw(raw),
            request_id=_short(request_id, self.key_chars),
            customer_id=_short(key_fields[1], MAX_FIELD_CHARS),
            feature=_short(key_fields[3], MAX_FIELD_CHARS),
            event_time=event_time,
        )


def _or_declare(text: str, time_format: str) -> str:
    """Return the other mend of a time: the formats that could read it."""
    found = " or ".join(f'"{one}"' for one in likely_formats(text) if one != time_format)
    return f", or say time_format = {found} in its source" if found else ""


def _short(text: str | None, limit: int) -> str | None:
    """Drop what is too long: a key that is cut would be another row's key."""
    return text if text and len(text) <= limit else None


def _field_too_long(name: str, text: str, limit: int) -> _RefusedError:
    return _RefusedError(
        Reason.FIELD_TOO_LONG,
        f"{name} {shown(text)} has {len(text)} characters; shorten it to at most {limit}",
    )


def _unknown_feature(feature: str, catalogue: Catalogue) -> _RefusedError:
    known = ", ".join(catalogue.features[:8]) or "none"
    return _RefusedError(
        Reason.UNKNOWN_FEATURE,
        f"feature {shown(feature)} is in no meter and no plan of the config (known: {known}); "
        "add it to a meter's features, or mend the row",
    )


def _number(quantity: str, meter: Meter | None) -> decimal.PlainDecimal:
    number = decimal.parse_plain_decimal(quantity)
    if number is None:
        raise _RefusedError(
            Reason.INVALID_QUANTITY,
            f"quantity {shown(quantity)} is no plain decimal number; write it like 12 or 12.5",
        )
    if meter and meter.aggregation is Aggregation.COUNT and (number.whole, number.fraction) != ("1", ""):
        raise _RefusedError(
            Reason.INVALID_QUANTITY,
            f"quantity {shown(quantity)} must be 1: meter {meter.event_name} counts events; split the row",
        )
    if number.negative:
        raise _RefusedError(
            Reason.NEGATIVE_QUANTITY,
            f"quantity {shown(quantity)} is negative; usage is never negative, corrections are made apart",
        )
    return number


def _fitting_units(quantity: str, number: decimal.PlainDecimal, feature: str, rule: FeatureRule) -> int:
    scale = rule.scale
    said = f"quantity {shown(quantity)}"
    if rule.scaling:
        number = _scaled(said, number, feature, rule.scaling, scale)
        said += f", scaled {number},"
    if len(number.fraction) > scale:
        raise _RefusedError(
            Reason.TOO_PRECISE,
            f"{said} has {len(number.fraction)} decimal place{'s' * (len(number.fraction) > 1)}; "
            f"{feature} takes {scale}: "
            "round it, or raise its meter's decimal_places",
        )
    stored = len(number.whole) + scale
    if number.digits > decimal.MAX_DIGITS or stored > decimal.MAX_STORED_DIGITS:
        raise _RefusedError(
            Reason.TOO_MANY_DIGITS,
            f"{said} has too many digits; Stripe takes {decimal.MAX_DIGITS}, the ledger "
            f"{decimal.MAX_STORED_DIGITS} with {scale} decimal places; split the row",
        )
    return number.units_at(scale)


def _scaled(
    said: str, number: decimal.PlainDecimal, feature: str, scaling: Scaling, scale: int
) -> decimal.PlainDecimal:
    if max(len(number.whole), len(number.fraction)) > MAX_SCALED_DIGITS:
        raise _RefusedError(
            Reason.TOO_MANY_DIGITS, f"{said} has too many digits to be scaled, over {MAX_SCALED_DIGITS}"
        )
    try:
        return scaling.scaled(number, scale)
    except InexactError as error:
        raise _RefusedError(
            Reason.TOO_PRECISE,
            f"{said} is {error} when scaled, and {feature} takes {scale} decimal places: raise its meter's "
            "decimal_places, or let the source's scale round it",
        ) from error


def _dimensions(rule: FeatureRule, values: Values) -> str | None:
    """Write the dimensions a row has as a flat JSON object in key order."""
    found = {name: text for name, at in rule.dimensions if (text := (values[at] or "").strip())}
    for name, text in found.items():
        if len(text) > MAX_FIELD_CHARS:
            raise _field_too_long(name, text, MAX_FIELD_CHARS)
    return json.dumps(found, ensure_ascii=False, separators=(",", ":")) if found else None
