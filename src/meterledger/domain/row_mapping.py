"""From the fields of a file, as its source names them, to usage rows in canonical order."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from meterledger.domain.meter import Aggregation, Catalogue, Meter
from meterledger.domain.preset import PAYLOAD_NAMES
from meterledger.domain.row_check import Unmapped, Values
from meterledger.domain.source import Source
from meterledger.domain.usage import CANONICAL_FIELDS, REQUIRED_FIELDS, Reason, composed_key, shown

_REQUEST_ID, _CUSTOMER_ID, _, _FEATURE, _QUANTITY, _EVENT_TIME, _ = range(7)
_decode_payload = msgspec.json.Decoder(dict[str, str | None]).decode


@dataclass(frozen=True, slots=True)
class _Slot:
    """Where a field comes from: positions among the picked fields, a fixed text, a default."""

    positions: tuple[int, ...] = ()
    constant: str | None = None
    default: str | None = None

    def text(self, picked: Values) -> str | None:
        if self.constant is not None:
            return self.constant
        for at in self.positions:
            if (text := picked[at]) and not text.isspace():
                return text
        return self.default


class RowMapping:
    """What to take from each row of a source, and what it becomes."""

    def __init__(self, source: Source, catalogue: Catalogue) -> None:
        self._source = source
        self._catalogue = catalogue
        self._names: list[str] = []
        self._fields = (*CANONICAL_FIELDS, *source.dimension_names(catalogue))
        self._slots = tuple(self._slot(field) for field in self._fields)
        self._key_slots = self._preset_key_slots()
        self._quantities = {feature: self._at(column) for feature, column in source.quantities.items()}
        self._payloads = [self._at(name) for name in PAYLOAD_NAMES] if source.has_meter_events else []
        self._counts_one = (
            {feature for meter in catalogue.meters for feature in _counted(meter)}
            if source.preset and source.preset.rules.counts_one and self._is_preset_column("quantity")
            else set()
        )
        self.names = tuple(self._names)
        """The fields to take, by their names in the file."""
        self.required = self._required()
        """Name in the file -> required field: what the header of a file must have."""

    @property
    def is_plain(self) -> bool:
        """Tell whether the fields that are taken are the usage row already, in canonical order."""
        slots_are_plain = all(slot == _Slot((at,)) for at, slot in enumerate(self._slots))
        return slots_are_plain and len(self.names) == len(self._slots) and not self._counts_one

    def rows(self, picked: Values) -> Iterator[Values | Unmapped]:
        """Yield the usage rows that a row of the source becomes, or why it becomes none."""
        values = [slot.text(picked) for slot in self._slots]
        if self._key_slots:
            parts = [values[_REQUEST_ID], *(slot.text(picked) for slot in self._key_slots)]
            if not all(parts):
                yield self._without_key(values, parts)
                return
            values[_REQUEST_ID] = composed_key([(part or "").strip() for part in parts])
        if self._payloads:
            yield self._stripes(values, picked)
        elif self._quantities:
            yield from self._wide(values, picked)
        else:
            if not values[_QUANTITY] and (values[_FEATURE] or "").strip() in self._counts_one:
                values[_QUANTITY] = "1"
            yield values

    def _wide(self, values: Values, picked: Values) -> Iterator[Values | Unmapped]:
        """Yield one usage row for each feature that has a quantity."""
        is_used = False
        for feature, at in self._quantities.items():
            quantity = picked[at]
            if quantity and not quantity.isspace():
                is_used = True
                row = list(values)
                row[_FEATURE], row[_QUANTITY] = feature, quantity
                yield row
        if not is_used:
            columns = ", ".join(map(shown, self._source.quantities.values()))
            yield Unmapped(
                Reason.MISSING_FIELD, f"quantity is missing in every one of {columns}; fill one in", values
            )

    def _stripes(self, values: list[str | None], picked: Values) -> Values | Unmapped:
        """Return the usage row that a meter event of Stripe's stands for."""
        event_name = (values[_FEATURE] or "").strip()
        meter = next((one for one in self._catalogue.meters if one.event_name == event_name), None)
        customer_key, value_key = _payload_keys(meter)
        payload: dict[str, str | None] = {}
        try:
            for at in self._payloads:
                payload |= _decode_payload(text) if (text := picked[at]) else {}
        except msgspec.DecodeError:
            return _unsendable("the payload is no flat object of text", "mend it", values)
        values[_CUSTOMER_ID] = payload.pop(customer_key, None)
        values[_QUANTITY] = payload.pop(value_key, None)
        if meter:
            values[_FEATURE] = meter.features[0]
            for name in meter.dimensions:
                values[self._fields.index(name, len(CANONICAL_FIELDS))] = payload.pop(name, None)
            if unknown := [name for name, text in payload.items() if text and not text.isspace()]:
                named = ", ".join(map(shown, unknown))
                return _unsendable(
                    f"the payload has {named}, which meter {event_name} does not name",
                    "name it in the meter's dimensions, or empty it",
                    values,
                )
        identifier = values[_REQUEST_ID]
        if identifier and identifier != identifier.strip():
            return _unsendable(f"identifier {shown(identifier)} has blanks at its ends", "mend it", values)
        if meter is None and identifier and event_name and values[_EVENT_TIME]:
            return Unmapped(Reason.UNKNOWN_FEATURE, _unknown_event_name(event_name, self._catalogue), values)
        return values

    def _without_key(self, values: list[str | None], parts: Values) -> Unmapped:
        columns = (self._column("request_id"), *self._preset_key_columns())
        missing = [name for name, part in zip(columns, parts, strict=True) if not part]
        plural = "are" if len(missing) > 1 else "is"
        return Unmapped(
            Reason.MISSING_FIELD,
            f"{' and '.join(missing)} {plural} missing, without which there is no request_id; fill it in",
            [None, *values[1:]],
        )

    def _slot(self, field: str) -> _Slot:
        source = self._source
        columns = [] if field in source.constants else self._columns(field)
        return _Slot(tuple(map(self._at, columns)), source.constants.get(field), source.defaults.get(field))

    def _columns(self, field: str) -> list[str]:
        """Return the columns of a field, of which the first that is filled counts."""
        source = self._source
        if source.quantities and field in ("feature", "quantity"):
            return []
        if source.has_meter_events and field not in source.columns:
            return []
        if field in source.columns_taken:
            return []
        columns = [self._column(field)]
        if source.preset and field in source.preset.rules.instead and self._is_preset_column(field):
            columns.append(source.preset.rules.instead[field])
        return columns

    def _column(self, field: str) -> str:
        preset = self._source.preset
        inside = preset.rules.dimensions_inside if preset and field not in CANONICAL_FIELDS else ""
        return self._source.columns.get(field, inside + field)

    def _is_preset_column(self, field: str) -> bool:
        preset = self._source.preset
        return preset is not None and self._source.columns.get(field) == preset.rules.columns.get(field)

    def _preset_key_columns(self) -> tuple[str, ...]:
        preset = self._source.preset
        return preset.rules.key_columns if preset and self._is_preset_column("request_id") else ()

    def _preset_key_slots(self) -> list[_Slot]:
        return [_Slot((self._at(column),)) for column in self._preset_key_columns()]

    def _at(self, name: str) -> int:
        """Return the position of a name among those that are picked."""
        if name not in self._names:
            self._names.append(name)
        return self._names.index(name)

    def _required(self) -> Mapping[str, str]:
        given = {**self._source.constants, **self._source.defaults}
        found = {
            self._names[slot.positions[0]]: field
            for field, slot in zip(self._fields, self._slots, strict=True)
            if field in REQUIRED_FIELDS and field not in given and len(slot.positions) == 1
        }
        if self._counts_one:
            found.pop(self._column("quantity"), None)
        found |= {column: column for column in self._preset_key_columns()}
        return found | {column: feature for feature, column in self._source.quantities.items()}


def _counted(meter: Meter) -> tuple[str, ...]:
    return meter.features if meter.aggregation is Aggregation.COUNT else ()


def _unsendable(what: str, mend: str, values: Values) -> Unmapped:
    return Unmapped(Reason.MALFORMED_ROW, f"{what}: it could not be sent as given; {mend}", values)


def _payload_keys(meter: Meter | None) -> tuple[str, str]:
    """Return the keys of customer and value; Stripe's own where the meter is not known."""
    return (meter.customer_key, meter.value_key) if meter else ("stripe_customer_id", "value")


def _unknown_event_name(event_name: str, catalogue: Catalogue) -> str:
    known = ", ".join(meter.event_name for meter in catalogue.meters[:8]) or "none"
    return (
        f"event_name {shown(event_name)} is no meter of the config (known: {known}); "
        f"add [meters.{shown(event_name)}], or mend the row"
    )
