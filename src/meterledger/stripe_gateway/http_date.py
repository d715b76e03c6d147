"""The time of an HTTP answer."""

from email.utils import parsedate_to_datetime
from functools import lru_cache

from meterledger.domain.instant import Instant, from_datetime


@lru_cache(maxsize=8)  # many answers come within a second
def parsed_date(date: str | None) -> Instant | None:
    """Return the instant of an HTTP ``Date`` header; None if there is none that can be read."""
    if not date:
        return None
    try:
        moment = parsedate_to_datetime(date)
        return from_datetime(moment)
    except (ValueError, TypeError, IndexError):
        return None
