"""Every account that was called, by id and mode."""

import re

from meterledger.simulator.metering.stream_sessions import StreamSession
from meterledger.simulator.protocol.api_errors import FORBIDDEN, ApiError
from meterledger.simulator.rules import Rules
from meterledger.simulator.seeds.planting import plant
from meterledger.simulator.state.account import Account
from meterledger.simulator.state.keeping import AccountKey, State

OWN_ACCOUNT = "acct_simulator"
MAX_ACCOUNTS = 1000  # any well-formed text makes one, so a client's mistake could fill the memory

_ACCOUNT_ID = re.compile(r"acct_[A-Za-z0-9_]{1,100}")


class AccountBook:
    """
    Every account that was called, made at its first call.

    Args:
        rules: What the simulator was told to be like.
        state: Where the accounts are kept.
    """

    def __init__(self, rules: Rules, state: State) -> None:
        self._rules = rules
        self._state = state
        self._accounts: dict[AccountKey, Account] = {}

    def open(self, account_id: str | None, *, livemode: bool, now: float) -> Account:
        """
        Return an account, made now (epoch seconds) if this is its first call.

        Raises:
            ApiError: 403, the Stripe-Account header names no account id.
        """
        key = (OWN_ACCOUNT if account_id is None else account_id, livemode)
        account = self._accounts.get(key)
        if account is None:
            if len(self._accounts) >= MAX_ACCOUNTS:
                raise _no_access(key[0])
            account = self._made(key)
            plant(account, now)
        return account

    def forget(self) -> None:
        """Forget every account."""
        self._accounts.clear()

    def with_session(self, token: str) -> tuple[Account, StreamSession] | None:
        """Return the stream session with a token and its account, or None where no session has it."""
        for account in self._accounts.values():
            session = account.sessions.find(token)
            if session is not None:
                return account, session
        return None

    def restore(self, now: float) -> None:
        """
        Make every account anew that was kept, with the seeds that it lacks, at an instant in epoch seconds.

        Raises:
            StateFileError: The state cannot be read.
        """
        for key in self._state.accounts():
            account = self._made(key)
            self._state.restore(key, account.restorable())
            plant(account, now)

    def all(self) -> list[Account]:
        """Return every account, by id and mode."""
        return [account for _, account in sorted(self._accounts.items())]

    def _made(self, key: AccountKey) -> Account:
        account_id, livemode = key
        if _ACCOUNT_ID.fullmatch(account_id) is None:
            raise _no_access(account_id)
        journal = self._state.journal_for(key)
        account = Account(account_id, livemode=livemode, rules=self._rules, journal=journal)
        self._accounts[key] = account
        return account


def _no_access(account_id: str) -> ApiError:
    return ApiError(
        f"The key has no access to account '{account_id}', or there is no such account.",
        status=FORBIDDEN,
        code="account_invalid",
    )
