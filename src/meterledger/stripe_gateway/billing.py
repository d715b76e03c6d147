"""Reads of subscriptions and invoices, page by page, and the one write of a draft's deadline."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from meterledger.domain.billing_facts import PulledInvoice, PulledItem
from meterledger.domain.instant import SECOND, Instant
from meterledger.errors import StripeError
from meterledger.stripe_gateway.billing_answers import (
    id_of,
    invoice_of,
    items_of,
    odd_keys_of_invoice,
    rows_of,
    table,
)
from meterledger.stripe_gateway.wire import WireAnswer

PAGE = 50
"""Objects on a page: each may be some kilobytes, and an answer is bounded."""
MAX_FURTHER_PAGES = 40
"""Pages of the items of one subscription, or of the lines of one invoice."""
_OK = 200
_CLIENT_ERROR = 400
_UNAUTHORIZED = 401
_NOT_FOUND = 404
_CONFLICT = 409
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500
_MAX_MESSAGE_CHARS = 500

Asked = Callable[[str, str, Mapping[str, Any], Mapping[str, Any]], Awaitable[WireAnswer | Exception]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of a list: what could be read, how many could not, and what it goes on after."""

    rows: tuple[Any, ...]
    unreadable: int = 0
    odd: tuple[str, ...] = ()
    """Which invoices could not be read, each with what is wrong with it."""
    after: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a read brought nothing, and whether Stripe was only busy or in trouble."""

    warning: str
    for_now: bool = False
    is_odd: bool = False
    """Whether Stripe answered, and what it answered has another form than it writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """
    What became of a change that was asked for.

    ``status`` is None where no answer came: then nobody knows.
    """

    status: int | None
    message: str = ""

    @property
    def for_now(self) -> bool:
        """Whether Stripe was only busy, and certainly did not do it."""
        return self.status in (_CONFLICT, _TOO_MANY_REQUESTS)

    @property
    def warning(self) -> str:
        """What to tell if Stripe stays busy."""
        said = f": {self.message}" if self.message else ""
        return f"a deadline could not be moved ({self.status}){said}"


class Billing:
    """Subscriptions and invoices of one account."""

    def __init__(self, asked: Asked, base: str, unreachable: Callable[[Exception], StripeError]) -> None:
        self._asked = asked
        self._base = base
        self._unreachable = unreachable

    async def subscriptions(self, meters: Mapping[str, str], after: str | None) -> Page | Refusal:
        """
        Return a page of lists of PulledItem, one for each subscription of whatever status.

        Args:
            meters: Meter id -> event name.
            after: What the page before says.

        Raises:
            StripeError: The key is refused, or Stripe cannot be reached.
        """
        found = await self._list("subscriptions", "/v1/subscriptions", {"status": "all"}, after)
        if isinstance(found, Refusal):
            return found
        rows = []
        for one in map(table, found.rows):
            items = await self._whole(
                one.get("items"), "/v1/subscription_items", {"subscription": one.get("id")}
            )
            if isinstance(items, Refusal):
                return items
            rows.append(items_of(one, items, meters))
        return _readable(rows, found)

    async def invoices(
        self, *, created_since: Instant | None, status: str | None, after: str | None
    ) -> Page | Refusal:
        """
        Return a page of PulledInvoice.

        Args:
            created_since: Only those created at or after it.
            status: Only those, such as ``draft``.
            after: What the page before says.

        Raises:
            StripeError: The key is refused, or Stripe cannot be reached.
        """
        parameters: dict[str, Any] = {"status": status} if status else {}
        if created_since is not None:
            parameters["created"] = {"gte": created_since // SECOND}
        found = await self._list("invoices", "/v1/invoices", parameters, after)
        if isinstance(found, Refusal):
            return found
        rows: list[PulledInvoice | None] = []
        odd = []
        for one in map(table, found.rows):
            read = await self._invoice_of(one)
            if isinstance(read, Refusal):
                if not read.is_odd:
                    return read
                odd.append(read.warning)
            rows.append(None if isinstance(read, Refusal) else read)
        return replace(_readable(rows, found), odd=tuple(odd))

    async def invoice(self, invoice_id: str) -> PulledInvoice | Refusal | None:
        """
        Return one invoice as it is now; None if Stripe does not have it.

        Raises:
            StripeError: The key is refused, or Stripe cannot be reached.
        """
        answer = await self._answer("invoices", f"/v1/invoices/{invoice_id}", {}, may_miss=True)
        if isinstance(answer, Refusal):
            return answer
        if answer.status == _NOT_FOUND:
            return None
        found = await self._invoice_of(table(answer.json()))
        if isinstance(found, PulledInvoice) and found.invoice_id != invoice_id:
            return Refusal(
                warning=f"{invoice_id} could not be read: the answer is of another invoice", is_odd=True
            )
        return found

    async def move_deadline(self, invoice_id: str, deadline: Instant, idempotency_key: str) -> Changed:
        """Ask once for another `automatically_finalizes_at` of a draft; never raises."""
        body = {"automatically_finalizes_at": deadline // SECOND}
        options = {"idempotency_key": idempotency_key}
        answer = await self._asked("post", f"/v1/invoices/{invoice_id}", body, options)
        if isinstance(answer, Exception):
            return Changed(status=None, message=(str(answer) or type(answer).__name__)[:_MAX_MESSAGE_CHARS])
        told = answer.error.get("message")
        message = told if isinstance(told, str) else ""
        return Changed(
            status=answer.status, message=message.encode(errors="replace").decode()[:_MAX_MESSAGE_CHARS]
        )

    async def _invoice_of(self, found: Mapping[str, Any]) -> PulledInvoice | Refusal:
        name = id_of(found.get("id")) or "an invoice without a readable id"
        if odd := odd_keys_of_invoice(found):
            keys = ", ".join(odd)
            return Refusal(warning=f"{name} could not be read: {keys} not as Stripe writes it", is_odd=True)
        lines = await self._whole(found.get("lines"), f"/v1/invoices/{name}/lines", {})
        if isinstance(lines, Refusal):
            return replace(lines, warning=f"{name} could not be read: {lines.warning}")
        return invoice_of(found, lines) or Refusal(warning=f"{name} could not be read", is_odd=True)

    async def _whole(self, listed: object, path: str, parameters: Mapping[str, Any]) -> list[Any] | Refusal:
        """Return all rows of a list that stands in an object with its first rows."""
        rows = list(rows_of(listed) or [])
        has_more = table(listed).get("has_more") is True
        for _ in range(MAX_FURTHER_PAGES):
            after = id_of(table(rows[-1]).get("id")) if has_more and rows else None
            if after is None:
                return rows
            page = await self._list("further rows", path, parameters, after)
            if isinstance(page, Refusal):
                return page
            rows += page.rows
            has_more = page.after is not None
        return Refusal(warning=f"{path} does not end after {MAX_FURTHER_PAGES} pages", is_odd=True)

    async def _list(
        self, what: str, path: str, parameters: Mapping[str, Any], after: str | None
    ) -> Page | Refusal:
        paging = {"limit": PAGE} | ({"starting_after": after} if after else {})
        answer = await self._answer(what, path, {**parameters, **paging})
        if isinstance(answer, Refusal):
            return answer
        found = answer.json() if answer.status == _OK else None
        rows = rows_of(found)
        if rows is None:
            return Refusal(warning=f"{what} could not be read: {answer.status} without a list", is_odd=True)
        if table(found).get("has_more") is not True:
            return Page(rows=tuple(rows))
        last = id_of(table(rows[-1]).get("id")) if rows else None
        if last is None:
            return Refusal(
                warning=f"{what} could not be read: a page does not say what comes after it", is_odd=True
            )
        if last == after:
            return Refusal(
                warning=f"{what} could not be read: the list does not end, but repeats a page", is_odd=True
            )
        return Page(rows=tuple(rows), after=last)

    async def _answer(
        self, what: str, path: str, parameters: Mapping[str, Any], *, may_miss: bool = False
    ) -> WireAnswer | Refusal:
        answer = await self._asked("get", path, parameters, {})
        if isinstance(answer, Exception):
            raise self._unreachable(answer) from answer
        if answer.status == _UNAUTHORIZED:
            raise StripeError(f"{self._base} refused the key (401)", hint="check STRIPE_API_KEY")
        if answer.status == _TOO_MANY_REQUESTS or answer.status >= _SERVER_ERROR:
            return Refusal(warning=f"{what} could not be read ({answer.status})", for_now=True)
        is_missing = answer.status == _NOT_FOUND and answer.error.get("code") == "resource_missing"
        if answer.status >= _CLIENT_ERROR and not (may_miss and is_missing):
            return Refusal(warning=f"{what} could not be read ({answer.status})")
        return answer


def _readable(rows: "list[list[PulledItem] | None] | list[PulledInvoice | None]", page: Page) -> Page:
    """Return a page without the rows that could not be read."""
    read = [row for row in rows if row is not None]
    return Page(rows=tuple(read), unreadable=len(rows) - len(read), after=page.after)
