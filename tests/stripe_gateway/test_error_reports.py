"""Error reports as they come over the wire: every form that is known, and nonsense."""

import asyncio
import json
from typing import Any

import pytest

from meterledger.domain.error_report import REPORT_TYPES
from meterledger.domain.instant import parse_instant
from meterledger.errors import StripeError
from meterledger.stripe_gateway.access import StripeAccess
from meterledger.stripe_gateway.error_reports import ReportPage, list_parameters, page_of_answer
from meterledger.stripe_gateway.gateway import Read, open_gateway
from meterledger.stripe_gateway.wire import WireAnswer
from support.scripted_calls import HTML, KEY, NOW, error
from support.scripted_calls import ignore_date as _ignore
from support.scripted_server import Answer, ScriptedServer, answer

CREATED = "2026-11-22T06:00:12.050Z"
START, END = "2026-11-22T06:00:00.000Z", "2026-11-22T06:00:10.000Z"


def event(
    *samples: object, code: object = "no_meter", count: object = 3, **changed: object
) -> dict[str, Any]:
    """Return an event in Stripe's form."""
    kind = {"code": code, "error_count": count, "sample_errors": list(samples)}
    return {
        "id": "evt_1",
        "object": "v2.core.event",
        "type": REPORT_TYPES[0],
        "created": CREATED,
        "related_object": {"id": "mtr_1", "type": "billing.meter", "url": "/v1/billing/meters/mtr_1"},
        "data": {
            "validation_start": START,
            "validation_end": END,
            "reason": {"error_count": count, "error_types": [kind]},
        },
        **changed,
    }


def sample(**request: object) -> dict[str, object]:
    """Return a sample error."""
    return {"error_message": "why", "request": request}


def page_of(*events: object, **more: object) -> ReportPage:
    """Read a page of events."""
    body = json.dumps({"data": list(events), **more}).encode()
    page = page_of_answer(WireAnswer(status=200, headers={}, body=body), "here")
    assert isinstance(page, ReportPage)
    return page


def test_a_report_is_read_whole() -> None:
    """Window, meter, count, code and samples."""
    [report] = page_of(event(sample(identifier="ml1-x"))).reports
    assert (report.event_id, report.meter_id, report.type) == ("evt_1", "mtr_1", REPORT_TYPES[0])
    assert (report.created, report.validation_start, report.validation_end) == tuple(
        map(parse_instant, (CREATED, START, END))
    )
    [errors] = report.errors
    assert (errors.code, errors.error_count) == ("no_meter", 3)
    assert [(one.name, one.message) for one in errors.samples] == [("ml1-x", "why")]


@pytest.mark.parametrize(
    "request_",
    [
        {"identifier": "x"},
        {"id": "", "idempotency_key": "x"},
        {"id": "x"},
        {"identifier": "x", "idempotency_key": "other", "id": "another"},
    ],
)
def test_a_sample_names_its_event_in_older_forms_too(request_: dict[str, object]) -> None:
    """The identifier if it is there, else the key, else the id."""
    [report] = page_of(event(sample(**request_))).reports
    assert [one.name for one in report.errors[0].samples] == ["x"]


@pytest.mark.parametrize(
    "nonsense", [sample(), sample(identifier=7), {"request": "x"}, "x", None, sample(identifier="x" * 256)]
)
def test_a_sample_without_a_name_is_counted_only(nonsense: object) -> None:
    """It is one of those that nobody knows."""
    [report] = page_of(event(nonsense)).reports
    assert (report.errors[0].samples, report.errors[0].error_count) == ((), 3)


@pytest.mark.parametrize("count", [None, -1, "3", 1.5, True, 10**30])
def test_a_count_that_is_none_is_that_of_the_samples(count: object) -> None:
    """Never fewer than what is named."""
    [report] = page_of(event(sample(identifier="a"), sample(identifier="b"), count=count)).reports
    assert report.errors[0].error_count == 2


def test_errors_that_no_code_accounts_for_are_kept() -> None:
    """The report's own count is the larger one."""
    told = event(sample(identifier="a"))
    told["data"]["reason"]["error_count"] = 5
    assert [(one.code, one.error_count) for one in page_of(told).reports[0].errors] == [
        ("no_meter", 3),
        ("unknown", 2),
    ]


def test_a_code_that_stands_twice_is_one() -> None:
    """Its counts add up."""
    told = event(sample(identifier="a"))
    told["data"]["reason"]["error_types"] *= 2
    told["data"]["reason"]["error_count"] = 6
    [errors] = page_of(told).reports[0].errors
    assert (errors.error_count, len(errors.samples)) == (6, 2)


@pytest.mark.parametrize(
    "changed",
    [{"id": None}, {"id": "x" * 300}, {"created": "yesterday"}, {"created": 7}, {"data": None}, {"data": {}}],
)
def test_what_is_no_report_is_counted(changed: dict[str, object]) -> None:
    """It is told as unreadable, and the others are read."""
    page = page_of(event(**changed), event(id="evt_2"))
    assert ([one.event_id for one in page.reports], len(page.unreadable)) == (["evt_2"], 1)


def test_events_of_other_types_are_passed_over() -> None:
    """A server may not know the filter."""
    page = page_of(event(type="v1.billing.meter.created"), event())
    assert (len(page.reports), page.unreadable) == (1, ())


@pytest.mark.parametrize("window", [(None, END), (END, START), ("x", "y"), (1, 2)])
def test_a_window_that_is_none_is_left_out(window: tuple[object, object]) -> None:
    """The report itself counts."""
    told = event(sample(identifier="a"))
    told["data"]["validation_start"], told["data"]["validation_end"] = window
    [report] = page_of(told).reports
    assert (report.validation_start, report.validation_end) == (None, None)


@pytest.mark.parametrize(
    "url",
    [
        "http://elsewhere/v2/core/events?page=x",
        "@elsewhere/v2/core/events?page=x",
        "/v1/account",
        7,
        None,
        "",
    ],
)
def test_only_the_list_itself_is_followed(url: object) -> None:
    """The key goes with each request."""
    assert page_of(next_page_url=url).next_page is None
    assert page_of(next_page_url="/v2/core/events?page=x").next_page == "/v2/core/events?page=x"


def test_bounds_are_written_as_text() -> None:
    """Both types at once, and from when to when."""
    assert list_parameters(None, None) == {"types": list(REPORT_TYPES)}
    assert list_parameters(NOW, NOW)["created"].keys() == {"gte", "lte"}


def asked(*replies: Answer, page: str | None = None) -> tuple[Read, list[str]]:
    """Ask a scripted server; return what came of it, and the paths it saw."""

    async def ask() -> tuple[Read, list[str]]:
        async with ScriptedServer(list(replies)) as server:
            access = StripeAccess(key=KEY, mode="test", base=server.url, stripe_account="acct_c")
            async with open_gateway(access, lambda: NOW, concurrency=1, on_date=_ignore) as gateway:
                read = await gateway.error_reports(since=NOW, before=None, page=page)
            for request in server.requests:
                assert request.headers["stripe-account"] == "acct_c"
                assert request.headers["stripe-version"]
            return read, [request.target for request in server.requests]

    return asyncio.run(ask())


@pytest.mark.parametrize("page", [None, "/v2/core/events?page=tok"])
def test_the_list_is_asked_for_through_the_sdk(page: str | None) -> None:
    """With the pinned version and the connected account, on every page."""
    read, [path] = asked(answer(200, {"data": [event()], "next_page_url": None}), page=page)
    assert len(read.value.reports) == 1
    assert path.startswith("/v2/core/events?")


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_read_that_is_refused_is_a_warning(status: int) -> None:
    """A restricted key, or a mode without v2: no value, and a word on why."""
    read, _ = asked(answer(status, error(message="no")))
    assert (read.value, str(status) in read.warning) == (None, True)


@pytest.mark.parametrize(
    "reply", [answer(200, []), answer(200, HTML), answer(200, {"data": 1}), answer(301, b"")]
)
def test_an_answer_of_another_form_is_a_warning(reply: Answer) -> None:
    """It is no list of events."""
    read, _ = asked(reply)
    assert (read.value, "could not be read" in read.warning) == (None, True)


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_a_refused_key_and_a_server_that_cannot_tell_stop(status: int) -> None:
    """The key is not shown."""
    with pytest.raises(StripeError, match=str(status)) as caught:
        asked(answer(status, error(message=KEY)))
    assert KEY not in f"{caught.value} {caught.value.hint}"


def test_a_host_that_cannot_be_reached_stops() -> None:
    """Nothing was read."""
    with pytest.raises(StripeError, match="cannot be reached"):
        asked(Answer(reset=True))
