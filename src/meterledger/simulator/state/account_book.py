"""Every account that was called, by id and mode."""

import re
from collections.abc import Callable

from meterledger.simulator.metering.stream_sessions import StreamSession
from meterledger.simulator.protocol.api_errors import FORBIDDEN, ApiError
from meterledger.simulator.rules import Rules
from meterledger.simulator.state.account import Account
from meterledger.simulator.state.book import Journal, NoJournal

OWN_ACCOUNT = "acct_simulator"

_ACCOUNT_ID = re.compile(r"acct_[A-Za-z0-9_]{1,100}")

AccountKey = tuple[str, bool]
"""An account's id, and whether it is in live mode."""


class AccountBook:
    """
    Every account that was called, made at its first call.

    Args:
        rules: What the simulator was told to be like.
        journal_for: Gives the journal of a new account.
    """

    def __init__(
        self,
        rules: Rules,
        journal_for: Callable[[AccountKey], Journal] = lambda _: NoJournal(),
    ) -> None:
        self._rules = rules
        self._journal_for = journal_for
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
            account = self._made(key)
            for spec in self._rules.seeds:
                account.add_meter(spec, now)
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

    def all(self) -> list[Account]:
        """Return every account, by id and mode."""
        return [account for _, account in sorted(self._accounts.items())]

    def _made(self, key: AccountKey) -> Account:
        account_id, livemode = key
        if _ACCOUNT_ID.fullmatch(account_id) is None:
            raise ApiError(
                f"The key has no access to account '{account_id}', or there is no such account.",
                status=FORBIDDEN,
                code="account_invalid",
            )
        account = Account(account_id, livemode=livemode, rules=self._rules, journal=self._journal_for(key))
        self._accounts[key] = account
        return account
