"""Stripe's cursor paging over a list that is already in its order."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from meterledger.simulator.protocol.api_errors import BAD_REQUEST, ApiError, no_such_object
from meterledger.simulator.protocol.parameters import Parameters

DEFAULT_LIMIT = 10  # objects per page
MAX_LIMIT = 100  # objects per page
MAX_ID_LENGTH = 5000  # characters

PAGE_NAMES = frozenset({"limit", "starting_after", "ending_before"})


class Identified(Protocol):
    """An item with an id of its own."""

    @property
    def id(self) -> str:
        """The item's id."""


T = TypeVar("T", bound=Identified)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which part of a list was asked for; limit counts objects, the cursors are object ids."""

    limit: int
    starting_after: str | None
    ending_before: str | None


def read_page(parameters: Parameters) -> Page:
    """
    Read the paging parameters.

    Raises:
        ApiError: The limit lies outside 1 to 100, or both cursors came at once.
    """
    limit = parameters.optional_integer("limit")
    if limit is None:
        limit = DEFAULT_LIMIT
    if not 1 <= limit <= MAX_LIMIT:
        raise ApiError(f"Invalid limit: must be between 1 and {MAX_LIMIT}", param="limit")
    after = parameters.optional_text("starting_after", max_length=MAX_ID_LENGTH)
    before = parameters.optional_text("ending_before", max_length=MAX_ID_LENGTH)
    if after is not None and before is not None:
        raise ApiError("You may send starting_after or ending_before, not both.", param="ending_before")
    return Page(limit=limit, starting_after=after, ending_before=before)


def list_page(
    items: Sequence[T], body: Callable[[T], Mapping[str, object]], page: Page, *, url: str, kind: str
) -> dict[str, object]:
    """
    Cut one page out of a list.

    Args:
        items: The whole list in its order.
        body: Makes an object as the API shows it of an item; only those on the page are made.
        page: What was asked for.
        url: The path the list was read from.
        kind: What the objects are called in the refusal of an unknown cursor.

    Raises:
        ApiError: A cursor names no object of the list.
    """
    if page.ending_before is not None:
        end = _position(items, page.ending_before, kind, "ending_before")
        start = max(0, end - page.limit)
        has_more = start > 0
    else:
        cursor = page.starting_after
        start = 0 if cursor is None else _position(items, cursor, kind, "starting_after") + 1
        end = start + page.limit
        has_more = end < len(items)
    data = [body(item) for item in items[start:end]]
    return {"object": "list", "url": url, "has_more": has_more, "data": data}


def _position(items: Sequence[Identified], cursor: str, kind: str, param: str) -> int:
    for place, item in enumerate(items):
        if item.id == cursor:
            return place
    raise no_such_object(kind, cursor, param=param, status=BAD_REQUEST)
