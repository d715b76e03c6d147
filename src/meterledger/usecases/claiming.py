"""Claiming: what goes together in one request is committed together, before any of it leaves."""

from collections.abc import Sequence

from meterledger.domain.instant import Instant
from meterledger.domain.way import Way
from meterledger.ledger.outbox import Claimed, New, StoredMeterEvent
from meterledger.usecases.parcels import Item, pack, sealed_of
from meterledger.usecases.planning import Planned
from meterledger.usecases.queueing import lane_of
from meterledger.usecases.sending import Parcel, Sender


def claim_chunk(sender: Sender, chunk: Sequence[Item], now: Instant) -> list[Parcel]:
    """Claim a chunk for a sender's push in one transaction; return the claims in its order, by request."""
    ledger, push, token = sender.ledger, sender.push, sender.token
    packed = pack(chunk, sender.is_ordered)
    alone = [one for parcel in packed for one in parcel if sealed_of(one).way is not Way.STREAM]
    together = [_apart(parcel) for parcel in packed if sealed_of(parcel[0]).way is Way.STREAM]
    parcels: list[Parcel] = []
    with ledger.database.transaction():
        stored, new = _apart(alone)
        again = {one.id: one for one in ledger.outbox.claim_again(stored, push=push, token=token, now=now)}
        sealed = iter(ledger.outbox.claim_new(new, push=push, token=token, now=now))
        batches = iter(ledger.outbox.claim_batches(together, push=push, token=token, now=now))
    for [first, *_] in packed:
        if sealed_of(first).way is Way.STREAM:
            batch = next(batches)
            parcels += [_batch(sender, batch)] if batch else []
            continue
        claimed = again.get(first.id) if isinstance(first, StoredMeterEvent) else next(sealed)
        parcels += [_single(claimed)] if claimed else []
    sender.tally.sealed += sum(1 for one in chunk if not isinstance(one, StoredMeterEvent))
    return parcels


def _apart(parcel: Sequence[Item]) -> tuple[list[StoredMeterEvent], list[New]]:
    """Return what was sealed before, and what is sealed now with the usage that it carries."""
    stored = [one for one in parcel if isinstance(one, StoredMeterEvent)]
    return stored, [
        (one.usage if isinstance(one, Planned) else one.usage_events, sealed_of(one))
        for one in parcel
        if not isinstance(one, StoredMeterEvent)
    ]


def _single(claimed: Claimed) -> Parcel:
    return Parcel(claims=(claimed,), lanes=(lane_of(claimed.sealed),))


def _batch(sender: Sender, batch: list[Claimed]) -> Parcel:
    """Batches know no lanes, but those whose order matters."""
    lanes = [lane_of(one.sealed) for one in batch if sender.is_ordered(one.sealed.event_name)]
    return Parcel(claims=batch, lanes=lanes)
