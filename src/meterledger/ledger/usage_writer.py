"""Usage events into the ledger, a chunk at a time: what goes in, what is there already, what differs."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from meterledger.domain.customers import STRIPE_CUSTOMER_PREFIX
from meterledger.domain.instant import Instant, seconds_floor, to_text
from meterledger.domain.quantity import decimal_text, same_value
from meterledger.domain.usage import Conflict, Difference, UsageEvent, kept_raw
from meterledger.domain.usage_columns import UsageColumns
from meterledger.ledger.database import Database, Row, required
from meterledger.ledger.identifiers import IdentifierStore

_NAMES_CACHED = 200_000
_MAY_BE_THE_SAME = ("subscription_id", "feature", "scale", "received_at", "dimensions")

Columns = dict[str, Sequence[object]]
"""The arguments of add_usage_event by column, in their order in the statement."""
RawOf = Callable[[int], str]
"""Returns the text of the row that starts on a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """The import that brings usage events, its source, and when they are recorded."""

    import_id: int
    source: int
    source_name: str
    keeps_identifier: bool
    now: Instant


class UsageWriter:
    """Writes usage events, and knows the numbers of customers and features."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._identifiers = IdentifierStore(database)
        self._expects_known = False
        """Whether most rows were in the ledger before, lately."""
        self._customers: dict[str, int] = {}
        self._features: dict[str, int] = {}

    def forget_names(self) -> None:
        """Forget the numbers of names: the transaction that gave them was rolled back."""
        self._identifiers.forget()
        self._customers.clear()
        self._features.clear()

    def add(self, to: Destination, usage: UsageColumns, raw_of: RawOf) -> tuple[int, list[Conflict]]:
        """Add the usage events whose keys are free; return how many, and the rows in conflict, by line."""
        usage, conflicts = self._without_known_identifiers(to, usage, raw_of)
        given = len(usage)
        if self._expects_known and usage:
            usage = self._without_known(to, usage)
        if not usage:
            return 0, conflicts
        accepted, others = self._add(to, usage, raw_of)
        # What mostly was there before is looked for first: a look costs half of an attempt and a look.
        self._expects_known = accepted * 2 < given
        return accepted, sorted(conflicts + others, key=lambda conflict: conflict.line)

    def _without_known_identifiers(
        self, to: Destination, usage: UsageColumns, raw_of: RawOf
    ) -> tuple[UsageColumns, list[Conflict]]:
        """Leave out the rows whose usage is there already, under its identifier and another usage key."""
        if to.keeps_identifier:
            known = self._identifiers.of_kept(usage.request_ids, to.source)
        else:
            known = self._identifiers.of_derived(to.source_name, usage.request_ids)
        if not known:
            return usage, []
        events = list(usage)
        conflicts = [
            _conflict(events[at], differences, _raw(usage, at, raw_of))
            for at, stored in known.items()
            if (differences := tuple(body_differences(stored, events[at])))
        ]
        left = [at for at in range(len(events)) if at not in known]
        raws = [usage.raws[at] for at in left] if usage.raws else None
        return UsageColumns.of([events[at] for at in left], raws), conflicts

    def _without_known(self, to: Destination, usage: UsageColumns) -> UsageColumns:
        """Leave out the rows that are the stored usage event of their key to the letter."""
        columns = self._columns(usage)
        same, rows = _compared(columns)
        found = self._database.rows_for("usage_not_in_ledger_as_given", rows, source=to.source, **same)
        left = [row["position"] for row in found]
        if len(left) == len(usage):
            return usage
        events = list(usage) if left else []
        raws = [usage.raws[at] for at in left] if usage.raws else None
        return UsageColumns.of([events[at] for at in left], raws)

    def _add(self, to: Destination, usage: UsageColumns, raw_of: RawOf) -> tuple[int, list[Conflict]]:
        columns = self._columns(usage)
        # A column that is the same in every row is bound once for many rows: that is half of the work.
        same = _same_in_every_row(columns)
        rows = list(zip(*(column for name, column in columns.items() if name not in same), strict=True))
        shared = {"source": to.source, "recorded_at": to.now, "import": to.import_id, **same}
        accepted = self._database.run_rows("add_usage_event", rows, **shared)
        if accepted == len(usage):
            return accepted, []
        again, conflicts = self._look_closer(to, usage, columns, raw_of)
        return accepted + again, conflicts

    def _columns(self, usage: UsageColumns) -> Columns:
        """Return the arguments of add_usage_event by column, in their order in the statement."""
        customers = self._numbered("customer", self._customers, set(usage.customer_ids), column="customer_id")
        features = self._numbered("feature", self._features, set(usage.features), column="name")
        nothing = (None,) * len(usage)
        return {
            "request_id": usage.request_ids,
            "customer": list(map(customers.__getitem__, usage.customer_ids)),
            "subscription_id": usage.subscription_ids or nothing,
            "feature": list(map(features.__getitem__, usage.features)),
            "quantity": usage.units,
            "scale": usage.scales,
            "event_time": usage.event_times,
            "received_at": usage.received_ats or nothing,
            "line": usage.lines,
            "dimensions": usage.dimensions or nothing,
        }

    def _look_closer(
        self, to: Destination, usage: UsageColumns, columns: Columns, raw_of: RawOf
    ) -> tuple[int, list[Conflict]]:
        """Look at the rows that are not the stored usage event of their key to the letter."""
        same, given = _compared(columns)
        flagged = [
            found["position"]
            for found in self._database.rows_for("usage_not_as_stored", given, source=to.source, **same)
        ]
        if not flagged:
            return 0, []
        events = list(usage)
        accepted, conflicts = 0, []
        for position in sorted(set(flagged), key=lambda at: (usage.lines[at], at)):
            event = events[position]
            stored = self._stored(to.source, event.request_id)
            if stored["closed_as"] == "voided":
                row = {name: column[position] for name, column in columns.items()}
                self._add_again(to, row, stored["generation"] + 1)
                accepted += 1
            elif differences := tuple(content_differences(stored, event)):
                conflicts.append(_conflict(event, differences, _raw(usage, position, raw_of)))
        return accepted, conflicts

    def _stored(self, source: int, request_id: str) -> Row:
        return required(self._database.row("stored_content", request_id=request_id, source=source))

    def _add_again(self, to: Destination, row: dict[str, object], generation: int) -> None:
        self._database.run(
            "add_usage_event_again",
            **row,
            **{"import": to.import_id},
            source=to.source,
            recorded_at=to.now,
            generation=generation,
        )

    def _numbered(self, what: str, known: dict[str, int], names: set[str], *, column: str) -> dict[str, int]:
        """Return the numbers of names, giving new ones a number; remembers them between chunks."""
        new = names - known.keys()
        if len(known) + len(new) > _NAMES_CACHED:
            known.clear()
            new = names
        statement = f"{what}_by_customer_id" if column == "customer_id" else f"{what}_by_name"
        for name in sorted(new):
            self._database.run(f"add_{what}", **{column: name})
            known[name] = required(self._database.row(statement, **{column: name}))["id"]
        return known


def _same_in_every_row(columns: Columns) -> dict[str, object]:
    return {name: columns[name][0] for name in _MAY_BE_THE_SAME if len(set(columns[name])) == 1}


def _compared(columns: Columns) -> tuple[dict[str, object], list[tuple[object, ...]]]:
    """Return what a comparison with stored usage takes: what is the same in every row, and the rows."""
    content = {name: column for name, column in columns.items() if name not in ("received_at", "line")}
    same = {name: value for name, value in _same_in_every_row(columns).items() if name in content}
    varying = (column for name, column in content.items() if name not in same)
    return same, list(zip(range(len(columns["line"])), *varying, strict=True))


def content_differences(stored: Row, given: UsageEvent) -> Iterable[Difference]:
    """Yield the fields in which a row differs from the stored usage event of its key: the content alone."""
    for field in ("customer_id", "subscription_id", "feature"):
        if stored[field] != getattr(given, field):
            yield Difference(field=field, stored=stored[field] or "", given=getattr(given, field) or "")
    if not same_value(stored["quantity"], stored["scale"], given.units, given.scale):
        yield Difference(
            field="quantity",
            stored=decimal_text(stored["quantity"], stored["scale"]),
            given=decimal_text(given.units, given.scale),
        )
    if stored["event_time"] != given.event_time:
        yield Difference(
            field="event_time", stored=to_text(stored["event_time"]), given=to_text(given.event_time)
        )
    # Only the dimensions that the stored event has: a dimension that was named since is no difference.
    before = json.loads(stored["dimensions"]) if stored["dimensions"] else {}
    now = json.loads(given.dimensions) if given.dimensions else {}
    for name, value in before.items():
        if now.get(name) != value:
            yield Difference(field=name, stored=value, given=now.get(name, ""))


def body_differences(stored: Row, given: UsageEvent) -> Iterable[Difference]:
    """Yield what differs between usage of one identifier, of what a meter event tells of it."""
    if stored["customer_id"] != given.customer_id and both_stripe(stored["customer_id"], given.customer_id):
        yield Difference(field="customer_id", stored=stored["customer_id"], given=given.customer_id)
    if not same_value(stored["quantity"], stored["scale"], given.units, given.scale):
        yield Difference(
            field="quantity",
            stored=decimal_text(stored["quantity"], stored["scale"]),
            given=decimal_text(given.units, given.scale),
        )
    if seconds_floor(stored["event_time"]) != seconds_floor(given.event_time):
        yield Difference(
            field="event_time", stored=to_text(stored["event_time"]), given=to_text(given.event_time)
        )


def both_stripe(*customer_ids: str) -> bool:
    """Tell whether all are Stripe's own customer ids: the product's own would be another name for one."""
    return all(customer_id.startswith(STRIPE_CUSTOMER_PREFIX) for customer_id in customer_ids)


def _raw(usage: UsageColumns, position: int, raw_of: RawOf) -> str:
    """Return the text of a row."""
    return (usage.raws[position] if usage.raws else None) or raw_of(usage.lines[position])


def _conflict(event: UsageEvent, differences: tuple[Difference, ...], raw: str) -> Conflict:
    return Conflict(
        line=event.line,
        raw=kept_raw(raw),
        request_id=event.request_id,
        customer_id=event.customer_id,
        feature=event.feature,
        event_time=event.event_time,
        differences=differences,
    )
