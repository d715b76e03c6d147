"""A ledger on disk, a strict Stripe in memory, and pushes between them in made-up time."""

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from meterledger.config import Settings, Source, load_settings
from meterledger.domain.quantity import decimal_text
from meterledger.domain.way import Way
from meterledger.ledger import Ledger, create_ledger, open_ledger
from meterledger.ledger.opening import ledger_over
from meterledger.proving.crashes import until_death
from meterledger.stripe_gateway.access import StripeAccess
from meterledger.usecases.door import Counterpart, PushGateway
from meterledger.usecases.error_reports import ReportGateway
from meterledger.usecases.import_usage import ImportOptions, ImportReport, import_usage
from meterledger.usecases.planning import Planner
from meterledger.usecases.preview import Preview, preview
from meterledger.usecases.push import PushOptions, PushReport, push
from meterledger.usecases.reconcile import Reconciliation, reconcile_errors
from meterledger.usecases.sending import Sender, Surroundings
from support.crash_points import CrashingGateway, CrashPoints, MortalDatabase
from support.strict_stripe import StrictStripe
from support.virtual_time import Time, run_in

START = 1_793_491_200_000_000  # 2026-11-01T00:00:00Z
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

AFTER_A_CRASH = 3 * MINUTE
"""Longer than a lease: in these tests every run is of the same process, which never dies for real."""

CONFIG = """
[meters.calls]
features = ["calls"]
decimal_places = 2

[meters.seats]
features = ["seats"]
aggregation = "last"
"""

TEST_ACCESS = StripeAccess(key="sk_test_x", mode="test", base="http://127.0.0.1:1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One usage row; `at` is an instant in microseconds."""

    key: str
    customer: str = "cus_a"
    feature: str = "calls"
    quantity: str = "1"
    at: int = START - HOUR

    def as_json(self) -> str:
        """Return it as a line of an input file."""
        return json.dumps(
            {
                "request_id": self.key,
                "customer_id": self.customer,
                "feature": self.feature,
                "quantity": self.quantity,
                "event_time": str(self.at // 1000),
            }
        )


def _no_start(_sender: Sender, _work: int) -> None:
    """Look at nothing when a push begins to send."""


@dataclass(slots=True)
class World:
    """A folder with a config and a ledger, the time, and Stripe."""

    folder: Path
    config: str = CONFIG
    time: Time = field(default_factory=lambda: Time(START))
    access: StripeAccess = TEST_ACCESS
    skew: int = 0
    """How far Stripe's `Date` is ahead of our clock, in microseconds."""
    has_date: bool = True
    chance: Callable[[], float] = lambda: 0.5
    reports: ReportGateway | None = None
    """Who tells error reports, if anybody does."""
    way: Way | None = None
    """The way in, where it is not that of the config."""
    stripe: StrictStripe = field(init=False)
    _files: int = 0

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "meterledger.toml").write_text(self.config, encoding="utf-8")
        if not self.path.exists():
            create_ledger(self.path)
        names = [meter.event_name for meter in self.settings.catalogue.meters]
        self.stripe = StrictStripe(clock=self.time.clock, meters=dict.fromkeys(names, True))

    @property
    def path(self) -> Path:
        """Where the ledger is."""
        return self.folder / "meterledger.db"

    @property
    def settings(self) -> Settings:
        """What the config says now."""
        return load_settings(self.folder / "meterledger.toml", folder=self.folder).by_way(self.way)

    @contextmanager
    def ledger(self, points: CrashPoints | None = None) -> Iterator[Ledger]:
        """Open the ledger, with crash points if there are any."""
        with open_ledger(self.path) as ledger:
            if points is None:
                yield ledger
                return
            yield ledger_over(MortalDatabase(ledger.database, points), self.path)

    def import_rows(
        self, rows: Iterable[Row], points: CrashPoints | None = None, *, already_billed: bool = False
    ) -> ImportReport:
        """Import rows as one file."""
        self._files += 1
        file = self.folder / f"usage-{self._files}.jsonl"
        file.write_text("".join(row.as_json() + "\n" for row in rows), encoding="utf-8")
        options = ImportOptions(
            files=[str(file)], source=Source(name="default"), already_billed=already_billed
        )
        with self.ledger(points) as ledger:
            return import_usage(ledger, self.settings, options, clock=self.time.clock)

    def push(
        self,
        options: PushOptions | None = None,
        *,
        points: CrashPoints | None = None,
        gateway: PushGateway | None = None,
        on_start: Callable[[Sender, int], None] = _no_start,
    ) -> PushReport:
        """Push once; raises Crash where the points say so, and what push raises."""
        gateway = gateway or self.stripe
        if points:
            gateway = CrashingGateway(self.stripe, points)
        counterpart = Counterpart(
            access=self.access,
            gateway=gateway,
            server_date=lambda: self.time.clock() + self.skew if self.has_date else None,
            reports=self.reports,
        )
        around = Surroundings(
            clock=self.time.clock, monotonic=self.time.monotonic, sleep=asyncio.sleep, chance=self.chance
        )
        with self.ledger(points) as ledger:
            pushed = push(
                ledger, self.settings, options or PushOptions(), counterpart, around, on_start=on_start
            )
            if points is None:
                return run_in(self.time, pushed)
            return run_in(self.time, until_death(pushed, points))

    def reconcile(self, points: CrashPoints | None = None) -> Reconciliation:
        """Read error reports once; raises Crash where the points say so."""
        counterpart = Counterpart(
            access=self.access, gateway=self.stripe, server_date=self.time.clock, reports=self.reports
        )
        with self.ledger(points) as ledger:
            return run_in(self.time, reconcile_errors(ledger, self.settings, counterpart, self.time.clock))

    def preview(self) -> tuple[list[str], Preview]:
        """Return the bodies that push would send now, as text, and the preview."""
        result = Preview()
        with self.ledger() as ledger:
            planner = Planner(ledger, self.settings, self.time.clock())
            return [json.dumps(event.body()) for event in preview(planner, result)], result

    def identifiers_to_be(self) -> list[str]:
        """Return the identifiers of what push would send now, in its order."""
        return [json.loads(body)["identifier"] for body in self.preview()[0]]

    def resolve_by_truth(self) -> int:
        """Settle everything in doubt as a person would who knows what Stripe counted."""
        counts = self.stripe.counts()
        doubtful = self.identifiers("in_doubt")
        with self.ledger() as ledger:
            for identifier in doubtful:
                ledger.outbox.resolve(
                    identifier,
                    sent=counts[identifier] > 0,
                    note="seen at Stripe",
                    now=self.time.clock(),
                )
        return len(doubtful)

    def select(self, sql: str, *arguments: object) -> list[tuple[object, ...]]:
        """Read from the ledger's file without any of the program's code."""
        connection = sqlite3.connect(self.path)
        try:
            return connection.execute(sql, arguments).fetchall()
        finally:
            connection.close()

    def identifiers(self, *states: str) -> list[str]:
        """Return the identifiers of the live meter events in these states."""
        marks = ",".join("?" * len(states))
        return [
            str(row[0])
            for row in self.select(
                f"SELECT identifier FROM meter_events WHERE dissolved_at IS NULL AND state IN ({marks}) "  # noqa: S608
                "ORDER BY id",
                *states,
            )
        ]

    def states(self) -> dict[str, int]:
        """Return how many live meter events there are in each state that has any."""
        return {
            str(state): int(str(count))
            for state, count in self.select(
                "SELECT state, COUNT(*) FROM meter_events WHERE dissolved_at IS NULL GROUP BY state"
            )
        }

    def unsealed(self) -> int:
        """Return how many usage events no meter event carries."""
        return int(str(self.select("SELECT COUNT(*) FROM unsealed")[0][0]))

    def accepted_totals(self) -> dict[tuple[str, str], str]:
        """Return what the ledger says was accepted, for each meter and customer, at two decimal places."""
        totals: dict[tuple[str, str], int] = {}
        for name, customer, units, scale in self.select(
            "SELECT event_name, stripe_customer_id, quantity, scale FROM meter_events "
            "WHERE state = 'accepted'"
        ):
            lane = (str(name), str(customer))
            totals[lane] = totals.get(lane, 0) + int(str(units)) * 10 ** (2 - int(str(scale)))
        return {lane: decimal_text(units, 2) for lane, units in totals.items()}


def copy_of(template: World, folder: Path) -> World:
    """Return a world of its own that begins where the template stands; Stripe starts empty."""
    folder.mkdir(parents=True)
    shutil.copy(template.path, folder / template.path.name)
    copy = World(folder, template.config, Time(template.time.clock()))
    copy._files = template._files
    return copy
