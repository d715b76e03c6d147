"""The filters that the commands of `meterledger rejects` share, and their selection."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meterledger.cli.context import Context, context_of
from meterledger.errors import UsageError

if TYPE_CHECKING:
    from meterledger.usecases.select_rejects import Selection


class KindOption(StrEnum):
    """What refused rows there are."""

    REJECTION = "rejection"
    CONFLICT = "conflict"


Ids = Annotated[
    list[int] | None, typer.Argument(metavar="ID", help="Their ids, as `rejects list` shows them.")
]


def _selection(
    context: Context,
    *,
    kind: Annotated[KindOption | None, typer.Option(help="Rejections or conflicts alone.")] = None,
    reason: Annotated[
        list[str] | None, typer.Option(metavar="CODE", help="Refused for this reason; may be repeated.")
    ] = None,
    source: Annotated[str, typer.Option(metavar="NAME", help="Of this source.")] = "",
    import_id: Annotated[
        int | None, typer.Option("--import", metavar="ID", min=1, help="Met by this import.")
    ] = None,
    file: Annotated[
        str, typer.Option(metavar="NAME", help="Of this file, named as the list shows it, or a glob.")
    ] = "",
    customer: Annotated[str, typer.Option(metavar="ID", help="Of this customer_id.")] = "",
    feature: Annotated[str, typer.Option(metavar="NAME", help="Of this feature.")] = "",
    since: Annotated[
        str | None, typer.Option(metavar="INSTANT", help="With an event_time at or after it.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="INSTANT", help="With an event_time before it.")
    ] = None,
) -> "Selection":
    from meterledger.ledger.rejects import RejectFilter
    from meterledger.usecases.select_rejects import Selection

    matching = RejectFilter(
        kind=kind.value if kind else "",
        source=source,
        import_id=import_id or 0,
        customer_id=customer,
        feature=feature,
        since=None if since is None else context.instant(since),
        until=None if until is None else context.instant(until),
    )
    return Selection(matching=matching, reasons=tuple(reason or ()), file=file)


_OPTIONS = {
    name: parameter
    for name, parameter in inspect.signature(_selection).parameters.items()
    if name != "context"
}


def with_filters(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the filters as options; it gets them as one ``selection``."""

    @functools.wraps(command)
    def filtered(**given: Any) -> None:
        filters = {name: given.pop(name) for name in _OPTIONS}
        command(selection=_selection(context_of(given["ctx"]), **filters), **given)

    own = [one for name, one in inspect.signature(command).parameters.items() if name != "selection"]
    keyword_only = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own]
    # typer reads the options of a command from its signature.
    filtered.__signature__ = inspect.Signature([*keyword_only, *_OPTIONS.values()])  # type: ignore[attr-defined]
    filtered.__annotations__ = {}
    return filtered


def chosen(ids: list[int] | None, selection: "Selection") -> "Selection":
    """Return the selection of ids or of filters; raises UsageError for both together."""
    from meterledger.usecases.select_rejects import Selection

    if not ids:
        return selection
    if selection != Selection():
        raise UsageError("ids and filters go not together", hint="name the rows by id, or filter them")
    return Selection(ids=tuple(ids))


def of_kind(selection: "Selection", kind: KindOption) -> "Selection":
    """Return a selection by filters with a kind, unless it has one."""
    if selection.ids or selection.matching.kind or "conflict" in selection.reasons:
        return selection
    return replace(selection, matching=replace(selection.matching, kind=kind.value))
