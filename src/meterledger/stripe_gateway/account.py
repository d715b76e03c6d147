"""
Whose account it is, from the answer to the read that comes before anything is bound or sent.

Only Stripe's own refusal may pass for a restricted key: whatever else answers, an odd 200 included, is no
Stripe that a ledger could be bound to.
"""

from meterledger.errors import KeyRefusedError, StripeError
from meterledger.stripe_gateway.wire import WireAnswer

_OK = 200
_UNAUTHORIZED = 401
_NOT_ALLOWED_STATUSES = frozenset({403, 404})
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500


def account_of_answer(answer: WireAnswer, base: str) -> str | None:
    """
    Return the account's id; None where Stripe says that the key may not read it.

    Raises:
        StripeError: The key is refused, Stripe cannot tell for now, or what answered is no Stripe.
    """
    if answer.status == _UNAUTHORIZED:
        raise KeyRefusedError(f"{base} refused the key (401)", hint="check STRIPE_API_KEY")
    if answer.status == _TOO_MANY_REQUESTS or answer.status >= _SERVER_ERROR:
        raise StripeError(f"{base} cannot tell the account for now ({answer.status})", hint="try again later")
    if answer.status in _NOT_ALLOWED_STATUSES and _is_refusal(answer):
        return None
    found = answer.json() if answer.status == _OK else None
    account = found.get("id") if isinstance(found, dict) and found.get("object") == "account" else None
    if not isinstance(account, str) or not account:
        raise StripeError(
            f"{base} does not answer as Stripe does: GET /v1/account brought {answer.status} and no account; "
            "nothing was sent",
            hint="check STRIPE_API_BASE and what stands between here and Stripe",
        )
    return account


def _is_refusal(answer: WireAnswer) -> bool:
    """Tell whether it is an error of Stripe's form that is about the key, not about the path."""
    parts = (answer.error.get("type"), answer.error.get("message"))
    return all(isinstance(part, str) and part for part in parts) and not answer.knows_no_such_path
