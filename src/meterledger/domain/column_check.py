"""
The rules of RowCheck over many rows at once, where all of them are good.

Most blocks of most files hold good rows alone, and a column at a time is several times quicker than a row
at a time. Where any row breaks a rule, or only looks unusual, this gives up, and the caller checks row by
row: so there is one place that says what is wrong with a row.
"""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat

from meterledger.domain.customers import CustomerBook
from meterledger.domain.instant import SECOND, Instant, TimeError
from meterledger.domain.row_check import RowCheck
from meterledger.domain.usage import MAX_FIELD_CHARS
from meterledger.domain.usage_columns import UsageColumns

Column = Sequence[str | None] | None
"""One field of many rows; None where the file has no such field."""

_MINUTE_CHARS = len("2026-10-31T23:59:")
_MINUTE = re.compile(r"\d{4}-\d\d-\d\d[Tt ](?:[01]\d|2[0-3]):[0-5]\d:", re.ASCII)
"""The only form in which what follows is seconds; some formats also read other texts of that length."""
_SECONDS = {f"{second:02d}Z": second * SECOND for second in range(60)}
_MINUTES_CACHED = 50_000
_CACHED = 200_000


@dataclass(frozen=True, slots=True)
class Shape:
    """What a reader knows of all the fields of many rows, so that it need not be looked at again."""

    has_blanks: bool = True
    """Whether any may have white space at its ends."""
    longest: int = sys.maxsize
    """No field has more characters."""


class _UnusualError(Exception):
    """A row may break a rule: whoever checks row by row will see."""


class ColumnCheck:
    """Checks the rows of one source, many at once, by the rules of a RowCheck."""

    def __init__(self, check: RowCheck) -> None:
        self._check = check
        self._minutes: dict[str, Instant] = {}
        self._customers: set[tuple[str, str | None, str]] = set()
        """Customer, subscription and feature of usage that is taken whenever it took place."""
        self._dimensions: dict[tuple[str | None, ...], str | None] = {}

    def check(self, columns: Sequence[Column], lines: Sequence[int], shape: Shape) -> UsageColumns | None:
        """
        Return the usage events of rows that are all good; None if any row may not be.

        Args:
            columns: The fields in canonical order, the catalogue's dimensions behind them.
            lines: The line of each row.
            shape: What is known of the fields.
        """
        try:
            return self._checked(columns, lines, shape)
        except _UnusualError:
            return None

    def _checked(self, columns: Sequence[Column], lines: Sequence[int], shape: Shape) -> UsageColumns:
        request_ids = _required(columns[0], self._check.key_chars, shape)
        customer_ids = _required(columns[1], MAX_FIELD_CHARS, shape)
        subscription_ids = _optional(columns[2], MAX_FIELD_CHARS)
        features = _required(columns[3], MAX_FIELD_CHARS, shape)
        quantities = _required(columns[4], None, shape)
        if self._check.composes_key:
            parts = zip(request_ids, customer_ids, subscription_ids or repeat(None), features, strict=False)
            request_ids = list(map(self._check.composed, parts))
            if max(map(len, request_ids)) > self._check.key_chars:
                raise _UnusualError
        names = set(features)
        if len(names) == 1:
            # One text for all of them: it is compared and counted quicker than many equal ones.
            features = [features[0]] * len(features)
        units, scales = self._units(names, features, quantities)
        usage = UsageColumns(
            request_ids=request_ids,
            customer_ids=customer_ids,
            subscription_ids=subscription_ids,
            features=features,
            units=units,
            scales=scales,
            event_times=self._instants(_required(columns[5], None, shape)),
            received_ats=self._optional_instants(_optional(columns[6], None)),
            lines=lines,
            dimensions=self._dimension_texts(features, columns),
        )
        if self._check.customers is not None:
            self._refuse_unusual_customers(usage, self._check.customers)
        return usage

    def _refuse_unusual_customers(self, usage: UsageColumns, customers: CustomerBook) -> None:
        """Look every customer, subscription and feature up once, where that does not depend on the time."""
        subscription_ids = usage.subscription_ids or repeat(None)
        given = list(zip(usage.customer_ids, subscription_ids, usage.features, strict=False))
        if len(self._customers) > _CACHED:
            self._customers.clear()
        new = set(given) - self._customers
        if not new:
            return
        for key, event in zip(given, usage, strict=True):
            if key in new and key not in self._customers:
                if not self._check.takes_customer_of(event):
                    raise _UnusualError
                if customers.is_steady(key[0]):
                    self._customers.add(key)

    def _units(
        self, names: set[str], features: Sequence[str], quantities: Sequence[str]
    ) -> tuple[list[int], list[int]]:
        known = {}
        for feature in names:
            rule = self._check.rule_of(feature)
            if rule is None:
                raise _UnusualError
            known[feature] = rule
        if len(known) == 1:
            (rule,) = known.values()
            try:
                return list(map(rule.units.__getitem__, quantities)), [rule.scale] * len(quantities)
            except KeyError:
                pass  # a quantity that was not seen before
        units_of = self._check.units_of
        units = [
            found if (found := known[feature].units.get(text)) is not None else units_of(feature, text)
            for feature, text in zip(features, quantities, strict=True)
        ]
        if None in units:
            raise _UnusualError
        return units, [known[feature].scale for feature in features]  # type: ignore[return-value] # checked above

    def _instants(self, texts: Sequence[str]) -> list[Instant]:
        if len(self._minutes) > _MINUTES_CACHED:
            self._minutes.clear()
        minutes = self._minutes
        try:
            if not self._check.has_rfc3339_minutes:
                return list(map(self._check.instant_of, texts))
            # Rows of a file stand close together in time: a minute is read once.
            for minute in {text[:_MINUTE_CHARS] for text in texts} - minutes.keys():
                if _MINUTE.fullmatch(minute):
                    minutes[minute] = self._check.instant_of(f"{minute}00Z")
            return [minutes[text[:_MINUTE_CHARS]] + _SECONDS[text[_MINUTE_CHARS:]] for text in texts]
        except (KeyError, TimeError):
            pass  # written in another way
        try:
            return list(map(self._check.instant_of, texts))
        except TimeError as error:
            raise _UnusualError from error

    def _optional_instants(self, texts: Sequence[str | None] | None) -> Sequence[Instant | None] | None:
        if texts is None:
            return None
        found = iter(self._instants([text for text in texts if text]))
        return [next(found) if text else None for text in texts]

    def _dimension_texts(
        self, features: Sequence[str], columns: Sequence[Column]
    ) -> Sequence[str | None] | None:
        if len(columns) == self._check.first_dimension:
            return None
        if len(self._dimensions) > _CACHED:
            self._dimensions.clear()
        known, check = self._dimensions, self._check
        given = zip(
            features, *(column or repeat(None) for column in columns[check.first_dimension :]), strict=False
        )
        rows = list(given)
        try:
            for row in set(rows) - known.keys():
                known[row] = check.dimensions_of(row[0] or "", row[1:])
        except ValueError as error:
            raise _UnusualError from error
        return [known[row] for row in rows]


def _required(column: Column, limit: int | None, shape: Shape) -> Sequence[str]:
    if column is None or None in column:
        raise _UnusualError
    texts: Sequence[str] = column if not shape.has_blanks else list(map(str.strip, column))  # type: ignore[arg-type,assignment] # None is not among them
    if "" in texts:
        raise _UnusualError
    if limit is not None and shape.longest > limit and max(map(len, texts), default=0) > limit:
        raise _UnusualError
    return texts


def _optional(column: Column, limit: int | None) -> list[str | None] | None:
    if column is None or not any(column):
        return None
    texts = [text.strip() or None if text else None for text in column]
    if limit is not None and any(text and len(text) > limit for text in texts):
        raise _UnusualError
    return None if all(text is None for text in texts) else texts
