"""What a meter-event call is about, told before anything can refuse it."""

from typing import NamedTuple

from meterledger.simulator.protocol.concurrency import Lane


class Arrival(NamedTuple):
    """Each is empty where the call does not tell it."""

    event_name: str = ""
    customer: str = ""
    identifier: str = ""

    @property
    def lane(self) -> Lane | None:
        """The lane the call runs in, or None where its meter or its customer cannot be told."""
        return Lane(self.event_name, self.customer) if self.customer else None
