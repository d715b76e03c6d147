"""
Outages end to end: real requests to the simulator, whose clock goes on by 1 h to 36 days until the next.

Six usage events of one hour ago; a push takes four of them into an outage and dies of it or ends; then the
outage passes, and the next push takes all six. One row of the table is what has to be so after that push.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from meterledger.domain.delivery import Outcome
from meterledger.domain.instant import DAY, HOUR, SECOND
from meterledger.proving.crashes import CrashPoints
from meterledger.proving.history import COUNT, START, SUM, History, ImportFile, PlanFaults, Push, Row, Settle
from meterledger.proving.local_stripe import LocalStripe, local_stripe
from meterledger.proving.prove import template_in
from meterledger.proving.world import Parts, Tally, World, world
from meterledger.stripe_gateway.access import StripeAccess
from meterledger.stripe_gateway.gateway import open_gateway
from meterledger.usecases.door import PushGateway

ROWS = tuple(
    Row(key=f"r{n}", customer=f"cus_{'abc'[n % 3]}", feature=COUNT if n == 1 else SUM, quantity="1",
        at=START - HOUR + n * SECOND)
    for n in range(6)
)  # fmt: skip
IN_OUTAGE = 4
LENGTHS = {"1 h": HOUR, "23 h": 23 * HOUR, "25 h": 25 * HOUR, "36 d": 36 * DAY}
LOST: tuple[dict[str, object], ...] = ({"kind": "answer_lost", "times": 0},)


@dataclass(frozen=True, slots=True)
class Expected:
    """What has to be so when the outage is over: usage events, and what went out again of the first four."""

    sent_again: int
    accepted: int
    in_doubt: int
    too_old: int
    counted: int
    """At Stripe, of six."""


# Refused: nothing left, so all of it is sent, or blocked where Stripe would take it no more.
# Answers lost: Stripe has all four; within 23 h it is asked again and says so, later only a person can tell.
# Killed: v1 and v2 die at the second answer, so two of four were counted; a batch of the stream had all four.
TABLE = {
    ("refused", "1 h"): Expected(4, accepted=6, in_doubt=0, too_old=0, counted=6),
    ("refused", "23 h"): Expected(4, accepted=6, in_doubt=0, too_old=0, counted=6),
    ("refused", "25 h"): Expected(4, accepted=6, in_doubt=0, too_old=0, counted=6),
    ("refused", "36 d"): Expected(0, accepted=0, in_doubt=0, too_old=6, counted=0),
    ("answers lost", "1 h"): Expected(4, accepted=6, in_doubt=0, too_old=0, counted=6),
    ("answers lost", "23 h"): Expected(0, accepted=2, in_doubt=4, too_old=0, counted=6),
    ("answers lost", "25 h"): Expected(0, accepted=2, in_doubt=4, too_old=0, counted=6),
    ("answers lost", "36 d"): Expected(0, accepted=0, in_doubt=4, too_old=2, counted=4),
    ("killed", "1 h"): Expected(4, accepted=6, in_doubt=0, too_old=0, counted=6),
    ("killed", "23 h"): Expected(0, accepted=2, in_doubt=4, too_old=0, counted=4),
    ("killed", "25 h"): Expected(0, accepted=2, in_doubt=4, too_old=0, counted=4),
    ("killed", "36 d"): Expected(0, accepted=0, in_doubt=4, too_old=2, counted=2),
}
BY_STREAM = {
    ("killed", "23 h"): Expected(0, accepted=2, in_doubt=4, too_old=0, counted=6),
    ("killed", "25 h"): Expected(0, accepted=2, in_doubt=4, too_old=0, counted=6),
    ("killed", "36 d"): Expected(0, accepted=0, in_doubt=4, too_old=2, counted=4),
}


@dataclass
class Outage:
    """A way to Stripe that is there for reads; while this is on, it refuses what would send."""

    is_on: bool = False
    inner: Any = field(default=None)

    def before(self, inner: PushGateway) -> PushGateway:
        """Stand before a gateway."""
        self.inner = inner
        return self  # the rest is the inner one's

    def __getattr__(self, name: str) -> Any:
        """Pass on what is no sending."""
        return getattr(self.inner, name)

    async def send(self, body: dict[str, Any], idempotency_key: str) -> Outcome:
        """Send by v1."""
        return await self._sent("send", body, idempotency_key)

    async def send_v2(self, body: dict[str, Any], idempotency_key: str) -> Outcome:
        """Send by v2."""
        return await self._sent("send_v2", body, idempotency_key)

    async def send_batch(self, events: Sequence[dict[str, Any]], idempotency_key: str) -> Outcome:
        """Send by the stream."""
        return await self._sent("send_batch", events, idempotency_key)

    async def _sent(self, method: str, what: object, key: str) -> Outcome:
        if not self.is_on:
            outcome: Outcome = await getattr(self.inner, method)(what, key)
            return outcome
        nowhere = StripeAccess(key="sk_test_x", mode="test", base="http://127.0.0.1:1")
        async with open_gateway(nowhere, lambda: START, concurrency=1, on_date=lambda _date: None) as gateway:
            refused: Outcome = await getattr(gateway, method)(what, key)
        return refused


class AtAnswer(CrashPoints):
    """Dies before an answer arrives, counted from 1."""

    def __init__(self, answer: int) -> None:
        super().__init__()
        self.answer = answer

    def point(self, what: str) -> None:
        """Pass a point, or die there."""
        if what == "before an answer" and self.passed.count(what) + 1 == self.answer:
            self.at = len(self.passed) + 1
        super().point(what)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a config and an empty ledger."""
    return template_in(tmp_path_factory.mktemp("outages") / "template")


@pytest.fixture(scope="module")
def stripe(template: Path) -> Iterator[LocalStripe]:
    """Run one simulator for all rows."""
    with local_stripe(template / "meterledger.toml", START) as running:
        yield running


def break_off(made: World, outage: Outage, way: str, how: str) -> None:
    """Push four usage events into the outage."""
    push = Push(way=way, limit=IN_OUTAGE)
    match how:
        case "refused":
            outage.is_on = True
            made.live(push)
            outage.is_on = False
        case "answers lost":
            made.live(PlanFaults(faults=LOST))
            made.live(push)
            made.live(PlanFaults(faults=()))
        case "killed":
            assert made.push(push, AtAnswer(1 if way == "stream" else 2)) is None


@pytest.mark.parametrize("way", ["v1", "v2", "stream"])
@pytest.mark.parametrize(("how", "length"), TABLE, ids=lambda text: text.replace(" ", "-"))
def test_after_an_outage(template: Path, stripe: LocalStripe, way: str, how: str, length: str) -> None:
    """What is safe to send goes again, what nobody can know is in doubt and listed, and nothing is lost."""
    expected = TABLE[how, length]
    if way == "stream":
        expected = BY_STREAM.get((how, length), expected)
    outage = Outage()
    history = History(seed=0, steps=())
    with world(history, template, stripe, Parts(gateway=outage.before), Tally()) as made:
        made.live(ImportFile(rows=ROWS))
        break_off(made, outage, way, how)
        before = stripe.page()
        made.wait(LENGTHS[length] - (made.now - START))
        report = made.push(Push(way=way))
        assert report is not None
        page = stripe.page()
        with made.ledger() as ledger:
            accepted = ledger.outbox.counts()["accepted"]
            listed = len(ledger.reports.in_doubt())
        counted = [name for name, one in page["identifiers"].items() if one["counted"] == 1]
        again = page["identifier_totals"]["arrivals"] - before["identifier_totals"]["arrivals"]
        assert (
            Expected(
                sent_again=again - (expected.accepted and len(ROWS) - IN_OUTAGE),
                accepted=accepted,
                in_doubt=listed,
                too_old=sum(report.blocked.values()),
                counted=len(counted),
            )
            == expected
        )
        assert page["identifier_totals"]["counted_more_than_once"] == 0
        assert accepted + listed + sum(report.blocked.values()) == len(ROWS)
        assert (report.in_doubt, report.pending) == (expected.in_doubt, 0)
        assert set(report.blocked) <= {"too_old"}

        # By a person's word all of it is settled; what Stripe takes no more is blocked, or rejected where a
        # body that had left before was asked for once more.
        made.live(Settle())
        last = made.push(Push(way=way))
        assert last is not None
        page = stripe.page()
        assert (last.pending, last.in_doubt) == (0, 0)
        assert page["identifier_totals"]["counted_more_than_once"] == 0
        left = sum(last.blocked.values()) + last.rejected_in_ledger
        assert page["identifier_totals"]["counted"] + left == len(ROWS)
        assert bool(left) == (length == "36 d")
