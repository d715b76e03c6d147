"""The simulator as a process, and Stripe's own Python client pointed at it."""

from collections.abc import Mapping
from types import TracebackType
from typing import Literal, Self

import stripe

from support.simulator_process import SimulatorProcess

START = 1_793_491_200  # 2026-11-01T00:00:00Z, a Sunday and the start of an hour and a day
START_TEXT = "2026-11-01T00:00:00Z"
KEY = "sk_test_conformance"
CUSTOMER = "cus_TestAlpha"
MINUTE, HOUR, DAY = 60, 3600, 86_400

Formula = Literal["count", "last", "sum"]


class SdkDesk:
    """
    A simulator whose clock stands at `START`, and the official client of one key.

    Args:
        options: Further options of the simulator.

    Attributes:
        simulator: The running process.
        client: The official client; it retries nothing by itself.
    """

    def __init__(self, *options: str) -> None:
        # With telemetry on, the client would write a file into the home of whoever runs the tests.
        self._telemetry, stripe.enable_telemetry = stripe.enable_telemetry, False
        self.simulator = SimulatorProcess("--clock", START_TEXT, "--freeze", *options)
        self.client = self.connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.simulator.stop()
        stripe.enable_telemetry = self._telemetry

    def connect(
        self, key: str = KEY, *, retries: int = 0, account: str | None = None, version: str | None = None
    ) -> stripe.StripeClient:
        """Return the official client for a key; one port stands for both of Stripe's hosts."""
        url = self.simulator.url
        return stripe.StripeClient(
            key,
            base_addresses={"api": url, "meter_events": url},
            max_network_retries=retries,
            stripe_account=account,
            stripe_version=version,
        )

    def meter(self, event_name: str, formula: Formula = "sum") -> stripe.billing.Meter:
        """Make a meter."""
        return self.client.v1.billing.meters.create(
            {
                "display_name": f"Meter of {event_name}",
                "event_name": event_name,
                "default_aggregation": {"formula": formula},
            }
        )

    def send(
        self,
        event_name: str,
        value: str = "1",
        *,
        customer: str = CUSTOMER,
        identifier: str | None = None,
        timestamp: int | None = None,
        idempotency_key: str | None = None,
    ) -> stripe.billing.MeterEvent:
        """Send one event over v1; the idempotency key is the client's own unless one is given."""
        return send(
            self.client,
            event_name,
            {"stripe_customer_id": customer, "value": value},
            identifier=identifier,
            timestamp=timestamp,
            idempotency_key=idempotency_key,
        )


def send(
    client: stripe.StripeClient,
    event_name: str,
    payload: Mapping[str, str],
    *,
    identifier: str | None = None,
    timestamp: int | None = None,
    idempotency_key: str | None = None,
) -> stripe.billing.MeterEvent:
    """Send one event over v1 with a client and a payload of the test's own; what is None is not sent."""
    params: stripe.params.billing.MeterEventCreateParams = {"event_name": event_name, "payload": {**payload}}
    if identifier is not None:
        params["identifier"] = identifier
    if timestamp is not None:
        params["timestamp"] = timestamp
    return client.v1.billing.meter_events.create(
        params, {} if idempotency_key is None else {"idempotency_key": idempotency_key}
    )
