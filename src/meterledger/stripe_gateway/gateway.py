"""Requests to Stripe through its official SDK, with its retries and its telemetry off."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import msgspec
import stripe

from meterledger.domain.declared_meter import DeclaredMeter
from meterledger.domain.delivery import Outcome, Result
from meterledger.domain.instant import MINUTE, Instant
from meterledger.errors import KeyRefusedError, StripeError
from meterledger.stripe_gateway.access import StripeAccess
from meterledger.stripe_gateway.account import account_of_answer
from meterledger.stripe_gateway.billing import Billing
from meterledger.stripe_gateway.error_reports import list_parameters, page_of_answer
from meterledger.stripe_gateway.outcomes import outcome_of_answer, outcome_without_answer
from meterledger.stripe_gateway.stream_sessions import StreamSessions
from meterledger.stripe_gateway.transport import SESSION_PATH, Transport
from meterledger.stripe_gateway.v2_outcomes import is_session_expired, outcome_of_batch, outcome_of_v2_answer
from meterledger.stripe_gateway.wire import LAST_ANSWER, PREPARED_BODY, WireAnswer, form_of

_ACCOUNT = "/v1/account"
_METER_EVENTS = "/v1/billing/meter_events"
_V2_METER_EVENTS = "/v2/billing/meter_events"
_STREAM = "/v2/billing/meter_event_stream"
_UNAUTHORIZED = 401
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500
_PAGE = 100
_LONGEST_SESSION_REQUEST = MINUTE
"""A request ends after half of it: whoever waited longer was held, or its machine slept."""
_MAX_METERS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What a read brought: a value, or None and the warning that says why not."""

    value: Any
    warning: str = ""
    for_now: bool = False
    """Whether it may bring a value later: Stripe was busy or in trouble."""


class StripeGateway:
    """Speaks to one account at one host with one key."""

    def __init__(self, access: StripeAccess, clock: Callable[[], Instant], transport: Transport) -> None:
        self._access = access
        self._clock = clock
        self._transport = transport
        self._options: dict[str, Any] = (
            {"stripe_account": access.stripe_account} if access.stripe_account else {}
        )
        self._client = stripe.StripeClient(
            access.key,
            base_addresses={"api": access.base, "meter_events": access.meter_events_base},
            http_client=transport,
            max_network_retries=0,
        )
        self._transport = transport
        self.billing = Billing(self._asked, access.base, self._unreachable)
        """Subscriptions and invoices."""
        self._sessions = StreamSessions(ask=self._new_session, clock=clock, livemode=access.mode == "live")

    @property
    def requests(self) -> int:
        """How many requests were made so far."""
        return self._transport.requests

    async def send(self, body: Mapping[str, Any], idempotency_key: str) -> Outcome:
        """Send one meter event once by v1; never raises for what Stripe or the network does."""
        answer = await self._posted(_METER_EVENTS, form_of(body), idempotency_key)
        if isinstance(answer, Exception):
            return self._without_answer(answer)
        return outcome_of_answer(answer, body, self._clock(), livemode=self._access.mode == "live")

    async def send_v2(self, body: Mapping[str, Any], idempotency_key: str) -> Outcome:
        """Send one meter event once by v2; never raises for what Stripe or the network does."""
        answer = await self._posted(_V2_METER_EVENTS, msgspec.json.encode(body), idempotency_key)
        if isinstance(answer, Exception):
            return self._without_answer(answer)
        return outcome_of_v2_answer(answer, body, self._clock(), livemode=self._access.mode == "live")

    async def send_batch(self, events: Sequence[Mapping[str, Any]], idempotency_key: str) -> Outcome:
        """
        Send a batch once by the stream; never raises for what Stripe or the network does.

        The outcome is that of each of its events; ``rejected`` is about the form of the whole.
        """
        asked_at = self._clock()
        token = await self._sessions.token()
        if isinstance(token, Outcome):
            return self._without_secrets(token)
        now = self._clock()
        if now - asked_at > _LONGEST_SESSION_REQUEST:
            # The process was held meanwhile: whether the batch may still leave has to be looked at again.
            return Outcome(result=Result.NOT_SENT, at=now, code="held")
        body = msgspec.json.encode({"events": events})
        answer = await self._posted(_STREAM, body, idempotency_key, token=token)
        if isinstance(answer, Exception):
            return self._without_answer(answer)
        if is_session_expired(answer):
            self._sessions.forget(token)
        return outcome_of_batch(answer, events, self._clock())

    async def _new_session(self) -> WireAnswer | Exception:
        return await self._asked("post", SESSION_PATH, {}, {})

    def _without_answer(self, error: Exception) -> Outcome:
        return self._without_secrets(outcome_without_answer(error, self._clock()))

    def _without_secrets(self, outcome: Outcome) -> Outcome:
        message = outcome.message or ""
        for secret in self._secrets():
            message = message.replace(secret, "[key]")
        return replace(outcome, message=message)

    def _secrets(self) -> list[str]:
        return [secret for secret in (self._access.key, self._sessions.secret) if secret]

    async def _posted(
        self, path: str, body: bytes, idempotency_key: str, *, token: str | None = None
    ) -> WireAnswer | Exception:
        """Post meter events, by the stream with the token of its session; return the answer as it came."""
        base, name = self._access.base, "api"
        if token is not None:
            base, name = self._access.meter_events_base, "meter_events"
        try:
            secret = token or self._access.key
            answer = await self._transport.post_again(base + path, body, idempotency_key, secret)
        except Exception as error:  # noqa: BLE001 # as when the SDK sends it
            return error
        if answer is not None:
            return self._without_key(answer)
        options = {"idempotency_key": idempotency_key} | ({} if token is None else {"api_key": token})
        return await self._asked("post", path, {"base": name}, options, body)

    async def _asked(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, Any],
        options: Mapping[str, Any],
        body: bytes | None = None,
    ) -> WireAnswer | Exception:
        """Make one request; return the answer as it came over the wire, or why there is none."""
        request: Any = {**self._options, **options}
        prepared = PREPARED_BODY.set(body)
        try:
            # The answer is judged as it came: the SDK need not build objects from it.
            return await self._answer_to(
                lambda: self._client.raw_request_async(method, path, **parameters, **request)
            )
        finally:
            PREPARED_BODY.reset(prepared)

    async def _answer_to(self, request: Callable[[], Awaitable[object]]) -> WireAnswer | Exception:
        """Let the SDK make one request; return the answer as it came over the wire, or why there is none."""
        seen: list[WireAnswer] = []
        wanted = LAST_ANSWER.set(seen)
        failure: Exception | None = None
        try:
            await request()
        except Exception as error:  # noqa: BLE001 # whatever the SDK makes of it: the wire decides
            failure = error
        finally:
            LAST_ANSWER.reset(wanted)
        if not seen:
            return failure or RuntimeError("no request was made")
        return self._without_key(seen[-1])

    def _without_key(self, answer: WireAnswer) -> WireAnswer:
        """Take the key out of an answer before anything of it is kept: a proxy may show the request."""
        for key in self._secrets():
            if key.encode() not in answer.body and not any(key in text for text in answer.headers.values()):
                continue
            headers = {name: value.replace(key, "[key]") for name, value in answer.headers.items()}
            answer = replace(answer, headers=headers, body=answer.body.replace(key.encode(), b"[key]"))
        return answer

    async def account_id(self) -> Read:
        """
        Return the account's id; a restricted key that may not read it degrades to a warning.

        Raises:
            StripeError: The key is refused, Stripe cannot tell for now (5xx, 429), or it is no Stripe: going
                on without knowing would be wrong.
        """
        answer = await self._asked("get", _ACCOUNT, {}, {})
        if isinstance(answer, Exception):
            raise self._unreachable(answer) from answer
        account = account_of_answer(answer, self._access.base)
        warning = "" if account else f"the account could not be read ({answer.status})"
        return Read(value=account, warning=warning)

    async def account_meters(self) -> Read:
        """Return every meter of the account as Stripe declares it, inactive ones too: list[DeclaredMeter]."""

        async def listed() -> list[DeclaredMeter]:
            found: list[DeclaredMeter] = []
            page = await self._client.v1.billing.meters.list_async({"limit": _PAGE}, self._options)  # type: ignore[arg-type] # options as above
            async for meter in page.auto_paging_iter():
                found.append(_declared(meter))
                if len(found) >= _MAX_METERS:
                    break  # a server that repeats a page would never end
            return found

        return await self._read("its meters", listed)

    async def meter_ids(self) -> Read:
        """Return event name -> meter id of the active meters."""

        async def listed() -> dict[str, str]:
            parameters: Any = {"limit": _PAGE, "status": "active"}
            page = await self._client.v1.billing.meters.list_async(parameters, self._options)  # type: ignore[arg-type] # options as above
            return {meter.event_name: meter.id async for meter in page.auto_paging_iter()}

        return await self._read("its meters", listed)

    async def meter_names(self) -> Read:
        """Return meter id -> event name of every meter of the account, inactive ones too."""

        async def listed() -> dict[str, str]:
            found: dict[str, str] = {}
            page = await self._client.v1.billing.meters.list_async({"limit": _PAGE}, self._options)  # type: ignore[arg-type] # options as above
            async for meter in page.auto_paging_iter():
                found[str(meter.id)] = str(meter.event_name)
                if len(found) >= _MAX_METERS:
                    break
            return found

        return await self._read("its meters", listed)

    async def error_reports(self, *, since: Instant | None, before: Instant | None, page: str | None) -> Read:
        """
        Return a ReportPage of the error reports of the last 30 days, the newest first.

        Args:
            since: Only what was created at or after it.
            before: Only what was created at or before it.
            page: A further page of the same list, as the page before names it.

        Raises:
            StripeError: The key is refused, Stripe cannot tell for now, or it cannot be reached.
        """
        if page is None:
            parameters: Any = list_parameters(since, before)
            answer = await self._answer_to(
                lambda: self._client.v2.core.events.list_async(parameters, self._options)  # type: ignore[arg-type] # options as above
            )
        else:
            answer = await self._asked("get", page, {}, {})
        if isinstance(answer, Exception):
            raise self._unreachable(answer) from answer
        found = page_of_answer(answer, self._access.base)
        return Read(value=None, warning=found) if isinstance(found, str) else Read(value=found)

    async def summary(self, meter_id: str, customer: str, start: int, end: int) -> Read:
        """
        Return what a meter adds up to for a customer in [start, end): exact as far as a float is.

        Args:
            meter_id: The meter (mtr_…).
            customer: The Stripe customer.
            start: Epoch seconds, at a full minute.
            end: Epoch seconds, at a full minute.
        """

        async def read() -> Decimal:
            parameters: Any = {"customer": customer, "start_time": start, "end_time": end, "limit": _PAGE}
            summaries = self._client.v1.billing.meters.event_summaries
            page = await summaries.list_async(meter_id, parameters, self._options)  # type: ignore[arg-type] # options as above
            return sum((Decimal(repr(summary.aggregated_value)) for summary in page.data), Decimal(0))

        return await self._read("a summary", read)

    async def window_values(self, meter_id: str, customer: str, span: tuple[int, int], grouping: str) -> Read:
        """
        Return window start -> what a meter adds up to in that window, for each that Stripe lists.

        Args:
            meter_id: The meter (mtr_…).
            customer: The Stripe customer.
            span: Start and end in epoch seconds, at full UTC windows; at most 100 of them.
            grouping: The window: ``hour`` or ``day``.
        """

        async def read() -> dict[int, Decimal]:
            parameters: Any = {
                "customer": customer,
                "start_time": span[0],
                "end_time": span[1],
                "value_grouping_window": grouping,
                "limit": _PAGE,
            }
            summaries = self._client.v1.billing.meters.event_summaries
            page = await summaries.list_async(meter_id, parameters, self._options)  # type: ignore[arg-type] # options as above
            if page.has_more:
                raise ValueError("more windows than were asked for")
            return {
                int(summary.start_time): Decimal(repr(float(summary.aggregated_value)))
                for summary in page.data
            }

        return await self._read("a summary", read)

    async def _read(self, what: str, request: Callable[[], Any]) -> Read:
        """Make a read; what is refused degrades to a warning, what cannot be reached ends the run."""
        try:
            value = await request()
        except stripe.APIConnectionError as error:
            raise self._unreachable(error) from error
        except stripe.StripeError as error:
            if error.http_status == _UNAUTHORIZED:
                raise KeyRefusedError(
                    f"{self._access.base} refused the key (401)", hint="check STRIPE_API_KEY"
                ) from error
            status = error.http_status or 0
            return Read(
                value=None,
                warning=f"{what} could not be read ({error.http_status or 'no answer'})",
                for_now=status == _TOO_MANY_REQUESTS or status >= _SERVER_ERROR,
            )
        except Exception as error:  # noqa: BLE001 # an answer of another shape trips the SDK anywhere
            return Read(value=None, warning=f"{what} could not be read ({type(error).__name__})")
        return Read(value=value)

    def _unreachable(self, error: Exception) -> StripeError:
        return StripeError(
            f"{self._access.base} cannot be reached: {_why(error)}",
            hint="start it with `meterledger simulator`, or check STRIPE_API_BASE"
            if self._access.is_loopback
            else "check the network and STRIPE_API_BASE, then run the same command again",
        )


def _declared(meter: Any) -> DeclaredMeter:
    """Return a meter in the words of the config; a part that is not told is None."""
    return DeclaredMeter(
        event_name=meter.event_name,
        aggregation=getattr(getattr(meter, "default_aggregation", None), "formula", None),
        event_time_window=(meter.event_time_window or "none")
        if hasattr(meter, "event_time_window")
        else None,
        customer_key=getattr(getattr(meter, "customer_mapping", None), "event_payload_key", None),
        value_key=getattr(getattr(meter, "value_settings", None), "event_payload_key", None),
        active=meter.status == "active",
    )


def _why(error: Exception) -> str:
    cause = error.__cause__
    system = getattr(cause, "os_error", cause)
    text = getattr(system, "strerror", None) or str(cause or error) or str(error) or type(cause).__name__
    return "connection refused" if isinstance(system, ConnectionRefusedError) else text


@contextlib.asynccontextmanager
async def open_gateway(
    access: StripeAccess,
    clock: Callable[[], Instant],
    *,
    concurrency: int,
    on_date: Callable[[Instant], None],
) -> AsyncIterator[StripeGateway]:
    """Open the way to Stripe for one run."""
    stripe.enable_telemetry = False
    transport = Transport(concurrency=concurrency, through_proxy=not access.is_loopback, on_date=on_date)
    try:
        yield StripeGateway(access, clock, transport)
    finally:
        await transport.close_async()
