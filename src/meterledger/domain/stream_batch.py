"""Batches of the stream: how many meter events go together, and under which key."""

import hashlib
from collections.abc import Sequence

import msgspec

from meterledger.domain.delivery import Attempt, next_idempotency_key
from meterledger.domain.meter_event import MeterEvent
from meterledger.domain.way import Way

MAX_BATCH = 100
"""Meter events that one request to the stream takes."""

BATCH_KEY_PREFIX = "mlb1-"


def batch_key(events: Sequence[MeterEvent], earlier: Sequence[Attempt]) -> str:
    """
    Return the Idempotency-Key of a batch: a digest of its bodies, so that the same batch has the same key.

    Args:
        events: The batch, in the order in which it is sent.
        earlier: The attempts of one of its meter events.
    """
    digest = hashlib.sha256(msgspec.json.encode([event.body() for event in events]))
    key = BATCH_KEY_PREFIX + digest.hexdigest()
    own = [attempt for attempt in earlier if attempt.idempotency_key.startswith(key)]
    return next_idempotency_key(key, own, Way.STREAM)
