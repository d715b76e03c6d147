"""`/v1/products`."""

from dataclasses import replace

from meterledger.simulator.billing.catalog import Product, product_body
from meterledger.simulator.endpoints.billing_parameters import merged_metadata, optional_flag
from meterledger.simulator.protocol.api_request import ApiRequest
from meterledger.simulator.protocol.instant_range import range_names, read_range
from meterledger.simulator.protocol.paging import PAGE_NAMES, list_page, read_page

MAX_NAME = 250  # characters
MAX_DESCRIPTION = 40_000  # characters


def create_product(request: ApiRequest) -> dict[str, object]:
    """Make a product."""
    parameters = request.parameters
    parameters.allow(("name", "active", "description"), ("metadata[", "expand["))
    product = read_product(request)
    described = replace(
        product,
        active=optional_flag(parameters, "active") is not False,
        description=parameters.optional_text("description", max_length=MAX_DESCRIPTION),
    )
    return product_body(request.account.products.put(described))


def read_product(request: ApiRequest, prefix: str = "") -> Product:
    """
    Read a new product.

    Args:
        request: Has its parameters.
        prefix: What they are inside of, such as `product_data`; nothing where empty.

    Raises:
        ApiError: It has no name, or something about it is bad.
    """
    name, metadata = (f"{prefix}[{word}]" if prefix else word for word in ("name", "metadata"))
    account = request.account
    return Product(
        id=account.ids.next("prod_", livemode=account.livemode),
        livemode=account.livemode,
        created=int(request.now),
        name=request.parameters.text(name, max_length=MAX_NAME),
        metadata=merged_metadata(request.parameters, metadata, {}),
    )


def get_product(request: ApiRequest) -> dict[str, object]:
    """Show one product."""
    request.parameters.allow(())
    return product_body(request.account.products.get(request.object_id))


def list_products(request: ApiRequest) -> dict[str, object]:
    """List the products, the newest first, all or those of a kind."""
    parameters = request.parameters
    parameters.allow(PAGE_NAMES | range_names("created") | {"active"})
    active, created = optional_flag(parameters, "active"), read_range(parameters, "created")
    chosen = [
        product
        for product in request.account.products.newest_first()
        if active in (None, product.active) and created.holds(product.created)
    ]
    return list_page(chosen, product_body, read_page(parameters), url="/v1/products", kind="product")
