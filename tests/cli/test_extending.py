"""What `deadline extend` says when it ends before its end: the next command gives no draft its time twice."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from meterledger.cli.extending import ended_early
from meterledger.domain.instant import HOUR
from meterledger.usecases.extend_deadlines import ExtendOptions
from support.billing_facts import at
from support.extend_desk import NEW, Desk, extend_desk, with_second_draft

BY, TO = ExtendOptions(by=6 * HOUR), ExtendOptions(to=NEW)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Return a desk with two drafts of one deadline."""
    with extend_desk(tmp_path) as found:
        with_second_draft(found)
        yield found


def hint(desk: Desk, options: ExtendOptions) -> str:
    """Run to an error, and return what it says is next."""
    error = ended_early(desk.run(to=options.to), options)
    assert error is not None
    return error.hint


@pytest.mark.parametrize("status", ["401", "403"])
def test_after_a_refused_key_the_instant_is_what_goes_on(desk: Desk, status: str) -> None:
    """The refused move is settled: the same duration again would be twelve hours for the first draft."""
    desk.stripe.billed.script = ["done", status]
    assert "--to 2026-11-01T07:00:00Z in place of --by" in hint(desk, BY)


def test_with_an_instant_it_is_the_same_command(desk: Desk) -> None:
    """There is nothing to replace."""
    desk.stripe.billed.script = ["done", "403"]
    assert hint(desk, TO).endswith("then run the same command again: it moves no draft beyond that instant")


def test_with_deadlines_of_their_own_the_others_are_named(desk: Desk) -> None:
    """No one instant is right for drafts of different days."""
    invoices = desk.stripe.billed.invoices_by_id
    invoices["in_2"] = replace(invoices["in_2"], finalizes_at=at("11-03"))
    desk.stripe.billed.script = ["done", "403"]
    assert "--customer" in hint(desk, BY)


def test_what_is_open_is_gone_on_with_by_the_same_command(desk: Desk) -> None:
    """Different days again, but cut off: the open intent tells the next run that it was."""
    invoices = desk.stripe.billed.invoices_by_id
    invoices["in_2"] = replace(invoices["in_2"], finalizes_at=at("11-03"))
    desk.stripe.dies_after, desk.stripe.dies_of = 7, asyncio.CancelledError
    report = desk.run()
    assert report.is_interrupted
    error = ended_early(report, BY)
    assert error is not None
    assert "run the same command again: it goes on" in error.hint


def test_before_anything_was_moved_mending_is_all(desk: Desk) -> None:
    """No word of a next command, and none at all after a whole run."""
    desk.stripe.billed.script = ["403"]
    assert hint(desk, BY) == "the key needs to be allowed to write invoices"
    assert ended_early(desk.run(), BY) is None
