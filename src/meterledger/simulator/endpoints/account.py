"""`/v1/account`."""

from meterledger.simulator.protocol.api_request import ApiRequest


def get_account(request: ApiRequest) -> dict[str, object]:
    """Show the account that the key, or the Stripe-Account header, stands for."""
    request.parameters.allow(())
    return {
        "id": request.account.account_id,
        "object": "account",
        "charges_enabled": True,
        "country": "US",
        "default_currency": "usd",
        "settings": {"dashboard": {"display_name": "meterledger simulator", "timezone": "Etc/UTC"}},
        "type": "standard",
    }
