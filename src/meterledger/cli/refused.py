"""Refused rows for people: each reason and message once, with how many rows have it and where."""

from itertools import groupby, islice
from operator import itemgetter
from typing import TYPE_CHECKING

from meterledger.cli.fitting import file_text, print_files
from meterledger.cli.output import count_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meterledger.usecases.refused_groups import RefusedGroup

GROUPS_SHOWN = 10


def print_refused(groups: "Iterable[RefusedGroup]") -> None:
    """Print the first groups of refused rows."""
    shown = list(islice(groups, GROUPS_SHOWN))
    if not shown:
        return
    is_counted = any(group.count > 1 for group in shown)
    columns = (("where", "fold"), ("rows", "right"), ("reason", "left"), ("what, and how to mend it", "fold"))
    rows = [
        [_where(group), count_text(group.count) if is_counted else "", group.reason, group.message]
        for group in shown
    ]
    print_files(columns, rows, title="Refused rows")


def _where(group: "RefusedGroup") -> str:
    places = []
    for file, found in groupby(group.places, key=itemgetter(0)):
        lines = ", ".join(str(line) for _, line in found)
        places.append(file_text(file, f":{lines}"))
    return ", ".join(places) + ", …" * group.has_more_places
