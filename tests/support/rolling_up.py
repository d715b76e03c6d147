"""Worlds whose meters roll usage up, rows with dimensions, and sums that know nothing of windows."""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from meterledger.usecases.verify import verify
from support.pushing import Row, World, copy_of

METER = """
[meters.calls]
features = ["calls", "retries"]
decimal_places = {places}
dimensions = ["region"]
rollup = "{rollup}"
settle = "{settle}"
"""
CALENDAR = """
[invoicing]
anchors = "calendar"
"""

Totals = dict[tuple[str, str, str], Decimal]
"""Meter, customer and region -> sum."""


def config(rollup: str = "hour", settle: str = "2h", *, periods: str = CALENDAR, places: int = 2) -> str:
    """Return a config with one meter of two features."""
    return METER.format(rollup=rollup, settle=settle, places=places) + periods


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionRow(Row):
    """A usage row with a dimension."""

    region: str = ""

    def as_json(self) -> str:
        """Return it as a line of an input file."""
        # The base names its arguments: slots make a new class, which super() without them does not know.
        plain = json.loads(Row.as_json(self))
        return json.dumps(plain | ({"region": self.region} if self.region else {}))


def world_of(template: World, folder: Path, text: str) -> World:
    """Return a world of its own with another config."""
    world = copy_of(template, folder)
    rewrite(world, text)
    return world


def rewrite(world: World, text: str) -> None:
    """Give a world another config."""
    (world.folder / "meterledger.toml").write_text(text, encoding="utf-8")
    world.config = text


def totals_of(rows: Iterable[Row]) -> Totals:
    """Add rows up."""
    totals: defaultdict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for row in rows:
        totals["calls", row.customer, getattr(row, "region", "")] += Decimal(row.quantity)
    return dict(totals)


def totals_at(world: World) -> Totals:
    """Add up what Stripe counted."""
    totals: defaultdict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for arrival in world.stripe.counted:
        payload = arrival.body["payload"]
        assert isinstance(payload, dict)
        totals[(*arrival.lane, payload.get("region", ""))] += arrival.value
    return dict(totals)


def assert_sound(world: World) -> None:
    """Check every invariant of the ledger."""
    with world.ledger() as ledger:
        assert [check for check in verify(ledger) if not check.ok] == []


def rolled_up(world: World) -> list[tuple[object, ...]]:
    """Return customer, window start, revision, part, usage events, quantity and scale, as sealed."""
    return world.select(
        "SELECT m.stripe_customer_id, r.window_start, m.revision, r.part, m.usage_events, m.quantity, "
        "m.scale FROM meter_events AS m JOIN rollups AS r ON r.meter_event = m.id "
        "WHERE m.dissolved_at IS NULL ORDER BY m.id"
    )
