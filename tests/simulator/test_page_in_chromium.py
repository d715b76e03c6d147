"""The page in a real browser: a month's end by its buttons, on a desktop and a phone, without scripts."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from support.browser import chromium, reader_without_scripts
from support.sdk_billing import Billed, billed
from support.sdk_desk import SdkDesk

START = 1_793_491_200  # 2026-11-01T00:00:00Z, where the clock stands
DECEMBER = 1_796_083_200


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests."""
    with chromium() as started:
        yield started


@pytest.fixture
def desk() -> Iterator[SdkDesk]:
    """A simulator whose clock stands at the first of November, and a client of it."""
    with SdkDesk() as opened:
        yield opened


def use(desk: SdkDesk, who: Billed, value: str, timestamp: int) -> None:
    """Send one event of a customer."""
    desk.send("api_requests", value, customer=who.customer.id, timestamp=timestamp)


def row_of(page: Page, invoice: str) -> str:
    """Return the words of an invoice's row."""
    return page.get_by_role("row", name=invoice).inner_text()


def test_a_person_watches_a_draft_become_final(browser: Browser, desk: SdkDesk) -> None:
    """The clock jumps past the month's end: usage in time is on the final invoice, usage after is not."""
    who = billed(desk)
    use(desk, who, "40", START)
    page = reader_without_scripts(browser)
    page.goto(desk.simulator.url)
    page.get_by_role("button", name="to the month's end").click()
    assert "draft" in row_of(page, "in_test_2")
    assert "api_requests 40 (1 event)" in row_of(page, "in_test_2")
    use(desk, who, "2", DECEMBER - 60)
    page.get_by_role("button", name="to what happens next").click()
    use(desk, who, "3", DECEMBER - 60)
    page.reload()
    row = row_of(page, "in_test_2")
    assert "open" in row
    assert "api_requests 42 (2 events)" in row
    assert "api_requests 3 (1 event)" in row


def test_the_clock_is_set_by_its_form_and_a_wrong_time_is_told(browser: Browser, desk: SdkDesk) -> None:
    """What is typed is where the clock stands; what is no time is refused on the page."""
    page = reader_without_scripts(browser)
    page.goto(desk.simulator.url)
    page.get_by_label("Set it to").fill("2026-11-05T10:00:00+01:00")
    page.get_by_role("button", name="set", exact=True).click()
    assert "2026-11-05 09:00:00 UTC" in page.locator(".clock").inner_text()
    page.get_by_label("Set it to").fill("soon")
    page.get_by_role("button", name="set", exact=True).click()
    assert "soon" in page.get_by_role("alert").inner_text()
    assert "2026-11-05 09:00:00 UTC" in page.locator(".clock").inner_text()


@pytest.mark.parametrize("width", [390, 1100])
def test_what_came_too_late_is_seen_without_scrolling_sideways(
    browser: Browser, desk: SdkDesk, width: int
) -> None:
    """The figure that costs money stands inside the window, on a phone and on a desktop."""
    who = billed(desk)
    use(desk, who, "40", START)
    desk.simulator.set_clock("2026-12-01T02:00:00Z")
    use(desk, who, "3", DECEMBER - 60)
    page = browser.new_context(viewport={"width": width, "height": 800}).new_page()
    page.goto(desk.simulator.url)
    for shown in (page.get_by_text("api_requests 3 (1 event)"), page.get_by_text("1.20 usd")):
        box = shown.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= width


def test_the_page_fits_a_phone_and_asks_no_other_host(browser: Browser, desk: SdkDesk) -> None:
    """At phone width nothing but tables scrolls sideways, and everything comes from the simulator."""
    who = billed(desk)
    use(desk, who, "40", START)
    page = browser.new_context(viewport={"width": 390, "height": 800}).new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(desk.simulator.url)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.get_by_role("img", name="Usage of api_requests by the hour").is_visible()
    assert {url.startswith(desk.simulator.url) for url in asked} == {True}


def test_long_names_leave_room_for_the_reason(browser: Browser, desk: SdkDesk) -> None:
    """A customer's id as long as a client likes is broken, and the columns behind it stay in sight."""
    desk.meter("api_requests")
    desk.send("api_requests", customer=f"cus_{'x' * 120}")
    page = browser.new_context(viewport={"width": 1100, "height": 800}).new_page()
    page.goto(desk.simulator.url)
    box = page.get_by_text("no subscription to this meter then").bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= 1100
