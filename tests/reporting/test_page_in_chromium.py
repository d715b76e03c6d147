"""The audit's page in a real browser: filters, phones, paper, no scripts, and axe."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from meterledger.reporting.audit_page import Rules, audit_page
from support.audits import audited
from support.browser import chromium, reader_without_scripts
from support.delivered_ledger import ledger_builder
from support.month_end_scene import HOSTILE_CUSTOMER, NOW, play_month_end
from support.node_packages import installed

NODE = Path(__file__).parent / "node"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests."""
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of a month's end, as a file."""
    folder = tmp_path_factory.mktemp("page")
    with ledger_builder(folder, anchors="calendar") as built:
        play_month_end(built)
        result = audited(built, NOW)
    file = folder / "report.html"
    file.write_text(audit_page(result, Rules(safety_margin=300, retry_time=900)))
    return file.as_uri()


def shown(page: Page) -> int:
    """Return how many customers' rows are seen."""
    return page.locator("#customers-table tbody tr:visible").count()


def test_it_opens_without_a_complaint_and_asks_nobody(browser: Browser, address: str) -> None:
    """Nothing on the console, no dialog of a hostile name, no request but for the file."""
    page = browser.new_page()
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("dialog", lambda dialog: heard.append(dialog.message))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    assert heard == []
    assert asked == [address]


def test_filters_narrow_the_table_and_say_so(browser: Browser, address: str) -> None:
    """By customer, meter and where the usage stands; all come back."""
    page = browser.new_page()
    page.goto(address)
    whole = shown(page)
    assert whole == 6
    page.get_by_role("combobox", name="Meter").select_option("seats")
    assert shown(page) == 4
    page.get_by_role("searchbox", name="Customer").fill("CUS_0")
    assert shown(page) == 1
    assert page.locator("#shown").inner_text() == "1 of 6 rows shown"
    page.get_by_role("button", name="Show all").click()
    page.wait_for_function("document.getElementById('shown').textContent.startsWith('6')")
    assert shown(page) == whole
    page.get_by_role("combobox", name="Usage").select_option("at_risk")
    assert shown(page) == 1


def test_it_is_whole_without_scripts(browser: Browser, address: str) -> None:
    """All rows and pictures are there, and no filter that would do nothing."""
    page = reader_without_scripts(browser)
    page.goto(address)
    assert shown(page) == 6
    assert page.get_by_role("button", name="Show all").count() == 0
    assert page.get_by_role("img").count() == 4


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_only_tables_scroll_sideways(browser: Browser, address: str, width: int) -> None:
    """The page itself is never wider than its window, and its charts fit in."""
    page = browser.new_context(viewport={"width": width, "height": 800}).new_page()
    page.goto(address)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for chart in page.get_by_role("img").all():
        box = chart.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= width


def test_paper_cuts_no_table_and_has_no_buttons(browser: Browser, address: str) -> None:
    """At the width of A4 no table is wider than the sheet; filters stay on the screen; light even if dark."""
    page = browser.new_context(viewport={"width": 703, "height": 1000}, color_scheme="dark").new_page()
    page.emulate_media(media="print")
    page.goto(address)
    assert page.locator("form").is_hidden()
    for table in page.locator("table:visible").all():
        box = table.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= 703
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")


def test_a_hostile_name_is_read_as_it_is(browser: Browser, address: str) -> None:
    """The markup in a source's name is text on the page."""
    page = browser.new_page()
    page.goto(address)
    assert page.get_by_text("<img src=x onerror=alert(2)>").count() > 0
    assert page.locator("main img").count() == 0
    assert HOSTILE_CUSTOMER.startswith("</td>")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_no_violation(browser: Browser, address: str, scheme: str, width: int) -> None:
    """Contrast, names, roles, order: nothing that axe knows is broken, light or dark, wide or narrow."""
    axe = installed(NODE) / "axe-core" / "axe.min.js"
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
        bypass_csp=True,  # for axe alone; what the page allows itself stands in another test
    )
    page = context.new_page()
    page.goto(address)
    for summary in page.locator("summary").all():
        summary.click()
    page.add_script_tag(path=axe)
    found = page.evaluate("axe.run().then((result) => result.violations)")
    assert found == [], "\n".join(
        f"{one['id']}: {one['help']}: {[node['html'][:200] for node in one['nodes'][:3]]}" for one in found
    )
