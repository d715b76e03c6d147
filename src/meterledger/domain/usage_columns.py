"""Usage events of one chunk, column by column: how they travel from the check to the ledger."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from operator import itemgetter
from typing import Any, Self

from meterledger.domain.instant import Instant
from meterledger.domain.usage import UsageEvent

_NAMES_REMEMBERED = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageColumns:
    """
    Accepted rows as columns of one length; None stands for a column that is None in every row.

    What each column holds is what the field of that name of a ``UsageEvent`` holds.
    """

    request_ids: Sequence[str]
    customer_ids: Sequence[str]
    subscription_ids: Sequence[str | None] | None
    features: Sequence[str]
    units: Sequence[int]
    scales: Sequence[int]
    event_times: Sequence[Instant]
    received_ats: Sequence[Instant | None] | None
    lines: Sequence[int]
    dimensions: Sequence[str | None] | None
    raws: Sequence[str | None] | None = None
    """The text of a row where several rows start on its line, so that the line alone does not tell it."""

    def __len__(self) -> int:
        return len(self.request_ids)

    def __iter__(self) -> Iterator[UsageEvent]:
        return map(
            UsageEvent,
            self.request_ids,
            self.customer_ids,
            self.subscription_ids or repeat(None),
            self.features,
            self.units,
            self.scales,
            self.event_times,
            self.received_ats or repeat(None),
            self.lines,
            self.dimensions or repeat(None),
        )

    @classmethod
    def of(cls, events: Sequence[UsageEvent], raws: Sequence[str | None] | None = None) -> Self:
        """Turn usage events into columns."""
        columns: list[Sequence[Any]] = list(zip(*events, strict=True)) or [()] * len(UsageEvent._fields)
        return cls(
            request_ids=columns[0],
            customer_ids=columns[1],
            subscription_ids=_or_none(columns[2]),
            features=columns[3],
            units=columns[4],
            scales=columns[5],
            event_times=columns[6],
            received_ats=_or_none(columns[7]),
            lines=columns[8],
            dimensions=_or_none(columns[9]),
            raws=raws,
        )

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """
        Put parts together, in the order of request_id; rows of one request_id stay in their order.

        The unique index of the ledger begins with request_id: a chunk in that order touches each of its
        pages once.
        """
        request_ids = _chained(part.request_ids for part in parts)
        order = sorted(range(len(request_ids)), key=request_ids.__getitem__)
        in_order = order == list(range(len(order)))
        # Of a single row itemgetter returns no tuple; it is in order.
        arrange = itemgetter(*order) if not in_order else tuple

        def column(name: str) -> Any:
            return arrange(_chained(getattr(part, name) for part in parts))

        def optional(name: str) -> Any:
            if all(getattr(part, name) is None for part in parts):
                return None
            return arrange(_chained(getattr(part, name) or [None] * len(part) for part in parts))

        return cls(
            request_ids=arrange(request_ids),
            customer_ids=column("customer_ids"),
            subscription_ids=optional("subscription_ids"),
            features=column("features"),
            units=column("units"),
            scales=column("scales"),
            event_times=column("event_times"),
            received_ats=optional("received_ats"),
            lines=column("lines"),
            dimensions=optional("dimensions"),
            raws=optional("raws"),
        )


class Packer:
    """Turns columns into plain values and bytes: small, and quick to write and to read again."""

    def __init__(self) -> None:
        self._customers = _Names()
        self._features = _Names()

    def pack(self, usage: UsageColumns) -> tuple[object, ...]:
        """Return columns packed; names that were packed before are not sent again."""
        return (
            usage.request_ids,
            self._customers.pack(usage.customer_ids),
            usage.subscription_ids,
            self._features.pack(usage.features),
            *(_integers(column) for column in (usage.units, usage.scales, usage.event_times)),
            usage.received_ats,
            _integers(usage.lines),
            usage.dimensions,
            usage.raws,
        )


class Unpacker:
    """Undoes what one Packer does, chunk after chunk."""

    def __init__(self) -> None:
        self._customers: list[str] = []
        self._features: list[str] = []

    def unpack(self, packed: tuple[Any, ...]) -> UsageColumns:
        """Return the columns that were packed."""
        (
            request_ids, customers, subscription_ids, features, units, scales, event_times, received_ats,
            lines, dimensions, raws,
        ) = packed  # fmt: skip
        return UsageColumns(
            request_ids=request_ids,
            customer_ids=_unpacked(self._customers, customers),
            subscription_ids=subscription_ids,
            features=_unpacked(self._features, features),
            units=array("q", units),
            scales=array("q", scales),
            event_times=array("q", event_times),
            received_ats=received_ats,
            lines=array("q", lines),
            dimensions=dimensions,
            raws=raws,
        )


class _Names:
    """Numbers names as they come: most of them come again."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def pack(self, column: Sequence[str]) -> tuple[bool, list[str], bytes]:
        """Return whether the names known so far are forgotten, the new ones, and the column as numbers."""
        numbers = self._numbers
        is_new = len(numbers) > _NAMES_REMEMBERED
        if is_new:
            numbers.clear()
        new: list[str] = []
        try:
            codes = array("I", map(numbers.__getitem__, column))
        except KeyError:
            new = [name for name in dict.fromkeys(column) if name not in numbers]
            numbers.update(zip(new, range(len(numbers), len(numbers) + len(new)), strict=True))
            codes = array("I", map(numbers.__getitem__, column))
        return is_new, new, codes.tobytes()


def _unpacked(names: list[str], packed: tuple[bool, list[str], bytes]) -> Sequence[str]:
    is_new, new, codes = packed
    if is_new:
        names.clear()
    names += new
    return list(map(names.__getitem__, array("I", codes)))


def _chained(parts: Iterable[Sequence[Any]]) -> list[Any]:
    return list(chain.from_iterable(parts))


def _or_none(column: Sequence[Any]) -> Sequence[Any] | None:
    return column if any(value is not None for value in column) else None


def _integers(column: Sequence[int]) -> bytes:
    return array("q", column).tobytes()
