"""Customers, as far as meters and invoices need them: somebody to bill, by id."""

from dataclasses import dataclass, replace

from meterledger.simulator.protocol.api_errors import ApiError, no_such_object
from meterledger.simulator.state.book import Book, Journal

CUSTOMER_PREFIX = "cus_"
CUSTOMER_DETAILS = ("description", "email", "name", "phone")
MAX_CUSTOMER_FIELD = 5000  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """A customer that was made here; created is in whole seconds since the epoch."""

    id: str
    livemode: bool
    created: int
    details: dict[str, str | None]
    metadata: dict[str, str]
    deleted: bool = False


class CustomerBook:
    """
    The customers of one account.

    Args:
        journal: Hears of every change.
        known_only: Refuse usage for customers that were not made here, instead of taking any `cus_...`.
    """

    KIND = "customer"

    def __init__(self, journal: Journal, *, known_only: bool) -> None:
        self._known_only = known_only
        self._book: Book[Customer] = Book(Customer, self.KIND, "customer", journal)

    def put(self, customer: Customer) -> Customer:
        """Take in a new customer, or a changed one in its place, and return it."""
        return self._book.put(customer)

    def knows(self, customer_id: str) -> bool:
        """Tell whether there ever was a customer with the id."""
        return self._book.find(customer_id) is not None

    def get(self, customer_id: str) -> Customer:
        """
        Return a customer, a deleted one too.

        Raises:
            ApiError: 404 `resource_missing`.
        """
        return self._book.get(customer_id)

    def delete(self, customer_id: str) -> Customer:
        """
        Delete a customer: usage of it is refused from now on.

        Raises:
            ApiError: 404 `resource_missing`.
        """
        return self.put(replace(self.get(customer_id), deleted=True))

    def newest_first(self) -> list[Customer]:
        """Return every customer that was not deleted, the newest first."""
        return [customer for customer in self._book.newest_first() if not customer.deleted]

    def takes_usage(self, customer_id: str) -> bool:
        """Tell whether usage of this customer is taken."""
        customer = self._book.find(customer_id)
        if customer is not None:
            return not customer.deleted
        return (
            not self._known_only
            and customer_id.startswith(CUSTOMER_PREFIX)
            and customer_id != CUSTOMER_PREFIX
        )

    def refusal(self, customer_id: str, *, param: str) -> ApiError | None:
        """Return why nothing can be told of this customer's usage, or None where it can."""
        if self.takes_usage(customer_id):
            return None
        return no_such_object("customer", customer_id, param=param, status=400)

    def restore(self, key: str, document: bytes) -> None:
        """Take in a customer of a state file."""
        self._book.restore(key, document)


def customer_body(customer: Customer) -> dict[str, object]:
    """Return a customer as the API shows it."""
    if customer.deleted:
        return {"id": customer.id, "object": "customer", "deleted": True}
    return {
        "id": customer.id,
        "object": "customer",
        "created": customer.created,
        "livemode": customer.livemode,
        "metadata": customer.metadata,
        **customer.details,
    }
