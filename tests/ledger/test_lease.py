"""The lease and the binding: one pusher at a time, and one counterpart for ever."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from meterledger.errors import ExitCode, LedgerError
from meterledger.ledger import Ledger, create_ledger, open_ledger
from meterledger.ledger.lease import LEASE_DURATION, Binding, Holder

NOW = 1_793_491_200_000_000
ONE = Holder(host="here", pid=1, process_started="a")
TWO = Holder(host="here", pid=2, process_started="b")
BINDING = Binding(account_id="acct_one", stripe_account="", mode="test", host="http://127.0.0.1:1")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Make an empty ledger."""
    create_ledger(tmp_path / "ledger.db")
    with open_ledger(tmp_path / "ledger.db") as ledger:
        yield ledger


def renew(ledger: Ledger, token: int, now: int) -> int:
    """Renew in a transaction of its own."""
    with ledger.database.transaction():
        return ledger.lease.renew(token, now)


def test_an_empty_ledger_is_held_by_nobody(ledger: Ledger) -> None:
    """Nobody holds what was never pushed."""
    assert ledger.lease.current_holder(NOW) is None


def test_a_lease_is_held_until_it_expires(ledger: Ledger) -> None:
    """The holder is told up to the instant of expiry, and not from it on."""
    ledger.lease.take(ONE, None, NOW)
    assert ledger.lease.current_holder(NOW + LEASE_DURATION - 1) == ONE
    assert ledger.lease.current_holder(NOW + LEASE_DURATION) is None


@pytest.mark.parametrize("over", [None, TWO, Holder(host="here", pid=1, process_started="z")])
def test_a_second_holder_is_refused(ledger: Ledger, over: Holder | None) -> None:
    """While it holds, whoever comes is told who is there, with exit code 4; nothing changes."""
    token = ledger.lease.take(ONE, None, NOW)
    with pytest.raises(LedgerError, match="process 1 on here") as caught:
        ledger.lease.take(TWO, over, NOW + LEASE_DURATION - 1)
    assert caught.value.exit_code == ExitCode.LEDGER
    assert ledger.lease.current_holder(NOW) == ONE
    assert renew(ledger, token, NOW) == NOW + LEASE_DURATION


def test_two_connections_do_not_both_get_it(ledger: Ledger) -> None:
    """The refusal holds between processes, not only within one."""
    with open_ledger(ledger.path) as other:
        ledger.lease.take(ONE, None, NOW)
        with pytest.raises(LedgerError):
            other.lease.take(TWO, None, NOW)


def test_an_expired_lease_is_taken_over(ledger: Ledger) -> None:
    """Who did not renew in time loses it, and finds out when it wants to go on."""
    first = ledger.lease.take(ONE, None, NOW)
    second = ledger.lease.take(TWO, None, NOW + LEASE_DURATION)
    assert second != first
    with pytest.raises(LedgerError):
        renew(ledger, first, NOW + LEASE_DURATION)
    assert renew(ledger, second, NOW + LEASE_DURATION) == NOW + 2 * LEASE_DURATION


def test_a_dead_holder_is_taken_over_at_once(ledger: Ledger) -> None:
    """A holder known to be dead stops nobody, and its token is worth nothing any more."""
    first = ledger.lease.take(ONE, None, NOW)
    ledger.lease.take(TWO, ONE, NOW + 1)
    assert ledger.lease.current_holder(NOW + 1) == TWO
    with pytest.raises(LedgerError):
        renew(ledger, first, NOW + 1)


def test_only_the_very_dead_holder_is_taken_over(ledger: Ledger) -> None:
    """If another one has taken the lease since the holder was found dead, that one keeps it."""
    ledger.lease.take(ONE, None, NOW)
    ledger.lease.take(TWO, ONE, NOW)
    with pytest.raises(LedgerError, match="process 2"):
        ledger.lease.take(Holder(host="here", pid=3, process_started="c"), ONE, NOW)


def test_a_renewed_lease_lasts_longer(ledger: Ledger) -> None:
    """Renewing counts from its own instant."""
    token = ledger.lease.take(ONE, None, NOW)
    renew(ledger, token, NOW + LEASE_DURATION - 1)
    assert ledger.lease.current_holder(NOW + 2 * LEASE_DURATION - 2) == ONE


def test_a_lease_that_was_given_back_is_free(ledger: Ledger) -> None:
    """After release the next one gets it, and the old token renews nothing."""
    first = ledger.lease.take(ONE, None, NOW)
    ledger.lease.release(first)
    assert ledger.lease.current_holder(NOW) is None
    with pytest.raises(LedgerError):
        renew(ledger, first, NOW)
    ledger.lease.take(TWO, None, NOW)


def test_who_lost_the_lease_gives_back_nothing(ledger: Ledger) -> None:
    """A release with an old token leaves the new holder alone."""
    first = ledger.lease.take(ONE, None, NOW)
    ledger.lease.take(TWO, ONE, NOW)
    ledger.lease.release(first)
    assert ledger.lease.current_holder(NOW) == TWO


def test_a_renewal_is_part_of_its_transaction(ledger: Ledger) -> None:
    """What is rolled back has prolonged nothing."""
    token = ledger.lease.take(ONE, None, NOW)

    def renew_and_fail() -> None:
        with ledger.database.transaction():
            ledger.lease.renew(token, NOW + 1)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        renew_and_fail()
    assert ledger.lease.current_holder(NOW + LEASE_DURATION) is None


def test_a_binding_is_for_ever(ledger: Ledger) -> None:
    """A ledger is bound once; a second binding is refused and changes nothing."""
    assert ledger.lease.binding() is None
    ledger.lease.bind(BINDING, NOW)
    with pytest.raises(LedgerError):
        ledger.lease.bind(
            Binding(account_id="acct_two", stripe_account="", mode="live", host="https://api.stripe.com"), NOW
        )
    assert ledger.lease.binding() == BINDING


def test_a_binding_is_not_known_before_it_was_made(ledger: Ledger) -> None:
    """Asked as of an instant, a ledger is bound from the instant on at which it was."""
    ledger.lease.bind(BINDING, NOW)
    assert ledger.lease.binding(as_of=NOW - 1) is None
    assert ledger.lease.binding(as_of=NOW) == BINDING


def test_an_account_is_learnt_once(ledger: Ledger) -> None:
    """A binding without an account takes the first one it is told, and keeps it."""
    ledger.lease.bind(Binding(account_id=None, stripe_account="", mode="test", host="x"), NOW)
    ledger.lease.learn_account("acct_one")
    ledger.lease.learn_account("acct_two")
    binding = ledger.lease.binding()
    assert binding is not None
    assert binding.account_id == "acct_one"
