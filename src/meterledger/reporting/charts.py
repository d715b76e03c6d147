"""
The audit's pictures as SVG, drawn by altair and vl-convert; nobody else imports these.

Each is drawn twice, for a wide page and for a phone. Its colours are those of `page.css`, which has others
for a dark page. Nothing is fetched, and no script is needed to see it.
"""

import json
import re
from collections.abc import Sequence
from functools import partial
from typing import Any

from markupsafe import Markup, escape

from meterledger.domain.dues import NEVER
from meterledger.domain.instant import MILLISECOND
from meterledger.domain.lateness import BIN_EDGES
from meterledger.errors import UsageError
from meterledger.reporting.figures import Curves, DeadlineRow, SourceBar
from meterledger.reporting.words import LANDING_WORDS, grace_text, hours_text
from meterledger.usecases.audit_answer import Audit

WIDE, NARROW = 720, 360
"""In pixels."""

_INK, _MUTED, _GRID = "#1f2430", "#5b6270", "#d9dce3"
_STATES = {"missed": "#c0262d", "at risk": "#b26a00", "open": "#2f6fdb", "landed": "#1a7f4b"}
_SERIES = ("#1b5fc1", "#c2410c", "#0f766e", "#7c3aed", "#9d174d", "#57534e")
_DASHES = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3], [4, 4], [12, 4])
_FONT = "system-ui, sans-serif"
_HOUR = 3600
_GAP = 8
"""Between the labels of an axis, in pixels: the next that has no room is left out."""
_OPENING = re.compile(r'<svg [^>]*?viewBox="([^"]+)"[^>]*>')
_TAG = re.compile("<[^>]+>")
_IDS = re.compile(r'(id="|url\(#)(?=[a-z])')
_ROLES = re.compile(r' (?:role|aria-[a-z]+)="[^"]*"')


def refuse_without_library() -> None:
    """Raise UsageError where the extra is not installed."""
    try:
        import altair  # noqa: F401, ICN001, PLC0415 # comes with an extra
        import vl_convert  # noqa: F401, PLC0415 # as above
    except ImportError as error:
        raise UsageError(
            "the report's charts are drawn by the packages altair and vl-convert-python, and they are not "
            "installed",
            hint="pip install 'meterledger[report]', or take --format table, json or csv",
        ) from error


def deadlines_chart(rows: Sequence[DeadlineRow], result: Audit, title: str, words: str) -> Markup:
    """Draw each period, its grace period, its deadline, and now."""
    return _both(partial(_deadlines, rows, result), "deadlines", title, words)


def delays_chart(curves: Curves, grace_period: int, title: str, words: str) -> Markup:
    """Draw which share of usage was accepted how long after it was used, against the grace period."""
    return _both(partial(_delays, curves, grace_period), "delays", title, words)


def missed_chart(curves: Curves, result: Audit, title: str, words: str) -> Markup:
    """Draw which share of usage each grace period would have missed, with today's and the recommended."""
    return _both(partial(_missed, curves, result), "missed", title, words)


def sources_chart(bars: Sequence[SourceBar], title: str, words: str) -> Markup:
    """Draw where the usage of each source stands."""
    return _both(partial(_sources, bars), "sources", title, words)


def _both(draw: Any, name: str, title: str, words: str) -> Markup:
    """Return the picture for a wide and for a narrow page; of the two, a reader meets one."""
    return Markup().join(
        _svg(draw(width), f"{name}-{kind}", kind, title, words)
        for kind, width in (("wide", WIDE), ("narrow", NARROW))
    )


def _svg(chart: Any, name: str, kind: str, title: str, words: str) -> Markup:
    """Return a chart as an SVG element that names and describes itself, and fits its place."""
    import vl_convert  # noqa: PLC0415 # comes with an extra

    drawn = vl_convert.vegalite_to_svg(json.dumps(chart.to_dict()), allowed_base_urls=[])
    match = _OPENING.match(drawn)
    if match is None:
        raise AssertionError(drawn[:200])
    head = (
        f'<svg class="chart {kind}" viewBox="{match[1]}" role="img" '
        f'aria-labelledby="{name}-title {name}-words">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-words">{escape(words)}</desc>'
    )
    # Its parts are no pictures of their own, and ids are of one page.
    body = _TAG.sub(
        lambda tag: _IDS.sub(rf"\g<1>{name}-", _ROLES.sub("", tag[0])),
        drawn[match.end() :],
    )
    return Markup(head + body)  # noqa: S704 # vl-convert escapes what it draws; our own words are escaped


def _finished(chart: Any, width: int, height: int, *, left: int = 8) -> Any:
    """Return a chart in the page's own look; fonts differ, so names beside an axis get room at the left."""
    import altair as alt  # noqa: PLC0415 # comes with an extra

    return (
        chart.properties(
            width=width, height=height, autosize=alt.AutoSizeParams(type="fit", contains="padding")
        )
        .configure(
            background="transparent",
            aria=False,
            font=_FONT,
            padding={"left": left, "top": 4, "right": 12, "bottom": 4},
        )
        .configure_view(stroke=None)
        .configure_axis(
            gridColor=_GRID,
            domainColor=_MUTED,
            tickColor=_MUTED,
            labelColor=_INK,
            titleColor=_INK,
            labelFontSize=12,
            titleFontSize=12,
            titleFontWeight="normal",
            labelLimit=150,
        )
        .configure_legend(
            labelColor=_INK,
            titleColor=_INK,
            labelFontSize=12,
            orient="bottom",
            title=None,
            labelLimit=320,
            symbolStrokeWidth=2,
            direction="horizontal",
            columns=1 if width == NARROW else 2,
            columnPadding=40,
            rowPadding=5,
        )
        .configure_text(color=_INK, fontSize=12)
    )


def _state_colour(width: int) -> Any:
    import altair as alt  # noqa: PLC0415 # comes with an extra

    return alt.Color(
        "state:N",
        scale=alt.Scale(domain=list(_STATES), range=list(_STATES.values())),
        legend=alt.Legend(columns=2 if width == NARROW else 4),
    )


def _deadlines(rows: Sequence[DeadlineRow], result: Audit, width: int) -> Any:
    import altair as alt  # noqa: PLC0415 # comes with an extra

    values = [
        {
            "name": row.name,
            "start": row.period.start // MILLISECOND,
            "end": row.period.end // MILLISECOND,
            "deadline": None if row.deadline == NEVER else row.deadline // MILLISECOND,
            "until": (row.period.end if row.deadline == NEVER else row.deadline) // MILLISECOND,
            "state": row.state,
        }
        for row in rows
    ]
    base = alt.Chart(alt.InlineData(values=values))
    axis = alt.Axis(
        title=None, format="%d %b", labelOverlap="greedy", labelSeparation=_GAP, tickCount=width // 100
    )
    y = alt.Y("name:N", sort=None, title=None, axis=alt.Axis(labelLimit=width * 3 // 10, ticks=False))
    x = alt.X("start:T", scale=alt.Scale(type="utc", nice=False), axis=axis)
    period = base.mark_bar(color=_GRID, height=10).encode(x=x, x2="end:T", y=y)
    grace = base.mark_bar(color=_MUTED, height=10).encode(x="end:T", x2="until:T", y=y)
    dots = base.mark_point(size=110, filled=True, opacity=1).encode(
        x="deadline:T",
        y=y,
        color=_state_colour(width),
        shape=alt.Shape(
            "state:N",
            scale=alt.Scale(domain=list(_STATES), range=["cross", "triangle-up", "circle", "diamond"]),
        ),
    )
    now = alt.Chart(alt.InlineData(values=[{"at": result.as_of // MILLISECOND, "text": "now"}]))
    line = now.mark_rule(color=_INK, strokeDash=[4, 3]).encode(x="at:T")
    label = now.mark_text(align="right", dx=-4, dy=-4, baseline="bottom").encode(
        x="at:T", y=alt.value(0), text="text:N"
    )
    return _finished(
        alt.layer(period, grace, dots, line, label),
        width,
        90 + 24 * len(rows) + (width == NARROW) * 50,
        left=36,
    )


def _curves(curves: Curves, places: Sequence[int], x: Any, y: Any) -> Any:
    """Draw lines that are told apart by colour and by dashes."""
    import altair as alt  # noqa: PLC0415 # comes with an extra

    names = [curve.name for curve in curves.shown]
    values = [
        {"at": at, "share": part / curve.whole, "name": curve.name}
        for curve in curves.shown
        for at, part in zip(places, curve.parts, strict=True)
    ]
    return (
        alt.Chart(alt.InlineData(values=values))
        .mark_line(strokeWidth=2.5, clip=True)
        .encode(
            x=x,
            y=y,
            color=alt.Color("name:N", scale=alt.Scale(domain=names, range=list(_SERIES[: len(names)]))),
            strokeDash=alt.StrokeDash(
                "name:N", scale=alt.Scale(domain=names, range=list(_DASHES[: len(names)]))
            ),
        )
    )


def _marked(marks: Sequence[tuple[float, str]], middle: float) -> list[Any]:
    """Draw upright lines with their words, one below the other, away from the nearer edge."""
    import altair as alt  # noqa: PLC0415 # comes with an extra

    found: list[Any] = []
    for number, (at, text) in enumerate(marks):
        base = alt.Chart(alt.InlineData(values=[{"at": at, "text": text}]))
        to_right = at <= middle
        found += [
            base.mark_rule(color=_INK, strokeDash=[] if number else [5, 3], strokeWidth=1.5).encode(x="at:Q"),
            base.mark_text(
                align="left" if to_right else "right", dx=5 if to_right else -5, baseline="top"
            ).encode(x="at:Q", y=alt.value(2 + 16 * number), text="text:N"),
        ]
    return found


def _delays(curves: Curves, grace_period: int, width: int) -> Any:
    import altair as alt  # noqa: PLC0415 # comes with an extra

    whole = next(
        (
            edge
            for at, edge in enumerate(BIN_EDGES)
            if all(curve.parts[at] == curve.whole for curve in curves.shown)
        ),
        BIN_EDGES[-1],
    )
    grace = min(max(grace_period, BIN_EDGES[0]), BIN_EDGES[-1])
    last = max(whole, grace * 4)
    x = alt.X(
        "at:Q",
        scale=alt.Scale(type="log", domain=[BIN_EDGES[0], last], nice=False),
        axis=alt.Axis(
            title="accepted within (time from use to acceptance)",
            values=[edge for edge in BIN_EDGES if edge <= last],
            labelExpr=_labels(),
            labelOverlap="greedy",
            labelSeparation=_GAP,
        ),
    )
    y = alt.Y(
        "share:Q",
        # Room above for the words of the line.
        scale=alt.Scale(domain=[0, 1.12], nice=False),
        axis=alt.Axis(title="share of usage events", format="%", values=[0, 0.25, 0.5, 0.75, 1]),
    )
    marks = _marked([(grace, f"grace period {grace_text(grace_period)}")], BIN_EDGES[0] ** 0.4 * last**0.6)
    return _finished(alt.layer(_curves(curves, BIN_EDGES, x, y), *marks), width, 320)


def _labels() -> str:
    texts = {str(edge): hours_text(edge) for edge in BIN_EDGES}
    return f"{json.dumps(texts)}[datum.value]"


def _missed(curves: Curves, result: Audit, width: int) -> Any:
    import altair as alt  # noqa: PLC0415 # comes with an extra

    most = max((curve.parts[0] / curve.whole for curve in curves.shown), default=0)
    hours = range(len(curves.shown[0].parts))
    x = alt.X(
        "at:Q",
        scale=alt.Scale(domain=[0, hours[-1]], nice=False),
        axis=alt.Axis(title="grace period in hours", values=[0, 6, *range(12, hours[-1] + 1, 12)]),
    )
    y = alt.Y(
        "share:Q",
        # Room above for the words of the lines.
        scale=alt.Scale(domain=[0, max(most * 1.25, 0.01)], nice=False),
        axis=alt.Axis(title="share of usage events missed", format="~%", tickCount=5),
    )
    now, wanted = result.grace_period, result.recommended_grace_period
    marks = [(now / _HOUR, f"today {grace_text(now)}" + (", as recommended" if now == wanted else ""))]
    if wanted is not None and wanted != now:
        marks.append((wanted / _HOUR, f"recommended {grace_text(wanted)}"))
    drawn = _curves(curves, hours, x, y)
    return _finished(alt.layer(drawn, *_marked(marks, hours[-1] / 2)), width, 300)


def _sources(bars: Sequence[SourceBar], width: int) -> Any:
    import altair as alt  # noqa: PLC0415 # comes with an extra

    values = [
        {"name": bar.name, "state": state, "events": bar.events[state], "order": number}
        for bar in bars
        for number, state in enumerate(LANDING_WORDS.values())
    ]
    drawn = (
        alt.Chart(alt.InlineData(values=values))
        .mark_bar(height=16)
        .encode(
            x=alt.X(
                "events:Q",
                stack="normalize",
                axis=alt.Axis(title="share of usage events", format="%", tickCount=5),
            ),
            y=alt.Y("name:N", sort=None, title=None, axis=alt.Axis(labelLimit=width * 3 // 10, ticks=False)),
            color=_state_colour(width),
            order="order:Q",
        )
    )
    return _finished(drawn, width, 100 + 26 * len(bars) + (width == NARROW) * 50, left=36)
