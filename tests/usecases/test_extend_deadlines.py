"""More time for drafts: moved once, proved by the invoice, and never to an earlier time."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from meterledger.domain.billing_facts import PulledInvoice
from meterledger.domain.dues import DeadlineSource
from meterledger.domain.instant import DAY, HOUR, SECOND, Instant
from meterledger.errors import StripeError, UsageError
from meterledger.stripe_gateway.billing import Refusal
from meterledger.usecases.extend_deadlines import Result
from support.billing_facts import at, draft, final, line
from support.draft_stripe import Died
from support.extend_desk import NEW, OLD, Desk, extend_desk, with_another_draft, with_second_draft


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Return a desk ten minutes after the end of October."""
    with extend_desk(tmp_path) as found:
        yield found


def test_a_draft_that_is_behind_gets_more_time(desk: Desk) -> None:
    """It is moved once, the invoice tells it, and from then on the audit counts with it."""
    report = desk.run()
    assert desk.results(report) == [(Result.EXTENDED, NEW)]
    assert [move[:2] for move in desk.moves] == [("in_1", NEW)]
    assert desk.due == (NEW, DeadlineSource.DRAFT_INVOICE)


def test_the_amount_behind_is_told(desk: Desk) -> None:
    """The plan says how much usage is not accepted yet, sealed or not."""
    desk.built.usage("r2", "2026-10-16T00:00:00Z", recorded="2026-11-01T00:05:00Z", customer="cus_1")
    desk.built.usage("r3", "2026-11-01T00:00:00Z", recorded="2026-11-01T00:05:00Z", customer="cus_1")
    desk.built.usage("r4", "2026-10-16T00:00:00Z", recorded="2026-11-01T00:05:00Z", customer="cus_2")
    desk.built.unknown("r2", "2026-11-01T00:06:00Z")
    (planned,) = desk.run(dry_run=True).lines
    amount = planned.deadline.unsent["api_requests"]
    assert (amount.events, str(amount.quantity)) == (2, "2")


@pytest.mark.parametrize("answer", [None, False])
def test_looking_and_declining_move_nothing(desk: Desk, *, answer: bool | None) -> None:
    """A dry run plans, a no ends it."""
    report = desk.run(dry_run=answer is None, answer=answer)
    assert [one.to for one in report.lines] == [NEW]
    assert desk.moves == []
    assert report.declined is (answer is False)
    assert desk.due[0] == OLD


def test_only_what_is_behind_is_moved_unless_a_customer_is_named(desk: Desk) -> None:
    """Without unsent usage there is nothing at risk; by name it is moved all the same."""
    desk.built.accepted("r1", "2026-11-01T00:06:00Z")
    assert desk.run().lines == []
    assert desk.results(desk.run(customer="cus_1")) == [(Result.EXTENDED, NEW)]


def test_a_customer_that_nobody_knows_is_refused(desk: Desk) -> None:
    """A misspelt one is no customer without drafts."""
    with pytest.raises(UsageError, match="cus_9"):
        desk.run(customer="cus_9")


def test_death_before_the_request_is_made_good_under_the_same_key(desk: Desk) -> None:
    """The intent was there; the next run finds that it was not carried out, and does it."""
    desk.stripe.billed.script = ["dies_before"]
    with pytest.raises(Died):
        desk.run()
    (intent,) = desk.built.ledger.subscriptions.open_extensions()
    assert desk.results(desk.run()) == [(Result.EXTENDED, NEW)]
    assert desk.moves == [("in_1", NEW, intent.idempotency_key)]


def test_death_after_the_request_does_not_move_it_twice(desk: Desk) -> None:
    """The next run reads the invoice, says that it was moved, and adds no second six hours."""
    desk.stripe.billed.script = ["dies_after"]
    with pytest.raises(Died):
        desk.run()
    assert desk.results(desk.run()) == [(Result.EXTENDED, NEW)]
    assert len(desk.moves) == 1
    assert desk.built.ledger.subscriptions.open_extensions() == []
    assert desk.due[0] == NEW


def test_a_lost_answer_is_found_out(desk: Desk) -> None:
    """The invoice tells what no answer told."""
    desk.stripe.billed.script = ["answer_lost"]
    assert desk.results(desk.run()) == [(Result.EXTENDED, NEW)]


def test_a_lost_request_stays_open_until_the_next_run(desk: Desk) -> None:
    """Without an answer it may be on its way: nothing is claimed, and the next run settles it."""
    desk.stripe.billed.script = ["request_lost"]
    assert desk.results(desk.run()) == [(Result.UNKNOWN, OLD)]
    assert len(desk.built.ledger.subscriptions.open_extensions()) == 1
    assert desk.results(desk.run()) == [(Result.EXTENDED, NEW)]


def test_after_two_answers_under_a_key_another_is_taken(desk: Desk) -> None:
    """A 500 would be replayed for a day."""
    desk.stripe.billed.script = ["500", "500", "500"]
    for _ in range(3):
        assert desk.results(desk.run()) == [(Result.REFUSED, OLD)]
    assert desk.results(desk.run()) == [(Result.EXTENDED, NEW)]
    keys = [key for _, _, key in desk.moves]
    assert keys == [keys[0], keys[0], f"{keys[0]}:2", f"{keys[0]}:3"]


@pytest.mark.parametrize("status", ["401", "403"])
def test_a_key_that_may_not_write_stops_the_run(desk: Desk, status: str) -> None:
    """The others would be refused too; the ledger knows that nothing was moved."""
    desk.stripe.billed.script = [status]
    report = desk.run()
    assert isinstance(report.stopped, StripeError)
    assert desk.results(report) == [(Result.REFUSED, OLD)]
    assert desk.built.ledger.subscriptions.open_extensions() == []


def test_a_key_that_may_not_read_back_leaves_it_open(desk: Desk) -> None:
    """What nobody can see is not settled."""
    desk.stripe.billed.script = ["dies_before"]
    with pytest.raises(Died):
        desk.run()
    desk.stripe.billed.refusals["invoice"] = Refusal(warning="invoices could not be read (403)")
    with pytest.raises(StripeError, match="403"):
        desk.run()
    assert len(desk.built.ledger.subscriptions.open_extensions()) == 1


@pytest.mark.parametrize(
    ("meanwhile", "result", "deadline"),
    [
        (final("11-01T00:11"), Result.FINAL, at("11-01T00:11")),
        (draft(auto_advance=False, finalizes_at=None), Result.HELD_OPEN, OLD),
        (draft(finalizes_at=at("11-02")), Result.UNNEEDED, at("11-02")),
    ],
    ids=["final", "held-open", "later-already"],
)
def test_what_changed_while_it_was_asked_is_left_alone(
    desk: Desk, meanwhile: PulledInvoice, result: Result, deadline: Instant
) -> None:
    """The invoice is looked at again right before: final, held open or later, it is not touched."""
    report = desk.run(before_moving=[meanwhile])
    assert desk.results(report) == [(result, deadline)]
    assert desk.moves == []


def test_a_draft_that_is_held_open_has_no_deadline_to_move(desk: Desk) -> None:
    """Giving it one would end what holds it open."""
    desk.stripe.billed.invoices_by_id = {"in_1": draft(auto_advance=False, finalizes_at=None)}
    assert desk.results(desk.run()) == [(Result.HELD_OPEN, None)]


def test_five_years_are_the_most(desk: Desk) -> None:
    """What Stripe would refuse is not asked."""
    assert [one.result for one in desk.run(by=5 * 365 * DAY).lines] == [Result.TOO_FAR]
    assert desk.moves == []


def test_a_deadline_that_is_over_is_moved_from_now(desk: Desk) -> None:
    """Stripe can be late to finalize: six hours more are six hours from now."""
    desk.stripe.now = at("11-01T02:00") + SECOND // 2
    (moved,) = desk.run().lines
    assert (moved.result, moved.now_at) == (Result.EXTENDED, at("11-01T08:00") + SECOND)


def test_what_more_time_cannot_save_is_told_apart(desk: Desk) -> None:
    """After a price change in mid-cycle, usage that comes in grace is on no invoice: it is not behind."""
    lines = (line("10-01", "10-12"), line("10-12", "11-01", price="price_2"))
    desk.stripe.billed.invoices_by_id = {"in_1": draft(lines=lines)}
    assert desk.run().lines == []
    (one,) = desk.run(customer="cus_1", dry_run=True).lines
    assert (one.deadline.unsent, one.deadline.too_late["api_requests"].events) == ({}, 1)


def test_every_draft_is_moved_even_if_one_is_refused(desk: Desk) -> None:
    """One customer's trouble is not another's."""
    with_second_draft(desk)
    desk.stripe.billed.script = ["400", "done"]
    assert [one.result for one in desk.run().lines] == [Result.REFUSED, Result.EXTENDED]


def dies(desk: Desk, after: int, *, to: Instant | None = None) -> bool:
    """Run a command that dies after so many requests; tell whether it came so far."""
    desk.stripe.dies_after = after
    try:
        desk.run(to=to)
    except Died:
        return True
    finally:
        desk.stripe.dies_after = None
    return False


@pytest.mark.parametrize("first", range(12))
@pytest.mark.parametrize("second", [0, 3, 5, 7])
def test_killed_anywhere_and_run_again_nobody_gets_a_second_extension(
    desk: Desk, first: int, second: int
) -> None:
    """Drafts that the cut-off run had moved are left as they are, looked at in between or cut off again."""
    with_second_draft(desk)
    if dies(desk, first):
        if any(one.result is Result.PLANNED for one in desk.run(dry_run=True).lines):
            desk.run(answer=False)
        desk.stripe.now += SECOND
        if dies(desk, second):
            desk.run()
    deadlines = [one.finalizes_at for one in desk.stripe.billed.invoices_by_id.values()]
    assert deadlines == [NEW, NEW]
    assert len({key for _, _, key in desk.moves}) == 2
    assert desk.built.ledger.subscriptions.open_extensions() == []


def test_more_time_can_be_given_again_after_a_whole_run(desk: Desk) -> None:
    """Only a run that was cut off is gone on with: six hours and six hours are twelve."""
    with_second_draft(desk)
    desk.run()
    assert [one.now_at for one in desk.run().lines] == [NEW + 6 * HOUR] * 2


def test_a_deadline_that_changed_before_the_run_came_to_it_is_moved_from_there(desk: Desk) -> None:
    """Somebody else gave it an hour meanwhile: it gets the time that was shown."""
    report = desk.run(before_moving=[draft(finalizes_at=at("11-01T02:00"))])
    assert desk.results(report) == [(Result.EXTENDED, NEW)]
    assert desk.built.ledger.subscriptions.open_extensions() == []


def test_to_an_instant_each_draft_gets_what_it_lacks(desk: Desk) -> None:
    """Whatever their deadlines, they are the same then; who has it, or more, is left alone and told so."""
    with_second_draft(desk)
    invoices = desk.stripe.billed.invoices_by_id
    invoices["in_2"] = replace(invoices["in_2"], finalizes_at=at("11-01T04:00"))
    assert desk.results(desk.run(to=NEW)) == [(Result.EXTENDED, NEW)] * 2
    again = desk.run(to=NEW - HOUR)
    assert desk.results(again) == [(Result.UNNEEDED, NEW)] * 2
    assert {one.message for one in again.lines} == {"its deadline is there already, or later"}
    assert [move[:2] for move in desk.moves] == [("in_1", NEW), ("in_2", NEW)]


def test_an_instant_between_two_seconds_is_the_second_after_it(desk: Desk) -> None:
    """Stripe has whole seconds; asked again, it is the same one."""
    for result in (Result.EXTENDED, Result.UNNEEDED):
        assert desk.results(desk.run(to=NEW + 1)) == [(result, NEW + SECOND)]


def test_an_instant_is_at_most_five_years_ahead(desk: Desk) -> None:
    """What Stripe would refuse is not asked."""
    assert [one.result for one in desk.run(to=desk.stripe.now + 5 * 365 * DAY + 1).lines] == [Result.TOO_FAR]
    assert desk.moves == []


@pytest.mark.parametrize("status", ["401", "403", "500"])
def test_to_an_instant_a_refused_run_is_gone_on_with(desk: Desk, status: str) -> None:
    """One was moved, the other refused and settled so: run again, none gets its time twice."""
    with_second_draft(desk)
    desk.stripe.billed.script = ["done", status]
    assert desk.results(desk.run(to=NEW)) == [(Result.EXTENDED, NEW), (Result.REFUSED, OLD)]
    desk.stripe.now += SECOND
    # The earlier deadline comes first.
    assert desk.results(desk.run(to=NEW)) == [(Result.EXTENDED, NEW), (Result.UNNEEDED, NEW)]


@pytest.mark.parametrize("first", range(12))
@pytest.mark.parametrize("second", [0, 3, 5, 7])
def test_killed_anywhere_to_an_instant_nobody_gets_more(desk: Desk, first: int, second: int) -> None:
    """Cut off twice, however late it is run again: the instant is the instant."""
    with_second_draft(desk)
    if dies(desk, first, to=at("11-01T12:00")):
        desk.stripe.now += 40 * 60 * SECOND
        dies(desk, second, to=at("11-01T12:00"))
    desk.stripe.now += 2 * HOUR
    desk.run(to=at("11-01T12:00"))
    deadlines = [one.finalizes_at for one in desk.stripe.billed.invoices_by_id.values()]
    assert deadlines == [at("11-01T12:00")] * 2
    assert desk.built.ledger.subscriptions.open_extensions() == []


@pytest.mark.parametrize("first", range(12))
def test_an_instant_goes_on_with_what_a_duration_began(desk: Desk, first: int) -> None:
    """A run by six hours that was cut off is ended by the instant that it said."""
    with_second_draft(desk)
    dies(desk, first)
    desk.run(to=NEW)
    assert [one.finalizes_at for one in desk.stripe.billed.invoices_by_id.values()] == [NEW, NEW]
    assert desk.built.ledger.subscriptions.open_extensions() == []


def test_what_somebody_has_moved_back_is_moved_again(desk: Desk) -> None:
    """Under another key: for the first one Stripe would repeat its answer, and do nothing."""
    desk.run(to=NEW)
    desk.stripe.billed.invoices_by_id["in_1"] = draft()
    assert desk.results(desk.run(to=NEW)) == [(Result.EXTENDED, NEW)]
    first, second = (key for _, _, key in desk.moves)
    assert second == f"{first}:2"


@pytest.mark.parametrize("after", range(14))
def test_canceled_anywhere_it_says_what_was_moved(desk: Desk, after: int) -> None:
    """Moved is moved, planned is not; what is open is told; and by the same six hours none gets twelve."""
    with_second_draft(desk)
    desk.stripe.dies_after, desk.stripe.dies_of = after, asyncio.CancelledError
    with contextlib.suppress(asyncio.CancelledError):
        report = desk.run()
        told = {one.invoice.invoice_id: one.result for one in report.lines}
        for name, one in desk.stripe.billed.invoices_by_id.items():
            known = {OLD: Result.PLANNED, NEW: Result.EXTENDED}[one.finalizes_at or 0]
            assert told[name] in (known, Result.UNKNOWN)
        assert report.is_interrupted is report.left_open
        assert report.is_interrupted or set(told.values()) == {Result.EXTENDED}
        desk.stripe.dies_after = None
        if report.is_interrupted:
            desk.run()
            assert [one.finalizes_at for one in desk.stripe.billed.invoices_by_id.values()] == [NEW, NEW]


ODD = Refusal(warning="in_1 could not be read: status not as Stripe writes it", is_odd=True)


def test_an_invoice_of_another_form_stops_none_but_itself(desk: Desk) -> None:
    """It is named with what is wrong, nothing is asked of it, and the others get their time."""
    with_second_draft(desk)
    desk.stripe.billed.refusals["in_1"] = ODD
    report = desk.run()
    assert [(one.result, one.message) for one in report.lines] == [
        (Result.UNREADABLE, ODD.warning),
        (Result.EXTENDED, ""),
    ]
    assert [move[0] for move in desk.moves] == ["in_2"]
    assert desk.built.ledger.subscriptions.open_extensions() == []


def test_an_open_move_of_an_invoice_that_cannot_be_read_stays_open(desk: Desk) -> None:
    """Nobody knows what became of it: it is asked for no second time, until the invoice can be read."""
    with_second_draft(desk)
    desk.stripe.billed.script = ["dies_after"]
    with pytest.raises(Died):
        desk.run()
    desk.stripe.billed.refusals["in_1"] = ODD
    for to in (NEW, None):
        report = desk.run(to=to)
        assert {one.invoice.invoice_id: one.message for one in report.lines}["in_1"] == ODD.warning
        assert report.left_open
    del desk.stripe.billed.refusals["in_1"]
    desk.run(to=NEW)
    assert [move[:2] for move in desk.moves] == [("in_1", NEW), ("in_2", NEW)]
    assert desk.built.ledger.subscriptions.open_extensions() == []


def test_an_answer_of_another_form_after_the_move_proves_nothing(desk: Desk) -> None:
    """Moved or not, the invoice does not tell it: unknown, and found out by the next run."""
    desk.stripe.billed.script = ["odd_after"]
    (one,) = desk.run().lines
    assert (one.result, one.message) == (Result.UNKNOWN, desk.stripe.billed.refusals["in_1"].warning)
    desk.stripe.billed.refusals.clear()
    assert desk.results(desk.run()) == [(Result.EXTENDED, NEW)]
    assert len(desk.moves) == 1


def test_what_the_cut_off_run_had_moved_and_a_person_moved_back_is_not_called_extended(desk: Desk) -> None:
    """Extended is what the draft tells now, not what it told when it was moved."""
    with_second_draft(desk)
    desk.stripe.billed.script = ["done", "dies_before"]
    with pytest.raises(Died):
        desk.run()
    desk.stripe.billed.invoices_by_id["in_1"] = draft(finalizes_at=OLD)
    assert desk.results(desk.run()) == [(Result.EXTENDED, NEW)] * 2
    assert {one.finalizes_at for one in desk.stripe.billed.invoices_by_id.values()} == {NEW}


def test_moves_without_an_answer_end_the_run(desk: Desk) -> None:
    """Each is waited for half a minute: after two in a row the rest waits for the next run, which goes on."""
    for number in range(2, 7):
        with_another_draft(desk, number)
    desk.stripe.billed.script = ["done", "request_lost", "done", "request_lost", "request_lost"]
    report = desk.run()
    assert "2 moves in a row" in (report.stopped.message if report.stopped else "")
    assert [one.result.value for one in report.lines] == [
        *("extended", "unknown", "extended", "unknown", "unknown", "planned")
    ]
    assert [one.result for one in desk.run().lines] == [Result.EXTENDED] * 6
    assert {one.finalizes_at for one in desk.stripe.billed.invoices_by_id.values()} == {NEW}


def test_a_stripe_that_stays_busy_says_what_it_did_not_do(desk: Desk) -> None:
    """429 to each try of a move: the run ends, says so, and the next one makes it."""
    desk.stripe.billed.script = ["429"] * 5
    report = desk.run()
    assert "a deadline could not be moved (429): no" in (report.stopped.message if report.stopped else "")
    assert desk.results(desk.run()) == [(Result.EXTENDED, NEW)]
