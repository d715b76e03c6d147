"""Requests to Stripe through its official SDK, with its retries and its telemetry off."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import msgspec
import stripe

from meterledger.domain.delivery import Outcome
from meterledger.domain.instant import Instant
from meterledger.errors import StripeError
from meterledger.stripe_gateway.access import StripeAccess
from meterledger.stripe_gateway.account import account_of_answer
from meterledger.stripe_gateway.outcomes import outcome_of_answer, outcome_without_answer
from meterledger.stripe_gateway.stream_sessions import StreamSessions
from meterledger.stripe_gateway.transport import SESSION_PATH, Transport
from meterledger.stripe_gateway.v2_outcomes import is_session_expired, outcome_of_batch, outcome_of_v2_answer
from meterledger.stripe_gateway.wire import LAST_ANSWER, PREPARED_BODY, WireAnswer

_ACCOUNT = "/v1/account"
_METER_EVENTS = "/v1/billing/meter_events"
_V2_METER_EVENTS = "/v2/billing/meter_events"
_STREAM = "/v2/billing/meter_event_stream"
_UNAUTHORIZED = 401
_PAGE = 100
_MAX_METERS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What a read brought: a value, or None and the warning that says why not."""

    value: Any
    warning: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredMeter:
    """A meter of the account."""

    event_name: str
    aggregation: str
    event_time_window: str
    customer_key: str
    value_key: str


class StripeGateway:
    """Speaks to one account at one host with one key."""

    def __init__(self, access: StripeAccess, clock: Callable[[], Instant], transport: Transport) -> None:
        self._access = access
        self._clock = clock
        self._options: dict[str, Any] = (
            {"stripe_account": access.stripe_account} if access.stripe_account else {}
        )
        self._client = stripe.StripeClient(
            access.key,
            base_addresses={"api": access.base, "meter_events": access.meter_events_base},
            http_client=transport,
            max_network_retries=0,
        )
        self._sessions = StreamSessions(ask=self._new_session, clock=clock, livemode=access.mode == "live")

    async def send(self, body: Mapping[str, Any], idempotency_key: str) -> Outcome:
        """Send one meter event once by v1; never raises for what Stripe or the network does."""
        answer = await self._asked("post", _METER_EVENTS, body, {"idempotency_key": idempotency_key})
        if isinstance(answer, Exception):
            return self._without_answer(answer)
        return outcome_of_answer(answer, body, self._clock(), livemode=self._access.mode == "live")

    async def send_v2(self, body: Mapping[str, Any], idempotency_key: str) -> Outcome:
        """Send one meter event once by v2; never raises for what Stripe or the network does."""
        answer = await self._asked("post", _V2_METER_EVENTS, body, {"idempotency_key": idempotency_key})
        if isinstance(answer, Exception):
            return self._without_answer(answer)
        return outcome_of_v2_answer(answer, body, self._clock(), livemode=self._access.mode == "live")

    async def send_batch(self, events: Sequence[Mapping[str, Any]], idempotency_key: str) -> Outcome:
        """
        Send a batch once by the stream; never raises for what Stripe or the network does.

        The outcome is that of each of its events; ``rejected`` is about the form of the whole.
        """
        token = await self._sessions.token()
        if isinstance(token, Outcome):
            return self._without_secrets(token)
        prepared = PREPARED_BODY.set(msgspec.json.encode({"events": events}))
        try:
            options = {"idempotency_key": idempotency_key, "api_key": token}
            answer = await self._asked("post", _STREAM, {"base": "meter_events"}, options)
        finally:
            PREPARED_BODY.reset(prepared)
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

    async def _asked(
        self, method: str, path: str, body: Mapping[str, Any], options: Mapping[str, Any]
    ) -> WireAnswer | Exception:
        """Make one request; return the answer as it came over the wire, or why there is none."""
        seen: list[WireAnswer] = []
        wanted = LAST_ANSWER.set(seen)
        failure: Exception | None = None
        request: Any = {**self._options, **options}
        try:
            # The answer is judged as it came: the SDK need not build objects from it.
            await self._client.raw_request_async(method, path, **body, **request)
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

    async def active_meters(self) -> Read:
        """Return every meter of the account: event name -> whether it is active."""

        async def listed() -> dict[str, bool]:
            found: dict[str, bool] = {}
            read = 0
            page = await self._client.v1.billing.meters.list_async({"limit": _PAGE}, self._options)  # type: ignore[arg-type] # options as above
            async for meter in page.auto_paging_iter():
                # An event name may stand on several meters; one of them can be active.
                found[meter.event_name] = found.get(meter.event_name, False) or meter.status == "active"
                read += 1
                if read >= _MAX_METERS:
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

    async def declared_meters(self) -> Read:
        """Return the active meters as Stripe declares them, in the words of the config."""

        async def listed() -> list[DeclaredMeter]:
            parameters: Any = {"limit": _PAGE, "status": "active"}
            page = await self._client.v1.billing.meters.list_async(parameters, self._options)  # type: ignore[arg-type] # options as above
            return [
                DeclaredMeter(
                    event_name=meter.event_name,
                    aggregation=meter.default_aggregation.formula,
                    event_time_window=meter.event_time_window or "none",
                    customer_key=meter.customer_mapping.event_payload_key,
                    value_key=meter.value_settings.event_payload_key,
                )
                async for meter in page.auto_paging_iter()
            ]

        return await self._read("its meters", listed)

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

    async def _read(self, what: str, request: Callable[[], Any]) -> Read:
        """Make a read; what is refused degrades to a warning, what cannot be reached ends the run."""
        try:
            value = await request()
        except stripe.APIConnectionError as error:
            raise self._unreachable(error) from error
        except stripe.StripeError as error:
            if error.http_status == _UNAUTHORIZED:
                raise StripeError(
                    f"{self._access.base} refused the key (401)", hint="check STRIPE_API_KEY"
                ) from error
            return Read(value=None, warning=f"{what} could not be read ({error.http_status or 'no answer'})")
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


def _why(error: Exception) -> str:
    cause = error.__cause__
    system = getattr(cause, "os_error", cause)
    text = getattr(system, "strerror", None) or str(cause or error) or type(cause).__name__
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
