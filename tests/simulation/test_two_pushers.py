"""Two pushers: one is refused, or takes over from one that was held, and that one sends nothing more."""

import threading
from pathlib import Path

import pytest

from meterledger.domain.way import Way
from meterledger.errors import LedgerError
from meterledger.usecases.push import PushOptions, PushReport
from meterledger.usecases.verify import verify
from support.pushing import HOUR, MINUTE, SECOND, START, Row, World, copy_of
from support.strict_stripe import Arrival, Fault

ROWS = (
    *(Row(key=f"c{n}", customer=f"cus_{n % 3}", at=START - HOUR + n * SECOND) for n in range(12)),
    *(Row(key=f"s{n}", feature="seats", quantity=f"{9 - n}", at=START - HOUR + n * SECOND) for n in range(4)),
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Make a ledger with usage to copy."""
    world = World(tmp_path_factory.mktemp("template"))
    world.import_rows(ROWS)
    return world


class Second:
    """A second pusher, that comes while the first is held in the middle of a request."""

    def __init__(self, world: World, at: int, span: int, fault: Fault | None) -> None:
        self.world, self.at, self.span, self.lost = world, at, span, fault
        self.report: PushReport | None = None
        self.refusal: LedgerError | None = None
        self.sent_until_then = 0
        world.stripe.fault = self.fault

    def fault(self, arrival: Arrival) -> Fault | None:
        """Hold the first pusher at a request, let time pass, and let the second one push to its end."""
        if arrival.number < self.at:
            return None
        self.world.stripe.fault = lambda _arrival: None
        self.world.time.advance(self.span)
        thread = threading.Thread(target=self._push)
        thread.start()
        thread.join()
        self.sent_until_then = self.sent
        return self.lost

    @property
    def sent(self) -> int:
        """How many requests have come."""
        return len(self.world.stripe.arrivals) + len(self.world.stripe.batches)

    def _push(self) -> None:
        try:
            self.report = self.world.push()
        except LedgerError as error:
            self.refusal = error


def check_end(world: World) -> None:
    """Push to the end, settle what is in doubt by the truth, and find each row counted once, in order."""
    for _ in range(3):
        world.time.advance(3 * MINUTE)
        world.push()
        world.resolve_by_truth()
    world.push()
    assert set(world.stripe.counts().values()) == {1}
    assert len(world.stripe.counted) == len(ROWS)
    assert world.states() == {"accepted": len(ROWS)}
    seats = [arrival.value for arrival in world.stripe.counted if arrival.lane[0] == "seats"]
    assert seats == sorted(seats, reverse=True)
    with world.ledger() as ledger:
        assert [check for check in verify(ledger) if not check.ok] == []


@pytest.mark.parametrize("way", [Way.V1, Way.V2, Way.STREAM])
@pytest.mark.parametrize("fault", [None, Fault.LOST_ANSWER, Fault.LOST_REQUEST])
@pytest.mark.parametrize("span", [3 * MINUTE, HOUR, 23 * HOUR - MINUTE, 25 * HOUR], ids=str)
def test_who_was_held_sends_nothing_after_the_takeover(
    template: World, tmp_path: Path, way: Way, fault: Fault | None, span: int
) -> None:
    """An expired lease is taken over; whoever wakes up without it ends, with an error, before it sends."""
    for at in (1, 2, 4):
        world = copy_of(template, tmp_path / f"{at}")
        world.way, world.stripe.scope_by_way = way, True
        second = Second(world, at, span, fault)
        with pytest.raises(LedgerError, match="taken over"):
            world.push(PushOptions(concurrency=1))
        assert second.refusal is None
        assert second.sent == second.sent_until_then
        assert second.report is not None
        assert second.report.recovered > 0
        assert set(world.stripe.counts().values()) <= {1}
        check_end(world)


@pytest.mark.parametrize("way", [Way.V1, Way.V2, Way.STREAM])
def test_as_long_as_the_lease_holds_the_second_is_refused(template: World, tmp_path: Path, way: Way) -> None:
    """It says who is at work, and disturbs nothing."""
    world = copy_of(template, tmp_path / "w")
    world.way = way
    second = Second(world, 2, MINUTE, None)
    assert world.push().tally.accepted == len(ROWS)
    assert second.refusal is not None
    assert "another push is at work" in second.refusal.message
    check_end(world)


def test_who_was_held_alone_goes_on(template: World, tmp_path: Path) -> None:
    """A lease that ran out and that nobody took is renewed by its holder: nothing is lost by sleeping."""
    world = copy_of(template, tmp_path / "w")

    def sleep_once(arrival: Arrival) -> Fault | None:
        if arrival.number == 1:
            world.time.advance(3 * MINUTE)
        return None

    world.stripe.fault = sleep_once
    assert world.push(PushOptions(concurrency=1)).tally.accepted == len(ROWS)
    check_end(world)
