"""What Stripe has counted, window by window, beside what the ledger knows; within a number of reads."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Protocol

from meterledger.domain.delivery import backoff_seconds
from meterledger.domain.foreign_usage import (
    ForeignUsage,
    counted,
    is_foreign,
    read_spans,
    window_length,
    window_start,
)
from meterledger.domain.instant import DAY, SECOND, Instant
from meterledger.domain.meter import Meter
from meterledger.domain.pace import TokenBucket
from meterledger.domain.sending_order import Lane
from meterledger.errors import StripeError
from meterledger.ledger.lease import LEASE_DURATION
from meterledger.usecases.planning import Planner
from meterledger.usecases.sending import Surroundings

if TYPE_CHECKING:
    from meterledger.stripe_gateway.gateway import Read

MAX_READS = 1000
"""Of one comparison: under a minute at the pace below."""

READS_PER_SECOND = 20.0
"""Below Stripe's 25/s for one endpoint ("Rate limits")."""

LANES_AT_ONCE = 8
READ_TRIES = 4
_NAMED = 3


class SummaryGateway(Protocol):
    """Reads what Stripe has counted."""

    async def meter_ids(self) -> "Read":
        """Return event name -> meter id of the active meters."""

    async def window_values(
        self, meter_id: str, customer: str, span: tuple[int, int], grouping: str
    ) -> "Read":
        """Return window start -> value of a customer in [start, end), in epoch seconds."""


@dataclass(slots=True)
class About:
    """What is about to be pushed of one customer and meter: how many meter events, in which windows."""

    meter: Meter
    events: int = 0
    starts: set[Instant] = field(default_factory=set)

    @property
    def spans(self) -> list[tuple[Instant, Instant]]:
        """The ranges to read."""
        return list(read_spans(self.starts, window_length(self.meter)))


@dataclass(slots=True)
class _Known:
    """What the ledger knows of a window."""

    quantity: Decimal = Decimal(0)
    events: int = 0


@dataclass(slots=True, kw_only=True)
class WindowTotals:
    """Reads summaries, the customers with the most meter events first, and finds what is foreign."""

    planner: Planner
    gateway: SummaryGateway
    around: Surroundings
    token: int
    paced: bool
    _passed_over: dict[str, list[Lane]] = field(default_factory=dict)
    """Why -> customers and meters that were not compared."""
    _prolonged_at: Instant = 0
    _bucket: TokenBucket = field(default_factory=lambda: TokenBucket(READS_PER_SECOND))

    async def foreign_among(self, about: dict[Lane, About]) -> list[ForeignUsage]:
        """
        Return the windows in which Stripe has more than the ledger knows of.

        Raises:
            StripeError: Stripe cannot tell for now.
        """
        ids = await self._read(self.gateway.meter_ids)
        if ids.value is None:
            self._pass_over(list(about), ids.warning)
            return []
        found: dict[Lane, dict[Instant, Decimal]] = {}
        lanes = self._within_reads(about)
        for at in range(0, len(lanes), LANES_AT_ONCE):
            some = lanes[at : at + LANES_AT_ONCE]
            reads = [self._values(lane, about[lane], ids.value.get(lane[0])) for lane in some]
            found |= dict(zip(some, await asyncio.gather(*reads), strict=True))
            self._prolong()
        return self._foreign(about, found)

    def _prolong(self) -> None:
        """Keep the lease: each time costs a wait for the disk, and it holds for minutes."""
        now = self.around.clock()
        if now >= self._prolonged_at + LEASE_DURATION // 4:
            self.planner.ledger.lease.prolong(self.token, now)
            self._prolonged_at = now

    def _within_reads(self, about: dict[Lane, About]) -> list[Lane]:
        """Return the customers and meters that are looked at."""
        lanes = sorted(about, key=lambda lane: (-about[lane].events, lane))
        reads = 0
        for number, lane in enumerate(lanes):
            reads += len(about[lane].spans)
            if reads > MAX_READS:
                self._pass_over(lanes[number:], f"a push makes at most {MAX_READS} reads of this kind")
                return lanes[:number]
        return lanes

    async def _values(self, lane: Lane, about: About, meter_id: str | None) -> dict[Instant, Decimal]:
        """Return what Stripe has in each window that is about to be pushed to."""
        values: dict[Instant, Decimal] = {}
        if meter_id is None:
            self._pass_over([lane], "Stripe lists no active meter of that name")
            return values
        grouping = "day" if window_length(about.meter) == DAY else "hour"
        for start, end in about.spans:
            span = (start // SECOND, end // SECOND)
            read = await self._read(partial(self.gateway.window_values, meter_id, lane[1], span, grouping))
            if read.value is None:
                self._pass_over([lane], read.warning)
                return values
            values |= {at * SECOND: value for at, value in read.value.items() if at * SECOND in about.starts}
        return values

    def _foreign(
        self, about: dict[Lane, About], found: dict[Lane, dict[Instant, Decimal]]
    ) -> list[ForeignUsage]:
        foreign = self._beyond(about, found, {})
        if not foreign:
            return []
        # Only where Stripe is ahead: usage billed by an older system may be all the usage there is.
        billed = self._already_billed({(one.event_name, one.stripe_customer_id) for one in foreign}, foreign)
        return self._beyond(about, found, billed)

    def _beyond(
        self,
        about: dict[Lane, About],
        found: dict[Lane, dict[Instant, Decimal]],
        billed: dict[tuple[Lane, Instant], _Known],
    ) -> list[ForeignUsage]:
        foreign = []
        for lane, values in sorted(found.items()):
            meter = about[lane].meter
            known = self._known(lane, meter, values)
            for start, stripe in sorted(values.items()):
                here, elsewhere = known[start], billed.get((lane, start), _Known())
                events = here.events + elsewhere.events
                ledger = counted(meter, here.quantity + elsewhere.quantity, events)
                if is_foreign(meter, ledger=ledger, known_events=events, stripe=stripe):
                    foreign.append(
                        ForeignUsage(
                            event_name=lane[0],
                            stripe_customer_id=lane[1],
                            start=start,
                            end=start + window_length(meter),
                            ledger=ledger,
                            stripe=stripe,
                        )
                    )
        return foreign

    def _known(
        self, lane: Lane, meter: Meter, values: dict[Instant, Decimal]
    ) -> defaultdict[Instant, _Known]:
        known: defaultdict[Instant, _Known] = defaultdict(_Known)
        if values:
            length = window_length(meter)
            span = (min(values), max(values) + length)
            for one in self.planner.ledger.baselines.known(lane, span, length):
                known[one.start].quantity += one.quantity
                known[one.start].events += one.events
        return known

    def _already_billed(
        self, lanes: set[Lane], foreign: Sequence[ForeignUsage]
    ) -> dict[tuple[Lane, Instant], _Known]:
        billed: defaultdict[tuple[Lane, Instant], _Known] = defaultdict(_Known)
        since, until = min(one.start for one in foreign), max(one.end for one in foreign)
        for usage in self.planner.ledger.baselines.already_billed(since, until):
            lane = self.planner.lane_of(usage)
            meter = self.planner.settings.catalogue.meter_of(usage.feature)
            if lane and meter and lane in lanes:
                here = billed[lane, window_start(usage.event_time, window_length(meter))]
                here.quantity += Decimal(str(usage.quantity))
                here.events += 1
        return billed

    async def _read(self, request: "Callable[[], Awaitable[Read]]") -> "Read":
        """Make one read, again where Stripe cannot tell for now; StripeError if it cannot in the end."""
        read = None
        for tries in range(1, READ_TRIES + 1):
            if self.paced:
                await self.around.sleep(self._bucket.wait_seconds(self.around.monotonic()))
            read = await request()
            if not read.for_now:
                return read
            await self.around.sleep(backoff_seconds(tries, self.around.chance(), None))
        raise StripeError(
            f"what Stripe already has could not be compared with the ledger: {read.warning if read else ''}; "
            "nothing was sent",
            hint="run the same command again later",
        )

    def _pass_over(self, lanes: Sequence[Lane], why: str) -> None:
        self._passed_over.setdefault(why, []).extend(lanes)

    @property
    def not_compared(self) -> int:
        """How many customers and meters were not compared."""
        return sum(map(len, self._passed_over.values()))

    @property
    def warnings(self) -> list[str]:
        """What was not compared, and why."""
        return [
            f"what Stripe already has was not compared with the ledger for {_named(lanes)}: {why}"
            for why, lanes in self._passed_over.items()
        ]


def _named(lanes: Sequence[Lane]) -> str:
    named = ", ".join(f"{event_name} of {customer}" for event_name, customer in lanes[:_NAMED])
    return named + (f" and {len(lanes) - _NAMED} more" if len(lanes) > _NAMED else "")
