"""The store of idempotency keys against a plain dict, and what its journal hears."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from meterledger.simulator.protocol.idempotency import (
    _MAX_GENERATION,
    IdempotencyStore,
    StoredAnswer,
)
from meterledger.simulator.state.book import NoJournal

LIFE = 100.0

steps = st.lists(
    st.tuples(
        st.integers(min_value=0, max_value=300), st.sampled_from([0.0, 0.5, 30.0, LIFE]), st.booleans()
    ),
    max_size=300,
)
"""Which key comes, how much later than the one before, and whether its answer has a body."""


class Kept:
    """A journal that holds what a state file would hold."""

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {}

    def put(self, _kind: str, key: str, document: object) -> None:
        """Take in a document."""
        self.documents[key] = msgspec.json.encode(document)

    def drop(self, _kind: str, key: str) -> None:
        """Forget a document."""
        del self.documents[key]


def answer(number: int, now: float, *, with_body: bool = False) -> StoredAnswer:
    """Return an answer that no other call of a test has."""
    body = str(number).encode() if with_body else None
    return StoredAnswer(fingerprint=7, status=200 + number % 300, body=body, stored_at=now, row=number)


@given(steps)
def test_it_finds_what_a_dict_finds(steps: list[tuple[int, float, bool]]) -> None:
    """Whatever comes when, a key's answer is the one last stored within its life, also after a restart."""
    journal = Kept()
    store = IdempotencyStore("key", LIFE, journal)
    model: dict[str, StoredAnswer] = {}
    now = 0.0
    for number, (name, later, with_body) in enumerate(steps):
        now += later
        key = f"key-{name}"
        known = model.get(key)
        expected = None if known is None or now - known.stored_at >= LIFE else known
        assert store.recall(key, 7, now) == expected
        if expected is None:
            model[key] = answer(number, now, with_body=with_body)
            store.keep(key, model[key])
    restored = IdempotencyStore("key", LIFE, NoJournal())
    for digest, document in journal.documents.items():
        restored.restore(digest, document)
    for key, known in model.items():
        expected = None if now - known.stored_at >= LIFE else known
        assert store.recall(key, 7, now) == restored.recall(key, 7, now) == expected


def test_keys_beyond_one_generation_are_found() -> None:
    """More keys than a generation takes are all found, and all forgotten together with their journal."""
    journal = Kept()
    store = IdempotencyStore("key", LIFE, journal)
    for number in range(_MAX_GENERATION + 10):
        store.keep(f"key-{number}", answer(number, 0.0))
    for number in (0, _MAX_GENERATION - 1, _MAX_GENERATION, _MAX_GENERATION + 9):
        assert store.recall(f"key-{number}", 7, 1.0) == answer(number, 0.0)
    assert len(journal.documents) == _MAX_GENERATION + 10
    assert store.recall("key-0", 7, LIFE) is None
    assert journal.documents == {}
