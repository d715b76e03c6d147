"""The audit's page as a file: what it says, and that nothing in it is obeyed or fetched."""

import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from itertools import pairwise

import pytest

from docs.pages import DOCS, section
from meterledger.cli.audit_document import audit_document
from meterledger.domain.billing_period import BillingPeriod, calendar_month
from meterledger.domain.dues import DeadlineSource
from meterledger.domain.instant import HOUR, parse_instant
from meterledger.domain.lateness import Landing
from meterledger.domain.quantity import Quantity
from meterledger.reporting.audit_page import MOST_CUSTOMERS, MOST_ROWS, Rules, audit_page
from meterledger.reporting.words import ADVICE, quantity_text, share_text
from meterledger.usecases.audit_answer import Amount, Audit, AuditOptions, CustomerAtRisk, Entry
from meterledger.usecases.findings import Finding
from support.audits import audited
from support.delivered_ledger import ledger_builder
from support.month_end_scene import NOW, play_month_end

RULES = Rules(safety_margin=300, retry_time=900)
MOST_BYTES = 3_000_000


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audit]:
    """The audit of a month's end with a source an hour and one a day late."""
    with ledger_builder(tmp_path_factory.mktemp("scene"), anchors="calendar") as built:
        play_month_end(built)
        yield audited(built, NOW)


@pytest.fixture(scope="module")
def page(scene: Audit) -> str:
    """Its page."""
    return audit_page(scene, RULES)


def rows(page: str, heading: str) -> list[list[str]]:
    """Return the cells of a section's open tables, as read."""
    text = page[page.index(f'<h2 id="{heading}">') :]
    text = re.sub(r"<details>.*?</details>", "", text[: text.index("</section>")], flags=re.DOTALL)
    return [
        [unescape(re.sub(r"<[^>]+>", " ", cell)).strip() for cell in re.findall(r"<t[dh]\b.*?</t[dh]>", row)]
        for row in re.findall(r"<tr.*?</tr>", text, re.DOTALL)
        if "<thead>" not in row and 'scope="col"' not in row
    ]


def figures(amount: dict[str, object]) -> str:
    """Return an amount of the JSON document as a cell of the page shows it."""
    events, quantity = amount["events"], str(amount["quantity"])
    whole, point, fraction = quantity.partition(".")
    return f"{events:,} {int(whole):,}{point}{fraction}" if events else "0"


def test_the_page_has_the_same_numbers_as_the_json(scene: Audit, page: str) -> None:
    """Each line of `periods`, `delays` and `what_if` stands in its table, figure by figure."""
    document = audit_document(scene, AuditOptions())
    assert [row[5:] for row in rows(page, "deadlines")] == [
        [figures(entry[where]) for where in ("missed", "at_risk", "open", "landed")]
        for entry in document["periods"]
    ]
    assert [row[2:4] for row in rows(page, "delays")] == [
        [line["kind"], f"{line['count']:,}"] for line in document["delays"]
    ]
    shown = [cell for row in rows(page, "grace") for cell in row[1:]]
    assert shown == [figures(line["missed"]) for line in document["what_if"]]


def test_the_verdict_comes_first_in_plain_words(scene: Audit, page: str) -> None:
    """Before any figure stands what happened, to how many, and what to do."""
    missed = sum(entry.amounts[Landing.MISSED].events for entry in scene.entries)
    assert missed == 5
    headline = page.index("No: 5 usage events of 4 customers missed the invoice.")
    assert headline < page.index("What to do next") < page.index("<table")
    assert "to 48 h or more" in page


def test_headings_go_down_by_one_and_every_section_has_its_own(page: str) -> None:
    """A reader can find the way by headings; each link on the page leads somewhere."""
    levels = [int(level) for level in re.findall(r"<h(\d)", page)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert set(re.findall(r'href="#([a-z]+)"', page)) <= set(re.findall(r'id="([a-z]+)"', page))


def test_nothing_is_fetched_and_no_other_host_is_named(page: str) -> None:
    """The file stands alone: no URL, no source attribute, and a policy that allows none."""
    without_names = page.replace("&lt;img src=x", "")
    assert "http:" not in page
    assert "https:" not in page
    assert not re.search(r"<(?:link|img|iframe|object|embed|base)\b|\ssrc=|@import|url\((?!#)", without_names)
    assert "default-src 'none'" in page


def test_names_are_text_in_tables_options_and_charts(page: str) -> None:
    """What a customer or a source is called runs nowhere, and no control character is left."""
    assert page.count("<script") == 1
    assert "<img" not in page
    assert "</td><script>" not in page
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", page)


def test_every_picture_says_what_it_shows(page: str) -> None:
    """Each chart is an image with a title and a description, drawn for a wide and a narrow page."""
    charts = re.findall(r"<svg .*?</desc>", page, re.DOTALL)
    assert len(charts) == 8
    for chart in charts:
        assert re.search(r'role="img".*<title id="[^"]+">.+</title><desc id="[^"]+">.+</desc>', chart)
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_a_large_audit_is_bounded_and_says_what_is_left_out() -> None:
    """5,000 customers at risk and as many periods: under 3 MB, the rest is named with its command."""
    page = audit_page(_large(), RULES)
    assert len(page.encode()) < MOST_BYTES
    assert page.count("<tr data-meter") == MOST_CUSTOMERS
    assert len(rows(page, "deadlines")) == MOST_ROWS
    assert f"{5_000 - MOST_CUSTOMERS:,} more rows are left out here" in page
    assert "meterledger audit --by customer --format csv" in page


def test_many_periods_are_added_up_by_their_deadlines() -> None:
    """Where each customer has one of its own, the table has days and months, and all usage is in it."""
    month = calendar_month(parse_instant(NOW))
    entries = [
        Entry(
            BillingPeriod(month.start + number * HOUR, month.end + number * HOUR),
            month.end + (number + 1) * HOUR,
            DeadlineSource.CONFIGURED,
            "api_requests",
            customers=1,
            amounts={where: Amount(2, Quantity(3, 0)) for where in Landing},
        )
        for number in range(MOST_ROWS + 1)
    ]
    page = audit_page(Audit(as_of=parse_instant(NOW), grace_period=3600, entries=entries), RULES)
    found = rows(page, "deadlines")

    assert len(found) < 20
    assert sum(int(row[2]) for row in found) == MOST_ROWS + 1
    for column in range(3, 7):
        assert sum(int(row[column].split()[0]) for row in found) == 2 * (MOST_ROWS + 1)


def test_an_audit_of_nothing_is_a_page_too() -> None:
    """Without usage there are no pictures, and the page says so."""
    page = audit_page(Audit(as_of=parse_instant(NOW), grace_period=3600), RULES)
    assert "There is no usage to judge." in page
    assert "<svg" not in page


def test_refused_rows_alone_have_a_headline_of_their_own() -> None:
    """A verdict that only refused rows make does not speak of usage events."""
    result = replace(
        Audit(as_of=parse_instant(NOW), grace_period=3600),
        verdict="missed",
        findings=[Finding(code="open_rejections", severity="error", message="1 rejection `open`")],
    )
    page = audit_page(result, RULES)
    assert "Refused rows are open." in page
    assert "<code>open</code>" in page


def test_findings_stand_the_weightiest_first(scene: Audit) -> None:
    """An error is read before a warning, whatever was found first."""
    found = [
        Finding(code="open_rejections", severity=one, message=one) for one in ("info", "warning", "error")
    ]
    page = audit_page(replace(scene, findings=found), RULES)

    assert [cells[0] for cells in rows(page, "findings")] == ["error", "warning", "info"]


def test_who_has_missed_usage_is_told_how_to_bill_it(page: str) -> None:
    """The first step names the command that writes what an invoice item has to say."""
    assert "<code>meterledger audit --lost lost.csv</code>" in page


def test_every_finding_of_the_docs_has_advice() -> None:
    """A finding without a word of what to do would leave its reader alone."""
    codes = set(re.findall(r"^\| `([a-z_]+)` \|", section(DOCS / "auditing.md", "Findings"), re.MULTILINE))
    assert codes <= set(ADVICE)


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 10, "0 %"),
        (1, 3, "33.3 %"),
        (1, 100_000, "under 0.1 %"),
        (99_999, 100_000, "over 99.9 %"),
        (5, 5, "100.0 %"),
    ],
)
def test_a_share_is_never_rounded_to_nothing_or_all(part: int, whole: int, text: str) -> None:
    """One missed usage event of many is not 0 %."""
    assert share_text(part, whole) == text


def test_a_quantity_is_written_exactly() -> None:
    """Groups of three, and every digit."""
    assert quantity_text(Quantity(123_456_789_012_345_678, 3)) == "123,456,789,012,345.678"


def _large() -> Audit:
    amounts = {where: Amount(1_234_567, Quantity(10**17, 2)) for where in Landing}
    months = [
        parse_instant(f"{2000 + number // 12}-{number % 12 + 1:02}-01T00:00:00Z") for number in range(300)
    ]
    periods = [calendar_month(month) for month in months]
    return Audit(
        as_of=parse_instant(NOW),
        grace_period=3600,
        verdict="missed",
        entries=[
            Entry(period, period.end, DeadlineSource.CONFIGURED, "m" * 100, amounts=amounts)
            for period in periods
        ],
        customers_at_risk=[
            CustomerAtRisk(
                customer_id=f"cus_{number:0200}",
                period=periods[0],
                deadline=periods[0].end,
                event_name="m" * 100,
                amounts=amounts,
            )
            for number in range(5_000)
        ],
    )
