"""Random histories: import, push, faults, crashes, waiting and people, against a dictionary model."""

import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from meterledger.usecases.push import PushOptions
from support.crash_points import Crash, CrashPoints
from support.pushing import AFTER_A_CRASH, DAY, HOUR, MINUTE, SECOND, Row, World, copy_of
from support.strict_stripe import Arrival, Fault

STEPS = 14
CUSTOMERS = ("cus_a", "cus_b", "cus_c")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Make an empty ledger to copy."""
    return World(tmp_path_factory.mktemp("template"))


@dataclass
class History:
    """One world, and what a model knows of it: the rows that were handed over."""

    world: World
    chance: random.Random
    rows: dict[str, Row] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)

    def step(self) -> None:
        """Do one random thing, and check what holds at any time."""
        action = self.chance.choice(
            [self.import_some, self.push, self.push, self.push_and_crash, self.wait, self.resolve, self.limit]
        )
        self.told.append(action.__name__)
        action()
        self.check_always()

    def import_some(self) -> None:
        """Hand over new rows, some late, and some old ones again."""
        now = self.world.time.clock()
        rows = [
            Row(
                key=f"r{len(self.rows) + number}",
                customer=self.chance.choice(CUSTOMERS),
                feature=self.chance.choice(("calls", "calls", "seats")),
                quantity=str(self.chance.randrange(100)),
                at=now - self.chance.randrange(2 * DAY // SECOND) * SECOND,
            )
            for number in range(self.chance.randrange(1, 7))
        ]
        again = self.chance.sample(list(self.rows.values()), min(2, len(self.rows)))
        report = self.world.import_rows([*rows, *again])
        assert (report.counts.accepted, report.counts.duplicates) == (len(rows), len(again))
        self.rows.update({row.key: row for row in rows})

    def faults(self, arrival: Arrival) -> Fault | None:
        """Let a quarter of the requests go wrong."""
        del arrival
        return self.chance.choice(list(Fault)) if self.chance.random() < 0.25 else None

    def push(self) -> None:
        """Push in bad weather."""
        self.world.stripe.fault = self.faults
        self.world.push(PushOptions(concurrency=self.chance.choice((1, 2, 32))))

    def limit(self) -> None:
        """Push a little."""
        self.world.stripe.fault = self.faults
        self.world.push(PushOptions(limit=self.chance.randrange(1, 4)))

    def push_and_crash(self) -> None:
        """Die somewhere in a push, and come back after the lease."""
        self.world.stripe.fault = self.faults
        try:
            self.world.push(points=CrashPoints(self.chance.randrange(1, 60)))
        except Crash:
            self.world.time.advance(AFTER_A_CRASH)

    def wait(self) -> None:
        """Let time pass: mostly little, sometimes more than identifiers are unique for."""
        spans = (MINUTE, HOUR, 11 * HOUR, 23 * HOUR - MINUTE, 23 * HOUR, 25 * HOUR, 3 * DAY)
        self.world.time.advance(self.chance.choice(spans))

    def resolve(self) -> None:
        """Let a person look at Stripe and settle what is in doubt."""
        self.world.resolve_by_truth()

    def check_always(self) -> None:
        """Check what has to hold after every step: nothing twice, nothing lost, nothing claimed falsely."""
        world = self.world
        counts = world.stripe.counts()
        assert set(counts.values()) <= {1}
        assert set(world.stripe.highest.values()) <= {1}
        assert set(world.identifiers("accepted")) <= counts.keys()
        unsettled = set(world.identifiers("accepted", "sending", "in_doubt"))
        assert counts.keys() <= unsettled
        assert sum(world.states().values()) + world.unsealed() == len(self.rows)

    def end(self) -> None:
        """Let the weather clear and everybody do their part, then compare to the unit."""
        world = self.world
        world.stripe.fault = lambda _arrival: None
        world.time.advance(AFTER_A_CRASH)
        report = world.push()
        for _ in range(4):
            if not (report.pending or report.in_doubt):
                break
            world.time.advance(24 * HOUR if report.pending else MINUTE)
            world.push()
            self.resolve()
            report = world.push()
        assert (report.pending, report.in_doubt, report.rejected_in_ledger) == (0, 0, 0)
        self.check_always()
        assert world.states().get("accepted", 0) == len(world.stripe.counted)
        self.check_totals()

    def check_totals(self) -> None:
        """Compare what Stripe counted with the rows: all of them, but for superseded `last` values."""
        counted: Counter[tuple[str, str]] = Counter()
        for arrival in self.world.stripe.counted:
            counted[arrival.lane] += int(arrival.value)
        expected: Counter[tuple[str, str]] = Counter()
        for row in self.rows.values():
            expected[row.feature, row.customer] += int(row.quantity)
        calls = {lane: total for lane, total in expected.items() if lane[0] == "calls" and total}
        assert {lane: total for lane, total in counted.items() if lane[0] == "calls" and total} == calls
        assert self.world.unsealed() == len(self.rows) - len(self.world.stripe.counted)
        for customer in CUSTOMERS:
            self.check_last(customer)

    def check_last(self, customer: str) -> None:
        """`last` values arrive by event_time, and the latest of all is among them."""
        lane = ("seats", customer)
        times = [arrival.body["timestamp"] for arrival in self.world.stripe.counted if arrival.lane == lane]
        assert times == sorted(times, key=str)
        rows = [row for row in self.rows.values() if (row.feature, row.customer) == lane]
        assert (times[-1] if times else None) == max((row.at // SECOND for row in rows), default=None)


def live(template: World, folder: Path, seed: int) -> None:
    """Live one history; a failure tells its seed, and what was done."""
    history = History(copy_of(template, folder), random.Random(seed))  # noqa: S311 - chance to be repeated
    history.import_some()
    try:
        for _ in range(STEPS):
            history.step()
        history.end()
    except Exception as error:
        error.add_note(f"seed {seed}, after {history.told}")
        raise


@pytest.mark.parametrize("seed", range(8))
def test_a_random_history_ends_well(template: World, tmp_path: Path, seed: int) -> None:
    """Whatever happens in whatever order, each unit is counted once; the seed is the test's number."""
    live(template, tmp_path / "w", seed)


@pytest.mark.slow
@pytest.mark.parametrize("hundred", range(20))
def test_many_random_histories_end_well(template: World, tmp_path: Path, hundred: int) -> None:
    """The same for two thousand more; a failing seed is told in the message."""
    for seed in range(1000 + hundred * 100, 1100 + hundred * 100):
        live(template, tmp_path / f"{seed}", seed)
