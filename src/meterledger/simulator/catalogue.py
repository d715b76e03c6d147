"""The endpoints of account, meters and customers: parameters in, documents out."""

from meterledger.simulator.accounts import Account
from meterledger.simulator.customers import MAX_CUSTOMER_FIELD, Customer, customer_body
from meterledger.simulator.meters import (
    DEFAULT_CUSTOMER_KEY,
    DEFAULT_VALUE_KEY,
    MAX_DISPLAY_NAME,
    MAX_EVENT_NAME,
    MAX_PAYLOAD_KEY,
    Formula,
    MeterSpec,
    Window,
    meter_body,
)
from meterledger.simulator.paging import PAGE_NAMES, list_page, read_page
from meterledger.simulator.parameters import Parameters

_CUSTOMER_DETAILS = ("description", "email", "name", "phone")
_METER_NAMES = frozenset(
    {
        "display_name",
        "event_name",
        "event_time_window",
        "default_aggregation[formula]",
        "customer_mapping[type]",
        "customer_mapping[event_payload_key]",
        "value_settings[event_payload_key]",
    }
)


def get_account(account: Account, parameters: Parameters, _now: float, _object_id: str) -> dict[str, object]:
    """Show the account that the key, or the Stripe-Account header, stands for."""
    parameters.allow(())
    return {
        "id": account.account_id,
        "object": "account",
        "charges_enabled": True,
        "country": "US",
        "default_currency": "usd",
        "settings": {"dashboard": {"display_name": "meterledger simulator", "timezone": "Etc/UTC"}},
        "type": "standard",
    }


def create_meter(account: Account, parameters: Parameters, now: float, _object_id: str) -> dict[str, object]:
    """Make a meter; now is in epoch seconds."""
    parameters.allow(_METER_NAMES)
    return meter_body(account.add_meter(_read_spec(parameters), now))


def get_meter(account: Account, parameters: Parameters, _now: float, meter_id: str) -> dict[str, object]:
    """Show one meter."""
    parameters.allow(())
    return meter_body(account.meters.get(meter_id))


def update_meter(account: Account, parameters: Parameters, now: float, meter_id: str) -> dict[str, object]:
    """Give a meter another display name, the only thing about it that can change; now is in epoch seconds."""
    parameters.allow(("display_name",))
    display_name = parameters.optional_text("display_name", max_length=MAX_DISPLAY_NAME)
    return meter_body(account.meters.rename(meter_id, display_name, int(now)))


def deactivate_meter(
    account: Account, parameters: Parameters, now: float, meter_id: str
) -> dict[str, object]:
    """Stop a meter taking events; now is in epoch seconds."""
    parameters.allow(())
    return meter_body(account.meters.deactivate(meter_id, int(now)))


def reactivate_meter(
    account: Account, parameters: Parameters, now: float, meter_id: str
) -> dict[str, object]:
    """Let a meter take events again; now is in epoch seconds."""
    parameters.allow(())
    return meter_body(account.meters.reactivate(meter_id, int(now)))


def list_meters(account: Account, parameters: Parameters, _now: float, _object_id: str) -> dict[str, object]:
    """List the meters, the newest first, all or those of one status."""
    parameters.allow(PAGE_NAMES | {"status"})
    status = parameters.optional_choice("status", ("active", "inactive"))
    bodies = [meter_body(meter) for meter in account.meters.newest_first()]
    chosen = [body for body in bodies if status in (None, body["status"])]
    return list_page(chosen, read_page(parameters), url="/v1/billing/meters", kind="billing meter")


def create_customer(
    account: Account, parameters: Parameters, now: float, _object_id: str
) -> dict[str, object]:
    """Make a customer; now is in epoch seconds."""
    parameters.allow(_CUSTOMER_DETAILS, ("metadata[", "expand["))
    details = {
        name: parameters.optional_text(name, max_length=MAX_CUSTOMER_FIELD) for name in _CUSTOMER_DETAILS
    }
    customer = Customer(
        customer_id=account.ids.next("cus_", livemode=account.livemode),
        livemode=account.livemode,
        created=int(now),
        details=details,
        metadata=parameters.family("metadata"),
    )
    account.customers.add(customer)
    return customer_body(customer)


def get_customer(
    account: Account, parameters: Parameters, _now: float, customer_id: str
) -> dict[str, object]:
    """Show one customer that was made here."""
    parameters.allow(())
    return customer_body(account.customers.get(customer_id))


def list_customers(
    account: Account, parameters: Parameters, _now: float, _object_id: str
) -> dict[str, object]:
    """List the customers that were made here, the newest first, all or those with one address."""
    parameters.allow(PAGE_NAMES | {"email"})
    email = parameters.optional_text("email", max_length=MAX_CUSTOMER_FIELD)
    bodies = [customer_body(customer) for customer in account.customers.newest_first()]
    chosen = [body for body in bodies if email in (None, body["email"])]
    return list_page(chosen, read_page(parameters), url="/v1/customers", kind="customer")


def _read_spec(parameters: Parameters) -> MeterSpec:
    display_name = parameters.text("display_name", max_length=MAX_DISPLAY_NAME)
    event_name = parameters.text("event_name", max_length=MAX_EVENT_NAME)
    formula = parameters.choice("default_aggregation[formula]", tuple(Formula))
    window = parameters.optional_choice("event_time_window", tuple(Window))
    if any(name.startswith("customer_mapping[") for name in parameters.fields):
        parameters.choice("customer_mapping[type]", ("by_id",))
        customer_key = parameters.text("customer_mapping[event_payload_key]", max_length=MAX_PAYLOAD_KEY)
    else:
        customer_key = DEFAULT_CUSTOMER_KEY
    value_key = parameters.optional_text("value_settings[event_payload_key]", max_length=MAX_PAYLOAD_KEY)
    return MeterSpec(
        display_name=display_name,
        event_name=event_name,
        formula=Formula(formula),
        event_time_window=None if window is None else Window(window),
        customer_key=customer_key,
        value_key=value_key or DEFAULT_VALUE_KEY,
    )
