"""Push to the Stripe customers of a customers file."""

import dataclasses
import json
from pathlib import Path

import pytest

from meterledger.domain.blocking import BlockReason
from meterledger.usecases.audit import AuditOptions, audit
from meterledger.usecases.planning import Planner
from meterledger.usecases.status import status
from support.customers import customer, customers_csv, take_customers
from support.push_cases import always
from support.pushing import HOUR, MINUTE, START, Row, World
from support.strict_stripe import Fault


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Make an empty ledger and a strict Stripe."""
    return World(tmp_path / "w")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Subscribed(Row):
    """A usage row that names a subscription."""

    subscription: str

    def as_json(self) -> str:
        """Return it as a line of an input file."""
        fields = json.loads(Row.as_json(self)) | {"subscription_id": self.subscription}
        return json.dumps(fields)


def take(world: World, *rows: str, effective: int | None = None) -> None:
    """Import one customers file of these rows, which are good."""
    path = customers_csv(world.folder, *rows)
    report = take_customers(world.path, world.settings, world.time.clock, path, effective=effective)
    assert report.problems == []


def lanes(world: World) -> list[tuple[str, str]]:
    """Return meter and Stripe customer of everything that Stripe counted, sorted."""
    return sorted(arrival.lane for arrival in world.stripe.counted)


def test_usage_goes_to_the_mapped_customer(world: World) -> None:
    """The product's own ids reach Stripe as the file maps them, by subscription and by time."""
    take(
        world,
        customer("acme", "cus_A", "sub_1"),
        customer("acme", "cus_B", "sub_2"),
        customer("beta", "cus_C"),
    )
    take(world, customer("beta", "cus_D"), effective=START - HOUR)
    world.import_rows(
        [
            Subscribed(key="r1", customer="acme", subscription="sub_1"),
            Subscribed(key="r2", customer="acme", subscription="sub_2"),
            Row(key="r3", customer="beta", at=START - 2 * HOUR),
            Row(key="r4", customer="beta", at=START - HOUR),
            Row(key="r5", customer="cus_B"),
        ]
    )
    bodies, _ = world.preview()
    report = world.push()

    assert (report.tally.accepted, report.blocked) == (5, {})
    assert lanes(world) == [("calls", f"cus_{name}") for name in "ABBCD"]
    assert sorted(bodies) == sorted(arrival.text for arrival in world.stripe.arrivals)


def test_usage_that_came_before_the_file_is_mapped_too(world: World) -> None:
    """What was blocked because nobody knew its customer goes with the next push after the file."""
    world.import_rows([Row(key="r1", customer="acme")])
    assert world.push().blocked == {BlockReason.UNKNOWN_CUSTOMER: 1}
    take(world, customer("acme", "cus_A"))
    report = world.push()

    assert (report.blocked, lanes(world)) == ({}, [("calls", "cus_A")])


def test_a_stripe_customer_that_no_file_knows_is_blocked(world: World) -> None:
    """Where a file says who is billed, an id that it lacks is nobody's, however Stripe-like it looks."""
    world.import_rows([Row(key="r1", customer="cus_a")])
    take(world, customer("acme", "cus_A"))

    assert world.push().blocked == {BlockReason.UNKNOWN_CUSTOMER: 1}
    assert world.stripe.arrivals == []


def test_ambiguous_usage_waits_until_the_file_decides(world: World) -> None:
    """Usage of one of two Stripe customers is held back everywhere, and goes once a file says whose it is."""
    take(world, customer("acme", "cus_A", "sub_1"), customer("acme", "cus_B", "sub_2"))
    world.import_rows([Row(key="r1", customer="acme"), Row(key="r2", customer="acme", feature="seats")])
    blocked = {BlockReason.AMBIGUOUS_CUSTOMER: 2}

    assert world.preview()[1].blocked == blocked
    report = world.push()
    assert (report.blocked, report.needs_a_person, world.stripe.arrivals) == (blocked, True, [])
    with world.ledger() as ledger:
        assert status(ledger, world.settings, now=START).blocked == blocked
        [*entries] = audit(ledger, world.settings, AuditOptions(), now=START).entries
        assert [entry.customers for entry in entries] == [1, 1]

    take(world, customer("acme", "cus_B"))
    assert world.push().blocked == {}
    assert lanes(world) == [("calls", "cus_B"), ("seats", "cus_B")]


def test_a_claim_under_another_mapping_is_sealed_anew(world: World) -> None:
    """What Stripe certainly has not taken goes to the customer that the file names by then."""
    take(world, customer("acme", "cus_wrong"))
    world.import_rows([Row(key="r1", customer="acme")])
    world.stripe.fault = always(Fault.LIMITED)
    world.push()
    assert world.states() == {"pending": 1}
    world.stripe.fault = lambda _arrival: None
    world.time.advance(MINUTE)
    take(world, customer("acme", "cus_right"), effective=0)
    world.push()

    assert lanes(world) == [("calls", "cus_right")]
    assert len({arrival.identifier for arrival in world.stripe.arrivals}) == 1


def test_what_may_have_reached_stripe_keeps_its_customer(world: World) -> None:
    """A body that Stripe may have is never changed, whatever the file says since."""
    take(world, customer("acme", "cus_first"))
    world.import_rows([Row(key="r1", customer="acme")])
    world.stripe.fault = always(Fault.LOST_ANSWER)
    world.push()
    world.stripe.fault = lambda _arrival: None
    world.time.advance(MINUTE)
    take(world, customer("acme", "cus_second"), effective=0)
    world.push()

    assert lanes(world) == [("calls", "cus_first")]
    assert world.states() == {"accepted": 1}


def test_order_is_that_of_the_stripe_customer(world: World) -> None:
    """Two ids of one Stripe customer are one lane: a value older than the one sent is held back."""
    take(world, customer("acme", "cus_A"), customer("acme-eu", "cus_A"))
    world.import_rows([Row(key="s2", customer="acme", feature="seats", quantity="2", at=START - HOUR)])
    world.push()
    world.import_rows([Row(key="s1", customer="acme-eu", feature="seats", at=START - 2 * HOUR)])

    assert world.push().blocked == {BlockReason.SUPERSEDED: 1}
    assert [int(arrival.value) for arrival in world.stripe.counted] == [2]


def test_a_mapping_recorded_later_is_hidden_from_the_past(world: World) -> None:
    """As of an instant before the file, the usage was blocked."""
    world.import_rows([Row(key="r1", customer="acme")])
    before = world.time.clock()
    world.time.advance(HOUR)
    take(world, customer("acme", "cus_A"))
    with world.ledger() as ledger:
        [usage] = ledger.unsealed.all()
        then = Planner(ledger, world.settings, before, before).decide(usage)
        now = Planner(ledger, world.settings, world.time.clock()).decide(usage)

    assert then.held_back is BlockReason.UNKNOWN_CUSTOMER
    assert now.sealed is not None
    assert now.sealed.stripe_customer_id == "cus_A"
