"""Random histories in which usage is adopted, taken back and written off, between pushes and deaths."""

import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from meterledger.domain.meter_event import identifier_of
from meterledger.usecases.verify import verify
from meterledger.usecases.void_import import void_import
from meterledger.usecases.write_off import WriteOffOptions, write_off
from simulation.test_histories import CUSTOMERS, History
from support.crash_points import Crash, CrashPoints
from support.pushing import AFTER_A_CRASH, DAY, SECOND, Row, World, copy_of

STEPS = 14


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Make an empty ledger to copy."""
    return World(tmp_path_factory.mktemp("template"))


@dataclass
class ClosingHistory(History):
    """A history in which people close usage too."""

    imports: int = 0

    def step(self) -> None:
        """Do one random thing, and check what holds at any time."""
        action = self.chance.choice(
            [
                self.import_some,
                self.adopt,
                self.push,
                self.limit,
                self.push_and_crash,
                self.wait,
                self.resolve,
                self.void,
                self.void,
                self.write_off,
            ]
        )
        self.told.append(action.__name__)
        action()
        self.check_always()

    def import_some(self) -> None:
        """Hand over new rows, of which one may be blocked."""
        self._bring(already_billed=False)

    def adopt(self) -> None:
        """Hand over rows that somebody else has billed."""
        self._bring(already_billed=True)

    def _bring(self, *, already_billed: bool) -> None:
        now = self.world.time.clock()
        rows = [
            Row(
                key=f"r{len(self.rows) + number}",
                customer=self.chance.choice((*CUSTOMERS, "acme")),
                feature=self.chance.choice(("calls", "calls", "seats")),
                quantity=str(self.chance.randrange(100)),
                at=now - self.chance.randrange(2 * DAY // SECOND) * SECOND,
            )
            for number in range(self.chance.randrange(1, 7))
        ]
        self.world.import_rows(rows, already_billed=already_billed)
        self.rows.update({row.key: row for row in rows})
        self.imports += 1

    def void(self) -> None:
        """Take an import back, and sometimes die in it; the second try does the rest."""
        points = CrashPoints(self.chance.randrange(1, 12)) if self.chance.random() < 0.5 else None
        number = self.chance.randrange(1, self.imports + 1)
        try:
            with self.world.ledger(points) as ledger:
                void_import(ledger, number, note="x", clock=self.world.time.clock)
        except Crash:
            self.world.time.advance(AFTER_A_CRASH)

    def write_off(self) -> None:
        """Close all that is blocked now."""
        with self.world.ledger() as ledger:
            options = WriteOffOptions(note="x")
            write_off(ledger, self.world.settings, options, clock=self.world.time.clock)

    def check_always(self) -> None:
        """Nothing twice, nothing lost, nothing closed and counted, and every invariant holds."""
        world = self.world
        counts = world.stripe.counts()
        assert set(counts.values()) <= {1}
        closed = {
            identifier_of("default", str(key), 0, keeps_identifier=False)
            for (key,) in world.select(
                "SELECT u.request_id FROM usage_closures AS x JOIN usage_events AS u ON u.id = x.usage_event"
            )
        }
        assert not closed & counts.keys()
        assert sum(world.states().values()) + world.unsealed() + len(closed) == len(self.rows)
        with world.ledger() as ledger:
            broken = [check for check in verify(ledger) if not check.ok]
        assert not broken


@pytest.mark.parametrize("seed", range(12))
def test_closed_usage_is_never_counted(template: World, tmp_path: Path, seed: int) -> None:
    """Whatever is closed between pushes, deaths and people's words, Stripe never counts it."""
    history = ClosingHistory(copy_of(template, tmp_path / "w"), random.Random(seed))  # noqa: S311 - repeatable
    history.import_some()
    try:
        for _ in range(STEPS):
            history.step()
    except BaseException as error:
        error.add_note(f"seed {seed}: {', '.join(history.told)}")
        raise
