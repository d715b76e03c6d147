"""Customers, as far as meters need them: somebody to bill, by id."""

from dataclasses import dataclass

from meterledger.simulator.api_errors import NOT_FOUND, ApiError, no_such_object

CUSTOMER_PREFIX = "cus_"
MAX_CUSTOMER_FIELD = 5000  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """A customer that was made here; created is in whole seconds since the epoch."""

    customer_id: str
    livemode: bool
    created: int
    details: dict[str, str | None]
    metadata: dict[str, str]


class CustomerBook:
    """
    The customers of one account.

    Args:
        known_only: Refuse usage for customers that were not made here, instead of taking any `cus_...`.
    """

    def __init__(self, *, known_only: bool) -> None:
        self._known_only = known_only
        self._by_id: dict[str, Customer] = {}

    def add(self, customer: Customer) -> None:
        """Take in a new customer."""
        self._by_id[customer.customer_id] = customer

    def get(self, customer_id: str) -> Customer:
        """
        Return a customer.

        Raises:
            ApiError: 404 `resource_missing`.
        """
        customer = self._by_id.get(customer_id)
        if customer is None:
            raise no_such_object("customer", customer_id, param="id", status=NOT_FOUND)
        return customer

    def newest_first(self) -> list[Customer]:
        """Return every customer, the newest first."""
        return list(reversed(self._by_id.values()))

    def refusal(self, customer_id: str, *, param: str) -> ApiError | None:
        """Return why usage of this customer is refused, or None where it is taken."""
        if self._known_only:
            taken = customer_id in self._by_id
        else:
            taken = customer_id.startswith(CUSTOMER_PREFIX) and customer_id != CUSTOMER_PREFIX
        return None if taken else no_such_object("customer", customer_id, param=param, status=400)


def customer_body(customer: Customer) -> dict[str, object]:
    """Return a customer as the API shows it."""
    return {
        "id": customer.customer_id,
        "object": "customer",
        "created": customer.created,
        "livemode": customer.livemode,
        "metadata": customer.metadata,
        **customer.details,
    }
