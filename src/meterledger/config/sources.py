"""Reading ``[sources.NAME]``: how the rows of each source are read, checked before any row is."""

import zoneinfo
from collections.abc import Mapping
from fractions import Fraction

from dateutil import tz

from meterledger.config import tables
from meterledger.config.reading import Reading
from meterledger.domain.meter import Aggregation, Catalogue
from meterledger.domain.preset import Preset
from meterledger.domain.scaling import Rounding, Scaling, factor_of
from meterledger.domain.source import Source, refuse_source_name
from meterledger.domain.time_format import time_parser
from meterledger.domain.usage import CANONICAL_FIELDS, REQUIRED_FIELDS

_GIVEN_FIELDS = ("customer_id", "subscription_id", "feature", "quantity")
"""The fields that the config may give; the others are each row's own."""

_NO_TIME_ZONES = ("localtime", "posixrules", "Factory", "posix", "right")
_KEYS_OF_STRIPES = ("preset", "time_zone", "time_format", "delimiter", "columns")
_COLUMNS_OF_STRIPES = ("request_id", "subscription_id", "feature", "event_time", "received_at")
_NO_DELIMITERS = '"\r\n\0'


def read_sources(
    reading: Reading, found: Mapping[str, Mapping[str, object]], catalogue: Catalogue
) -> dict[str, Source]:
    """Return every source of the config, checked; raises UsageError."""
    return {name: _source(reading, name, table, catalogue) for name, table in found.items()}


def _source(reading: Reading, name: str, found: Mapping[str, object], catalogue: Catalogue) -> Source:
    keys = ("sources", name)
    reading.checked(refuse_source_name, name, keys)
    table = reading.table(found, tables.SourceTable, keys)
    preset = Preset(table.preset) if table.preset else None
    if preset and preset.is_stripes:
        _check_stripes(reading, found, table, keys)
    _check_times(reading, table, keys)
    _check_key(reading, table, keys)
    _check_fields(reading, table, catalogue, keys)
    by_preset = preset.rules.time_format if preset and "time_format" not in found else None
    source = Source(
        name=name,
        preset=preset,
        time_zone=table.time_zone,
        time_format=by_preset or table.time_format,
        delimiter=_delimiter(reading, table.delimiter, (*keys, "delimiter")),
        key=tuple(table.key),
        columns={**(preset.rules.columns if preset else {}), **table.columns},
        keeps_identifier=preset is not None and preset.is_stripes,
        constants={field: str(given) for field, given in table.constants.items()},
        defaults={field: str(given) for field, given in table.defaults.items()},
        quantities=table.quantities,
        scale=_scale(reading, table, catalogue, (*keys, "scale")),
        dimensions=tuple(table.dimensions),
    )
    _check_columns_taken(reading, source, keys)
    return source


def _check_stripes(
    reading: Reading, found: Mapping[str, object], table: tables.SourceTable, keys: tuple[str, ...]
) -> None:
    """What Stripe may have seen already is sent as it stands: nothing but where it stands can be declared."""
    for key in found:
        if key not in _KEYS_OF_STRIPES:
            raise reading.error(
                (*keys, key),
                f"does not go with preset {table.preset}, whose rows are sent as they stand",
                hint=f"beside it go {', '.join(_KEYS_OF_STRIPES[1:])}",
            )
    reading.refuse_unknown_keys(table.columns, _COLUMNS_OF_STRIPES, (*keys, "columns"))


def _check_times(reading: Reading, table: tables.SourceTable, keys: tuple[str, ...]) -> None:
    if table.time_zone is not None and not _is_time_zone(table.time_zone):
        raise reading.error(
            (*keys, "time_zone"),
            f"'{table.time_zone}' is no time zone",
            hint="write it like Europe/Berlin or UTC",
        )
    reading.checked(lambda text: time_parser(text, None), table.time_format, (*keys, "time_format"))


def _check_key(reading: Reading, table: tables.SourceTable, keys: tuple[str, ...]) -> None:
    if "request_id" not in table.key:
        raise reading.error((*keys, "key"), "a usage key needs request_id")
    if len(set(table.key)) < len(table.key):
        raise reading.error((*keys, "key"), "names a field twice")


def _check_fields(
    reading: Reading, table: tables.SourceTable, catalogue: Catalogue, keys: tuple[str, ...]
) -> None:
    """Every field comes from one place, and every column is one field."""
    if len(set(table.dimensions)) < len(table.dimensions):
        raise reading.error((*keys, "dimensions"), "names a dimension twice")
    dimensions = sorted({*catalogue.dimension_names, *table.dimensions})
    reading.refuse_unknown_keys(table.columns, (*CANONICAL_FIELDS, *dimensions), (*keys, "columns"))
    columns = {field: name for field, name in table.columns.items() if field in CANONICAL_FIELDS}
    _refuse_stars(reading, table, keys)
    read: dict[str, str] = {}
    for field, column in columns.items():
        if column in read:
            raise reading.error(
                (*keys, "columns", field), f"column '{column}' is read for {read[column]} already"
            )
        read[column] = field
    for feature, column in table.quantities.items():
        _check_feature(reading, feature, catalogue, (*keys, "quantities", feature))
        if column in read:
            raise reading.error(
                (*keys, "quantities", feature), f"column '{column}' is read for {read[column]} already"
            )
    given = dict.fromkeys(table.columns, "columns")
    if table.quantities:
        given |= {"feature": "quantities", "quantity": "quantities"}
        if clash := [field for field in ("feature", "quantity") if field in table.columns]:
            raise reading.error((*keys, "columns", clash[0]), "quantities say that already")
    _check_given(reading, "constants", table.constants, given, (catalogue, dimensions, keys))
    without_columns = {field: place for field, place in given.items() if place != "columns"}
    given = without_columns | dict.fromkeys(table.constants, "constants")
    _check_given(reading, "defaults", table.defaults, given, (catalogue, dimensions, keys))


def _check_given(
    reading: Reading,
    place: str,
    found: Mapping[str, str | int],
    elsewhere: Mapping[str, str],
    within: tuple[Catalogue, list[str], tuple[str, ...]],
) -> None:
    """Check constants or defaults: fields that may be given, and that are not told elsewhere."""
    catalogue, dimensions, keys = within
    reading.refuse_unknown_keys(found, (*_GIVEN_FIELDS, *dimensions), (*keys, place))
    for field in found:
        if field in elsewhere:
            raise reading.error((*keys, place, field), f"{elsewhere[field]} say that already")
    if "feature" in found:
        _check_feature(reading, str(found["feature"]), catalogue, (*keys, place, "feature"))


def _check_feature(reading: Reading, feature: str, catalogue: Catalogue, keys: tuple[str, ...]) -> None:
    if not catalogue.knows(feature):
        known = ", ".join(catalogue.features) or "none"
        raise reading.error(
            keys, f"feature '{feature}' is in no meter and no plan", hint=f"known here: {known}"
        )


def _refuse_stars(reading: Reading, table: tables.SourceTable, keys: tuple[str, ...]) -> None:
    """Readers take a name that ends in a star for many columns; a field is one."""
    for place, named in (("columns", table.columns), ("quantities", table.quantities)):
        for field, column in named.items():
            if column.endswith("*"):
                raise reading.error(
                    (*keys, place, field), f"column '{column}' ends in a star", hint="rename it"
                )


def _check_columns_taken(reading: Reading, source: Source, keys: tuple[str, ...]) -> None:
    """Refuse that a required field and another one would read the same column."""
    given = {*source.constants, *(("feature", "quantity") if source.quantities else ())}
    for field in REQUIRED_FIELDS:
        if field in source.columns_taken and field not in given:
            other = next(one for one, column in source.columns.items() if column == field)
            raise reading.error(
                (*keys, "columns", other),
                f"column '{field}' is read for {field} already",
                hint=f"say which column {field} stands in",
            )


def _scale(
    reading: Reading, table: tables.SourceTable, catalogue: Catalogue, keys: tuple[str, ...]
) -> dict[str, Scaling]:
    found = {}
    for feature, content in table.scale.items():
        one = reading.table(content, tables.ScaleTable, (*keys, feature))
        _check_feature(reading, feature, catalogue, (*keys, feature))
        meter = catalogue.meter_of(feature)
        if meter and meter.aggregation is Aggregation.COUNT:
            raise reading.error(
                (*keys, feature), f"meter {meter.event_name} counts events: a quantity is always 1"
            )
        factors = {
            key: reading.checked(factor_of, str(text), (*keys, feature, key))
            for key in ("multiply_by", "divide_by")
            if (text := getattr(one, key)) is not None
        }
        if not factors:
            raise reading.error((*keys, feature), "needs multiply_by or divide_by")
        found[feature] = Scaling(
            factor=factors.get("multiply_by", Fraction(1)) / factors.get("divide_by", Fraction(1)),
            rounding=Rounding(one.round) if one.round else None,
        )
    return found


def _delimiter(reading: Reading, found: str | None, keys: tuple[str, ...]) -> str | None:
    delimiter = "\t" if found == "tab" else found
    if delimiter is not None and (len(delimiter) != 1 or delimiter in _NO_DELIMITERS or delimiter.isalnum()):
        raise reading.error(keys, f"'{found}' separates no fields", hint='write it like ";" or "tab"')
    return delimiter


def _is_time_zone(name: str) -> bool:
    """
    Tell whether a name is in the IANA database; dateutil would also take files and POSIX rules.

    What stands beside the zones in the folder of that database is none, or another one on each machine.
    """
    if name.partition("/")[0] in _NO_TIME_ZONES:
        return False
    try:
        zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return False
    return tz.gettz(name) is not None
