"""`POST /v2/billing/meter_event_session` and `POST /v2/billing/meter_event_stream`."""

from collections.abc import Iterator
from typing import Annotated

import msgspec

from meterledger.simulator.endpoints.v2_meter_events import SentEvent
from meterledger.simulator.instants import format_milliseconds
from meterledger.simulator.metering.acceptance import Way
from meterledger.simulator.metering.reception import receive_streamed
from meterledger.simulator.protocol.api_request import ApiRequest
from meterledger.simulator.protocol.arrival import Arrival
from meterledger.simulator.protocol.json_body import parse_typed, read_document

MAX_BATCH = 100  # events in one call


class Batch(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The body of a call to the stream."""

    events: Annotated[list[SentEvent], msgspec.Meta(min_length=1, max_length=MAX_BATCH)]


class _NoFields(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The body of a call that has none to say."""


_batch_decoder = msgspec.json.Decoder(Batch)


def read_batch(body: bytes) -> Batch:
    """
    Read a batch; what its events say is looked at later.

    Raises:
        ApiError: It is no list of 1 to 100 well-formed events.
    """
    return parse_typed(body, _batch_decoder)


def streamed(request: ApiRequest) -> int:
    """Return how many events a call brings to the stream; 0 where it is no call to the stream."""
    return len(request.document.events) if isinstance(request.document, Batch) else 0


def arrivals(request: ApiRequest) -> Iterator[Arrival]:
    """Tell what each event of a batch is about; none where the call is no call to the stream."""
    if isinstance(request.document, Batch):
        for event in request.document.events:
            yield Arrival(event_name=event.event_name, identifier=event.identifier or "")


def create_session(request: ApiRequest) -> dict[str, object]:
    """Make a session for the stream, and return it with its token."""
    request.parameters.allow((), ())
    if request.document is not None:
        read_document(request.document, _NoFields)
    account = request.account
    session_id = account.ids.next("mes_", livemode=account.livemode)
    owner = f"{account.account_id}|{account.livemode}"
    session = account.sessions.open(session_id, owner, request.now)
    return {
        "id": session.id,
        "object": "v2.billing.meter_event_session",
        "authentication_token": session.token,
        "created": format_milliseconds(session.created),
        "expires_at": format_milliseconds(session.expires_at),
        "livemode": account.livemode,
    }


def receive_batch(request: ApiRequest) -> dict[str, object]:
    """Take in a batch of events. The answer says nothing of them: what fails is reported later."""
    request.parameters.allow((), ())
    assert isinstance(request.document, Batch)  # noqa: S101 - its route reads it so
    for event in request.document.events:
        submission = event.submission(request.account, Way.STREAM, request.now)
        receive_streamed(request, submission)
    return {}
