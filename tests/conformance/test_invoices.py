"""A month's end through stripe-python: drafts, their deadlines, late usage, final invoices."""

from collections.abc import Iterator

import pytest
import stripe

from support.sdk_billing import Billed, billed
from support.sdk_desk import DAY, HOUR, START, SdkDesk

NEXT_MONTH = START + 30 * DAY  # 2026-12-01T00:00:00Z
MONTH_END = "2026-12-01T00:00:00Z"


@pytest.fixture
def desk() -> Iterator[SdkDesk]:
    """Start a simulator for each test: each of them lets a month go by."""
    with SdkDesk() as running:
        yield running


def use(desk: SdkDesk, made: Billed, value: str, timestamp: int) -> None:
    """Send usage of the billed customer."""
    desk.send(made.meter.event_name, value, customer=made.customer.id, timestamp=timestamp)


def cycle_invoices(desk: SdkDesk, made: Billed) -> list[stripe.Invoice]:
    """Return the invoices of the subscription's periods, the newest first."""
    listed = desk.client.v1.invoices.list({"subscription": made.subscription.id})
    return [invoice for invoice in listed if invoice.billing_reason == "subscription_cycle"]


def the_invoice(desk: SdkDesk, made: Billed) -> stripe.Invoice:
    """Return the one invoice of the one period that has ended."""
    (invoice,) = cycle_invoices(desk, made)
    return invoice


def month_end(desk: SdkDesk, used: str = "40") -> Billed:
    """Let a customer use something and the month end; the draft is there, with an hour to go."""
    made = billed(desk)
    use(desk, made, used, START)
    desk.simulator.set_clock(MONTH_END)
    return made


def test_the_first_invoice_is_final_at_once(desk: SdkDesk) -> None:
    """A subscription begins with an invoice of its own, which has no grace period."""
    made = billed(desk)
    (first,) = desk.client.v1.invoices.list({"subscription": made.subscription.id})
    assert isinstance(first, stripe.Invoice)
    assert first.billing_reason == "subscription_create"
    assert first.status in ("open", "paid")
    assert first.status_transitions.finalized_at == START
    assert first.automatically_finalizes_at is None


def test_a_draft_bills_what_was_used(desk: SdkDesk) -> None:
    """At the period's end there is a draft with an hour until it becomes final, in the client's type."""
    made = month_end(desk)
    draft = the_invoice(desk, made)
    assert draft.status == "draft"
    assert isinstance(draft, stripe.Invoice)
    assert (draft.object, draft.billing_reason) == ("invoice", "subscription_cycle")
    assert (draft.customer, draft.livemode, draft.auto_advance) == (made.customer.id, False, True)
    assert (draft.created, draft.automatically_finalizes_at) == (NEXT_MONTH, NEXT_MONTH + HOUR)
    assert (draft.period_start, draft.period_end) == (START, NEXT_MONTH)
    assert draft.parent is not None
    assert draft.parent.subscription_details is not None
    assert draft.parent.subscription_details.subscription == made.subscription.id
    (line,) = draft.lines.data
    assert isinstance(line, stripe.InvoiceLineItem)
    assert (line.quantity, line.amount, draft.total) == (40, 120, 120)
    assert (line.period.start, line.period.end) == (START, NEXT_MONTH)
    assert line.pricing is not None
    assert line.pricing.price_details is not None
    assert line.pricing.price_details.price == made.price.id
    assert line.parent is not None
    assert line.parent.subscription_item_details is not None
    assert line.parent.subscription_item_details.subscription_item == made.item.id


def test_usage_that_arrives_in_the_grace_period_is_billed_and_later_usage_is_not(desk: SdkDesk) -> None:
    """Late usage lands on the draft until it is final; after that it is taken and billed nowhere."""
    made = month_end(desk, "40")
    desk.simulator.advance("30m")
    use(desk, made, "2", NEXT_MONTH - 1)
    use(desk, made, "5", NEXT_MONTH + 60)
    desk.simulator.advance("31m")
    final = the_invoice(desk, made)
    assert final.status in ("open", "paid")
    assert final.status_transitions.finalized_at == NEXT_MONTH + HOUR
    assert final.automatically_finalizes_at is None
    assert [line.quantity for line in final.lines] == [42]
    use(desk, made, "100", NEXT_MONTH - 1)
    assert desk.client.v1.invoices.retrieve(final.id).lines.data[0].quantity == 42
    desk.simulator.set_clock("2027-01-01T00:00:00Z")
    december, november = cycle_invoices(desk, made)
    assert [line.quantity for line in december.lines] == [5]
    assert november.to_dict() == final.to_dict()


def test_a_draft_can_be_given_more_time(desk: SdkDesk) -> None:
    """A later automatically_finalizes_at keeps the window open, and what comes in it is billed."""
    made = month_end(desk, "40")
    draft = the_invoice(desk, made)
    later = desk.client.v1.invoices.update(
        draft.id, {"auto_advance": True, "automatically_finalizes_at": NEXT_MONTH + DAY}
    )
    assert later.automatically_finalizes_at == NEXT_MONTH + DAY
    desk.simulator.advance("23h")
    use(desk, made, "2", NEXT_MONTH - 1)
    assert desk.client.v1.invoices.retrieve(draft.id).status == "draft"
    desk.simulator.advance("1h")
    final = desk.client.v1.invoices.retrieve(draft.id)
    assert final.status in ("open", "paid")
    assert final.lines.data[0].quantity == 42


def test_a_draft_can_be_held_and_finalized_by_hand(desk: SdkDesk) -> None:
    """Without auto_advance a draft stays one, until finalize_invoice; then it can be changed no longer."""
    draft = the_invoice(desk, month_end(desk))
    invoices = desk.client.v1.invoices
    assert invoices.update(draft.id, {"auto_advance": False}).automatically_finalizes_at is None
    desk.simulator.advance("3d")
    assert invoices.retrieve(draft.id).status == "draft"
    final = invoices.finalize_invoice(draft.id)
    assert final.status in ("open", "paid")
    with pytest.raises(stripe.InvalidRequestError) as caught:
        invoices.update(draft.id, {"automatically_finalizes_at": NEXT_MONTH + 4 * DAY})
    assert caught.value.http_status == 400
    with pytest.raises(stripe.InvalidRequestError):
        invoices.finalize_invoice(draft.id)


def test_a_preview_shows_the_period_so_far(desk: SdkDesk) -> None:
    """create_preview bills what was used until now, and makes no invoice."""
    made = billed(desk)
    use(desk, made, "7", START)
    preview = desk.client.v1.invoices.create_preview({"subscription": made.subscription.id})
    assert isinstance(preview, stripe.Invoice)
    assert [line.quantity for line in preview.lines] == [7]
    assert preview.period_end == NEXT_MONTH
    assert len(desk.client.v1.invoices.list({"subscription": made.subscription.id}).data) == 1


def test_invoices_are_listed_by_pages_and_filters(desk: SdkDesk) -> None:
    """Auto-paging finds a customer's invoices; status and time of creation filter; lines have a list."""
    made = billed(desk)
    desk.simulator.set_clock("2027-03-01T00:30:00Z")
    invoices = desk.client.v1.invoices
    listed = invoices.list({"customer": made.customer.id, "limit": 2})
    assert listed.url == "/v1/invoices"
    every = list(listed.auto_paging_iter())
    assert len({invoice.id for invoice in every}) == 5
    assert [invoice.created for invoice in every] == sorted((i.created for i in every), reverse=True)
    drafts = invoices.list({"status": "draft", "created": {"gte": NEXT_MONTH}})
    assert [invoice.id for invoice in drafts] == [every[0].id]
    lines = invoices.line_items.list(every[0].id)
    assert lines.url == f"/v1/invoices/{every[0].id}/lines"
    assert [line.id for line in lines] == [line.id for line in every[0].lines]


def test_an_unknown_invoice_is_404(desk: SdkDesk) -> None:
    """An id that nothing has is resource_missing."""
    with pytest.raises(stripe.InvalidRequestError) as caught:
        desk.client.v1.invoices.retrieve("in_none")
    assert (caught.value.http_status, caught.value.code) == (404, "resource_missing")
