"""Customers through stripe-python."""

from collections.abc import Iterator

import pytest
import stripe

from support.sdk_desk import START, SdkDesk


@pytest.fixture(scope="module")
def desk() -> Iterator[SdkDesk]:
    """Start one simulator for the tests of this file, which takes usage of customers made here alone."""
    with SdkDesk("--known-customers-only") as running:
        yield running


def test_a_customer_comes_back_as_it_was_made(desk: SdkDesk) -> None:
    """Details and metadata come back in the client's type."""
    customers = desk.client.v1.customers
    made = customers.create({"name": "Alpha", "email": "a@example.com", "metadata": {"plan": "pro"}})
    assert isinstance(made, stripe.Customer)
    assert (made.object, made.created, made.livemode) == ("customer", START, False)
    assert (made.name, made.email, made.description, made.phone) == ("Alpha", "a@example.com", None, None)
    assert made.metadata is not None
    assert made.metadata.to_dict() == {"plan": "pro"}
    assert customers.retrieve(made.id).to_dict() == made.to_dict()


def test_a_change_adds_metadata(desk: SdkDesk) -> None:
    """An update changes what it names and leaves the rest."""
    customers = desk.client.v1.customers
    made = customers.create({"name": "Beta", "metadata": {"plan": "pro"}})
    changed = customers.update(made.id, {"description": "moved", "metadata": {"seat": "2"}})
    assert (changed.name, changed.description) == ("Beta", "moved")
    assert changed.metadata is not None
    assert changed.metadata.to_dict() == {"plan": "pro", "seat": "2"}


def test_lists_are_paged_and_filtered(desk: SdkDesk) -> None:
    """Auto-paging finds every customer with an address, the newest first."""
    customers = desk.client.v1.customers
    made = [customers.create({"email": "list@example.com"}).id for _ in range(5)]
    listed = customers.list({"email": "list@example.com", "limit": 2})
    assert (listed.url, listed.has_more) == ("/v1/customers", True)
    assert [customer.id for customer in listed.auto_paging_iter()] == made[::-1]


def test_a_deleted_customer_is_shown_as_such_and_takes_no_usage(desk: SdkDesk) -> None:
    """After the delete the id still answers, and its usage is refused."""
    desk.meter("deleted")
    customers = desk.client.v1.customers
    made = customers.create({})
    desk.send("deleted", customer=made.id)
    deleted = customers.delete(made.id)
    assert (deleted.id, deleted.deleted) == (made.id, True)
    assert customers.retrieve(made.id).deleted is True
    assert made.id not in [customer.id for customer in customers.list({"limit": 100})]
    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        desk.send("deleted", customer=made.id)


def test_an_unknown_customer(desk: SdkDesk) -> None:
    """An id that nothing has is a 404 when it is read, and a 400 in usage."""
    with pytest.raises(stripe.InvalidRequestError) as caught:
        desk.client.v1.customers.retrieve("cus_none")
    assert (caught.value.http_status, caught.value.code) == (404, "resource_missing")
    desk.meter("unknown")
    with pytest.raises(stripe.InvalidRequestError) as caught:
        desk.send("unknown", customer="cus_none")
    assert (caught.value.http_status, caught.value.code) == (400, "resource_missing")
